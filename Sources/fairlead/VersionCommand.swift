// `fairlead version`.
internal import ArgumentParser
internal import CNghttp2
internal import COpenSSL

enum Version {
    static let fairlead = "0.1.0"

    static var swift: String {
        #if swift(>=6.4)
            "6.4 or newer"
        #elseif swift(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }

    static var openSSL: String { String(cString: OpenSSL_version(OPENSSL_VERSION)) }

    static var nghttp2: String {
        guard let information = nghttp2_version(0) else { return "unknown" }
        return String(cString: information.pointee.version_str)
    }

    /// One line each.
    static var text: String {
        """
        fairlead \(fairlead)
        swift \(swift)
        openssl \(openSSL)
        nghttp2 \(nghttp2)
        """
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Versions of Fairlead, Swift, OpenSSL and nghttp2.")

    func run() { writeText("\(Version.text)\n", to: 1) }
}
