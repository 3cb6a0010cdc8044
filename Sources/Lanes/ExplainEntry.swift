// Where a request that `explain` is asked about comes in: the listener by scheme and port, and on a TLS port
// the server by the name that the client sends, found as live connections find theirs.

struct ExplainEntry {
    enum Next {
        /// Requests are read.
        case requests
        /// The connection is passed on, nothing in it is read.
        case relay(UnsafePointer<ConnectionServer>)
        /// There is no request: what happens instead, and the status of an answer if there is one.
        case refused(String, status: Int?)
    }

    /// With the routes of the chosen server.
    var listener: UnsafePointer<Listener>
    /// `Gateway ns/name` and the port's name, where TLS ends; empty: no server was chosen.
    var server = ""
    var next = Next.requests
    /// What a reader would not expect, in words; nil: nothing.
    var remark: String?

    /// nil: there is no listener, or none named `name`. `serverName`: SNI; nil: the URL's host, as clients
    /// do it.
    init?(_ snapshot: Snapshot, _ url: URLParts, listener name: String?, serverName: String?) {
        let all = snapshot.table.pointee.listeners
        let listeners = (0..<all.count).map { all[$0] }
        let isSecure = url.scheme == "https"
        let chosen =
            name.map { name in listeners.first { $0.pointee.name.string == name } }
            ?? Self.choose(listeners, url, isSecure)
        guard let chosen else { return nil }
        listener = chosen
        if isSecure, chosen.pointee.takesTLS {
            choose(snapshot, serverName ?? Self.serverName(url))
        } else if chosen.pointee.takesTLS {
            next = .refused(
                "\(chosen.pointee.name.string) takes TLS: a plain HTTP request gets 400", status: 400)
        } else if chosen.pointee.connections != nil {
            choose(snapshot, "")
        } else if isSecure, chosen.pointee.role == .edge {
            remark = "no TLS ends at \(chosen.pointee.name.string): explained as if a proxy in front ended it"
        }
    }

    /// An edge listener of the URL's scheme on its port; one on that port, one of that scheme, any edge
    /// listener, the outbound one, whatever there is.
    private static func choose(
        _ all: [UnsafePointer<Listener>], _ url: URLParts, _ isSecure: Bool
    ) -> UnsafePointer<Listener>? {
        let port = url.authority.withView { portNumber($0) } ?? (isSecure ? 443 : 80)
        let edge = all.filter { $0.pointee.role == .edge }
        let onPort = edge.filter {
            $0.pointee.address.port == port || $0.pointee.name.string.hasSuffix("/\(port)")
        }
        func ofScheme(_ listeners: [UnsafePointer<Listener>]) -> UnsafePointer<Listener>? {
            listeners.first { $0.pointee.takesTLS == isSecure }
        }
        return ofScheme(onPort) ?? onPort.first ?? ofScheme(edge) ?? edge.first
            ?? all.first { $0.pointee.role == .outbound } ?? all.first
    }

    /// The host without its port, in lower case; empty for addresses, which no client sends (RFC 6066 3).
    private static func serverName(_ url: URLParts) -> String {
        let host = url.authority.withView { $0.slice(0, hostLength($0)).string }.lowercased()
        if host.hasPrefix("[") || host.utf8.allSatisfy({ $0 == 0x2E || $0 &- 0x30 < 10 }) { return "" }
        return host.hasSuffix(".") ? String(host.dropLast()) : host
    }

    private mutating func choose(_ snapshot: Snapshot, _ name: String) {
        let place = listener.pointee.name.string
        let nobody =
            name.isEmpty
            ? "no server of \(place) takes connections without a server name: the connection is reset"
            : "no server of \(place) is for the server name \(name): the connection is reset"
        if let connections = listener.pointee.connections {
            guard let server = name.withView({ connections.pointee.server($0) }) else {
                next = .refused(nobody, status: nil)
                return
            }
            if server.pointee.action == .relay {
                next = .relay(server)
                return
            }
        }
        guard let tls = listener.pointee.tls,
            let index = snapshot.server(listener: listener.pointee.index, name: name)
        else {
            next = .refused(nobody, status: nil)
            return
        }
        let chosen = tls.pointee.servers[index]
        server = chosen.pointee.name.string
        listener = chosen.pointee.listener
        if let relay = chosen.pointee.relay { next = .relay(relay) }
    }
}

extension Listener {
    /// Its connections begin with a ClientHello.
    var takesTLS: Bool { tls != nil || connections?.pointee.isTLS == true }
}
