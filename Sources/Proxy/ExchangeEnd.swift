// How exchanges end: with a whole response, or because the client is gone. What they held is given back, and
// their connections are kept or closed.
internal import Telemetry

extension Worker {
    /// The response is whole: keep or close the upstream connection, count, log, and let the client go on.
    mutating func completeResponse(_ number: UInt32, leftover: Int) {
        let x = exchange(number)
        let upstream = x.pointee.upstream
        if upstream != noSlot {
            uncount(number)
            x.pointee.upstream = noSlot
            let connection = connection(upstream)
            connection.pointee.exchange = noSlot
            setDeadline(upstream, 0)
            if isStream(upstream) {
                release(upstream)
            } else if x.pointee.flags.contains(.upstreamKeepsAlive), leftover == 0,
                connection.pointee.output.isEmpty, connection.pointee.input.isEmpty,
                connection.pointee.flags.isDisjoint(with: [.peerClosing, .ended, .writeFailed, .single])
            {
                keepUpstream(upstream, x.pointee.decision.pointee.cluster)
            } else {
                if leftover > 0 { meter.add(.glitchIdleBytes) }
                closeUpstream(upstream)
            }
        }
        finishExchange(number)
    }

    /// The client has its response (or it is on its way): the exchange is over, its connection is not.
    mutating func finishExchange(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.step == .tunnel { settleJudging(number) }
        let downstream = x.pointee.downstream
        let close = x.pointee.flags.contains(.closeDownstream)
        report(number)
        freeExchange(number)
        let own = connection(downstream)
        own.pointee.exchange = noSlot
        if own.pointee.transport.isVirtual {
            if own.pointee.transport == .call { callEnded(downstream) } else { finishStream(downstream) }
            return
        }
        if close || own.pointee.flags.contains(.ended) || isRetired(downstream) {
            finishDownstream(downstream)
            return
        }
        setTimeout(downstream, settings.idleTimeoutMs)
        if !own.pointee.input.isEmpty || own.pointee.flags.contains(.mayRead) { enqueue(downstream) }
    }

    /// The client is gone: nobody waits for the response.
    mutating func cancelExchange(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.step == .tunnel { settleJudging(number) }
        if x.pointee.responseFlags.isEmpty { x.pointee.responseFlags.insert(.DC) }
        if x.pointee.responseFlags.contains(.DC), !x.pointee.flags.contains(.headSent) {
            x.pointee.status = 0
            x.pointee.details = "downstream_remote_disconnect"
        }
        abandonUpstream(number)
        report(number)
        connection(x.pointee.downstream).pointee.exchange = noSlot
        freeExchange(number)
    }

    @inline(__always)
    private mutating func freeExchange(_ number: UInt32) {
        let x = exchange(number)
        buffers.release(&x.pointee.head)
        buffers.release(&x.pointee.explanation)
        endCompression(number)
        if x.pointee.isScripted { scriptsEnded(number) }
        if x.pointee.heldCluster != noSlot { releaseCluster(x) }
        let snapshot = x.pointee.snapshot
        if snapshot == current {
            currentExchanges &-= 1
        } else {
            held[Int(snapshot)].exchanges &-= 1
            dropIfUnused(snapshot)
        }
        x.pointee.serial = 0
        if x.pointee.step == .tunnel { meter.add(.tunnelsClosed) }
        meter.sub(.requestsActive)
        exchanges.free(number)
    }
}
