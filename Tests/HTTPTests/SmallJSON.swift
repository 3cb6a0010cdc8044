// Enough JSON to read test data without Foundation: objects, arrays and strings.
import TestSupport

enum SmallJSON {
    indirect enum Value {
        case object([String: Value])
        case array([Value])
        case string(String)
    }

    static func parse(_ bytes: [UInt8]) throws -> Value {
        var parser = Parser(bytes: bytes)
        let value = try parser.value()
        parser.skipBlanks()
        guard parser.at == bytes.count else { throw TestFailure("JSON: more after the end") }
        return value
    }

    private struct Parser {
        let bytes: [UInt8]
        var at = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func skipBlanks() {
            while at < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[at]) { at += 1 }
        }

        mutating func take(_ byte: UInt8) -> Bool {
            skipBlanks()
            guard at < bytes.count, bytes[at] == byte else { return false }
            at += 1
            return true
        }

        mutating func expect(_ byte: UInt8) throws {
            if !take(byte) { throw TestFailure("JSON: no `\(UnicodeScalar(byte))` at byte \(at)") }
        }

        mutating func value() throws -> Value {
            if take(0x7B) {
                var members: [String: Value] = [:]
                if take(0x7D) { return .object(members) }
                repeat {
                    let key = try string()
                    try expect(0x3A)
                    members[key] = try value()
                } while take(0x2C)
                try expect(0x7D)
                return .object(members)
            }
            if take(0x5B) {
                var elements: [Value] = []
                if take(0x5D) { return .array(elements) }
                repeat { elements.append(try value()) } while take(0x2C)
                try expect(0x5D)
                return .array(elements)
            }
            return .string(try string())
        }

        mutating func string() throws -> String {
            try expect(0x22)
            var text: [UInt8] = []
            while at < bytes.count {
                let byte = bytes[at]
                at += 1
                if byte == 0x22 { return String(decoding: text, as: UTF8.self) }
                if byte == 0x5C { text += try escape() } else { text.append(byte) }
            }
            throw TestFailure("JSON: a text has no end")
        }

        mutating func escape() throws -> [UInt8] {
            guard at < bytes.count else { throw TestFailure("JSON: a text has no end") }
            let letter = bytes[at]
            at += 1
            switch letter {
            case 0x6E: return [0x0A]
            case 0x72: return [0x0D]
            case 0x74: return [0x09]
            case 0x62: return [0x08]
            case 0x66: return [0x0C]
            case 0x75:
                let digits = String(decoding: bytes[at..<min(at + 4, bytes.count)], as: UTF8.self)
                guard let value = UInt32(digits, radix: 16), let scalar = UnicodeScalar(value) else {
                    throw TestFailure("JSON: \\u\(digits)")
                }
                at += 4
                return Array(String(Character(scalar)).utf8)
            default: return [letter]
            }
        }
    }
}
