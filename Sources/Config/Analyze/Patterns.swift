// Regular expressions that match more than the lane they were written for (trap 5).
internal import Lanes

/// A match on a header by a pattern that looks for a text anywhere in the value.
private struct Searching {
    var literal: String
    var ref: SourceRef
    var header: String
}

extension Analysis {
    mutating func checkPatterns() {
        var searching: [Searching] = []
        var literals: [String: Set<String>] = [:]
        for document in virtualServices {
            for match in document.http.lazy.flatMap(\.matches) {
                for condition in match.model.headers where !condition.inverted {
                    var ref = document.meta.ref
                    ref.line = match.line
                    switch condition.match {
                    case .exact(let text): literals[condition.name, default: []].insert(text)
                    case .regex(let pattern):
                        guard let literal = searchedLiteral(pattern) else { continue }
                        literals[condition.name, default: []].insert(literal)
                        searching.append(Searching(literal: literal, ref: ref, header: condition.name))
                    default: break
                    }
                }
            }
        }
        for header in literals.keys.sorted() {
            let found = collisions(searching.filter { $0.header == header }, literals[header]!)
            for (pattern, other) in found {
                note(
                    .warning, Code.collidingPatterns,
                    "the pattern for \"\(pattern.literal)\" in \(header) also matches \"\(other)\"",
                    pattern.ref,
                    suggestion: "exact: \(pattern.literal), or anchor the pattern")
            }
        }
        for pattern in searching where pattern.header == "cookie" && pattern.literal.contains("=") {
            note(
                .warning, Code.collidingPatterns,
                "the Cookie pattern for \"\(pattern.literal)\" also matches inside other cookies",
                pattern.ref, suggestion: "^(.*;\\s*)?\(pattern.literal)(;.*)?$")
        }
    }

    /// Each searching pattern with one longer literal that holds it. All pairs are looked at while they are
    /// few; beyond that only literals that begin with it, which sorting finds.
    private func collisions(_ patterns: [Searching], _ literals: Set<String>) -> [(Searching, String)] {
        let sorted = literals.sorted()
        let isFew = patterns.count * sorted.count <= 250_000
        let bytes = isFew ? sorted.map { Array($0.utf8) } : []
        return patterns.compactMap { pattern in
            if isFew {
                let literal = Array(pattern.literal.utf8)
                let other = bytes.firstIndex { $0.count > literal.count && holds($0, literal) }
                return other.map { (pattern, sorted[$0]) }
            }
            var low = 0
            var high = sorted.count
            while low < high {
                let middle = (low + high) / 2
                if sorted[middle] <= pattern.literal { low = middle + 1 } else { high = middle }
            }
            guard low < sorted.count, sorted[low].hasPrefix(pattern.literal) else { return nil }
            return (pattern, sorted[low])
        }
    }
}

/// Whether `part` stands anywhere in `text`.
private func holds(_ text: [UInt8], _ part: [UInt8]) -> Bool {
    guard let first = part.first, text.count >= part.count else { return false }
    return text.withUnsafeBufferPointer { text in
        for start in 0...(text.count - part.count) where text[start] == first {
            if text[start..<start + part.count].elementsEqual(part) { return true }
        }
        return false
    }
}

/// The text of `.*(text).*` or `.*text.*`; nil for other patterns.
func searchedLiteral(_ pattern: String) -> String? {
    let bytes = pattern.utf8
    guard bytes.count > 4, bytes.starts(with: ".*".utf8), bytes.suffix(2).elementsEqual(".*".utf8) else {
        return nil
    }
    var inner = bytes.dropFirst(2).dropLast(2)
    if inner.first == 0x28, inner.last == 0x29 { inner = inner.dropFirst().dropLast() }
    guard !inner.isEmpty, !inner.contains(where: { "\\.+*?()|[]{}^$".utf8.contains($0) }) else { return nil }
    return String(Substring(inner))
}
