// Reads HTTP/1 heads (RFC 9112) out of one contiguous buffer, strictly: what two parsers could read
// differently is refused. Lines end with CRLF only, field names touch their colon, nothing is folded. Field
// names are lower-cased in the buffer. Knows no sockets; a head that is not whole yet is read again when
// more came, and what comes of it does not depend on how the bytes were cut.
internal import Base
internal import CLinux

public enum H1Parser {
    /// Blank lines a sloppy client may leave before its request line (RFC 9112 2.2 asks for one at least).
    private static let blankLinesBefore = 4
    /// `HTTP/1.1` as a little-endian number.
    private static let http11: UInt64 = 0x312E_312F_5054_5448
    /// `GET ` likewise.
    private static let get: UInt32 = 0x2054_4547

    /// Whether a head that was incomplete before can be whole now: looks for the blank line only in what is
    /// new, so that a head sent byte by byte costs no quadratic time. `scanned` is where the last look ended
    /// and is moved on.
    public static func mayBeComplete(_ bytes: UnsafePointer<UInt8>, _ count: Int, scanned: inout Int) -> Bool
    {
        var at = max(0, scanned - 3)
        while let hit = memchr(bytes + at, 0x0A, count - at) {
            let index = UnsafeRawPointer(hit) - UnsafeRawPointer(bytes)
            // A line feed without its carriage return is for the parser to refuse, at once.
            if index == 0 || bytes[index - 1] != 0x0D { return true }
            if index >= 3, bytes[index - 2] == 0x0A { return true }
            at = index + 1
        }
        scanned = count
        return false
    }

    /// Reads a request head. `limits` bound its size; `headers` is reset first.
    public static func readRequest(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ head: inout RequestHead,
        _ headers: inout HeaderList, maxBytes: Int, maxFields: Int
    ) -> HeadResult {
        // What lies past the limit is not looked at: whether it is here already is chance.
        let result = readRequest(bytes, bytes + min(count, maxBytes), &head, &headers, maxFields: maxFields)
        if case .needMore = result, count >= maxBytes { return .refused(.headTooLarge) }
        return result
    }

    @inline(__always)
    private static func readRequest(
        _ bytes: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>, _ head: inout RequestHead,
        _ headers: inout HeaderList, maxFields: Int
    ) -> HeadResult {
        head = RequestHead()
        headers.reset()
        var at = bytes
        if at < end, at[0] == 0x0D {
            if let other = skipBlankLines(&at, end, &head.connection) { return other }
        }
        // Method.
        let methodStart = at
        if end - at >= 4, fl_load32(at) == get {
            head.method = .get
            at += 3
        } else {
            if let other = readMethod(&at, end) { return other }
            head.method = MethodKind(ByteView(methodStart, at - methodStart))
        }
        head.request.method = ByteView(methodStart, at - methodStart)
        at += 1
        // Target.
        let targetStart = at
        var marks = fl_target()
        at += Int(fl_read_target(at, end, &marks))
        if at - targetStart > Limits.targetBytes { return .refused(.targetTooLong) }
        if at == end { return .needMore }
        if at[0] != 0x20 || at == targetStart {
            return .refused(at[0] == 0x0A ? .bareLineFeed : .badRequestLine)
        }
        head.request.target = ByteView(targetStart, at - targetStart)
        at += 1
        // "HTTP/1.1" and CRLF in two loads, as nearly always.
        if end - at >= 10, fl_load64(at) == http11, at[8] == 0x0D, at[9] == 0x0A {
            head.minorVersion = 1
        } else {
            switch readVersion(at, end) {
            case .needMore: return .needMore
            case .refused(let why):
                return .refused(why == .badVersion && !RequestRules.isTarget(head) ? .notHTTP : why)
            case .complete(let minor): head.minorVersion = UInt8(truncatingIfNeeded: minor)
            }
        }
        at += 10
        let fields = readFields(at, end, bytes, &headers, &head.connection, maxFields: maxFields)
        guard case .complete = fields else { return fields }
        if let why = RequestRules.frame(&head, marks) { return .refused(why) }
        return fields
    }

    /// Moves over what a sloppy client left before its request line; a result ends the reading.
    private static func skipBlankLines(
        _ at: inout UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>,
        _ connection: inout ConnectionFields
    ) -> HeadResult? {
        var blanks = 0
        while at < end, at[0] == 0x0D {
            if at + 1 == end { return .needMore }
            if at[1] != 0x0A || blanks == blankLinesBefore { return .refused(.badRequestLine) }
            blanks += 1
            at += 2
        }
        if blanks > 0 {
            connection.isOdd = true
            connection.blankLines = UInt8(truncatingIfNeeded: blanks)
        }
        return nil
    }

    /// Moves to the blank behind the method; a result ends the reading.
    private static func readMethod(
        _ at: inout UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>
    ) -> HeadResult? {
        let start = at
        while at < end, fl_is_token(at[0]) != 0 { at += 1 }
        if at - start > Limits.methodBytes { return .refused(.badRequestLine) }
        if at == end { return .needMore }
        if at[0] == 0x0A { return .refused(.bareLineFeed) }
        if at[0] != 0x20 || at == start { return .refused(.badRequestLine) }
        return nil
    }

    /// `HTTP/1.x` CRLF at `at`; complete carries the minor version.
    private static func readVersion(
        _ at: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>
    ) -> HeadResult {
        let prefix: StaticString = "HTTP/"
        var index = 0
        while index < 10 {
            if at + index == end { return .needMore }
            let byte = at[index]
            switch index {
            case 0..<5:
                if byte != prefix.utf8Start[index] { return .refused(.badVersion) }
            case 5, 7:
                if byte &- 0x30 > 9 { return .refused(.badVersion) }
            case 6:
                if byte != 0x2E { return .refused(.badVersion) }
            case 8:
                if byte == 0x0A { return .refused(.bareLineFeed) }
                if byte != 0x0D { return .refused(.badVersion) }
            default:
                if byte != 0x0A { return .refused(.badVersion) }
            }
            index += 1
        }
        if at[5] != 0x31 || at[7] > 0x31 { return .refused(.unsupportedVersion) }
        return .complete(Int(at[7] - 0x30))
    }

    /// Reads a response head. `headers` is reset first.
    public static func readResponse(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ head: inout ResponseHead,
        _ headers: inout HeaderList, maxBytes: Int, maxFields: Int
    ) -> HeadResult {
        let result = readResponse(bytes, min(count, maxBytes), &head, &headers, maxFields: maxFields)
        if case .needMore = result, count >= maxBytes { return .refused(.headTooLarge) }
        return result
    }

    @inline(__always)
    private static func readResponse(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ head: inout ResponseHead,
        _ headers: inout HeaderList, maxFields: Int
    ) -> HeadResult {
        head = ResponseHead()
        headers.reset()
        let end = bytes + count
        // "HTTP/1.x SSS" then a blank and a reason phrase, or the line's end.
        let prefix: StaticString = "HTTP/1."
        let isPlain =
            count > 13 && fl_load64(bytes) == http11 && bytes[8] == 0x20 && bytes[9] &- 0x31 < 9
            && bytes[10] &- 0x30 <= 9 && bytes[11] &- 0x30 <= 9 && bytes[12] == 0x20
        var index = isPlain ? 13 : 0
        while index < 13 {
            if index == count { return .needMore }
            let byte = bytes[index]
            let fits =
                switch index {
                case 0..<7: byte == prefix.utf8Start[index]
                case 7: byte == 0x30 || byte == 0x31
                case 8: byte == 0x20
                case 9: byte >= 0x31 && byte <= 0x39
                case 10, 11: byte &- 0x30 <= 9
                default: byte == 0x20 || byte == 0x0D
                }
            if !fits { return .refused(.badStatusLine) }
            index += 1
        }
        head.minorVersion = bytes[7] &- 0x30
        head.status = Int(bytes[9] &- 0x30) &* 100 &+ Int(bytes[10] &- 0x30) &* 10 &+ Int(bytes[11] &- 0x30)
        let phraseStart = bytes + (bytes[12] == 0x20 ? 13 : 12)
        guard let stop = fl_scan_field_value(phraseStart, end) else { return .needMore }
        if stop == end { return .needMore }
        if stop[0] != 0x0D { return .refused(.badStatusLine) }
        if stop + 1 == end { return .needMore }
        if stop[1] != 0x0A { return .refused(.badStatusLine) }
        head.reasonPhrase = ByteView(phraseStart, stop - UnsafePointer(phraseStart))
        let at = UnsafeMutablePointer(mutating: stop) + 2
        return readFields(at, end, bytes, &headers, &head.connection, maxFields: maxFields)
    }

    /// Field lines up to and with the blank line. `base` is the start of the head, for its size.
    private static func readFields(
        _ start: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>,
        _ base: UnsafeMutablePointer<UInt8>, _ headers: inout HeaderList,
        _ connection: inout ConnectionFields, maxFields: Int
    ) -> HeadResult {
        let lines = UnsafeMutableRawPointer(headers.fields).assumingMemoryBound(to: fl_field.self)
        let most = UInt32(truncatingIfNeeded: min(maxFields, Limits.headFields))
        var at = start
        var count: UInt32 = 0
        let state = withUnsafeMutablePointer(to: &headers.marks) { marks in
            var reader = fl_head_reader(
                at: start, end: end, names: HeaderNames.ids, fields: lines, count: 0, most: most,
                marks: marks)
            let state = fl_read_lines(&reader)
            at = reader.at
            count = reader.count
            return state
        }
        headers.count = Int(count)
        // Whatever came of the head: a line that refuses it does so as soon as it is there.
        if let why = ConnectionRules.note(&headers, &connection) { return .refused(why) }
        switch Int(state) {
        case FL_HEAD_END: return .complete(at - base)
        case FL_HEAD_MORE: return .needMore
        case FL_HEAD_BARE_LINE_FEED: return .refused(.bareLineFeed)
        case FL_HEAD_TOO_MANY: return .refused(.tooManyFields)
        case FL_HEAD_NAME_TOO_LONG: return .refused(.headTooLarge)
        default: return .refused(.badFieldLine)
        }
    }
}
