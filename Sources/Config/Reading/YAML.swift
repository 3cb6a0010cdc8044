// YAML text to a plain tree that keeps line numbers. Yams parses; this file bounds what it may cost: nesting,
// nodes after aliases are followed, and keys that would make the parser itself compare expanded aliases.
internal import Base
internal import Yams

/// One node of a document.
struct YAML: Sendable {
    /// In the file, from 1.
    var line: Int
    var value: Value

    indirect enum Value: Sendable {
        case null
        /// `plain`: unquoted, so `8080` and `true` are a number and a truth value.
        case scalar(String, plain: Bool)
        case list([YAML])
        case map([Entry])
    }

    struct Entry: Sendable {
        var key: String
        var line: Int
        var value: YAML
    }

    /// The value of a key; nil for other nodes and for missing keys.
    subscript(key: String) -> YAML? {
        guard case .map(let entries) = value else { return nil }
        for entry in entries where entry.key == key { return entry.value }
        return nil
    }

    /// What a person calls this kind of node.
    var kindName: String {
        switch value {
        case .null: "null"
        case .list: "a list"
        case .map: "a mapping"
        case .scalar(_, plain: false): "a string"
        case .scalar(let text, plain: true):
            if parseInteger(text) != nil {
                "an integer"
            } else if yamlBool(text) != nil {
                "a boolean"
            } else if isYAMLFloat(text) {
                "a number"
            } else {
                "a string"
            }
        }
    }
}

/// `true`, `false` and the older words that Kubernetes' own reader takes for them.
func yamlBool(_ text: String) -> Bool? {
    switch text {
    case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": true
    case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": false
    default: nil
    }
}

func isYAMLFloat(_ text: String) -> Bool {
    guard let first = text.utf8.first, first == 0x2D || first == 0x2B || first == 0x2E || isDigit(first)
    else { return false }
    return text.utf8.contains(where: isDigit) && Double(text) != nil
}

func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

/// Decimal digits with an optional sign; nil for anything else or what does not fit.
func parseInteger(_ text: String) -> Int? {
    var digits = text.utf8[...]
    if digits.first == 0x2D || digits.first == 0x2B { digits = digits.dropFirst() }
    guard !digits.isEmpty, digits.count <= 19, digits.allSatisfy(isDigit) else { return nil }
    return Int(text)
}

/// Why a text is no YAML document, and where.
struct YAMLError: Error {
    var line: Int
    var message: String
    /// A bound of ours was reached, not a syntax error.
    var isLimit = false
}

/// One document's text cut out of its file, and the line it starts on.
struct YAMLChunk {
    var text: Substring
    var firstLine: Int
}

/// Cuts a file at its `---` and `...` lines, so that a broken document does not take its neighbours along.
func splitDocuments(_ text: String) -> [YAMLChunk] {
    var chunks: [YAMLChunk] = []
    let bytes = text.utf8
    var start = bytes.startIndex
    var firstLine = 1
    var line = 1
    var at = bytes.startIndex
    var hasContent = false
    func isMarker(_ content: Substring.UTF8View, _ byte: UInt8) -> Bool {
        guard content.count >= 3, content.prefix(3).allSatisfy({ $0 == byte }) else { return false }
        guard let next = content.dropFirst(3).first else { return true }
        return next == 0x20 || next == 0x09 || next == 0x0D
    }
    while at < bytes.endIndex {
        let end = bytes[at...].firstIndex(of: 0x0A) ?? bytes.endIndex
        let content = bytes[at..<end]
        let isStart = isMarker(content, 0x2D)
        if isStart || isMarker(content, 0x2E) {
            if hasContent { chunks.append(YAMLChunk(text: text[start..<at], firstLine: firstLine)) }
            // Content may follow `--- ` on the marker's own line, so the marker stays with what follows it.
            start = isStart ? at : end
            firstLine = line
            hasContent = isStart && content.dropFirst(3).contains { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }
        } else if !hasContent, let first = content.first(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) {
            hasContent = first != 0x23 && first != 0x25
        }
        if end == bytes.endIndex { break }
        at = bytes.index(after: end)
        line += 1
    }
    if hasContent { chunks.append(YAMLChunk(text: text[start...], firstLine: firstLine)) }
    return chunks
}

/// Parses one document; nil for an empty one.
func parseYAML(_ chunk: YAMLChunk) throws(YAMLError) -> YAML? {
    let text = String(chunk.text)
    if let line = expandingKeyLine(text) {
        throw YAMLError(
            line: line + chunk.firstLine - 1,
            message: "a key that is not plain text, in a document with aliases", isLimit: true)
    }
    let root: Node?
    do {
        let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
        root = try parser.nextRoot()
        if try root != nil && parser.nextRoot() != nil {
            throw YAMLError(line: chunk.firstLine, message: "more text after the end of the document")
        }
    } catch let error as YAMLError {
        throw error
    } catch {
        throw describe(error, text, firstLine: chunk.firstLine)
    }
    guard let root else { return nil }
    // Without aliases a text has no more values than bytes; sharing may multiply that, but not explode it.
    let limit = min(Limits.yamlNodes, 10_000 + 16 * text.utf8.count)
    var converter = Converter(offset: chunk.firstLine - 1, limit: limit)
    return try converter.convert(root, depth: 0)
}

/// Yams finds duplicate keys by hashing them; a key made of aliases would be expanded for that without bound.
/// Returns the line of such a key in a document that also defines and uses an alias.
private func expandingKeyLine(_ text: String) -> Int? {
    guard text.utf8.contains(0x26), text.utf8.contains(0x2A) else { return nil }
    var anchors: Set<Substring> = []
    var usesAlias = false
    var keyLine: Int?
    var number = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
        number += 1
        if keyLine == nil, hasComplexKey(line.utf8) { keyLine = number }
        for word in line.split(whereSeparator: { " \t,[]{}\r".contains($0) }) {
            if word.first == "&" { anchors.insert(word.dropFirst()) }
            if word.first == "*", anchors.contains(word.dropFirst().prefix { $0 != ":" }) { usesAlias = true }
        }
    }
    return usesAlias ? keyLine : nil
}

/// `? key`, `]: `, `}: ` or `*alias :`: the only ways to write a key that is not a scalar.
private func hasComplexKey(_ line: Substring.UTF8View) -> Bool {
    var previous: UInt8 = 0x20
    var closing = false
    var inAlias = false
    var index = line.startIndex
    while index < line.endIndex {
        let byte = line[index]
        let next = line.index(after: index)
        let following = next < line.endIndex ? line[next] : 0x20
        let blankFollows = following == 0x20 || following == 0x09 || following == 0x0D
        let afterBlank = previous == 0x20 || previous == 0x09 || "[{,-".utf8.contains(previous)
        if byte == 0x3F, afterBlank, blankFollows { return true }
        if byte == 0x3A, closing || inAlias, blankFollows || "[{\"'".utf8.contains(following) { return true }
        if byte == 0x2A, afterBlank { inAlias = true }
        if byte == 0x5D || byte == 0x7D {
            closing = true
            inAlias = false
        } else if byte != 0x20 {
            closing = false
        }
        if inAlias, ",[{".utf8.contains(byte) { inAlias = false }
        previous = byte
        index = next
    }
    return false
}

private func describe(_ error: any Error, _ text: String, firstLine: Int) -> YAMLError {
    var line = 1
    var message = "not YAML"
    switch error as? YamlError {
    case .reader(let problem, let offset, _, _)?:
        line = 1 + text.utf8.prefix(offset ?? 0).count { $0 == 0x0A }
        message = problem
    case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?,
        .composer(_, let problem, let mark, _)?:
        line = mark.line
        message = problem
    case .duplicatedKeysInMapping(let duplicates, let context)?:
        line = context.mark.line
        message = "the key \(duplicates.first ?? "") is given twice"
    default: break
    }
    return YAMLError(line: line + firstLine - 1, message: message)
}

/// Copies Yams' nodes into ours, counting: an alias costs what it stands for each time it is used.
private struct Converter {
    var offset: Int
    var limit: Int
    var nodes = 0

    mutating func convert(_ node: Node, depth: Int) throws(YAMLError) -> YAML {
        nodes += 1
        let line = (node.mark?.line ?? 1) + offset
        guard nodes <= limit else {
            throw YAMLError(
                line: line, message: "more than \(limit) values once aliases are followed",
                isLimit: true)
        }
        guard depth < Limits.yamlDepth else {
            throw YAMLError(
                line: line, message: "nested deeper than \(Limits.yamlDepth) levels", isLimit: true)
        }
        switch node {
        case .scalar(let scalar):
            let plain = scalar.style == .plain
            if plain, ["", "~", "null", "Null", "NULL"].contains(scalar.string) {
                return YAML(line: line, value: .null)
            }
            return YAML(line: line, value: .scalar(scalar.string, plain: plain))
        case .sequence(let sequence):
            var list: [YAML] = []
            list.reserveCapacity(sequence.count)
            for element in sequence { list.append(try convert(element, depth: depth + 1)) }
            return YAML(line: line, value: .list(list))
        case .mapping(let mapping):
            return YAML(line: line, value: .map(try entries(mapping, depth: depth)))
        case .alias:
            throw YAMLError(line: line, message: "an alias to nothing")
        }
    }

    private mutating func entries(_ mapping: Node.Mapping, depth: Int) throws(YAMLError) -> [YAML.Entry] {
        var entries: [YAML.Entry] = []
        entries.reserveCapacity(mapping.count)
        var merged: [YAML.Entry] = []
        for (key, value) in mapping {
            let line = (key.mark?.line ?? 1) + offset
            guard case .scalar(let name) = key else {
                throw YAMLError(line: line, message: "a key that is not plain text")
            }
            let converted = try convert(value, depth: depth + 1)
            if name.string == "<<", name.style == .plain {
                switch converted.value {
                case .map(let inner): merged += inner
                case .list(let maps):
                    for map in maps { if case .map(let inner) = map.value { merged += inner } }
                default: break
                }
            } else {
                entries.append(YAML.Entry(key: name.string, line: line, value: converted))
            }
        }
        if !merged.isEmpty {
            var names = Set(entries.map(\.key))
            for entry in merged where names.insert(entry.key).inserted { entries.append(entry) }
        }
        return entries
    }
}
