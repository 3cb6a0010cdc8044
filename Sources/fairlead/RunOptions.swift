// What `run` was asked for: flags first, then FAIRLEAD_<FLAG> of the environment, then the documents.
internal import ArgumentParser
internal import Base
internal import Glibc

/// A flag's value, else its environment twin's.
func flagOrEnvironment(_ flag: String?, _ name: String) -> String? {
    if let flag { return flag }
    guard let value = getenv("FAIRLEAD_\(name)") else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}

/// `FROM=TO`.
struct PortMapping: Equatable {
    var from: UInt16
    var to: UInt16

    init?(_ text: String) {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let from = UInt16(parts[0]), let to = UInt16(parts[1]), from > 0,
            to > 0
        else {
            return nil
        }
        self.from = from
        self.to = to
    }
}

/// `HOST:PORT`, the host an IP address or `localhost`, with brackets around IPv6; `:PORT` is every address.
func parseAddress(_ text: String) -> SocketAddress? {
    if text.hasPrefix(":") { return SocketAddress(addressAndPort: "0.0.0.0\(text)") }
    let name = "localhost:"
    if text.hasPrefix(name) {
        return SocketAddress(addressAndPort: "127.0.0.1:\(text.dropFirst(name.count))")
    }
    return SocketAddress(addressAndPort: text)
}

/// An IP address with or without a port, 53 if without.
func parseDNSServer(_ text: String) -> SocketAddress? {
    SocketAddress(text: text, port: 53) ?? SocketAddress(addressAndPort: text)
}

struct RunOptions {
    var workers: Int
    var admin: SocketAddress
    var proxy: String?
    var ports: [PortMapping]
    var accessLog: String
    var logFormat: String
    var drainSeconds: UInt64?
    /// Instead of those of resolv.conf.
    var dnsServers: [SocketAddress]
}
