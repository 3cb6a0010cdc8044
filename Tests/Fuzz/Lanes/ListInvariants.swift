// Cookies, baggage, tracestate and query strings: our piece is found, taken out and put in as a naive reading
// of the text has it, and the bytes of all other pieces stay.
internal import Base
internal import HTTP

@testable internal import Lanes

package enum ListInvariants {
    private static let key = Array("x-feat-name".utf8)

    /// The first byte chooses the kind of list, the rest is one line of it.
    package static func list(_ bytes: [UInt8]) -> String? {
        guard let first = bytes.first else { return nil }
        let kinds: [ListKind] = [.cookie, .baggage, .tracestate]
        // A line as the head parser lets it through.
        let line = bytes.dropFirst().filter { $0 == 9 || ($0 >= 0x20 && $0 != 0x7F) }
        return violation(kinds[Int(first) % 3], line)
    }

    private static func violation(_ kind: ListKind, _ line: [UInt8]) -> String? {
        let others = pieces(line, kind.separator).filter { !isOurs($0, kind) }
        let removed = rewritten(line, kind, .nowhere)
        if removed != naive(others, kind) { return "taken out: \(removed), expected \(naive(others, kind))" }
        if holds(removed, kind) { return "still there after it was taken out" }
        if holds(line, kind) != pieces(line, kind.separator).contains(where: { isOurs($0, kind) }) {
            return "found and not there, or the other way round"
        }
        for placement in [Placement.inPlace, .first] {
            let placed = rewritten(line, kind, placement)
            let ours = pieces(placed, kind.separator).filter { isOurs($0, kind) }
            if ours != [key + Array("=lane".utf8)] { return "put in: \(ours)" }
            let rest = pieces(placed, kind.separator).filter { !isOurs($0, kind) }
            if trimmedAll(rest) != trimmedAll(others) { return "others changed: \(rest), were \(others)" }
        }
        return nil
    }

    /// Pieces joined again as they were, but for blanks and empty pieces at the start.
    private static func naive(_ pieces: [[UInt8]], _ kind: ListKind) -> [UInt8] {
        var rest = pieces[...]
        while let first = rest.first, first.allSatisfy(isBlank) { rest.removeFirst() }
        guard let first = rest.first else { return [] }
        let start = Array(first.drop(while: isBlank))
        return rest.dropFirst().reduce(start) { $0 + [kind.separator] + $1 }
    }

    private static func trimmedAll(_ pieces: [[UInt8]]) -> [[UInt8]] {
        pieces.map { Array($0.drop(while: isBlank)) }.filter { !$0.isEmpty }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func isOurs(_ piece: [UInt8], _ kind: ListKind) -> Bool {
        guard let equals = piece.firstIndex(of: 0x3D) else { return false }
        var name = Array(piece[..<equals].drop(while: isBlank))
        while let last = name.last, isBlank(last) { name.removeLast() }
        return name == key
    }

    private static func pieces(_ line: [UInt8], _ separator: UInt8) -> [[UInt8]] {
        line.split(separator: separator, omittingEmptySubsequences: false).map { Array($0) }
    }

    private static func holds(_ line: [UInt8], _ kind: ListKind) -> Bool {
        view(line) { line in view(key) { holdsOurs(line, kind, $0) } }
    }

    private static func rewritten(_ line: [UInt8], _ kind: ListKind, _ placement: Placement) -> [UInt8] {
        view(line) { line in
            view(key) { key in
                view(Array("lane".utf8)) { lane in
                    let count = rewrite(line, kind, key, placement, (key, lane), to: nil)
                    return [UInt8](unsafeUninitializedCapacity: max(1, count)) { buffer, written in
                        guard let start = buffer.baseAddress else { return }
                        written = rewrite(line, kind, key, placement, (key, lane), to: start)
                        if written != count { fatalError("counted \(count), wrote \(written)") }
                    }
                }
            }
        }
    }

    /// A view in memory of exactly its size.
    private static func view<Result>(_ bytes: [UInt8], _ body: (ByteView) -> Result) -> Result {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
        defer { memory.deallocate() }
        memory.initialize(from: bytes, count: bytes.count)
        return body(ByteView(memory, bytes.count))
    }

    // MARK: query

    /// Any bytes as a query string.
    package static func query(_ bytes: [UInt8]) -> String? {
        // A query as the head parser lets it through.
        let bytes = bytes.filter { $0 > 0x20 && $0 != 0x7F && $0 != 0x23 }
        return view(bytes) { query in
            view(key) { key in
                let mine = pieces(bytes, 0x26).filter(namesUs)
                let found = laneParameter(query, key).map(\.bytes)
                let expected = mine.first.map { piece in
                    Array(piece.drop { $0 != 0x3D }.dropFirst())
                }
                if found != expected {
                    return "found \(String(describing: found)), expected \(String(describing: expected))"
                }
                return stripped(bytes, query, key)
            }
        }
    }

    private static func stripped(_ bytes: [UInt8], _ query: ByteView, _ key: ByteView) -> String? {
        var headers = HeaderList()
        defer { headers.deallocate() }
        var request = Request()
        request.query = query
        request.hasQuery = true
        stripParameter(key, &request, &headers)
        let left = pieces(bytes, 0x26).filter { !namesUs($0) }
        let expected = Array(left.joined(separator: [0x26]))
        if request.query.bytes != expected { return "left \(request.query.bytes), expected \(expected)" }
        if request.hasQuery == left.isEmpty { return "a question mark too many or too few" }
        return laneParameter(request.query, key) == nil ? nil : "still there after it was taken out"
    }

    private static func namesUs(_ piece: [UInt8]) -> Bool {
        decoded(Array(piece.prefix { $0 != 0x3D })) == key
    }

    /// Percent-decoded; nil at a bad escape.
    private static func decoded(_ text: [UInt8]) -> [UInt8]? {
        var out: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == 0x25 else {
                out.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ "0123456789abcdefABCDEF".utf8.contains($0) }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            out.append(value)
            rest = rest.dropFirst(2)
        }
        return out
    }
}
