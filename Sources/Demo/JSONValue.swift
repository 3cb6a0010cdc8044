// Reads the JSON that the demo's own services write. Strict and small; numbers are kept as text, since none
// of them matters here.

indirect enum JSONValue: Equatable {
    case object([String: JSONValue])
    case array([JSONValue])
    case string(String)
    /// Numbers, true, false, null: as written.
    case other(String)

    /// Nesting: the longest chain of services is far shorter.
    private static let depth = 32

    init?(_ text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        guard let value = reader.value(depth: Self.depth), reader.atEnd else { return nil }
        self = value
    }

    subscript(key: String) -> JSONValue? {
        if case .object(let members) = self { members[key] } else { nil }
    }
    var text: String? {
        if case .string(let text) = self { text } else { nil }
    }
    var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    private struct Reader {
        let bytes: [UInt8]
        var at = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var atEnd: Bool { !bytes[at...].contains { !Self.isBlank($0) } }

        private static func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

        /// Steps over blanks; the byte that follows, nil at the end.
        private mutating func peek() -> UInt8? {
            while at < bytes.count, Self.isBlank(bytes[at]) { at += 1 }
            return at < bytes.count ? bytes[at] : nil
        }

        private mutating func take(_ byte: UInt8) -> Bool {
            guard peek() == byte else { return false }
            at += 1
            return true
        }

        mutating func value(depth: Int) -> JSONValue? {
            guard depth > 0, let byte = peek() else { return nil }
            switch byte {
            case 0x7B: return object(depth)
            case 0x5B: return array(depth)
            case 0x22: return string().map { .string($0) }
            default:
                let from = at
                while at < bytes.count, !Self.isBlank(bytes[at]), ![0x2C, 0x5D, 0x7D].contains(bytes[at]) {
                    at += 1
                }
                return from == at ? nil : .other(String(decoding: bytes[from..<at], as: UTF8.self))
            }
        }

        private mutating func object(_ depth: Int) -> JSONValue? {
            at += 1
            var members: [String: JSONValue] = [:]
            if take(0x7D) { return .object(members) }
            repeat {
                guard peek() == 0x22, let key = string(), take(0x3A), let value = value(depth: depth - 1)
                else {
                    return nil
                }
                members[key] = value
            } while take(0x2C)
            return take(0x7D) ? .object(members) : nil
        }

        private mutating func array(_ depth: Int) -> JSONValue? {
            at += 1
            var elements: [JSONValue] = []
            if take(0x5D) { return .array(elements) }
            repeat {
                guard let value = value(depth: depth - 1) else { return nil }
                elements.append(value)
            } while take(0x2C)
            return take(0x5D) ? .array(elements) : nil
        }

        private mutating func string() -> String? {
            at += 1
            var out: [UInt8] = []
            while at < bytes.count {
                let byte = bytes[at]
                at += 1
                if byte == 0x22 { return String(decoding: out, as: UTF8.self) }
                if byte != 0x5C {
                    out.append(byte)
                    continue
                }
                guard let escaped = escape() else { return nil }
                out += escaped
            }
            return nil
        }

        private mutating func escape() -> [UInt8]? {
            guard at < bytes.count else { return nil }
            let kind = bytes[at]
            at += 1
            switch kind {
            case 0x22, 0x5C, 0x2F: return [kind]
            case 0x6E: return [0x0A]
            case 0x72: return [0x0D]
            case 0x74: return [0x09]
            case 0x75:
                let digits = String(decoding: bytes[at...].prefix(4), as: UTF8.self)
                guard digits.count == 4, let code = UInt32(digits, radix: 16),
                    let scalar = Unicode.Scalar(code)
                else { return nil }
                at += 4
                return Array(String(Character(scalar)).utf8)
            default: return nil
            }
        }
    }
}
