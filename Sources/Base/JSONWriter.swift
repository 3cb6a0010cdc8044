// Writes JSON text in order, without building a tree and without Foundation. Keys come out as they are
// written, so output is stable.

/// A growing JSON text. The caller keeps objects and arrays balanced; `finish` checks it.
public struct JSONWriter {
    private var out: [UInt8] = []
    private var depth = 0
    private var needsComma = false

    public init() {}

    private mutating func separate() {
        if needsComma { out.append(0x2C) }
        needsComma = true
    }

    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        separate()
        nest(0x7B, 0x7D, body)
    }

    public mutating func array(_ body: (inout JSONWriter) -> Void) {
        separate()
        nest(0x5B, 0x5D, body)
    }

    public mutating func object(_ key: String, _ body: (inout JSONWriter) -> Void) {
        self.key(key)
        nest(0x7B, 0x7D, body)
    }

    public mutating func array(_ key: String, _ body: (inout JSONWriter) -> Void) {
        self.key(key)
        nest(0x5B, 0x5D, body)
    }

    private mutating func nest(_ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Void) {
        out.append(open)
        needsComma = false
        depth += 1
        body(&self)
        depth -= 1
        out.append(close)
        needsComma = true
    }

    private mutating func key(_ key: String) {
        separate()
        quote(key)
        out.append(0x3A)
    }

    public mutating func member(_ key: String, _ value: String?) {
        self.key(key)
        if let value { quote(value) } else { raw("null") }
    }

    public mutating func member(_ key: String, _ value: Bool) {
        self.key(key)
        raw(value ? "true" : "false")
    }

    public mutating func member(_ key: String, _ value: some BinaryInteger) {
        self.key(key)
        raw(String(value))
    }

    /// Not a number and infinities have no JSON form and are written as null.
    public mutating func member(_ key: String, _ value: Double) {
        self.key(key)
        raw(value.isFinite ? "\(value)" : "null")
    }

    public mutating func member(_ key: String, _ values: [String]) {
        array(key) { json in
            for value in values { json.element(value) }
        }
    }

    public mutating func element(_ value: String) {
        separate()
        quote(value)
    }

    public mutating func element(_ value: some BinaryInteger) {
        separate()
        raw(String(value))
    }

    private mutating func raw(_ text: String) { out.append(contentsOf: text.utf8) }

    private mutating func quote(_ text: String) {
        out.append(0x22)
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5C:
                out.append(0x5C)
                out.append(byte)
            case 0x0A: raw("\\n")
            case 0x0D: raw("\\r")
            case 0x09: raw("\\t")
            case 0..<0x20, 0x7F:
                let digits = Array("0123456789abcdef".utf8)
                raw("\\u00")
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            default: out.append(byte)
            }
        }
        out.append(0x22)
    }

    /// The text; every object and array must be closed.
    public consuming func finish() -> [UInt8] {
        precondition(depth == 0, "JSON object or array left open")
        return out
    }

    /// The text as a String.
    public consuming func finishString() -> String { String(decoding: finish(), as: UTF8.self) }
}
