// Lists in text: query parameters, cookies, baggage and tracestate members. One cursor over the pieces
// between separators, so that each reader sees them alike, and edits that leave the bytes of other pieces
// alone.
internal import Base
internal import HTTP

/// Walks the pieces between separators. An empty text has one empty piece.
struct Pieces {
    private let text: ByteView
    private let separator: UInt8
    private var at = 0
    private var ended = false

    init(_ text: ByteView, separator: UInt8) {
        self.text = text
        self.separator = separator
    }

    mutating func next() -> ByteView? {
        if ended { return nil }
        let end = text.firstIndex(of: separator, from: at) ?? text.count
        let piece = text.slice(at, end)
        ended = end == text.count
        at = end &+ 1
        return piece
    }
}

/// `name=value` at the first `=`; without one the value is nil.
func splitPair(_ piece: ByteView) -> (name: ByteView, value: ByteView?) {
    guard let equals = piece.firstIndex(of: 0x3D) else { return (piece, nil) }
    return (piece.slice(0, equals), piece.slice(equals &+ 1, piece.count))
}

/// Which kind of list, for finding our piece in it.
enum ListKind {
    case cookie, baggage, tracestate

    var separator: UInt8 { self == .cookie ? 0x3B : 0x2C }

    /// Our value if the piece is ours: of a baggage member without its properties.
    func value(_ piece: ByteView, _ key: ByteView) -> ByteView? {
        let trimmed = withoutLeadingBlanks(piece)
        guard trimmed.count > key.count, trimmed.hasPrefix(key) else { return nil }
        return value(after: trimmed.slice(key.count, trimmed.count))
    }

    /// The value of a piece from what follows its name; nil: the name is longer than that.
    func value(after name: ByteView) -> ByteView? {
        var at = 0
        while at < name.count, name[at] == 0x20 || name[at] == 0x09 { at &+= 1 }
        guard at < name.count, name[at] == 0x3D else { return nil }
        let raw = name.slice(at &+ 1, name.count)
        switch self {
        case .cookie: return unquoted(withoutBlanks(raw))
        case .baggage: return withoutBlanks(raw.slice(0, raw.firstIndex(of: 0x3B) ?? raw.count))
        case .tracestate: return withoutBlanks(raw)
        }
    }
}

/// Our next piece of a list at or after `from`, which moves behind it. The same pieces as `Pieces` and
/// `ListKind.value` tell, found by looking for the key: most lists hold much and nothing of ours.
func nextOurs(_ text: ByteView, _ kind: ListKind, _ key: ByteView, from: inout Int) -> ByteView? {
    var at = from
    while let hit = text.firstIndex(of: key, from: at) {
        at = hit &+ 1
        guard hit &+ key.count < text.count, begins(text, hit, kind.separator) else { continue }
        let end = text.firstIndex(of: kind.separator, from: hit) ?? text.count
        if let value = kind.value(after: text.slice(hit &+ key.count, end)) {
            from = end
            return value
        }
    }
    from = text.count
    return nil
}

/// Only blanks stand between a place and the start of its piece.
private func begins(_ text: ByteView, _ at: Int, _ separator: UInt8) -> Bool {
    var before = at
    while before > 0, text[before &- 1] == 0x20 || text[before &- 1] == 0x09 { before &-= 1 }
    return before == 0 || text[before &- 1] == separator
}

/// A value in double quotes without them.
private func unquoted(_ value: ByteView) -> ByteView {
    if value.count >= 2, value[0] == 0x22, value[value.count &- 1] == 0x22 {
        return value.slice(1, value.count &- 1)
    }
    return value
}

/// Where our piece of a list goes when it is written.
enum Placement {
    case nowhere
    /// In place of our first piece, else at the end.
    case inPlace
    case first
}

/// One line of a list with our pieces taken out and, where asked, `text` put in. Other pieces keep their
/// bytes and order. With `out` nil it only counts. Returns the length of the new value.
func rewrite(
    _ line: ByteView, _ kind: ListKind, _ key: ByteView, _ placement: Placement, _ text: (ByteView, ByteView),
    to out: UnsafeMutablePointer<UInt8>?
) -> Int {
    var writer = CountingWriter(out)
    var placed = placement == .nowhere
    var pieces = Pieces(line, separator: kind.separator)
    func put(_ writer: inout CountingWriter) {
        writer.separate(kind.separator)
        writer.write(text.0)
        writer.write(0x3D)
        writer.write(text.1)
    }
    if placement == .first {
        put(&writer)
        placed = true
    }
    while let piece = pieces.next() {
        if kind.value(piece, key) != nil {
            if !placed {
                put(&writer)
                placed = true
            }
            continue
        }
        // What now comes first needs no blank before it.
        let kept = writer.count == 0 ? withoutLeadingBlanks(piece) : piece
        if writer.count == 0, kept.isEmpty { continue }
        writer.separate(kind.separator)
        writer.write(kept)
    }
    if !placed { put(&writer) }
    return writer.count
}

@inline(__always)
private func withoutLeadingBlanks(_ piece: ByteView) -> ByteView {
    var start = 0
    while start < piece.count, piece[start] == 0x20 || piece[start] == 0x09 { start &+= 1 }
    return piece.slice(start, piece.count)
}

@inline(__always)
private func withoutBlanks(_ text: ByteView) -> ByteView {
    var rest = withoutLeadingBlanks(text)
    while rest.count > 0, rest[rest.count &- 1] == 0x20 || rest[rest.count &- 1] == 0x09 { rest.count &-= 1 }
    return rest
}

private struct CountingWriter {
    private let out: UnsafeMutablePointer<UInt8>?
    private(set) var count = 0

    init(_ out: UnsafeMutablePointer<UInt8>?) { self.out = out }

    mutating func write(_ view: ByteView) {
        if let out { (out + count).update(from: view.start, count: view.count) }
        count &+= view.count
    }

    mutating func write(_ byte: UInt8) {
        if let out { out[count] = byte }
        count &+= 1
    }

    mutating func separate(_ separator: UInt8) { if count > 0 { write(separator) } }
}

/// Puts the rewritten line where the old one was: the order of repeated lines means something.
func replaceLine(
    _ index: Int, _ name: HeaderName, _ kind: ListKind, _ key: ByteView, _ placement: Placement,
    _ text: (ByteView, ByteView), _ headers: inout HeaderList
) {
    let old = headers.fields[index].value
    let length = rewrite(old, kind, key, placement, text, to: nil)
    if length == 0 {
        headers.fields[index].dropped = true
        return
    }
    guard let room = headers.reserve(name, length) else { return }
    _ = rewrite(old, kind, key, placement, text, to: room)
    headers.count &-= 1
    headers.fields[index] = headers.fields[headers.count]
}

/// Takes our pieces out of all lines of a list. Returns whether there was one.
@discardableResult
func removePieces(
    _ kind: ListKind, _ id: HeaderID, _ key: ByteView, _ headers: inout HeaderList
) -> Bool {
    var removed = false
    var index = 0
    while index < headers.count {
        if headers.fields[index].id == id.rawValue, !headers.fields[index].dropped,
            holdsOurs(headers.fields[index].value, kind, key)
        {
            replaceLine(index, HeaderNames.name(id), kind, key, .nowhere, (.empty, .empty), &headers)
            removed = true
        }
        index &+= 1
    }
    return removed
}

func holdsOurs(_ line: ByteView, _ kind: ListKind, _ key: ByteView) -> Bool {
    var from = 0
    return nextOurs(line, kind, key, from: &from) != nil
}
