// The query string: our parameter as a browser means it (lanes.md 3), and raw look-up as VirtualService
// `queryParams` has it (istio-semantics.md 4.1).
internal import Base
internal import CLinux
internal import HTTP

/// Raw value of the first parameter of this name, neither name nor value decoded; `?key` has an empty value.
func firstParameter(_ query: ByteView, _ name: ByteView) -> ByteView? {
    if query.isEmpty { return nil }
    var pieces = Pieces(query, separator: 0x26)
    while let piece = pieces.next() {
        guard piece.hasPrefix(name) else { continue }
        if piece.count == name.count { return piece.slice(piece.count, piece.count) }
        if piece[name.count] == 0x3D { return piece.slice(name.count &+ 1, piece.count) }
    }
    return nil
}

/// Our parameter in a query.
enum LaneParameter {
    case missing
    /// The value as it was sent, and whether it may hold an escape.
    case value(ByteView, mayEscape: Bool)
}

/// The first of duplicates; names are compared decoded.
@inline(__always)
func findLaneParameter(_ query: ByteView, _ key: ByteView) -> LaneParameter {
    var found = fl_parameter()
    switch Int(fl_find_parameter(query.start, query.count, key.start, key.count, &found)) {
    case FL_PARAMETER_NONE: return .missing
    case FL_PARAMETER_FOUND:
        return .value(ByteView(found.value, found.count), mayEscape: found.has_escape != 0)
    default:
        guard let value = decodedParameter(query, key) else { return .missing }
        return .value(value, mayEscape: true)
    }
}

/// Value of our parameter as it was sent.
func laneParameter(_ query: ByteView, _ key: ByteView) -> ByteView? {
    switch findLaneParameter(query, key) {
    case .missing: nil
    case .value(let value, _): value
    }
}

/// The same where some name has an escape.
@inline(never)
private func decodedParameter(_ query: ByteView, _ key: ByteView) -> ByteView? {
    let text = query.slice(0, query.firstIndex(of: 0x23) ?? query.count)
    var pieces = Pieces(text, separator: 0x26)
    while let piece = pieces.next() {
        // An encoded name is longer than the key, never shorter.
        if piece.count < key.count { continue }
        let pair = splitPair(piece)
        if isParameter(pair.name, key) { return pair.value ?? piece.slice(piece.count, piece.count) }
    }
    return nil
}

/// Whether an encoded parameter name means `key`. A bad escape means nothing.
private func isParameter(_ name: ByteView, _ key: ByteView) -> Bool {
    if name.equals(key) { return true }
    if name.count == key.count { return false }
    var from = 0
    var at = 0
    while from < name.count {
        guard at < key.count, let byte = decodedByte(name, &from), byte == key[at] else { return false }
        at &+= 1
    }
    return at == key.count
}

/// Next byte of a percent-encoded text, moving `at` on; nil at a bad escape.
func decodedByte(_ text: ByteView, _ at: inout Int) -> UInt8? {
    let byte = text[at]
    guard byte == 0x25 else {
        at &+= 1
        return byte
    }
    guard at &+ 2 < text.count, let high = hexDigit(text[at &+ 1]), let low = hexDigit(text[at &+ 2]) else {
        return nil
    }
    at &+= 3
    return high &<< 4 | low
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let letter = asciiLower(byte) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
}

/// Takes our parameter out of the request's query; all others keep their bytes and order.
func stripParameter(_ key: ByteView, _ request: inout Request, _ headers: inout HeaderList) {
    guard request.hasQuery, laneParameter(request.query, key) != nil else { return }
    let query = request.query
    guard let room = headers.scratch(query.count) else { return }
    var length = 0
    var kept = false
    var pieces = Pieces(query, separator: 0x26)
    while let piece = pieces.next() {
        if isParameter(splitPair(piece).name, key) { continue }
        if kept {
            room[length] = 0x26
            length &+= 1
        }
        (room + length).update(from: piece.start, count: piece.count)
        length &+= piece.count
        kept = true
    }
    request.query = ByteView(UnsafePointer(room), length)
    request.hasQuery = kept
}
