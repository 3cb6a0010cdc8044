// What must hold for any bytes given to a head parser. Each function returns what is wrong, or nil: the fuzz
// targets abort on it, the tests report it.
internal import HTTP

package enum HeadInvariants {
    /// Everything below, at all cuts of short input and at some cuts of long input.
    package static func violation(_ kind: HeadKind, _ bytes: [UInt8], _ reader: HeadReader) -> String? {
        let outcome = reader.read(kind, bytes)
        let cuts =
            bytes.count <= 256
            ? Array(0...bytes.count)
            : (0..<16).map { bytes.count * $0 / 16 + Int(bytes[$0 * 16]) % 16 }.sorted()
        if let wrong = growth(kind, bytes, outcome, cuts, reader) { return wrong }
        guard case .complete(let head) = outcome else { return nil }
        return shape(head) ?? secondReading(kind, bytes, head, reader) ?? limits(kind, bytes, head, reader)
    }

    /// However the input arrives, each look at what is there so far asks for more or says what the whole
    /// says.
    package static func growth(
        _ kind: HeadKind, _ bytes: [UInt8], _ whole: HeadOutcome, _ cuts: [Int], _ reader: HeadReader
    ) -> String? {
        var held: [UInt8] = []
        for cut in cuts + [bytes.count] where cut >= held.count {
            held += bytes[held.count..<cut]
            let outcome = reader.read(kind, inPlace: &held)
            if outcome == .needMore { continue }
            if outcome == whole { return nil }
            return "after \(cut) bytes: \(outcome); after all: \(whole)"
        }
        return whole == .needMore ? nil : "by pieces never ends; whole: \(whole)"
    }

    /// Lines that go on are whole lines without control characters, with names in lower case.
    private static func shape(_ head: ReadHead) -> String? {
        for field in head.fields {
            if field.name.isEmpty || !field.name.allSatisfy(StrictReader.isTokenByte) { return "bad name" }
            if field.name != field.name.map(StrictReader.lower) { return "a name is not in lower case" }
            if !field.value.allSatisfy(StrictReader.isValueByte) { return "control character in a value" }
            for edge in [field.value.first, field.value.last] where edge == 0x20 || edge == 0x09 {
                return "a value is not trimmed"
            }
        }
        if !head.lines.isEmpty, head.lines.suffix(2) != [0x0D, 0x0A] { return "lines do not end with CRLF" }
        for part in [head.method, head.target, head.authority, head.path, head.query ?? []]
        where part.contains(where: { $0 <= 0x20 || $0 == 0x7F }) {
            return "blank or control character in the request line"
        }
        if head.status != 0, !(100...999).contains(head.status) { return "status \(head.status)" }
        if head.framing == .length, head.contentLength == 0 { return "a body of no bytes" }
        return nil
    }

    /// A strict reader of its own takes the accepted head for the same one, as it came and as it goes on.
    private static func secondReading(
        _ kind: HeadKind, _ bytes: [UInt8], _ head: ReadHead, _ reader: HeadReader
    ) -> String? {
        guard let strict = StrictReader.read(kind, Array(bytes[..<head.length])) else {
            return "a strict reader refuses what was accepted: \(head)"
        }
        if strict.fields != head.fields { return "fields differ: \(strict.fields) and \(head.fields)" }
        let start: [UInt8]
        switch kind {
        case .request:
            if strict.first != head.method || strict.second != head.target { return "request lines differ" }
            if !matches(strict.framing, head) { return "framing differs: \(strict.framing), \(head.framing)" }
            start = head.method + [0x20] + head.target + [0x20] + strict.third
        case .response:
            if strict.second != Array(String(head.status).utf8) || strict.third != head.phrase {
                return "status lines differ"
            }
            if head.status >= 200, !matches(strict.framing, head) { return "framing differs" }
            start = strict.first + [0x20] + strict.second + [0x20] + strict.third
        }
        let crlf: [UInt8] = [0x0D, 0x0A]
        let again = start + crlf + head.lines + crlf
        guard case .complete(let second) = reader.read(kind, again) else { return "own lines are refused" }
        var expected = head
        expected.length = again.count
        expected.fields = second.fields
        if second != expected { return "read again: \(second), first: \(head)" }
        return nil
    }

    private static func matches(_ strict: StrictFraming, _ head: ReadHead) -> Bool {
        switch (strict, head.framing) {
        case (.chunked, .chunked), (.unsaid, .none), (.unsaid, .untilClose), (.length(0), .none): true
        case (.length(let length), .length): length == head.contentLength
        case (_, .none): head.status == 204 || head.status == 304
        default: false
        }
    }

    /// The head alone reads as with what follows it, and just fits a limit of its own size.
    private static func limits(
        _ kind: HeadKind, _ bytes: [UInt8], _ head: ReadHead, _ reader: HeadReader
    ) -> String? {
        let alone = Array(bytes[..<head.length])
        if reader.read(kind, alone) != .complete(head) { return "what follows the head changes it" }
        let (maxBytes, maxFields) = (reader.maxBytes, reader.maxFields)
        defer { (reader.maxBytes, reader.maxFields) = (maxBytes, maxFields) }
        reader.maxBytes = head.length
        reader.maxFields = head.fields.count
        if reader.read(kind, bytes) != .complete(head) { return "does not fit a limit of its own size" }
        reader.maxBytes = head.length - 1
        if reader.read(kind, bytes) != .refused(.headTooLarge) { return "fits a limit below its size" }
        reader.maxBytes = maxBytes
        reader.maxFields = head.fields.count - 1
        if !head.fields.isEmpty, reader.read(kind, bytes) != .refused(.tooManyFields) {
            return "more fields than allowed"
        }
        return nil
    }
}
