// What a chosen route does to the request on its way up: header operations of every level, then authority and
// path (istio-semantics.md 5.5 and 6).
internal import Base
public import HTTP
internal import CRE2

/// Applies the edits of a forwarding decision. New path and authority bytes lie in `scratch` and hold until
/// it is used again. `scratch.overflowed` or `headers.overflowed` afterwards: the request must not go on.
public func applyRequestEdits(
    _ decision: UnsafePointer<Decision>, _ request: inout Request, _ headers: inout HeaderList,
    _ scratch: inout EditScratch, _ format: UnsafePointer<FormatContext>
) {
    scratch.reset()
    if let injected = decision.pointee.injected {
        apply(injected, &headers, &scratch, format.pointee, request, 0)
    }
    guard let route = decision.pointee.route else { return }
    let target = decision.pointee.target
    let levels = target?.pointee.requestLevels ?? route.pointee.requestLevels
    var index = 0
    while index < levels.count {
        apply(levels[index], &headers, &scratch, format.pointee, request, 0)
        index &+= 1
    }
    if let target, !target.pointee.authority.isEmpty {
        let authority = target.pointee.authority
        let name = HeaderNames.name(.xEnvoyOriginalHost)
        if target.pointee.tellsOldAuthority {
            headers.remove(name)
            if let room = headers.reserve(name, request.authority.count) {
                room.update(from: request.authority.start, count: request.authority.count)
            }
        }
        request.authority = authority
        request.hasPlainAuthority = false
        headers.set(HeaderNames.name(.host), authority)
    }
    if let rewrite = route.pointee.rewrite, !request.isConnect {
        rewritePath(rewrite, route.pointee.conditions.pointee.uri, &request, &headers, &scratch)
    }
}

private func rewritePath(
    _ rewrite: UnsafePointer<Rewrite>, _ uri: Matcher, _ request: inout Request,
    _ headers: inout HeaderList, _ scratch: inout EditScratch
) {
    let path: ByteView
    if let regex = rewrite.pointee.regex {
        guard let made = replaceAll(regex, rewrite.pointee.regexRewrite, request.path, &scratch) else {
            return
        }
        path = made
    } else if rewrite.pointee.replacesPath {
        path = rooted(rewrite.pointee.uri, &scratch)
    } else if rewrite.pointee.hasURI {
        path = replaceMatched(uri, rewrite.pointee.uri, request.path, &scratch)
    } else {
        return
    }
    let name = HeaderNames.name(.xEnvoyOriginalPath)
    headers.remove(name)
    let length = request.path.count &+ (request.hasQuery ? request.query.count &+ 1 : 0)
    if let room = headers.reserve(name, length) {
        room.update(from: request.path.start, count: request.path.count)
        if request.hasQuery {
            room[request.path.count] = 0x3F
            (room + request.path.count + 1).update(from: request.query.start, count: request.query.count)
        }
    }
    request.path = path
}

/// Every non-overlapping match replaced; nil: the result has no room (`overflowed` is set).
private func replaceAll(
    _ regex: OpaquePointer, _ rewrite: ByteView, _ path: ByteView, _ scratch: inout EditScratch
) -> ByteView? {
    let room = scratch.room
    let limit = min(room.count, Limits.targetBytes)
    let length = path.start.withMemoryRebound(to: CChar.self, capacity: path.count) { path_ in
        rewrite.start.withMemoryRebound(to: CChar.self, capacity: rewrite.count) { rewrite_ in
            room.start.withMemoryRebound(to: CChar.self, capacity: limit) { out in
                fl_re2_replace_all(regex, path_, path.count, rewrite_, rewrite.count, out, limit)
            }
        }
    }
    guard length >= 0, length <= Int64(limit) else {
        scratch.fail()
        return nil
    }
    let mark = scratch.mark
    scratch.keep(Int(length))
    return rooted(scratch.view(from: mark), &scratch)
}

/// The part that the uri condition matched replaced by `text`; the whole path where it matched as a whole.
func replaceMatched(
    _ uri: Matcher, _ text: ByteView, _ path: ByteView, _ scratch: inout EditScratch
) -> ByteView {
    var head = text
    var rest = ByteView.empty
    switch uri.kind {
    case .prefix, .prefixIgnoringCase: rest = path.slice(min(uri.text.count, path.count), path.count)
    // No condition counts as the prefix `/`.
    case .none, .present: rest = path.slice(min(1, path.count), path.count)
    case .pathSegments:
        rest = path.slice(min(uri.text.count, path.count), path.count)
        if !head.isEmpty, head[head.count &- 1] == 0x2F { head = head.slice(0, head.count &- 1) }
    case .exact, .exactIgnoringCase, .shape, .regex: break
    }
    let mark = scratch.mark
    scratch.append(head)
    scratch.append(rest)
    return rooted(scratch.view(from: mark), &scratch)
}

/// A path that does not begin with a slash could be read upstream as a whole URL that the client chose.
private func rooted(_ path: ByteView, _ scratch: inout EditScratch) -> ByteView {
    if !path.isEmpty, path[0] == 0x2F { return path }
    let mark = scratch.mark
    scratch.append(0x2F)
    scratch.append(path)
    return scratch.view(from: mark)
}
