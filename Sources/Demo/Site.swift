// Who stands where: the pods, their addresses and ports. The documents have these addresses written out; when
// something else uses them, all are shifted together, in the documents' working copy as well.
internal import Base

/// A running instance of a service.
struct Pod: Sendable {
    /// Also its sidecar's name in the documents.
    let name: String
    let service: String
    let version: String
    /// Last number of its address.
    let host: Int

    static let all = [
        Pod(name: "frontend-stable", service: "frontend", version: "stable", host: 11),
        Pod(name: "auth-stable", service: "auth", version: "stable", host: 21),
        Pod(name: "auth-refactor-auth", service: "auth", version: "auth-refactor", host: 22),
        Pod(name: "session-stable", service: "session", version: "stable", host: 31),
        Pod(name: "auth-refactor-session", service: "session", version: "auth-refactor", host: 32),
        Pod(name: "info-stable", service: "info", version: "stable", host: 41),
    ]
}

/// Addresses and ports of one run.
struct Site: Sendable {
    static let namespace = "digillect"
    /// How many places are tried: a second demo, or a mesh of the machine's own, may use the first.
    static let shifts = 64

    /// 0: as the documents have it.
    let shift: Int

    private var network: String { "127.\(77 + shift).0" }
    private func port(_ written: Int) -> UInt16 { UInt16(written + 100 * shift) }

    var edgePort: UInt16 { port(18_000) }
    /// The default of the other commands, so that they find this edge without being told.
    var edgeAdmin: SocketAddress { SocketAddress(ipv4: 0x7F00_0001, port: port(15_000)) }

    private func address(_ pod: Pod, _ written: Int) -> SocketAddress {
        SocketAddress(ipv4: 0x7F00_0000 | UInt32(77 + shift) << 16 | UInt32(pod.host), port: port(written))
    }
    func application(_ pod: Pod) -> SocketAddress { address(pod, 18_080) }
    /// Where the application sends its own requests.
    func outbound(_ pod: Pod) -> SocketAddress { address(pod, 15_001) }
    func admin(_ pod: Pod) -> SocketAddress { address(pod, 15_000) }
    private func inbound(_ pod: Pod) -> SocketAddress { address(pod, 15_006) }

    /// A document of `config/demo` with this site's addresses and ports.
    func place(_ document: String) -> String {
        if shift == 0 { return document }
        var text = document
        text.replace("127.77.0", with: network)
        for written in [15_006, 15_001, 18_080] { text.replace("\(written)", with: "\(port(written))") }
        return text
    }

    /// Every address that something of the demo listens on.
    private var listening: [SocketAddress] {
        [edgeAdmin, SocketAddress(ipv4: 0x7F00_0001, port: edgePort)]
            + Pod.all.flatMap { [application($0), inbound($0), outbound($0), admin($0)] }
    }

    /// The first place where nothing listens yet; nil if all are taken.
    static func firstFree() -> Site? {
        (0..<shifts).lazy.map { Site(shift: $0) }.first { site in
            site.listening.allSatisfy { BlockingSocket.canListen(on: $0) }
        }
    }
}
