// Bytes both ways that are not ours to read: a WebSocket after its 101, a CONNECT after its 200. Each
// side's end is passed on as it comes; the tunnel is over when both have ended.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Loop
internal import Sniff
internal import Telemetry

extension Worker {
    /// The upstream agreed to an upgrade: its head goes to the client, then bytes.
    mutating func switchProtocols(_ number: UInt32, _ head: ResponseHead) {
        let x = exchange(number)
        let headers = responseHeaders
        ConnectionRules.removeHopByHop(&headers.pointee, namesFields: head.connection.namesFields)
        removeOurs()
        headers.pointee.remove(.contentLength)
        x.pointee.status = 101
        x.pointee.details = "via_upstream"
        x.pointee.decision.pointee.response.reason = x.pointee.reason
        applyResponseEdits(
            x.pointee.decision.responsePlan, 101, &headers.pointee, &scratch,
            formatContext(number, response: true))
        headers.pointee.remove(rules.responseFixed)
        if headers.pointee.overflowed {
            protocolError(number, .headTooLarge)
            return
        }
        var at = writeSpace
        writeStatusLine(&at, 101, "Switching Protocols", minorVersion: 1)
        at = headers.pointee.copyLines(to: at)
        put(&at, "connection: upgrade\r\nupgrade: websocket\r\n")
        if x.pointee.flags.contains(.toSession), !isStream(x.pointee.downstream) { putAccept(number, &at) }
        x.pointee.flags.remove(.closeDownstream)
        let closes = x.pointee.minorVersion
        x.pointee.minorVersion = 1
        finishResponseHead(number, &at, needsDate: false)
        x.pointee.minorVersion = closes
        if !sendResponseHead(x.pointee.downstream, writeSpace, at - writeSpace, ends: false) {
            closeDownstream(x.pointee.downstream)
            return
        }
        beginTunnel(number)
    }

    /// An upstream of HTTP/2 does not prove that it read a key; a client of HTTP/1 wants it proved.
    private mutating func putAccept(_ number: UInt32, _ at: inout UnsafeMutablePointer<UInt8>) {
        let head = exchange(number).pointee.head
        guard let base = head.base else { return }
        let text = ByteView(base, Int(exchange(number).pointee.headBytes))
        let name: ByteView = "sec-websocket-key: "
        var from = 0
        while let end = text.firstIndex(of: 0x0D, from: from) {
            let line = text.slice(from, end)
            from = end + 2
            guard line.hasPrefix(name) else { continue }
            put(&at, "sec-websocket-accept: ")
            WebSocketKey.writeAccept(line.slice(name.count, line.count).trimmed, to: at)
            at += WebSocketKey.acceptBytes
            put(&at, "\r\n")
            return
        }
    }

    /// The connection of a CONNECT is there.
    mutating func establishTunnel(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.flags.contains(.raw) {
            relayEstablished(number)
            beginTunnel(number)
            return
        }
        let answer: ByteView = "HTTP/1.1 200 OK\r\n\r\n"
        x.pointee.status = 200
        x.pointee.details = "via_upstream"
        if !sendResponseHead(x.pointee.downstream, answer.start, answer.count, ends: false) {
            closeDownstream(x.pointee.downstream)
            return
        }
        beginTunnel(number)
    }

    private mutating func beginTunnel(_ number: UInt32) {
        let x = exchange(number)
        x.pointee.step = .tunnel
        x.pointee.flags.insert([.headSent, .closeDownstream, .requestComplete])
        x.pointee.deadlineMs = 0
        meter.add(.tunnelsOpened)
        setDeadline(x.pointee.upstream, 0)
        setTimeout(x.pointee.downstream, tunnelIdleMs(x))
        // What the client sent ahead of the answer.
        let downstream = x.pointee.downstream
        let own = connection(downstream)
        let isOpaque = x.pointee.flags.isDisjoint(with: [.raw, .upgrade])
        if isOpaque, x.pointee.role == .outbound {
            own.pointee.stage = .clientHello
            own.pointee.scanned = 0
        }
        if !own.pointee.input.isEmpty {
            var waiting = own.pointee.input
            own.pointee.input = Buffer()
            relay(from: downstream, waiting.bytes, waiting.count)
            buffers.release(&waiting)
        }
        if connection(downstream).pointee.generation != 0 { enqueue(downstream) }
    }

    /// Passes bytes to the other side.
    mutating func relay(from slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let number = connection(slot).pointee.exchange
        let x = exchange(number)
        let fromClient = slot == x.pointee.downstream
        let other = fromClient ? x.pointee.upstream : x.pointee.downstream
        if fromClient {
            if connection(slot).pointee.stage == .clientHello { judgeTunnel(number, bytes, count) }
        } else if connection(other).pointee.flags.contains(.outlived) {
            // Nobody is there to take it. It is read all the same: an upstream that waits for that may not
            // read what is still for it.
            return
        }
        countTunnel(number, fromClient: fromClient, count)
        setTimeout(x.pointee.downstream, tunnelIdleMs(x))
        if !send(other, bytes, count) { closeDownstream(x.pointee.downstream) }
    }

    /// How long a tunnel may be silent; where it is a TCP or TLS route's, its cluster may say so.
    func tunnelIdleMs(_ x: UnsafeMutablePointer<Exchange>) -> UInt64 {
        guard x.pointee.flags.contains(.raw), let cluster = x.pointee.decision.pointee.cluster,
            cluster.pointee.relayIdleTimeoutMs != .max
        else { return settings.idleTimeoutMs }
        return cluster.pointee.relayIdleTimeoutMs
    }

    mutating func countTunnel(_ number: UInt32, fromClient: Bool, _ count: Int) {
        let x = exchange(number)
        if fromClient {
            x.pointee.requestBodyBytes += UInt64(count)
        } else {
            x.pointee.responseBodyBytes += UInt64(count)
        }
        if x.pointee.flags.contains(.raw) {
            countRelayed(number)
        } else if fromClient {
            x.pointee.requestWireBytes += UInt64(count)
        } else {
            x.pointee.responseWireBytes += UInt64(count)
        }
    }

    /// One side sent all it will: so do we to the other, when what is pending is out.
    mutating func tunnelEnded(from slot: UInt32) {
        let number = connection(slot).pointee.exchange
        let x = exchange(number)
        let other = slot == x.pointee.downstream ? x.pointee.upstream : x.pointee.downstream
        if other == noSlot || connection(other).pointee.flags.contains(.ended) {
            // What the client sent before its end still goes out; `upstreamDrained` comes back here.
            let upstream = x.pointee.upstream
            if upstream != noSlot, !connection(upstream).pointee.output.isEmpty,
                !connection(upstream).pointee.flags.contains(.writeFailed)
            {
                return
            }
            finishTunnel(number)
            return
        }
        let connection = connection(other)
        if connection.pointee.output.isEmpty {
            shutWriting(other)
        } else {
            connection.pointee.flags.insert(.shutAfterFlush)
        }
    }

    /// Both sides have ended; what is pending for the client still goes out.
    private mutating func finishTunnel(_ number: UInt32) {
        let upstream = exchange(number).pointee.upstream
        // A stream that is let go without its end is reset.
        if upstream != noSlot, isStream(upstream) { endStream(connection(upstream)) }
        abandonUpstream(number)
        finishExchange(number)
    }

    mutating func shutWriting(_ slot: UInt32) {
        let own = connection(slot)
        own.pointee.flags.remove(.shutAfterFlush)
        if own.pointee.flags.contains(.writeShut) { return }
        endTransmission(own)
        let number = own.pointee.exchange
        if own.pointee.side == .upstream, number != noSlot { boundLeftTunnel(number) }
    }

    /// The HTTP/2 connection of a tunnel's client is gone, which had ended its side before: what it sent
    /// still goes to the upstream, and its end behind that.
    mutating func leaveTunnel(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.outlived) { return }
        let number = own.pointee.exchange
        let upstream = exchange(number).pointee.upstream
        own.pointee.flags.insert(.outlived)
        if !own.pointee.flags.contains(.ended) { own.pointee.flags.insert([.mayRead, .peerClosing]) }
        buffers.release(&own.pointee.output)
        setTimeout(slot, tunnelIdleMs(exchange(number)))
        boundLeftTunnel(number)
        enqueue(slot)
        if upstream != noSlot { enqueue(upstream) }
    }

    /// A tunnel that its client has left and whose last bytes are out waits for its upstream's end as long as
    /// a client may be silent: a close before it might reset what is on its way there.
    private mutating func boundLeftTunnel(_ number: UInt32) {
        let x = exchange(number)
        let upstream = x.pointee.upstream
        guard connection(x.pointee.downstream).pointee.flags.contains(.outlived), upstream != noSlot,
            connection(upstream).pointee.flags.contains(.writeShut)
        else { return }
        setTimeout(x.pointee.downstream, settings.requestBodyIdleTimeoutMs)
    }

    /// The first bytes of a CONNECT tunnel tell what is beyond our sight (lanes.md 8). They go on as they
    /// come; a copy is kept in the connection's input until the server name is whole.
    private mutating func judgeTunnel(_ number: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int) {
        let own = connection(exchange(number).pointee.downstream)
        let held = own.pointee.input.count
        if held + count < Int(own.pointee.scanned) {
            buffers.append(&own.pointee.input, bytes, count)
            return
        }
        if held > 0 { buffers.append(&own.pointee.input, bytes, count) }
        let seen = held > 0 ? ByteView(own.pointee.input.bytes, held + count) : ByteView(bytes, count)
        switch ClientHello.read(seen, pathSpace) {
        case .needMore(let need):
            if held == 0 { buffers.append(&own.pointee.input, bytes, count) }
            own.pointee.scanned = UInt32(truncatingIfNeeded: need)
            return
        case .complete(let hello):
            noteServerName(number, hello.serverName)
            noteLoss(number, .opaqueTLS)
        case .refused: noteLoss(number, .opaqueTLS)
        case .notTLS:
            if !H1Lookahead.isRequestStart(seen.start, seen.count) { noteLoss(number, .notHTTP) }
        }
        stopJudging(own)
    }

    private mutating func stopJudging(_ own: UnsafeMutablePointer<Connection>) {
        own.pointee.stage = .requests
        own.pointee.scanned = 0
        buffers.release(&own.pointee.input)
    }

    /// A tunnel ends before its ClientHello was whole: what began as TLS was TLS.
    mutating func settleJudging(_ number: UInt32) {
        let own = connection(exchange(number).pointee.downstream)
        guard own.pointee.stage == .clientHello else { return }
        if !own.pointee.input.isEmpty { noteLoss(number, .opaqueTLS) }
        stopJudging(own)
    }
}

/// Whether bytes can begin an HTTP/1 request: a token, as far as can be seen.
enum H1Lookahead {
    static func isRequestStart(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var index = 0
        while index < count, index < 20 {
            if bytes[index] == 0x20 { return index > 0 }
            if fl_is_token(bytes[index]) == 0 { return false }
            index += 1
        }
        return index > 0
    }
}
