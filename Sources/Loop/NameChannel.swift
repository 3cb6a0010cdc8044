// One channel of c-ares: questions go out and answers come in on the thread that owns it. c-ares reads
// nsswitch.conf, /etc/hosts, and resolv.conf with its servers, search domains and options, as libc does.
internal import Base
internal import CAres
internal import CLinux
internal import Glibc

final class NameChannel {
    /// What came since they were last taken.
    private var answers: [(id: UInt64, answer: NameAnswer)] = []
    /// Set once, then until the end.
    private var channel: ares_channel?
    /// poll(2) events by socket.
    private var interests: [Int32: Int16] = [:]
    /// Questions of which c-ares has not spoken yet.
    private(set) var outstanding = 0

    /// `servers`: instead of those of resolv.conf. nil: the system refused memory, or resolv.conf cannot be
    /// read for want of rights.
    init?(servers: [SocketAddress]) {
        guard ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS else { return nil }
        var options = ares_options()
        options.timeout = Int32(Limits.resolverTryMs)
        options.tries = Int32(Limits.resolverTries)
        options.sock_state_cb = { context, socket, reads, writes in
            let own = Unmanaged<NameChannel>.fromOpaque(context!).takeUnretainedValue()
            let events = (reads != 0 ? POLLIN : 0) | (writes != 0 ? POLLOUT : 0)
            own.interests[socket] = events == 0 ? nil : Int16(events)
        }
        options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
        let mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB
        guard ares_init_options(&channel, &options, mask) == ARES_SUCCESS else { return nil }
        guard !servers.isEmpty else { return }
        let list = servers.map(\.text).joined(separator: ",")
        if ares_set_servers_ports_csv(channel, list) != ARES_SUCCESS {
            close()
            return nil
        }
    }

    deinit { precondition(channel == nil, "a channel is closed before it goes") }

    /// Ends the channel: what is outstanding gets no answer that counts.
    func close() {
        guard let open = channel else { return }
        ares_destroy(open)
        channel = nil
    }

    /// Asks for a name's IPv4 addresses, and for IPv6 ones where it has none, so that a machine without IPv6
    /// is not sent there.
    func ask(_ id: UInt64, _ name: String) {
        guard Self.isName(name) else {
            answers.append((id, .failed(.badName)))
            return
        }
        ask(NameQuestion(self, id, name), AF_INET)
    }

    private func ask(_ question: NameQuestion, _ family: Int32) {
        var hints = ares_addrinfo_hints()
        hints.ai_family = family
        hints.ai_socktype = fl_sock_stream()
        question.family = family
        outstanding += 1
        ares_getaddrinfo(
            channel, question.name, nil, &hints,
            { context, status, _, result in
                let question = Unmanaged<NameQuestion>.fromOpaque(context!).takeRetainedValue()
                question.owner.answered(question, status, result)
                if let result { ares_freeaddrinfo(result) }
            }, Unmanaged.passRetained(question).toOpaque())
    }

    private func answered(
        _ question: NameQuestion, _ status: Int32, _ result: UnsafeMutablePointer<ares_addrinfo>?
    ) {
        outstanding -= 1
        let answer = Self.answer(status, result)
        if answer == .absent, question.family == AF_INET {
            ask(question, AF_INET6)
        } else {
            answers.append((question.id, answer))
        }
    }

    private static func answer(
        _ status: Int32, _ result: UnsafeMutablePointer<ares_addrinfo>?
    ) -> NameAnswer {
        switch status {
        case ARES_SUCCESS: break
        case ARES_ENODATA, ARES_ENOTFOUND: return .absent
        case ARES_ETIMEOUT: return .failed(.timeout)
        case ARES_EBADNAME: return .failed(.badName)
        default: return .failed(.server)
        }
        var addresses: [SocketAddress] = []
        var ttl = Int32.max
        var node = result?.pointee.nodes
        while let at = node {
            if let address = at.pointee.ai_addr, addresses.count < Limits.resolverAddresses {
                var storage = sockaddr_storage()
                memcpy(
                    &storage, address, min(Int(at.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size))
                let found = SocketAddress(storage)
                if !addresses.contains(found) { addresses.append(found) }
            }
            ttl = min(ttl, at.pointee.ai_ttl)
            node = at.pointee.ai_next
        }
        // An alias holds no longer than its own record says.
        var alias = result?.pointee.cnames
        while let at = alias {
            ttl = min(ttl, at.pointee.ttl)
            alias = at.pointee.next
        }
        if addresses.isEmpty { return .absent }
        return .addresses(addresses, ttlSeconds: ttl > 0 ? UInt32(ttl) : nil)
    }

    func takeAnswers() -> [(id: UInt64, answer: NameAnswer)] {
        defer { answers.removeAll() }
        return answers
    }

    // MARK: sockets

    /// What to poll for.
    var descriptors: [pollfd] {
        interests.map { pollfd(fd: $0.key, events: $0.value, revents: 0) }
    }

    /// When c-ares wants to be called though no socket is ready, milliseconds from now; nil: never.
    var sleepMs: UInt64? {
        var time = timeval()
        guard let next = ares_timeout(channel, nil, &time) else { return nil }
        // Rounded up: a moment too early would be an empty turn.
        return UInt64(max(0, next.pointee.tv_sec)) * 1_000 + UInt64(max(0, next.pointee.tv_usec)) / 1_000 + 1
    }

    /// Lets c-ares read, write, and give up on servers that said nothing.
    func process(_ ready: ArraySlice<pollfd>) {
        for socket in ready where socket.revents != 0 {
            let reads = socket.revents & Int16(POLLIN | POLLERR | POLLHUP) != 0
            let writes = socket.revents & Int16(POLLOUT) != 0
            ares_process_fd(channel, reads ? socket.fd : -1, writes ? socket.fd : -1)
        }
        ares_process_fd(channel, -1, -1)
    }

    /// Letters, digits, `-`, `_` and dots, as hosts are named, or an address: nothing else goes to a server.
    private static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        if bytes.isEmpty || bytes.count > 254 { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5F: true
            default: false
            }
        }
    }
}

/// What comes back with an answer.
private final class NameQuestion {
    unowned let owner: NameChannel
    let id: UInt64
    let name: String
    var family: Int32 = 0

    init(_ owner: NameChannel, _ id: UInt64, _ name: String) {
        self.owner = owner
        self.id = id
        self.name = name
    }
}
