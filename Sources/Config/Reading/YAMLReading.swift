// One document's text to its tree. libyaml scans and parses; this file builds the tree from its events and
// bounds what that may cost: nesting, and values once aliases are followed.
internal import Base
internal import CYaml

/// Why a text is no YAML document, and where.
struct YAMLError: Error {
    var line: Int
    var message: String
    /// A bound of ours was reached, not a syntax error.
    var isLimit = false
}

/// Parses one document; nil for an empty one.
func parseYAML(_ chunk: YAMLChunk) throws(YAMLError) -> YAML? {
    guard chunk.bytes.count <= Limits.documentBytes else {
        throw YAMLError(
            line: chunk.firstLine, message: "a document larger than \(Limits.documentBytes) bytes",
            isLimit: true)
    }
    return try chunk.bytes.withUnsafeBufferPointer { (buffer) throws(YAMLError) -> YAML? in
        var tree = TreeBuilder(buffer, linesBefore: chunk.firstLine - 1)
        return try tree.document()
    }
}

/// Builds the tree of one document from libyaml's events.
private struct TreeBuilder: ~Copyable {
    /// What an anchor stands for, and what one use of it costs.
    private struct Anchored {
        var node: YAML
        var values: Int
        /// Levels below it.
        var height: Int
    }

    /// At a place of its own: libyaml keeps a pointer to it.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let event: UnsafeMutablePointer<yaml_event_t>
    private let text: UnsafeBufferPointer<UInt8>
    private let linesBefore: Int
    /// Values that the document may have, and that it has so far: an alias counts as what it stands for.
    private let limit: Int
    private var values = 0
    /// The deepest level reached below the node being read.
    private var deepest = 0
    private var anchors: [String: Anchored] = [:]

    /// Reads `text`, which must stay where it is; `linesBefore` of its file come before it.
    init(_ text: UnsafeBufferPointer<UInt8>, linesBefore: Int) {
        parser = .allocate(capacity: 1)
        event = .allocate(capacity: 1)
        event.initialize(to: yaml_event_t())
        self.text = text
        self.linesBefore = linesBefore
        // Without aliases a text has no more values than bytes; sharing may multiply that, not explode it.
        limit = min(Limits.yamlNodes, 10_000 + 16 * text.count)
        // Fails only without memory.
        precondition(yaml_parser_initialize(parser) == 1)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        yaml_event_delete(event)
        yaml_parser_delete(parser)
        event.deallocate()
        parser.deallocate()
    }

    mutating func document() throws(YAMLError) -> YAML? {
        try advance()  // the start of the stream
        try advance()
        guard event.pointee.type == YAML_DOCUMENT_START_EVENT else { return nil }
        try advance()
        let root = try node(depth: 0)
        try advance()  // the end of the document
        try advance()
        guard event.pointee.type == YAML_STREAM_END_EVENT else {
            throw YAMLError(line: line, message: "more text after the end of the document")
        }
        return root
    }

    /// The line that the event at hand starts on.
    private var line: Int { event.pointee.start_mark.line + 1 + linesBefore }

    private mutating func advance() throws(YAMLError) {
        yaml_event_delete(event)
        guard yaml_parser_parse(parser, event) == 1 else { throw failure }
    }

    /// What libyaml said. Problems of encoding are told by place in the text, others by line.
    private var failure: YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
        var line = parser.pointee.problem_mark.line
        if parser.pointee.error == YAML_READER_ERROR {
            line = text.prefix(parser.pointee.problem_offset).count { $0 == 0x0A }
        }
        return YAMLError(line: line + 1 + linesBefore, message: problem)
    }

    /// The node whose first event is at hand; afterwards its last one is.
    private mutating func node(depth: Int) throws(YAMLError) -> YAML {
        let type = event.pointee.type
        if type == YAML_ALIAS_EVENT { return try alias(depth: depth) }
        try count(1, deepest: depth)
        let line = line
        let anchor = anchorName(type)
        let valuesBefore = values
        let deepestBefore = deepest
        deepest = depth
        let value: YAML.Value
        switch type {
        case YAML_SCALAR_EVENT: value = scalar()
        case YAML_SEQUENCE_START_EVENT: value = .list(try elements(depth: depth))
        default: value = .map(try entries(depth: depth))
        }
        let node = YAML(line: line, value: value)
        if let anchor {
            anchors[anchor] = Anchored(
                node: node, values: values - valuesBefore + 1, height: deepest - depth)
        }
        deepest = max(deepest, deepestBefore)
        return node
    }

    /// Counts values of which the deepest lies at a level.
    private mutating func count(_ more: Int, deepest level: Int) throws(YAMLError) {
        values += more
        guard values <= limit else {
            throw YAMLError(
                line: line, message: "more than \(limit) values once aliases are followed", isLimit: true)
        }
        guard level < Limits.yamlDepth else {
            throw YAMLError(
                line: line, message: "nested deeper than \(Limits.yamlDepth) levels", isLimit: true)
        }
        deepest = max(deepest, level)
    }

    /// The anchor that the event at hand sets. What it stood for ends here: a node cannot contain itself.
    private mutating func anchorName(_ type: yaml_event_type_t) -> String? {
        let data = event.pointee.data
        let name: UnsafeMutablePointer<UInt8>? =
            switch type {
            case YAML_SCALAR_EVENT: data.scalar.anchor
            case YAML_SEQUENCE_START_EVENT: data.sequence_start.anchor
            default: data.mapping_start.anchor
            }
        guard let name else { return nil }
        let text = String(cString: name)
        anchors[text] = nil
        return text
    }

    private mutating func alias(depth: Int) throws(YAMLError) -> YAML {
        let known = try aliased()
        try count(known.values, deepest: depth + known.height)
        return known.node
    }

    private func aliased() throws(YAMLError) -> Anchored {
        let name = String(cString: event.pointee.data.alias.anchor)
        guard let known = anchors[name] else {
            throw YAMLError(line: line, message: "*\(name) is an alias to nothing before it")
        }
        return known
    }

    private func scalar() -> YAML.Value {
        let text = scalarText
        guard isPlain else { return .scalar(text, plain: false) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        default: return .scalar(text, plain: true)
        }
    }

    private var scalarText: String {
        let scalar = event.pointee.data.scalar
        return String(
            decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
    }

    /// Unquoted, and not said to be text by its tag, which is as good as quotes.
    private var isPlain: Bool {
        let scalar = event.pointee.data.scalar
        guard scalar.style == YAML_PLAIN_SCALAR_STYLE else { return false }
        return scalar.tag.map { String(cString: $0) != YAML_STR_TAG } ?? true
    }

    private mutating func elements(depth: Int) throws(YAMLError) -> [YAML] {
        var elements: [YAML] = []
        try advance()
        while event.pointee.type != YAML_SEQUENCE_END_EVENT {
            elements.append(try node(depth: depth + 1))
            try advance()
        }
        return elements
    }

    private mutating func entries(depth: Int) throws(YAMLError) -> [YAML.Entry] {
        var entries: [YAML.Entry] = []
        // Most mappings are no larger; growing to it would allocate three times.
        entries.reserveCapacity(4)
        var names = KeySet()
        var merged: [YAML.Entry]?
        try advance()
        while event.pointee.type != YAML_MAPPING_END_EVENT {
            let line = line
            let (name, isMerge) = try key()
            guard isMerge ? merged == nil : names.insert(name, into: entries) else {
                throw YAMLError(line: line, message: "the key \(name) is given twice")
            }
            try advance()
            let value = try node(depth: depth + 1)
            if isMerge {
                merged = mergedEntries(value)
            } else {
                entries.append(YAML.Entry(key: name, line: line, value: value))
            }
            try advance()
        }
        for entry in merged ?? [] where names.insert(entry.key, into: entries) { entries.append(entry) }
        return entries
    }

    /// The key whose event is at hand, and whether it is `<<`: the value's entries stand in for missing ones.
    private func key() throws(YAMLError) -> (name: String, isMerge: Bool) {
        switch event.pointee.type {
        case YAML_SCALAR_EVENT:
            let name = scalarText
            return (name, name == "<<" && isPlain)
        case YAML_ALIAS_EVENT:
            if case .scalar(let name, _) = try aliased().node.value { return (name, false) }
        default: break
        }
        throw YAMLError(line: line, message: "a key that is not plain text")
    }

    private func mergedEntries(_ value: YAML) -> [YAML.Entry] {
        switch value.value {
        case .map(let entries): entries
        case .list(let maps):
            maps.flatMap { map -> [YAML.Entry] in
                if case .map(let entries) = map.value { entries } else { [] }
            }
        default: []
        }
    }
}

/// The keys of one mapping. Few are compared one by one, many are hashed.
private struct KeySet {
    private static let few = 16
    private var hashed: Set<String> = []

    /// False if one of the entries, or a name inserted since there were many, is called so.
    mutating func insert(_ name: String, into entries: [YAML.Entry]) -> Bool {
        if entries.count < Self.few { return !entries.contains { $0.key == name } }
        if hashed.isEmpty { hashed = Set(entries.map(\.key)) }
        return hashed.insert(name).inserted
    }
}
