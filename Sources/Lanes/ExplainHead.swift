// A request head made of text, for `explain`: owns the bytes that a request's views point into.
internal import Base
internal import HTTP

struct ExplainHead {
    private let bytes: UnsafeMutablePointer<UInt8>
    private let count: Int
    private(set) var request = Request()
    private(set) var headers = HeaderList()
    /// As given, for telling what was edited.
    private(set) var lines: [(name: String, value: String)] = []
    private(set) var problem: String?

    /// `url` is absolute or begins with `/`; a Host header beats its authority, as in curl.
    init(method: String, url: String, headers given: [(String, String)], normalization: PathNormalization) {
        let parts = URLParts(url)
        var authority = parts.authority
        var kept: [(String, String)] = []
        for (name, value) in given {
            let lower = name.lowercased()
            let text = String(value.map { $0.isNewline || $0 == "\0" ? " " : $0 })
            if lower == "host" { authority = text } else { kept.append((lower, text)) }
        }
        if kept.count >= Limits.headFields {
            problem = "more than \(Limits.headFields) header lines; the rest is left out"
            kept = Array(kept.prefix(Limits.headFields - 1))
        }
        kept.insert(("host", authority), at: 0)
        lines = kept.map { (name: $0.0, value: $0.1) }

        var text: [UInt8] = []
        func put(_ part: String) -> Range<Int> {
            let from = text.count
            text += Array(part.utf8)
            return from..<text.count
        }
        let methodAt = put(method.uppercased())
        let schemeAt = put(parts.scheme)
        let authorityAt = put(authority)
        let pathAt = put(parts.path)
        let queryAt = put(parts.query ?? "")
        let linesAt = lines.map { put("\($0.name): \($0.value)\r\n") }
        let normalAt = text.count
        text += [UInt8](repeating: 0, count: pathAt.count + 1)

        count = text.count
        bytes = .allocate(capacity: max(1, text.count))
        bytes.initialize(from: text, count: text.count)
        let start = UnsafePointer(bytes)
        func view(_ range: Range<Int>) -> ByteView { ByteView(start + range.lowerBound, range.count) }
        request.method = view(methodAt)
        request.scheme = view(schemeAt)
        request.authority = view(authorityAt)
        request.path = view(pathAt)
        request.query = view(queryAt)
        request.hasQuery = parts.query != nil
        request.isConnect = request.method.equals("CONNECT")
        let mode = PathNormalizer.Mode(rawValue: normalization.rawValue) ?? .base
        switch PathNormalizer.normalize(request.path, mode, bytes + normalAt) {
        case .unchanged: break
        case .changed(let length): request.path = ByteView(start + normalAt, length)
        case .refused: problem = "the path is refused with 400"
        }
        for (line, range) in zip(lines, linesAt) { add(line, view(range)) }
    }

    private mutating func add(_ line: (name: String, value: String), _ bytes: ByteView) {
        let nameLength = line.name.utf8.count
        let value = bytes.slice(nameLength + 1, bytes.count - 2).trimmed
        headers.append(
            HeaderField(
                line: bytes.start, lineLength: UInt32(bytes.count),
                nameLength: UInt16(truncatingIfNeeded: nameLength),
                valueOffset: UInt32(value.start - bytes.start), valueLength: UInt32(value.count),
                id: HeaderNames.id(bytes.slice(0, nameLength))))
    }

    func deallocate() {
        headers.deallocate()
        bytes.deallocate()
    }
}

/// The parts of a URL that a request shows.
struct URLParts {
    var scheme = "http"
    var authority = ""
    var path = "/"
    var query: String?

    init(_ url: String) {
        var rest = url[...]
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        if !rest.hasPrefix("/"), let mark = rest.range(ofText: "://") {
            scheme = rest[..<mark.lowerBound].lowercased()
            rest = rest[mark.upperBound...]
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            authority = String(rest[..<end])
            rest = rest[end...]
        } else if !rest.hasPrefix("/") {
            // `example.com/path`, as curl reads it.
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            authority = String(rest[..<end])
            rest = rest[end...]
        }
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        path = rest.isEmpty ? "/" : String(rest)
    }
}

extension Substring {
    /// Where a text first stands.
    func range(ofText text: String) -> Range<Index>? {
        var at = startIndex
        while at < endIndex {
            if self[at...].hasPrefix(text) { return at..<index(at, offsetBy: text.count) }
            at = index(after: at)
        }
        return nil
    }
}
