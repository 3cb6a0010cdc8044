// A file's text cut into its documents, before any of them is parsed.
internal import Base

/// One document's bytes within its file, and the line it starts on.
struct YAMLChunk {
    var bytes: ArraySlice<UInt8>
    var firstLine: Int
}

/// Cuts a file at its `---` and `...` lines, so that a broken document does not take its neighbours along.
func splitDocuments(_ bytes: [UInt8]) -> [YAMLChunk] {
    var chunks: [YAMLChunk] = []
    // Windows' editors put one there; libyaml takes it for a column of the first line.
    var start = bytes.starts(with: byteOrderMark) ? byteOrderMark.count : 0
    var firstLine = 1
    var line = 1
    var at = start
    var hasContent = false
    bytes.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        let text = ByteView(base, buffer.count)
        while at < text.count {
            let end = text.firstIndex(of: 0x0A, from: at) ?? text.count
            let content = text.slice(at, end)
            let isStart = isMarker(content, "---")
            if isStart || isMarker(content, "...") {
                if hasContent { chunks.append(YAMLChunk(bytes: bytes[start..<at], firstLine: firstLine)) }
                // Content may follow `--- ` on the marker's own line: the marker stays with what follows it.
                start = isStart ? at : end
                firstLine = line
                hasContent = isStart && firstVisible(content.slice(3, content.count)) != nil
            } else if !hasContent, let first = firstVisible(content) {
                // Comments and directives are no content.
                hasContent = first != 0x23 && first != 0x25
            }
            at = end + 1
            line += 1
        }
    }
    if hasContent { chunks.append(YAMLChunk(bytes: bytes[start...], firstLine: firstLine)) }
    return chunks
}

/// U+FEFF in UTF-8.
private let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

private func isMarker(_ line: ByteView, _ marker: ByteView) -> Bool {
    guard line.hasPrefix(marker) else { return false }
    guard line.count > marker.count else { return true }
    return isBlank(line[marker.count])
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

private func firstVisible(_ line: ByteView) -> UInt8? {
    var index = 0
    while index < line.count, isBlank(line[index]) { index += 1 }
    return index < line.count ? line[index] : nil
}
