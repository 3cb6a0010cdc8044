// Compressing responses on their way to the client (`Proxy.spec.compression`). Off, it costs a request two
// tests of a pointer.
internal import HTTP

extension Worker {
    /// Keeps what the client accepts: its head is gone when the response comes.
    func noteAcceptedCoding(_ x: inout Exchange) {
        guard let rules = settings.compression, x.minorVersion > 0 else { return }
        x.acceptedCoding = ContentCoding.preferred(
            by: rules.pointee.acceptEncoding, in: requestHeaders.pointee)
    }

    /// Decides whether this response is compressed, and makes its head say so.
    mutating func prepareCompression(_ number: UInt32, _ head: ResponseHead) {
        guard let rules = settings.compression, rules.pointee.cover(head, responseHeaders.pointee) else {
            return
        }
        let x = exchange(number)
        rules.pointee.noteVariance(&responseHeaders.pointee)
        if head.framing == .none || x.pointee.acceptedCoding == .identity { return }
        guard let compressor = compressors.take(x.pointee.acceptedCoding) else {
            meter.add(.compressionSkipped)
            return
        }
        x.pointee.compressor = compressor
        rules.pointee.encode(x.pointee.acceptedCoding, &responseHeaders.pointee)
        meter.add(.compressedResponses)
    }

    /// Sends a piece of the body compressed, all of it now; `last` ends it. False: the client takes no more.
    mutating func sendCompressed(
        _ number: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, last: Bool
    ) -> Bool {
        if count == 0, !last { return true }
        let x = exchange(number)
        // The head that was written there is out.
        let out = writeSpace + Self.margin
        let room = Self.writeBytes - 2 * Self.margin
        var at = bytes
        var left = count
        var isDone = false
        while !isDone {
            let step = compressors.compress(x.pointee.compressor, at, left, last: last, to: out, room)
            at += step.consumed
            left -= step.consumed
            isDone = step.isDone
            x.pointee.responseWireBytes += UInt64(step.produced)
            let alive =
                x.pointee.downstreamFraming == .chunked
                ? sendChunk(x.pointee.downstream, out, step.produced, last: last && isDone)
                : step.produced == 0 || send(x.pointee.downstream, out, step.produced)
            if !alive { return false }
        }
        return true
    }

    mutating func endCompression(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.compressor == noSlot { return }
        compressors.giveBack(x.pointee.compressor)
        x.pointee.compressor = noSlot
    }
}
