// Egress to the host that a request names: one that no document knows (ALLOW_ANY), or one of a ServiceEntry
// whose hosts are looked up as they are asked for (NONE, DYNAMIC_DNS). There is no original address to go to
// without transparent capture, so the name is resolved: the address itself if it is one, else by the
// resolver, off the loop.
internal import Base
internal import CLinux
internal import Lanes
internal import Telemetry

extension Worker {
    mutating func startPassthrough(_ number: UInt32, _ authority: ByteView) {
        let isConnect = exchange(number).pointee.flags.contains(.connect)
        guard let (host, port) = HostAndPort.split(authority, defaultPort: isConnect ? 443 : 80) else {
            reply(number, Self.unresolved)
            return
        }
        lookUp(number, host, port, settings.connectTimeoutMs)
    }

    /// For a cluster without endpoints: its own name, or the host of the request that its wildcard covers.
    mutating func startByHost(_ number: UInt32, _ cluster: UnsafePointer<Cluster>) {
        let x = exchange(number)
        let host = x.pointee.flags.contains(.raw) ? serverName(number) : upstreamHost(number)
        guard let name = cluster.pointee.name(for: host) else {
            reply(number, Self.unresolved)
            return
        }
        x.pointee.attempts &+= 1
        lookUp(number, name, cluster.pointee.requestPort, cluster.pointee.connectTimeoutMs)
    }

    private mutating func lookUp(_ number: UInt32, _ host: ByteView, _ port: UInt16, _ timeoutMs: UInt64) {
        let x = exchange(number)
        x.pointee.flags.insert(.byHost)
        if let address = HostAndPort.literal(host, port) {
            connectByHost(number, address)
            return
        }
        x.pointee.step = .resolving
        let mailbox = setup.mailbox
        let serial = x.pointee.serial
        setTimeout(x.pointee.downstream, timeoutMs)
        setup.resolver.resolve(host.string, port: port) { addresses in
            mailbox.post(.resolved(exchange: number, serial: serial, addresses: addresses))
        }
    }

    static var unresolved: LocalReply {
        var answer = LocalReply(
            status: 503, reason: .upstreamConnect, details: "dns_resolution_failure", flags: [.UH, .DF])
        answer.text = "the host could not be resolved"
        return answer
    }

    private mutating func connectByHost(_ number: UInt32, _ address: SocketAddress) {
        // A Host that names one of our own listeners would come back to us for ever.
        for index in 0..<listenerCount
        where listeners[index].fd >= 0 && listeners[index].address.port == address.port
            && (listeners[index].address == address || address.isLoopback && isUnspecified(index))
        {
            var answer = LocalReply(status: 502, reason: .noRoute, details: "loop_detected", flags: .NR)
            answer.text = "the request is addressed to this proxy itself, and no route says where it is to go"
            reply(number, answer)
            return
        }
        let cluster = exchange(number).pointee.decision.pointee.cluster
        let timeoutMs = cluster?.pointee.connectTimeoutMs ?? settings.connectTimeoutMs
        if exchange(number).pointee.flags.contains(.toSession) {
            startStream(number, address, noSlot, 0, timeoutMs)
        } else {
            connect(
                number, address, noSlot, 0, timeoutMs, cluster?.pointee.tls == nil ? .plain : .handshake)
        }
    }

    private func isUnspecified(_ index: Int) -> Bool {
        let address = listeners[index].address
        return address.isIPv4 ? address.low & 0xFFFF_FFFF == 0 : address.high == 0 && address.low == 0
    }

    /// The resolver's answer.
    mutating func resolved(_ number: UInt32, _ serial: UInt32, _ addresses: [SocketAddress]) {
        guard Int(number) < exchanges.highWater else { return }
        let x = exchange(number)
        guard x.pointee.serial == serial, x.pointee.step == .resolving else { return }
        setTimeout(x.pointee.downstream, settings.streamIdleTimeoutMs)
        guard let address = addresses.first(where: \.isIPv4) ?? addresses.first else {
            reply(number, Self.unresolved)
            return
        }
        connectByHost(number, address)
    }
}

/// Splitting an authority.
enum HostAndPort {
    /// The host without brackets, and the port or its default; nil for a port that is none.
    static func split(_ authority: ByteView, defaultPort: UInt16) -> (ByteView, UInt16)? {
        var host = authority
        var digits = ByteView.empty
        if !authority.isEmpty, authority[0] == 0x5B {
            guard let close = authority.firstIndex(of: 0x5D) else { return nil }
            host = authority.slice(1, close)
            if close + 1 < authority.count { digits = authority.slice(close + 2, authority.count) }
        } else if let colon = authority.firstIndex(of: 0x3A) {
            host = authority.slice(0, colon)
            digits = authority.slice(colon + 1, authority.count)
        }
        if digits.isEmpty { return (host, defaultPort) }
        var port = 0
        var index = 0
        while index < digits.count {
            let digit = digits[index] &- 0x30
            if digit > 9 { return nil }
            port = port * 10 + Int(digit)
            if port > 65_535 { return nil }
            index += 1
        }
        return (host, UInt16(port))
    }

    /// The address that the host itself is; nil for names.
    static func literal(_ host: ByteView, _ port: UInt16) -> SocketAddress? {
        var parts = fl_address()
        if host.count >= 64 || fl_address_parse(host.start, host.count, &parts) != 1 { return nil }
        return SocketAddress(
            high: parts.high, low: parts.low, port: port, isIPv4: parts.is_ipv4 != 0)
    }
}
