// Content codings that Fairlead can apply, and which of them a client likes best (RFC 9110 8.4, 12.5.3).
public import Base

public enum ContentCoding: UInt8, Sendable, BitwiseCopyable {
    case identity, gzip, deflate

    /// As `content-encoding` names it.
    public var text: ByteView {
        switch self {
        case .identity: "identity"
        case .gzip: "gzip"
        case .deflate: "deflate"
        }
    }

    /// The best of the codings that the `accept-encoding` lines of a request allow; `identity` where they
    /// allow none, and where there are no lines: who does not ask for a coding gets none.
    public static func preferred(by acceptEncoding: HeaderName, in headers: HeaderList) -> ContentCoding {
        var weights = CodingWeights()
        var from = 0
        while let line = headers.find(acceptEncoding, from: from) {
            weights.note(line.pointee.value)
            from = headers.index(of: line) &+ 1
        }
        return weights.best
    }
}

/// What a client says of each coding, in thousandths; -1: nothing.
private struct CodingWeights {
    private var gzip = -1
    private var deflate = -1
    private var identity = -1
    private var others = -1

    mutating func note(_ list: ByteView) {
        var at = 0
        while at < list.count {
            let end = list.firstIndex(of: 0x2C, from: at) ?? list.count
            noteElement(list.slice(at, end))
            at = end &+ 1
        }
    }

    /// `coding [ weight ]`. The first of duplicates counts; an element with a weight that is none says
    /// nothing.
    private mutating func noteElement(_ element: ByteView) {
        let semicolon = element.firstIndex(of: 0x3B)
        let name = element.slice(0, semicolon ?? element.count).trimmed
        var weight = 1_000
        if let semicolon {
            guard let given = Self.weight(element.slice(semicolon &+ 1, element.count).trimmed) else {
                return
            }
            weight = given
        }
        if name.equalsIgnoringCase("gzip") || name.equalsIgnoringCase("x-gzip") {
            if gzip < 0 { gzip = weight }
        } else if name.equalsIgnoringCase("deflate") {
            if deflate < 0 { deflate = weight }
        } else if name.equalsIgnoringCase("identity") {
            if identity < 0 { identity = weight }
        } else if name.equals("*") {
            if others < 0 { others = weight }
        }
    }

    /// `q=0.5`: at most three digits behind the point, at most 1.
    private static func weight(_ text: ByteView) -> Int? {
        guard text.count >= 3, text.count <= 7, text[0] | 0x20 == 0x71, text[1] == 0x3D,
            text[2] == 0x30 || text[2] == 0x31, text.count == 3 || text[3] == 0x2E
        else { return nil }
        var value = text[2] == 0x31 ? 1_000 : 0
        var place = 100
        var index = 4
        while index < text.count {
            let digit = text[index] &- 0x30
            if digit > 9 { return nil }
            value += Int(digit) * place
            place /= 10
            index += 1
        }
        return value > 1_000 ? nil : value
    }

    var best: ContentCoding {
        let rest = max(others, 0)
        let gzip = gzip < 0 ? rest : gzip
        let deflate = deflate < 0 ? rest : deflate
        let best = max(gzip, deflate)
        // A body as it is needs no naming to be acceptable; named, it may be liked better.
        if best == 0 || identity > best { return .identity }
        return gzip >= deflate ? .gzip : .deflate
    }
}
