// Reads JSON text (RFC 8259) of bounded size and depth into values, strictly: what is wrong is told with its
// place. For the admin server's bodies and the commands that ask it.
internal import Base

package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    /// Members in the order written; names are distinct.
    case object([Member])

    package struct Member: Sendable, Equatable {
        package var name: String
        package var value: JSONValue
    }

    /// The member of this name; nil if there is none or this is no object.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// `string`, `array`, ... for messages.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

package struct JSONProblem: Error, Equatable {
    package var message: String
}

package struct JSONReader {
    private let bytes: [UInt8]
    private var at = 0

    /// The one value that `bytes` hold.
    package static func read(_ bytes: [UInt8]) throws(JSONProblem) -> JSONValue {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw JSONProblem(message: "not UTF-8")
        }
        var reader = JSONReader(bytes: bytes)
        let value = try reader.value(depth: 0)
        reader.skipBlanks()
        if reader.at < bytes.count { throw reader.problem("text after the value") }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func problem(_ what: String) -> JSONProblem { JSONProblem(message: "\(what) at byte \(at)") }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { at += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipBlanks()
        guard next == byte else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONProblem) -> JSONValue {
        if depth > Limits.adminJSONDepth { throw problem("nested too deeply") }
        skipBlanks()
        switch next {
        case 0x7B: return try object(depth: depth)
        case 0x5B: return try array(depth: depth)
        case 0x22: return .string(try string())
        case 0x74: return try word("true", .bool(true))
        case 0x66: return try word("false", .bool(false))
        case 0x6E: return try word("null", .null)
        case nil: throw problem("the text ends where a value should be")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONProblem) -> JSONValue {
        guard bytes[at...].starts(with: word.utf8) else { throw problem("no JSON value") }
        at += word.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(JSONProblem) -> JSONValue {
        at += 1
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        if take(0x7D) { return .object([]) }
        repeat {
            skipBlanks()
            guard next == 0x22 else { throw problem("a member's name must be a string") }
            let name = try string()
            guard names.insert(name).inserted else { throw problem("member \"\(name)\" twice") }
            guard take(0x3A) else { throw problem("\":\" missing") }
            members.append(JSONValue.Member(name: name, value: try value(depth: depth + 1)))
        } while take(0x2C)
        guard take(0x7D) else { throw problem("\",\" or \"}\" missing") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONProblem) -> JSONValue {
        at += 1
        var elements: [JSONValue] = []
        if take(0x5D) { return .array([]) }
        repeat { elements.append(try value(depth: depth + 1)) } while take(0x2C)
        guard take(0x5D) else { throw problem("\",\" or \"]\" missing") }
        return .array(elements)
    }

    private mutating func number() throws(JSONProblem) -> JSONValue {
        let start = at
        func digits(_ reader: inout JSONReader) -> Int {
            let from = reader.at
            while let byte = reader.next, (0x30...0x39).contains(byte) { reader.at += 1 }
            return reader.at - from
        }
        if next == 0x2D { at += 1 }
        let leadingZero = next == 0x30
        let whole = digits(&self)
        guard whole > 0, whole == 1 || !leadingZero else {
            at = start
            throw problem("no JSON value")
        }
        if next == 0x2E {
            at += 1
            guard digits(&self) > 0 else { throw problem("digits missing") }
        }
        if let byte = next, byte | 0x20 == 0x65 {
            at += 1
            if next == 0x2B || next == 0x2D { at += 1 }
            guard digits(&self) > 0 else { throw problem("digits missing") }
        }
        guard let value = Double(String(decoding: bytes[start..<at], as: UTF8.self)), value.isFinite else {
            throw problem("number out of range")
        }
        return .number(value)
    }

    private mutating func string() throws(JSONProblem) -> String {
        at += 1
        var out: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case 0x22: return String(decoding: out, as: UTF8.self)
            case 0x5C: out += Array(try escape().utf8)
            case 0..<0x20: throw problem("control character in a string")
            default: out.append(byte)
            }
        }
        throw problem("string not closed")
    }

    private mutating func escape() throws(JSONProblem) -> String {
        guard let byte = next else { throw problem("string not closed") }
        at += 1
        switch byte {
        case 0x22, 0x2F, 0x5C: return String(UnicodeScalar(byte))
        case 0x62: return "\u{8}"
        case 0x66: return "\u{C}"
        case 0x6E: return "\n"
        case 0x72: return "\r"
        case 0x74: return "\t"
        case 0x75: break
        default: throw problem("unknown escape")
        }
        let first = try codeUnit()
        if let scalar = UnicodeScalar(first) { return String(scalar) }
        // A surrogate: only a pair of them is a character.
        guard first < 0xDC00, bytes[at...].starts(with: [0x5C, 0x75]) else {
            throw problem("half a surrogate pair")
        }
        at += 2
        let second = try codeUnit()
        guard (0xDC00...0xDFFF).contains(second) else { throw problem("half a surrogate pair") }
        let code = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
        return UnicodeScalar(code).map { String($0) } ?? ""
    }

    private mutating func codeUnit() throws(JSONProblem) -> UInt32 {
        guard at + 4 <= bytes.count else { throw problem("string not closed") }
        var value: UInt32 = 0
        for byte in bytes[at..<at + 4] {
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 0x80 else {
                throw problem("four hex digits expected")
            }
            value = value << 4 | UInt32(digit)
        }
        at += 4
        return value
    }
}
