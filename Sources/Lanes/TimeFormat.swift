// The format that `%START_TIME(...)%` may be given: strftime's conversions in UTC, with Envoy's fractions of
// a second (`%3f`: milliseconds). Cut up when a table is built, written per message.
internal import Base

enum TimeFormat {
    /// Conversions without an argument of their own.
    private static let letters = "YmdeHMSsyjabTFDRZz"

    static func read(_ format: String) -> Result<[HeaderValue.Part], HeaderValue.Problem> {
        var parts: [HeaderValue.Part] = []
        var literal = ""
        var rest = format[...]
        while let next = rest.popFirst() {
            if next != "%" {
                literal.append(next)
                continue
            }
            guard let letter = rest.popFirst() else { return .failure(problem("%")) }
            if letter == "%" {
                literal += "%"
                continue
            }
            var conversion = String(letter)
            if ("1"..."9").contains(letter) {
                guard rest.popFirst() == "f" else { return .failure(problem("%\(letter)")) }
                conversion += "f"
            } else if letter == "f" {
                conversion = "9f"
            } else if !letters.contains(letter) {
                return .failure(problem("%\(letter)"))
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = ""
            parts.append(.time(conversion))
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return .success(parts)
    }

    private static func problem(_ text: String) -> HeaderValue.Problem {
        HeaderValue.Problem(
            text: "START_TIME does not know \(text): \(letters) and 1f to 9f, each after a percent sign")
    }
}

extension EditScratch {
    /// One conversion of a time, 0: nothing.
    mutating func append(conversion text: ByteView, _ nanoseconds: UInt64) {
        guard nanoseconds > 0, !text.isEmpty else { return }
        let time = UTCTime(nanoseconds: nanoseconds)
        let days = nanoseconds / 86_400_000_000_000
        switch text[0] {
        case 0x59: append(decimal: UInt64(time.year), width: 4)
        case 0x79: append(decimal: UInt64(time.year % 100), width: 2)
        case 0x6D: append(decimal: UInt64(time.month), width: 2)
        case 0x64: append(decimal: UInt64(time.day), width: 2)
        case 0x65:
            if time.day < 10 { append(0x20) }
            append(decimal: UInt64(time.day))
        case 0x48: append(decimal: UInt64(time.hour), width: 2)
        case 0x4D: append(decimal: UInt64(time.minute), width: 2)
        case 0x53: append(decimal: UInt64(time.second), width: 2)
        case 0x73: append(decimal: nanoseconds / 1_000_000_000)
        case 0x6A: append(decimal: days &- Self.days(beforeYear: time.year) &+ 1, width: 3)
        case 0x61: append(threeLetters: "ThuFriSatSunMonTueWed", Int(days % 7))
        case 0x62: append(threeLetters: "JanFebMarAprMayJunJulAugSepOctNovDec", time.month &- 1)
        case 0x5A: append("UTC")
        case 0x7A: append("+0000")
        case 0x54: append(several: "H:M:S", nanoseconds)
        case 0x52: append(several: "H:M", nanoseconds)
        case 0x46: append(several: "Y-m-d", nanoseconds)
        case 0x44: append(several: "m/d/y", nanoseconds)
        default: append(fraction: Int(text[0] &- 0x30), nanoseconds)
        }
    }

    /// Letters are conversions, the rest stands as it is.
    private mutating func append(several format: ByteView, _ nanoseconds: UInt64) {
        var index = 0
        while index < format.count {
            if format[index] < 0x41 {
                append(format[index])
            } else {
                append(conversion: format.slice(index, index &+ 1), nanoseconds)
            }
            index &+= 1
        }
    }

    private mutating func append(threeLetters names: ByteView, _ index: Int) {
        append(names.slice(3 &* index, 3 &* index &+ 3))
    }

    private mutating func append(fraction digits: Int, _ nanoseconds: UInt64) {
        var fraction = nanoseconds % 1_000_000_000
        for _ in min(digits, 9)..<9 { fraction /= 10 }
        append(decimal: fraction, width: digits)
    }

    /// Days from 1970 to the year's first.
    private static func days(beforeYear year: Int) -> UInt64 {
        let last = year &- 1
        let leaps = last / 4 &- last / 100 &+ last / 400
        return UInt64(max(0, 365 &* (year &- 1_970) &+ leaps &- 477))
    }
}
