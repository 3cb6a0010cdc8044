// Heads on their way in: the fields of a HEADERS block become what the HTTP/1 parser makes of a head, so that
// everything after it is one code. What RFC 9113 8 demands of the fields nghttp2 has checked; what an HTTP/1
// peer could read differently is refused here.
internal import Base
internal import CLinux
public import HTTP

extension H2Engine {
    /// A request's head. The views hold until the next `feed` or `gather`. `received` is an HTTP/1 rendering
    /// of the fields, for explain.
    public func readRequest(
        _ event: H2Event, _ head: inout RequestHead, _ headers: inout HeaderList,
        _ received: inout UnsafeMutableBufferPointer<UInt8>
    ) -> HeadError? {
        head = RequestHead()
        headers.reset()
        head.minorVersion = 2
        var path = ByteView.empty
        var protocolName = ByteView.empty
        var hasAuthority = false
        var cookies = 0
        var lines = Int(event.firstByte)
        for index in 0..<Int(event.fieldCount) {
            let field = state.pointee.inbox.fields[Int(event.firstField) + index]
            switch field.kind {
            case .method: head.request.method = value(field)
            case .scheme: head.request.scheme = value(field)
            case .path: path = value(field)
            case .protocol: protocolName = value(field)
            case .status: return .badFieldLine
            case .authority:
                hasAuthority = true
                headers.append(line(field, HeaderID.host.rawValue))
            case .regular:
                let entry = line(field, HeaderNames.id(name(field)))
                if entry.id == HeaderID.host.rawValue, hasAuthority {
                    // RFC 9113 8.3.1: it must name the same.
                    if !entry.value.equalsIgnoringCase(headers.fields[0].value) { return .duplicateHost }
                    continue
                }
                headers.append(entry)
                if entry.id == HeaderID.cookie.rawValue { cookies += 1 }
                if let why = ConnectionRules.note(headers.fields + (headers.count - 1), &head.connection) {
                    return why
                }
            }
            if field.kind != .regular { lines = Int(field.offset) + fieldBytes(field) }
        }
        if headers.overflowed { return .tooManyFields }
        if cookies > 1 { joinCookies(&headers) }
        received = UnsafeMutableBufferPointer(
            start: state.pointee.inbox.bytes + lines,
            count: Int(event.firstByte) + Int(event.byteCount) - lines)
        return RequestRules.frame(
            &head, path: path, authority: headers.find(.host)?.pointee.value ?? .empty,
            protocolName: protocolName, ended: event.ended)
    }

    /// A response's head; nil framing errors are nghttp2's to find. `toHead`: it answers HEAD.
    public func readResponse(
        _ event: H2Event, _ head: inout ResponseHead, _ headers: inout HeaderList
    ) -> HeadError? {
        head = ResponseHead()
        headers.reset()
        head.minorVersion = 2
        for index in 0..<Int(event.fieldCount) {
            let field = state.pointee.inbox.fields[Int(event.firstField) + index]
            if field.kind == .status {
                let digits = value(field)
                guard digits.count == 3 else { return .badStatusLine }
                head.status =
                    Int(digits[0] &- 0x30) &* 100 &+ Int(digits[1] &- 0x30) &* 10 &+ Int(digits[2] &- 0x30)
            } else if field.kind == .regular {
                headers.append(line(field, HeaderNames.id(name(field))))
                if let why = ConnectionRules.note(headers.fields + (headers.count - 1), &head.connection) {
                    return why
                }
            }
        }
        if headers.overflowed { return .tooManyFields }
        return head.status < 100 || head.status > 999 ? .badStatusLine : nil
    }

    /// A trailer section into `headers`.
    public func readTrailers(_ event: H2Event, _ headers: inout HeaderList) {
        headers.reset()
        for index in 0..<Int(event.fieldCount) {
            let field = state.pointee.inbox.fields[Int(event.firstField) + index]
            if field.kind == .regular { headers.append(line(field, HeaderNames.id(name(field)))) }
        }
    }

    // MARK: fields

    private func fieldBytes(_ field: H2Field) -> Int {
        let isLine = field.nameLength > 0
        return Int(field.nameLength) + Int(field.valueLength) + (isLine ? 4 : 0)
    }

    private func name(_ field: H2Field) -> ByteView {
        ByteView(state.pointee.inbox.bytes + Int(field.offset), Int(field.nameLength))
    }

    private func value(_ field: H2Field) -> ByteView {
        let skipped = field.nameLength > 0 ? Int(field.nameLength) + 2 : 0
        return ByteView(state.pointee.inbox.bytes + Int(field.offset) + skipped, Int(field.valueLength))
    }

    private func line(_ field: H2Field, _ id: UInt8) -> HeaderField {
        HeaderField(
            line: UnsafePointer(state.pointee.inbox.bytes + Int(field.offset)),
            lineLength: UInt32(truncatingIfNeeded: fieldBytes(field)), nameLength: field.nameLength,
            valueOffset: UInt32(field.nameLength) + 2, valueLength: field.valueLength, id: id)
    }

    /// Crumbs of one cookie list, for compression's sake apart, become one field again (RFC 9113 8.2.3).
    private func joinCookies(_ headers: inout HeaderList) {
        var total = 0
        var count = 0
        for index in 0..<headers.count where headers.fields[index].id == HeaderID.cookie.rawValue {
            total += Int(headers.fields[index].valueLength)
            count += 1
        }
        let crumbs = headers.count
        guard let room = headers.reserve(HeaderNames.name(.cookie), total + 2 * (count - 1)) else { return }
        var at = room
        for index in 0..<crumbs where headers.fields[index].id == HeaderID.cookie.rawValue {
            headers.fields[index].dropped = true
            if at != room {
                at[0] = 0x3B
                at[1] = 0x20
                at += 2
            }
            let crumb = headers.fields[index].value
            memcpy(at, crumb.start, crumb.count)
            at += crumb.count
        }
    }
}
