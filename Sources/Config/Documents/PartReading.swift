// Large configurations are read on several threads. What a part of the text says depends on that part alone,
// but for an object that is defined again in another part: that is rare, and then all is read in one piece.
internal import Base
internal import CLinux
internal import Loop
internal import Synchronization

/// The objects and findings of all texts, in their order, whatever the number of threads.
func readDocuments(
    _ texts: [SourceText], partBytes: Int = Limits.readingPartBytes,
    threads most: Int = min(Thread.processorsAllowed, Limits.readingThreads)
) -> DocumentReader {
    let parts = DocumentPart.parts(of: texts, bytes: partBytes)
    let threads = min(most, parts.count)
    if threads > 1, let reader = ReadingTogether(parts).read(threads: threads) { return reader }
    var reader = DocumentReader()
    for part in parts { part.read(&reader) }
    return reader
}

/// Some documents that stand together in one file.
struct DocumentPart: Sendable {
    private let file: String
    private let chunks: ArraySlice<YAMLChunk>
    /// The file is no text: it says this, and nothing else.
    private let refusal: Finding?

    /// Cuts texts between documents wherever a part has come to `bytes`.
    static func parts(of texts: [SourceText], bytes: Int) -> [DocumentPart] {
        var parts: [DocumentPart] = []
        for text in texts {
            guard String(validating: text.bytes, as: UTF8.self) != nil else {
                let refusal = Finding(
                    .error, Code.notYAML, "not UTF-8 text", file: text.file,
                    line: firstBadLine(text.bytes), refused: true)
                parts.append(DocumentPart(file: text.file, chunks: [], refusal: refusal))
                continue
            }
            let chunks = splitDocuments(text.bytes)
            var start = 0
            var size = 0
            for (index, chunk) in chunks.enumerated() {
                size += chunk.bytes.count
                guard size >= bytes || index == chunks.count - 1 else { continue }
                parts.append(DocumentPart(file: text.file, chunks: chunks[start...index], refusal: nil))
                start = index + 1
                size = 0
            }
        }
        return parts
    }

    func read(_ reader: inout DocumentReader) {
        if let refusal { reader.findings.add(refusal) }
        for chunk in chunks { reader.read(chunk, file: file) }
    }
}

/// Threads that take the parts one after the other, and what each part came to.
private final class ReadingTogether: Sendable {
    private let parts: [DocumentPart]
    private let next = Atomic<Int>(0)
    private let readers: Mutex<[DocumentReader?]>

    init(_ parts: [DocumentPart]) {
        self.parts = parts
        readers = Mutex(Array(repeating: nil, count: parts.count))
    }

    /// Nil: the parts have objects in common.
    func read(threads count: Int) -> DocumentReader? {
        // As deep as the main thread's: values nest.
        let threads = (1..<count).compactMap { index in
            Thread(name: "reading-\(index)", stackBytes: 8 << 20) { [self] in
                // Requests come first.
                fl_lower_thread_priority()
                work()
            }
        }
        work()
        for thread in threads { thread.join() }
        var whole = DocumentReader()
        for reader in readers.withLock({ $0 }) {
            guard let reader, whole.append(reader) else { return nil }
        }
        return whole
    }

    private func work() {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < parts.count else { return }
            var reader = DocumentReader()
            parts[index].read(&reader)
            readers.withLock { $0[index] = reader }
        }
    }
}

/// The line of the first byte sequence that is not UTF-8.
private func firstBadLine(_ bytes: [UInt8]) -> Int {
    var line = 1
    var start = bytes.startIndex
    while start < bytes.endIndex {
        let end = bytes[start...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.endIndex
        if String(validating: bytes[start..<end], as: UTF8.self) == nil { return line }
        start = end
        line += 1
    }
    return line
}
