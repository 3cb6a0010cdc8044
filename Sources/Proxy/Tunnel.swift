// Bytes both ways that are not ours to read: a WebSocket after its 101, a CONNECT after its 200. Each
// side's end is passed on as it comes; the tunnel is over when both have ended.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Loop
internal import Telemetry

extension Worker {
    /// The upstream agreed to an upgrade: its head goes to the client, then bytes.
    mutating func switchProtocols(_ number: UInt32, _ head: ResponseHead) {
        let x = exchange(number)
        let headers = responseHeaders
        ConnectionRules.removeHopByHop(&headers.pointee, head.connection)
        removeOurs()
        headers.pointee.remove(.contentLength)
        x.pointee.status = 101
        x.pointee.details = "via_upstream"
        x.pointee.decision.pointee.response.reason = x.pointee.reason
        applyResponseEdits(
            x.pointee.decision.responsePlan, 101, &headers.pointee, &scratch,
            formatContext(number, response: true))
        if headers.pointee.overflowed {
            protocolError(number, .headTooLarge)
            return
        }
        var at = writeSpace
        writeStatusLine(&at, 101, "Switching Protocols", minorVersion: 1)
        at = headers.pointee.copyLines(to: at)
        put(&at, "connection: upgrade\r\nupgrade: websocket\r\n")
        x.pointee.flags.remove(.closeDownstream)
        let closes = x.pointee.minorVersion
        x.pointee.minorVersion = 1
        finishResponseHead(number, &at, needsDate: false)
        x.pointee.minorVersion = closes
        if !send(x.pointee.downstream, writeSpace, at - writeSpace) {
            closeDownstream(x.pointee.downstream)
            return
        }
        beginTunnel(number)
    }

    /// The connection of a CONNECT is there.
    mutating func establishTunnel(_ number: UInt32) {
        let x = exchange(number)
        let answer: ByteView = "HTTP/1.1 200 OK\r\n\r\n"
        x.pointee.status = 200
        x.pointee.details = "via_upstream"
        if !send(x.pointee.downstream, answer.start, answer.count) {
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
        setTimeout(x.pointee.downstream, settings.idleTimeoutMs)
        // What the client sent ahead of the answer.
        let downstream = x.pointee.downstream
        let own = connection(downstream)
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
            if x.pointee.requestBodyBytes == 0 { judgeTunnel(number, bytes, count) }
            x.pointee.requestBodyBytes += UInt64(count)
            x.pointee.requestWireBytes += UInt64(count)
        } else {
            x.pointee.responseBodyBytes += UInt64(count)
            x.pointee.responseWireBytes += UInt64(count)
        }
        setTimeout(x.pointee.downstream, settings.idleTimeoutMs)
        if !send(other, bytes, count) { closeDownstream(x.pointee.downstream) }
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
        abandonUpstream(number)
        finishExchange(number)
    }

    mutating func shutWriting(_ slot: UInt32) {
        let own = connection(slot)
        own.pointee.flags.remove(.shutAfterFlush)
        if own.pointee.flags.contains(.writeShut) { return }
        endTransmission(own)
    }

    /// The first bytes of a CONNECT tunnel tell what is beyond our sight (lanes.md 8).
    private mutating func judgeTunnel(_ number: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int) {
        let x = exchange(number)
        guard x.pointee.flags.contains(.connect), x.pointee.role == .outbound else { return }
        // A TLS record of type handshake (RFC 8446 5.1).
        let isTLS = count >= 2 && bytes[0] == 0x16 && bytes[1] == 0x03
        if isTLS {
            noteLoss(number, .opaqueTLS)
        } else if H1Lookahead.isRequestStart(bytes, count) == false {
            noteLoss(number, .notHTTP)
        }
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
