// A second reader of HTTP/1 heads, written from RFC 9112 with arrays and nothing else and sharing no code
// with the parser. What the parser accepts must read the same here: a request that two strict readers take
// differently is a smuggling hole.

/// How a strict reader finds the end of the body.
package enum StrictFraming: Equatable {
    case unsaid, length(UInt64), chunked
}

package struct StrictHead: Equatable {
    /// The three parts of the start line.
    package var first: [UInt8]
    package var second: [UInt8]
    package var third: [UInt8]
    package var fields: [ReadField]
    package var framing: StrictFraming
}

package enum StrictReader {
    /// Reads exactly one head, blank line included; nil if it is not exactly that.
    package static func read(_ kind: HeadKind, _ bytes: [UInt8]) -> StrictHead? {
        guard var lines = lines(bytes) else { return nil }
        while kind == .request, lines.first == [], lines.count > 1 { lines.removeFirst() }
        guard lines.count >= 2, lines.last == [] else { return nil }
        guard let parts = startLine(kind, lines[0]) else { return nil }
        var fields: [ReadField] = []
        for line in lines[1..<(lines.count - 1)] {
            guard let field = field(line) else { return nil }
            fields.append(field)
        }
        guard let framing = framing(fields) else { return nil }
        return StrictHead(first: parts.0, second: parts.1, third: parts.2, fields: fields, framing: framing)
    }

    /// Lines without their CRLF; nil when a CR or LF stands alone or the end has no CRLF.
    private static func lines(_ bytes: [UInt8]) -> [[UInt8]]? {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == 0x0D {
                guard index + 1 < bytes.count, bytes[index + 1] == 0x0A else { return nil }
                lines.append(line)
                line = []
                index += 2
                continue
            }
            if bytes[index] == 0x0A { return nil }
            line.append(bytes[index])
            index += 1
        }
        return line.isEmpty ? lines : nil
    }

    private static func startLine(_ kind: HeadKind, _ line: [UInt8]) -> ([UInt8], [UInt8], [UInt8])? {
        switch kind {
        case .request:
            let parts = line.split(separator: 0x20, omittingEmptySubsequences: false).map { Array($0) }
            guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(isTokenByte), !parts[1].isEmpty,
                parts[1].allSatisfy({ $0 > 0x20 && $0 != 0x7F }), isVersion(parts[2])
            else { return nil }
            return (parts[0], parts[1], parts[2])
        case .response:
            let parts = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
                .map { Array($0) }
            guard parts.count >= 2, isVersion(parts[0]), parts[1].count == 3,
                parts[1].allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), parts[1][0] != 0x30
            else { return nil }
            let phrase = parts.count == 3 ? parts[2] : []
            return phrase.allSatisfy(isValueByte) ? (parts[0], parts[1], phrase) : nil
        }
    }

    private static func isVersion(_ part: [UInt8]) -> Bool {
        part == Array("HTTP/1.1".utf8) || part == Array("HTTP/1.0".utf8)
    }

    private static func field(_ line: [UInt8]) -> ReadField? {
        guard let colon = line.firstIndex(of: 0x3A), colon > 0 else { return nil }
        let name = line[..<colon]
        guard name.allSatisfy(isTokenByte) else { return nil }
        var value = line[(colon + 1)...]
        guard value.allSatisfy(isValueByte) else { return nil }
        while value.first == 0x20 || value.first == 0x09 { value.removeFirst() }
        while value.last == 0x20 || value.last == 0x09 { value.removeLast() }
        return ReadField(name.map(lower), Array(value))
    }

    private static func framing(_ fields: [ReadField]) -> StrictFraming? {
        let lengths = fields.filter { $0.name == Array("content-length".utf8) }.map(\.value)
        let codings = fields.filter { $0.name == Array("transfer-encoding".utf8) }.map(\.value)
        if !codings.isEmpty {
            guard lengths.isEmpty, codings.count == 1, codings[0].map(lower) == Array("chunked".utf8) else {
                return nil
            }
            return .chunked
        }
        var found: UInt64?
        for text in lengths {
            guard !text.isEmpty, text.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                let value = UInt64(String(decoding: text, as: UTF8.self)), found == nil || found == value
            else { return nil }
            found = value
        }
        return found.map { .length($0) } ?? .unsaid
    }

    package static func isTokenByte(_ byte: UInt8) -> Bool {
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8.contains(lower(byte))
    }

    package static func isValueByte(_ byte: UInt8) -> Bool { byte == 0x09 || (byte >= 0x20 && byte != 0x7F) }

    package static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte + 0x20 : byte }
}
