// A client's connection has a budget of glitches: what is legal and hardly ever done. Real clients never
// spend it; who floods us with what costs him nothing is cut, by name. Nothing of it is looked at for
// requests that are not odd.
internal import Base
internal import HTTP
internal import Telemetry

extension Worker {
    /// Charges a client's connection. False: the budget is spent and the connection must end.
    mutating func charge(_ slot: UInt32, _ what: Glitch, _ count: Int = 1, cost: Int = 1) -> Bool {
        meter.add(.glitch(what), UInt64(count))
        let own = connection(slot)
        // One byte of clock: after more than four minutes too little may be forgiven, never too much.
        let second = UInt8(truncatingIfNeeded: nowMs / 1_000)
        let forgiven = Int(second &- own.pointee.glitchSecond) * Int(Limits.glitchRefillPerSecond)
        own.pointee.glitchSecond = second
        let total = max(0, Int(own.pointee.glitches) - forgiven) + count * cost
        own.pointee.glitches = UInt16(clamping: total)
        if total <= Int(Limits.glitchBudget) { return true }
        meter.add(.cut(what))
        return false
    }

    /// Charges what was odd about a request head.
    mutating func chargeHead(_ slot: UInt32, _ fields: ConnectionFields) -> Bool {
        let blanks = Int(fields.blankLines)
        if blanks > 0, !charge(slot, .emptyLine, blanks) { return false }
        return !fields.repeatsLength || charge(slot, .repeatedLength)
    }

    /// Charges chunks that are mostly framing: `taken` bytes were read, `produced` of them are body.
    mutating func chargeChunks(_ number: UInt32, taken: Int, produced: Int) -> Bool {
        // Chunks of two bytes have five of framing; whoever sends larger ones without extensions stays below.
        let framing = taken &- produced
        if framing <= 2 &* produced { return true }
        let own = exchange(number)
        own.pointee.framingBytes &+= UInt32(truncatingIfNeeded: framing)
        let count = Int(own.pointee.framingBytes) / Limits.chunkFramingBytes
        if count == 0 { return true }
        own.pointee.framingBytes &-= UInt32(truncatingIfNeeded: count &* Limits.chunkFramingBytes)
        return charge(own.pointee.downstream, .chunkFraming, count)
    }
}

extension Refusal {
    /// The budget of glitches is spent.
    static var tooManyGlitches: Refusal {
        Refusal(status: 400, reason: .badRequest, details: "too_many_glitches", flags: .DPE)
    }
}
