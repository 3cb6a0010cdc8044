// Large configurations are read in parts, on several threads, and what the last load read of a part that is
// still the same is taken over (`KeptParts`). What a part of the text says depends on that part alone, but
// for an object that another part defines too: such a part is read again behind those before it.
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

    private var parts: [DocumentPart.Place: Kept] = [:]

    /// Nothing yet.
    package init() {}

    fileprivate init(_ parts: [DocumentPart], _ readers: [DocumentReader]) {
        self.parts.reserveCapacity(parts.count)
        for (part, reader) in zip(parts, readers) {
            self.parts[part.place] = Kept(part: part, reader: reader)
        }
    }

    /// What was read of a part with the same bytes in the same place.
    fileprivate func reader(of part: DocumentPart) -> DocumentReader? {
        guard let known = parts[part.place], known.part.isSame(as: part) else { return nil }
        return known.reader
    }

    /// How many parts are kept.
    var count: Int { parts.count }
}

/// Some documents that stand together in one file.
struct DocumentPart: Sendable {
    /// Where it begins: no other part of a load begins there.
    struct Place: Sendable, Hashable {
        var file: String
        var line: Int
    }

    let place: Place
    private let chunks: ArraySlice<YAMLChunk>
    /// The file is no text: it says this, and nothing else.
    private let refusal: Finding?

    private init(_ file: String, _ chunks: ArraySlice<YAMLChunk>, refusal: Finding? = nil) {
        place = Place(file: file, line: chunks.first?.firstLine ?? 0)
        self.chunks = chunks
        self.refusal = refusal
    }

    /// Cuts texts between documents wherever a part has come to `bytes`, and where lines come to another
    /// `Limits.readingPartLines`: so the parts behind a change that moves no line are cut as before it.
    static func parts(of texts: [SourceText], bytes: Int) -> [DocumentPart] {
        var parts: [DocumentPart] = []
        for text in texts {
            guard isText(text.bytes) else {
                let refusal = Finding(
                    .error, Code.notYAML, "not UTF-8 text", file: text.file,
                    line: firstBadLine(text.bytes), refused: true)
                parts.append(DocumentPart(text.file, [], refusal: refusal))
                continue
            }
            let chunks = splitDocuments(text.bytes)
            var start = 0
            var size = 0
            for (index, chunk) in chunks.enumerated() {
                size += chunk.bytes.count
                let next = index + 1 < chunks.count ? chunks[index + 1].firstLine : Int.max
                let isFull = size >= bytes || section(next) != section(chunk.firstLine)
                guard isFull else { continue }
                parts.append(DocumentPart(text.file, chunks[start...index]))
                start = index + 1
                size = 0
            }
        }
        return parts
    }

    private static func section(_ line: Int) -> Int { line / Limits.readingPartLines }

    /// Whether another part in the same place says the same.
    func isSame(as other: DocumentPart) -> Bool {
        guard refusal == other.refusal, chunks.count == other.chunks.count else { return false }
        return zip(chunks, other.chunks).allSatisfy { own, other in
            own.firstLine == other.firstLine && areEqual(own.bytes, other.bytes)
        }
    }

    func read(_ reader: inout DocumentReader) {
        if let refusal { reader.findings.add(refusal) }
        for chunk in chunks { reader.read(chunk, file: place.file) }
    }
}

/// Threads that take the parts one after the other, and what each part came to.
private final class ReadingTogether: Sendable {
    private let parts: [DocumentPart]
    /// Positions of the parts that are not kept.
    private let unread: [Int]
    private let next = Atomic<Int>(0)
    private let readers: Mutex<[DocumentReader?]>

    init(_ parts: [DocumentPart], _ kept: KeptParts?) {
        self.parts = parts
        let known = parts.map { kept?.reader(of: $0) }
        unread = known.indices.filter { known[$0] == nil }
        readers = Mutex(known)
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
            var reader = DocumentReader()
            parts[unread[index]].read(&reader)
            readers.withLock { $0[unread[index]] = reader }
        }
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
