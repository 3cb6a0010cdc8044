// Small texts inside documents: durations, IP addresses, CIDRs, names. Each parser takes the whole text or
// nothing.
internal import Base
internal import Lanes

/// Go's and protobuf's durations (`8h`, `1h30m`, `500ms`, `1.5s`, `0`) in milliseconds; nil if the text is
/// none, is negative or passes a hundred years.
func parseDuration(_ text: String) -> UInt64? {
    let longestMs = 100.0 * 365 * 86_400_000
    if text == "0" { return 0 }
    var rest = text.utf8[...]
    var total = 0.0
    guard !rest.isEmpty, rest.count <= 64 else { return nil }
    while !rest.isEmpty {
        let number = rest.prefix { isDigit($0) || $0 == 0x2E }
        guard !number.isEmpty, let value = Double(Substring(number)), value.isFinite else { return nil }
        rest = rest.dropFirst(number.count)
        let unit = rest.prefix { !isDigit($0) && $0 != 0x2E }
        rest = rest.dropFirst(unit.count)
        switch String(Substring(unit)) {
        case "ns": total += value / 1_000_000
        case "us", "µs", "μs": total += value / 1_000
        case "ms": total += value
        case "s": total += value * 1_000
        case "m": total += value * 60_000
        case "h": total += value * 3_600_000
        default: return nil
        }
    }
    guard total <= longestMs else { return nil }
    // A duration below a millisecond still is one: rounding it to none would switch a limit off.
    return total > 0 ? UInt64(max(1, total.rounded())) : 0
}

/// The 16 bytes of an IP address, IPv4 as IPv4-mapped.
struct IPAddress: Hashable, Sendable {
    var high: UInt64
    var low: UInt64
    var isIPv4: Bool

    init(high: UInt64, low: UInt64, isIPv4: Bool) {
        self.high = high
        self.low = low
        self.isIPv4 = isIPv4
    }

    init?(_ text: String) {
        guard let address = SocketAddress(text: text, port: 0) else { return nil }
        self.init(high: address.high, low: address.low, isIPv4: address.isIPv4)
    }

    func socket(port: UInt16) -> SocketAddress {
        SocketAddress(high: high, low: low, port: port, isIPv4: isIPv4)
    }
}

/// `10.0.0.0/8`, `::1/128`, or an address alone. Nil if the text is none.
func parseCIDR(_ text: String) -> CIDR? {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
    let isFour = address.isIPv4 && !first.contains(":")
    var length = isFour ? 32 : 128
    if parts.count == 2 {
        guard let given = parseInteger(String(parts[1])), given >= 0, given <= length,
            !parts[1].hasPrefix("+")
        else { return nil }
        length = given
    }
    if isFour { length += 96 }
    let high =
        length >= 64 ? address.high : (length == 0 ? 0 : address.high & ~(UInt64.max >> UInt64(length)))
    let low =
        length >= 128
        ? address.low : (length <= 64 ? 0 : address.low & ~(UInt64.max >> UInt64(length - 64)))
    return CIDR(high: high, low: low, prefixLength: length)
}

/// `127.0.0.1:8080`, `[::1]:8080`: an IP address with a port to connect to. Nil if the text is none.
func parseSocketAddress(_ text: String) -> SocketAddress? {
    guard let address = SocketAddress(addressAndPort: text), address.port > 0 else { return nil }
    return address
}

/// `unix:///run/app.sock`, or `unix://@name`. Nil if the text is none, or the path is too long.
func parseUnixAddress(_ text: String) -> SocketAddress? {
    guard let path = unixPath(text) else { return nil }
    return SocketAddress(unixPath: path)
}

/// The path or name of a Unix socket's address; nil: it is no such address.
func unixPath(_ text: String) -> String? {
    let scheme = "unix://"
    guard text.hasPrefix(scheme) else { return nil }
    let path = text.dropFirst(scheme.count)
    return path.count > 1 && (path.hasPrefix("/") || path.hasPrefix("@")) && !path.hasSuffix("/")
        ? String(path) : nil
}

/// A DNS label of RFC 1123, at most 63 characters: names of lanes, subsets and ports.
func isDNSLabel(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty, bytes.count <= Limits.laneNameBytes, bytes.first != 0x2D, bytes.last != 0x2D
    else { return false }
    return bytes.allSatisfy { isDigit($0) || $0 == 0x2D || ($0 >= 0x61 && $0 <= 0x7A) }
}

/// A host name as documents may give it: labels of letters, digits, `-` and `_`; a first label `*` or one
/// that begins with `*` is allowed where `wildcard`.
func isHostName(_ text: String, wildcard: Bool) -> Bool {
    if IPAddress(text) != nil { return true }
    var name = text.utf8[...]
    if name.first == 0x2A {
        guard wildcard else { return false }
        name = name.dropFirst()
        if name.isEmpty { return true }
        if name.first == 0x2E { name = name.dropFirst() }
    }
    if name.last == 0x2E { name = name.dropLast() }
    guard name.count <= 253 else { return false }
    var labelBytes = 0
    for byte in name {
        if byte == 0x2E {
            if labelBytes == 0 { return false }
            labelBytes = 0
            continue
        }
        labelBytes += 1
        let isLetter = byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A
        guard isLetter || isDigit(byte) || byte == 0x2D || byte == 0x5F, labelBytes <= 63 else {
            return false
        }
    }
    return labelBytes > 0
}

/// A header field name of RFC 9110 5.1.
func isHeaderName(_ text: String) -> Bool {
    !text.isEmpty
        && text.utf8.allSatisfy { byte in
            isDigit(byte) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
                || "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
}

/// `type/subtype` or `type/*` (RFC 9110 8.3.1, 12.5.1), without parameters.
func isMediaRange(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, parts.allSatisfy(isHeaderName), !parts[0].contains("*") else { return false }
    return parts[1] == "*" || !parts[1].contains("*")
}

/// The candidate nearest to a misspelled word, if one is near enough to be meant.
func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    let limit = max(1, min(3, word.count / 3 + 1))
    var best: (name: String, distance: Int)?
    for candidate in candidates.sorted() where candidate != word {
        let distance = editDistance(
            Array(word.lowercased().utf8.prefix(64)), Array(candidate.lowercased().utf8))
        if distance <= limit, distance < (best?.distance ?? Int.max) { best = (candidate, distance) }
    }
    if let best { return best.name }
    // A part of the word that was meant: `Prefix` for `PathPrefix`.
    guard word.utf8.count >= 4 else { return nil }
    let part = word.lowercased()
    return candidates.sorted().first { $0 != word && $0.lowercased().hasSuffix(part) }
}

/// Levenshtein's distance, with a swap of neighbours counted as one step.
func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    if left.isEmpty || right.isEmpty { return max(left.count, right.count) }
    var beforePrevious = [Int](repeating: 0, count: right.count + 1)
    var previous = Array(0...right.count)
    var current = previous
    for row in 1...left.count {
        current[0] = row
        for column in 1...right.count {
            let cost = left[row - 1] == right[column - 1] ? 0 : 1
            var value = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + cost)
            if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                value = min(value, beforePrevious[column - 2] + 1)
            }
            current[column] = value
        }
        (beforePrevious, previous, current) = (previous, current, beforePrevious)
    }
    return previous[right.count]
}
