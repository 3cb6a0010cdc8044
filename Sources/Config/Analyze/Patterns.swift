// Regular expressions that match more than the lane they were written for (trap 5).
internal import Lanes

extension VirtualServiceRemarks {
    /// The texts that its matches ask headers for, and what one pattern says alone.
    mutating func checkPatterns(_ routes: [VirtualServiceDocument.HTTPRoute]) {
        for route in routes {
            for match in route.matches {
                for condition in match.model.headers where !condition.inverted {
                    add(condition, line: match.line)
                }
            }
        }
        for pattern in headerTexts
        where pattern.isSearched && pattern.header == "cookie" && pattern.text.utf8.contains(0x3D) {
            note(
                .warning, Code.collidingPatterns,
                "the Cookie pattern for \"\(pattern.text)\" also matches inside other cookies",
                line: pattern.line, suggestion: "^(.*;\\s*)?\(pattern.text)(;.*)?$")
        }
    }

    private mutating func add(_ condition: NamedMatch, line: Int) {
        switch condition.match {
        case .exact(let text):
            headerTexts.append(
                HeaderText(header: condition.name, text: text, isSearched: false, line: line))
        case .regex(let pattern):
            guard let literal = searchedLiteral(pattern) else { return }
            headerTexts.append(
                HeaderText(header: condition.name, text: literal, isSearched: true, line: line))
        default: break
        }
    }
}

extension Analysis {
    /// A pattern that looks for a text anywhere in a header.
    private struct Searching {
        var literal: String
        /// Position of its VirtualService.
        var document: Int
        var line: Int
    }

    /// What is asked for in one header.
    private struct Asked {
        var literals: [String] = []
        var searching: [Searching] = []
    }

    mutating func checkPatterns() {
        var headers: [String: Asked] = [:]
        for (index, document) in virtualServices.enumerated() {
            for asked in document.remarks.headerTexts {
                headers[asked.header, default: Asked()].literals.append(asked.text)
                guard asked.isSearched else { continue }
                headers[asked.header]?.searching.append(
                    Searching(literal: asked.text, document: index, line: asked.line))
            }
        }
        for (header, asked) in headers.sorted(by: { $0.key < $1.key }) where !asked.searching.isEmpty {
            for (pattern, other) in Self.collisions(asked.searching, asked.literals) {
                note(
                    .warning, Code.collidingPatterns,
                    "the pattern for \"\(pattern.literal)\" in \(header) also matches \"\(other)\"",
                    virtualServices[pattern.document].meta.ref, line: pattern.line,
                    suggestion: "exact: \(pattern.literal), or anchor the pattern")
            }
        }
    }

    /// Each searching pattern with one longer literal that holds it. All pairs are looked at while they are
    /// few; beyond that only literals that begin with it, which sorting finds.
    private static func collisions(_ patterns: [Searching], _ literals: [String]) -> [(Searching, String)] {
        var sorted: [String] = []
        for literal in literals.sorted() where literal != sorted.last { sorted.append(literal) }
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
