// Large configurations are read in parts, on several threads, and what the last load read of a part that is
// still the same, or only stands at other lines, is taken over (`KeptParts`). What a part of the text says
// depends on that part alone, but for an object that another part defines too: such a part is read again
// behind those before it.
internal import Base
internal import CLinux
internal import Loop
internal import Synchronization

/// The objects and findings of all texts, in their order, whatever the number of threads and whatever was
/// kept. `kept`: of the last load, and then of this one; nil: nothing is kept.
func readDocuments(
    _ texts: [SourceText], kept: inout KeptParts?, partBytes: Int = Limits.readingPartBytes,
    threads most: Int = min(Thread.processorsAllowed, Limits.readingThreads),
    keeping: ClosedRange<Int> = Limits.keptTextBytesMin...Limits.keptTextBytes
) -> DocumentReader {
    let parts = DocumentPart.parts(of: texts, bytes: partBytes)
    let bytes = texts.reduce(0) { $0 + $1.bytes.count }
    let keeps = kept != nil && keeping.contains(bytes)
    let threads = bytes < partBytes ? 1 : min(most, parts.count)
    guard keeps || threads > 1 else {
        if kept != nil { kept = KeptParts() }
        var reader = DocumentReader()
        for part in parts { part.read(&reader) }
        return reader
    }
    let readers = ReadingTogether(parts, kept).read(threads: threads)
    if kept != nil { kept = keeps ? KeptParts(parts, readers) : KeptParts() }
    var whole = DocumentReader()
    whole.reserve(readers)
    for (part, reader) in zip(parts, readers) where !whole.append(reader) { part.read(&whole) }
    return whole
}

func readDocuments(
    _ texts: [SourceText], partBytes: Int = Limits.readingPartBytes,
    threads: Int = min(Thread.processorsAllowed, Limits.readingThreads)
) -> DocumentReader {
    var none: KeptParts?
    return readDocuments(texts, kept: &none, partBytes: partBytes, threads: threads)
}

/// What was read of each part, for the next load. Costs the memory of the texts and of all their objects:
/// nothing is kept of small configurations, which are read in no time, nor of enormous ones.
package struct KeptParts: Sendable {
    private struct Kept: Sendable {
        var part: DocumentPart
        var reader: DocumentReader
    }

    private var parts: [DocumentPart.Identity: Kept] = [:]

    /// Nothing yet.
    package init() {}

    fileprivate init(_ parts: [DocumentPart], _ readers: [DocumentReader]) {
        self.parts.reserveCapacity(parts.count)
        for (part, reader) in zip(parts, readers) {
            self.parts[part.identity] = Kept(part: part, reader: reader)
        }
    }

    /// What was read of a part of the same file with the same bytes, and how many lines further down it
    /// stands now.
    fileprivate func known(_ part: DocumentPart) -> (reader: DocumentReader, lines: Int)? {
        guard let known = parts[part.identity], known.part.says(part) else { return nil }
        return (known.reader, part.firstLine - known.part.firstLine)
    }

    /// How many parts are kept.
    var count: Int { parts.count }
}

/// Some documents that stand together in one file.
struct DocumentPart: Sendable {
    /// Two parts of a load may have the same: then one of them is kept.
    struct Identity: Sendable, Hashable {
        var file: String
        var hash: UInt64
    }

    let identity: Identity
    private let chunks: ArraySlice<YAMLChunk>
    /// The file is no text: it says this, and nothing else.
    private let refusal: Finding?

    private init(_ file: String, _ chunks: ArraySlice<YAMLChunk>, hash: UInt64, refusal: Finding? = nil) {
        identity = Identity(file: file, hash: hash)
        self.chunks = chunks
        self.refusal = refusal
    }

    var firstLine: Int { chunks.first?.firstLine ?? 0 }

    /// Cuts texts behind documents wherever a part has come to `bytes`, and where the document itself says
    /// so: by its bytes one of `Limits.readingPartDocuments` ends a part. So whatever is put in, taken out or
    /// moved, the parts behind it are soon cut as before.
    static func parts(of texts: [SourceText], bytes: Int) -> [DocumentPart] {
        var parts: [DocumentPart] = []
        for text in texts {
            guard isText(text.bytes) else {
                let refusal = Finding(
                    .error, Code.notYAML, "not UTF-8 text", file: text.file,
                    line: firstBadLine(text.bytes), refused: true)
                parts.append(DocumentPart(text.file, [], hash: 0, refusal: refusal))
                continue
            }
            let chunks = splitDocuments(text.bytes)
            var start = 0
            var size = 0
            var hash: UInt64 = 0
            for (index, chunk) in chunks.enumerated() {
                let own = hashed(chunk.bytes)
                size += chunk.bytes.count
                hash = (hash &* 31) ^ own
                let isEnd = size >= bytes || own % Limits.readingPartDocuments == 0
                guard isEnd || index == chunks.count - 1 else { continue }
                parts.append(DocumentPart(text.file, chunks[start...index], hash: hash))
                start = index + 1
                size = 0
                hash = 0
            }
        }
        return parts
    }

    /// Whether another part says the same, wherever it stands.
    func says(_ other: DocumentPart) -> Bool {
        guard refusal == other.refusal, chunks.count == other.chunks.count else { return false }
        return zip(chunks, other.chunks).allSatisfy { own, theirs in
            own.firstLine - firstLine == theirs.firstLine - other.firstLine
                && areEqual(own.bytes, theirs.bytes)
        }
    }

    func read(_ reader: inout DocumentReader) {
        if let refusal { reader.findings.add(refusal) }
        for chunk in chunks { reader.read(chunk, file: identity.file) }
    }
}

/// Threads that take the parts one after the other, and what each part came to.
private final class ReadingTogether: Sendable {
    private let parts: [DocumentPart]
    private let kept: [(reader: DocumentReader, lines: Int)?]
    /// Positions of the parts that are not kept, or stand at other lines.
    private let unread: [Int]
    private let next = Atomic<Int>(0)
    private let readers: Mutex<[DocumentReader?]>

    init(_ parts: [DocumentPart], _ kept: KeptParts?) {
        self.parts = parts
        let known = parts.map { kept?.known($0) }
        self.kept = known
        unread = known.indices.filter { known[$0]?.lines != 0 }
        readers = Mutex(known.map { $0?.lines == 0 ? $0?.reader : nil })
    }

    func read(threads count: Int) -> [DocumentReader] {
        // As deep as the main thread's: values nest.
        let threads = (1..<max(1, min(count, unread.count))).compactMap { index in
            Thread(name: "reading-\(index)", stackBytes: 8 << 20) { [self] in
                // Requests come first.
                fl_lower_thread_priority()
                work()
            }
        }
        work()
        for thread in threads { thread.join() }
        return readers.withLock { $0.map { $0! } }
    }

    private func work() {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < unread.count else { return }
            let reader = read(unread[index])
            readers.withLock { $0[unread[index]] = reader }
        }
    }

    private func read(_ position: Int) -> DocumentReader {
        if let known = kept[position], let moved = known.reader.moved(by: known.lines) { return moved }
        var reader = DocumentReader()
        parts[position].read(&reader)
        return reader
    }
}

private func hashed(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.withUnsafeBufferPointer { bytes in
        bytes.baseAddress.map { ByteView($0, bytes.count).hash } ?? 0
    }
}

private func areEqual(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
    left.withUnsafeBufferPointer { left in
        right.withUnsafeBufferPointer { right in
            guard let own = left.baseAddress, let other = right.baseAddress else {
                return left.count == right.count
            }
            return ByteView(own, left.count).equals(ByteView(other, right.count))
        }
    }
}

/// Whether it is UTF-8.
private func isText(_ bytes: [UInt8]) -> Bool { (try? UTF8Span(validating: bytes.span)) != nil }

/// The line of the first byte sequence that is not UTF-8.
private func firstBadLine(_ bytes: [UInt8]) -> Int {
    var line = 1
    var start = bytes.startIndex
    while start < bytes.endIndex {
        let end = bytes[start...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.endIndex
        if !isText(Array(bytes[start..<end])) { return line }
        start = end
        line += 1
    }
    return line
}
