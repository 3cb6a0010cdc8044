// Writes the Prometheus text format 0.0.4. Families come one after the other, each with HELP and TYPE.

/// What Prometheus knows a family as.
public enum MetricType: String, Sendable {
    case counter, gauge, histogram
}

/// One more family that somebody else supplies to the page.
public struct ExtraFamily: Sendable {
    public var name: String
    public var help: String
    public var type: MetricType
    public var samples: [(labels: [(String, String)], value: Double)]

    public init(
        _ name: String, help: String, type: MetricType,
        samples: [(labels: [(String, String)], value: Double)]
    ) {
        self.name = name
        self.help = help
        self.type = type
        self.samples = samples
    }
}

/// A growing page of metrics.
struct Exposition {
    private(set) var out: [UInt8] = []

    mutating func family(_ name: String, _ help: String, _ type: MetricType) {
        text("# HELP \(name) ")
        for byte in help.utf8 {
            switch byte {
            case 0x5C: text("\\\\")
            case 0x0A: text("\\n")
            default: out.append(byte)
            }
        }
        text("\n# TYPE \(name) \(type.rawValue)\n")
    }

    /// `labels` is already in the form that `labelText` makes.
    mutating func sample(_ name: String, labels: String, _ value: String) {
        text(name)
        if !labels.isEmpty { text("{\(labels)}") }
        text(" \(value)\n")
    }

    mutating func sample(_ name: String, labels: String, _ value: UInt64) {
        sample(name, labels: labels, String(value))
    }

    /// A histogram's series from bucket counts without cumulation.
    mutating func histogram(
        _ name: String, labels: String, bounds: [String], counts: ArraySlice<UInt64>, sum: String
    ) {
        let separator = labels.isEmpty ? "" : ","
        var total: UInt64 = 0
        for (bound, count) in zip(bounds, counts) {
            total += count
            sample("\(name)_bucket", labels: "\(labels)\(separator)le=\"\(bound)\"", total)
        }
        sample("\(name)_sum", labels: labels, sum)
        sample("\(name)_count", labels: labels, total)
    }

    private mutating func text(_ text: String) { out.append(contentsOf: text.utf8) }

    /// `a="x",b="y"` with the three characters escaped that the format has escapes for.
    static func labelText(_ labels: [(String, String)]) -> String {
        var out = ""
        for (name, value) in labels {
            if !out.isEmpty { out += "," }
            out += "\(name)=\"\(escaped(value))\""
        }
        return out
    }

    static func escaped(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else { return value }
        var out: [UInt8] = []
        for byte in value.utf8 {
            switch byte {
            case 0x5C: out += [0x5C, 0x5C]
            case 0x22: out += [0x5C, 0x22]
            case 0x0A: out += [0x5C, 0x6E]
            default: out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// A count of billionths as a decimal number of units, exactly: 1500000 -> `0.0015`.
    static func decimal(_ value: UInt64, per unit: UInt64) -> String {
        let rest = value % unit
        if rest == 0 { return String(value / unit) }
        let digits = String(String(unit + rest).dropFirst())
        let trailing = digits.reversed().prefix { $0 == "0" }.count
        return "\(value / unit).\(digits.dropLast(trailing))"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }
}
