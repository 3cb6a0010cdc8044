// What is left to do with a response, an upstream's or our own: the route's header operations, the pin, cache
// headers, CORS for the lane header, and the reason (lanes.md 4, istio-semantics.md 6).
internal import Base
public import HTTP

/// Applies a plan to a response head. Nothing is done for plain requests without such operations.
public func applyResponseEdits(
    _ plan: UnsafePointer<ResponsePlan>, _ status: Int, _ headers: inout HeaderList,
    _ scratch: inout EditScratch, _ format: UnsafePointer<FormatContext>
) {
    scratch.reset()
    let levels = plan.pointee.levels
    var index = 0
    while index < levels.count {
        apply(levels[index], &headers, &scratch, format.pointee, nil, status)
        index &+= 1
    }
    if plan.pointee.cors != .none { allowOrigin(plan.pointee.cors, format.pointee, &headers) }
    if let policy = plan.pointee.policy {
        if plan.pointee.pin != .none { pin(plan, policy, &headers, &scratch) }
        if plan.pointee.isLaneResponse { guardCaches(policy, &headers, &scratch) }
        if plan.pointee.preflightAsksForKey { allowKey(policy, &headers) }
    }
    if plan.pointee.reason != .none {
        headers.set(HeaderNames.name(.xFairleadReason), ByteView(literal: plan.pointee.reason.text))
    }
}

/// One more Set-Cookie line; the application's stay.
@inline(__always)
private func pin(
    _ plan: UnsafePointer<ResponsePlan>, _ policy: UnsafePointer<LanePolicy>,
    _ headers: inout HeaderList, _ scratch: inout EditScratch
) {
    guard let pin = policy.pointee.pin else { return }
    let becomesSecure = pin.pointee.secure == .auto && plan.pointee.isTLS
    if plan.pointee.pin == .write, !becomesSecure, let line = plan.pointee.lines?.pointee.pin {
        headers.append(lent: line)
    } else {
        writePin(plan, policy, pin, becomesSecure, &headers, &scratch)
    }
}

@inline(never)
private func writePin(
    _ plan: UnsafePointer<ResponsePlan>, _ policy: UnsafePointer<LanePolicy>, _ pin: UnsafePointer<Pin>,
    _ becomesSecure: Bool, _ headers: inout HeaderList, _ scratch: inout EditScratch
) {
    let mark = scratch.mark
    scratch.append(policy.pointee.key)
    scratch.append(0x3D)
    if plan.pointee.pin == .write {
        let value = scratch.mark
        plan.pointee.lane.withView { scratch.append($0) }
        if policy.pointee.signingRequired, !policy.pointee.signingSecret.isEmpty {
            let end = plan.pointee.pinSeconds &+ Int64(truncatingIfNeeded: pin.pointee.maxAgeSeconds)
            scratch.append(0x7E)
            scratch.append(decimal: UInt64(max(0, end)))
            sign(scratch.view(from: value), policy.pointee.signingSecret, &scratch)
        }
        scratch.append(pin.pointee.attributes)
    } else {
        scratch.append(pin.pointee.clearing)
    }
    if pin.pointee.secure == .always || becomesSecure {
        scratch.append("; Secure")
    }
    if !scratch.overflowed { headers.append(HeaderNames.name(.setCookie), scratch.view(from: mark)) }
}

private func sign(_ text: ByteView, _ secret: ByteView, _ scratch: inout EditScratch) {
    scratch.append(0x7E)
    let room = scratch.room
    guard room.count >= SignedLane.macCharacters, SignedLane.write(mac: text, secret, to: room.start) else {
        scratch.fail()
        return
    }
    scratch.keep(SignedLane.macCharacters)
}

/// No shared cache keeps a lane's answer, and those that vary it know by what.
@inline(__always)
private func guardCaches(
    _ policy: UnsafePointer<LanePolicy>, _ headers: inout HeaderList, _ scratch: inout EditScratch
) {
    switch policy.pointee.cache {
    case .keep: break
    case .none:
        headers.remove(.cacheControl)
        headers.append(lent: policy.place(of: \.cacheLine))
    case .private:
        if headers.find(.cacheControl) == nil {
            headers.append(lent: policy.place(of: \.cacheLine))
        } else {
            makePrivate(&headers, &scratch)
        }
    }
    if headers.find(.vary) == nil {
        headers.append(lent: policy.place(of: \.varyLine))
    } else {
        extendVary(policy, &headers, &scratch)
    }
}

@inline(never)
private func extendVary(
    _ policy: UnsafePointer<LanePolicy>, _ headers: inout HeaderList, _ scratch: inout EditScratch
) {
    if hasListToken(.vary, "*", headers) { return }
    let hasKey = hasListToken(.vary, policy.pointee.header.bytes, headers)
    let hasCookie = hasListToken(.vary, "cookie", headers)
    if hasKey, hasCookie { return }
    let mark = scratch.mark
    appendLines(.vary, headers, &scratch)
    if !hasKey {
        if scratch.mark > mark { scratch.append(", ") }
        scratch.append(policy.pointee.key)
    }
    if !hasCookie {
        if scratch.mark > mark { scratch.append(", ") }
        scratch.append("Cookie")
    }
    headers.set(HeaderNames.name(.vary), scratch.view(from: mark))
}

/// `private` with the application's other directives; what invites shared caches goes.
@inline(never)
private func makePrivate(_ headers: inout HeaderList, _ scratch: inout EditScratch) {
    if hasListToken(.cacheControl, ByteView(literal: "no-store"), headers) { return }
    let mark = scratch.mark
    scratch.append("private")
    var from = 0
    while let line = headers.find(.cacheControl, from: from) {
        from = headers.index(of: line) &+ 1
        var pieces = DirectiveCursor(line.pointee.value)
        while let piece = pieces.next() {
            let name = splitPair(piece).name.trimmed
            if piece.isEmpty || name.equalsIgnoringCase("public") || name.equalsIgnoringCase("private")
                || name.equalsIgnoringCase("s-maxage")
            {
                continue
            }
            scratch.append(", ")
            scratch.append(piece)
        }
    }
    headers.set(HeaderNames.name(.cacheControl), scratch.view(from: mark))
}

/// Walks comma-separated directives whose values may be quoted lists (RFC 9111 5.2: `private="a, b"`).
private struct DirectiveCursor {
    private let text: ByteView
    private var at = 0
    init(_ text: ByteView) { self.text = text }

    mutating func next() -> ByteView? {
        guard at <= text.count else { return nil }
        var end = at
        var quoted = false
        while end < text.count, quoted || text[end] != 0x2C {
            if text[end] == 0x22 { quoted.toggle() }
            end &+= 1
        }
        let piece = text.slice(at, end).trimmed
        at = end &+ 1
        return piece
    }
}

/// The upstream allows the origin and the preflight asks for the lane header: it is allowed too.
private func allowKey(_ policy: UnsafePointer<LanePolicy>, _ headers: inout HeaderList) {
    guard headers.find(.accessControlAllowOrigin) != nil else { return }
    let key = policy.pointee.header.bytes
    if hasListToken(.accessControlAllowHeaders, key, headers) { return }
    let name = HeaderNames.name(.accessControlAllowHeaders)
    guard let line = headers.find(.accessControlAllowHeaders) else {
        headers.append(name, key)
        return
    }
    let old = line.pointee.value
    let index = headers.index(of: line)
    guard let room = headers.reserve(name, old.count &+ 2 &+ key.count) else { return }
    room.update(from: old.start, count: old.count)
    room[old.count] = 0x2C
    room[old.count + 1] = 0x20
    (room + old.count + 2).update(from: key.start, count: key.count)
    headers.count &-= 1
    headers.fields[index] = headers.fields[headers.count]
}

func hasListToken(_ id: HeaderID, _ token: ByteView, _ headers: HeaderList) -> Bool {
    var from = 0
    while let line = headers.find(id, from: from) {
        if hasToken(line.pointee.value, token) { return true }
        from = headers.index(of: line) &+ 1
    }
    return false
}

private func appendLines(_ id: HeaderID, _ headers: HeaderList, _ scratch: inout EditScratch) {
    let mark = scratch.mark
    var from = 0
    while let line = headers.find(id, from: from) {
        if scratch.mark > mark { scratch.append(", ") }
        scratch.append(line.pointee.value)
        from = headers.index(of: line) &+ 1
    }
}
