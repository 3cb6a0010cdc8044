// Which server of a TLS port a client's server name (SNI) leads to: an exact name, else the longest wildcard,
// else the server for any name (istio-semantics.md 17).

public struct ServerNames: Sendable {
    private var exact: [String: Int] = [:]
    /// `.example.com` of `*.example.com`.
    private var suffixes: [String: Int] = [:]
    private var any: Int?

    /// One list of hosts for each server: `a.example`, `*.example`, `*`. A host given twice is the first's.
    public init(_ servers: [[String]]) {
        for (index, hosts) in servers.enumerated() {
            for host in hosts.map({ $0.lowercased() }) {
                if host == "*" {
                    if any == nil { any = index }
                } else if host.hasPrefix("*.") {
                    let suffix = String(host.dropFirst())
                    if suffixes[suffix] == nil { suffixes[suffix] = index }
                } else if exact[host] == nil {
                    exact[host] = index
                }
            }
        }
    }

    /// The server for a name as the client sent it; empty: it sent none. nil: no server is for it.
    public func server(for name: String) -> Int? {
        var text = name.lowercased()[...]
        if text.hasSuffix(".") { text = text.dropLast() }
        if text.isEmpty { return any }
        if let found = exact[String(text)] { return found }
        if !suffixes.isEmpty {
            // Labels from the left: the longest suffix comes first. At most 127 labels in 255 bytes.
            var rest = text
            while let dot = rest.firstIndex(of: ".") {
                if let found = suffixes[String(rest[dot...])] { return found }
                rest = rest[rest.index(after: dot)...]
            }
        }
        return any
    }
}
