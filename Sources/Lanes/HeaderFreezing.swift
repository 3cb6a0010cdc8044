// Freezes header operations: which names may be touched at all, and values cut into pieces.
internal import Base
internal import HTTP

extension TableBuilder {
    /// Levels with something to do.
    mutating func freezeLevels(
        _ operations: [HeaderOperations], isRequest: Bool
    ) throws(TableError) -> Frozen<HeaderLevel> {
        var levels: [HeaderLevel] = []
        for level in operations {
            let frozen = try freezeLevel(level, isRequest: isRequest)
            if !frozen.isEmpty { levels.append(frozen) }
        }
        return levels.isEmpty ? .empty : arena.store(levels)
    }

    mutating func freezeLevel(
        _ operations: HeaderOperations, isRequest: Bool
    ) throws(TableError) -> HeaderLevel {
        var set: [HeaderOperation] = []
        var add: [HeaderOperation] = []
        for entry in operations.set where isModifiable(entry.name) {
            set.append(try freeze(entry.name, entry.value, isRequest))
        }
        for entry in operations.add where isModifiable(entry.name) {
            add.append(try freeze(entry.name, entry.value, isRequest))
        }
        let remove = operations.remove.filter(isModifiable).map { HeaderName(arena.store($0.lowercased())) }
        return HeaderLevel(
            remove: arena.store(remove), set: arena.store(set), add: arena.store(add),
            isFormatted: (set + add).contains { !$0.isLiteral })
    }

    /// Pseudo headers and the Host are not headers to edit, and framing is the proxy's own.
    private func isModifiable(_ name: String) -> Bool {
        let name = name.lowercased()
        return !name.isEmpty && !name.hasPrefix(":") && name != "host" && name != "content-length"
            && name != "transfer-encoding"
    }

    private func freeze(
        _ name: String, _ value: String, _ isRequest: Bool
    ) throws(TableError) -> HeaderOperation {
        if let problem = HeaderValue.problem(value) {
            throw TableError.headerValue(name: name, problem: problem)
        }
        guard case .success(let parts) = HeaderValue.parse(value) else {
            throw TableError.headerValue(name: name, problem: "it cannot be read")
        }
        let header = HeaderName(arena.store(name.lowercased()))
        var literal = ""
        var isLiteral = true
        for part in parts {
            if case .literal(let text) = part { literal += text } else { isLiteral = false }
        }
        let whole = line(name.lowercased(), isLiteral ? literal : "")
        return HeaderOperation(
            name: header, isLiteral: isLiteral, literal: whole.value, line: whole,
            pieces: isLiteral ? .empty : arena.store(parts.map(piece)),
            joins: isSingleSlot(header, isRequest))
    }

    /// A whole field line in the arena.
    func line(_ name: String, _ value: String) -> HeaderField {
        let bytes = arena.store("\(name): \(value)\r\n")
        let nameLength = name.utf8.count
        return HeaderField(
            line: bytes.start, lineLength: UInt32(clamping: bytes.count),
            nameLength: UInt16(clamping: nameLength), valueOffset: UInt32(clamping: nameLength + 2),
            valueLength: UInt32(clamping: value.utf8.count),
            id: HeaderNames.id(bytes.slice(0, nameLength)))
    }

    /// The carriers of a lane under the policy; nil without one.
    func laneLines(_ name: String) -> UnsafePointer<LaneLines>? {
        guard let key = model.policy?.key else { return nil }
        return UnsafePointer(
            arena.store(
                LaneLines(
                    header: line(key.lowercased(), name), baggage: line("baggage", "\(key)=\(name)"),
                    tracestate: line("tracestate", "\(key.lowercased())=\(name)"), pin: pinLine(name))))
    }

    private func pinLine(_ name: String) -> UnsafePointer<HeaderField>? {
        guard let policy = model.policy, let pinTail else { return nil }
        return UnsafePointer(arena.store(line("set-cookie", "\(policy.key)=\(name)\(pinTail)")))
    }

    private func piece(_ part: HeaderValue.Part) -> ValuePiece {
        let none = HeaderName(.empty)
        var piece = ValuePiece(
            kind: .nothing, text: .empty, name: none, otherKind: .nothing, otherName: none, limit: Int.max)
        switch part {
        case .literal(let text):
            piece.kind = .literal
            piece.text = arena.store(text)
        case .fact(let kind): piece.kind = kind
        case .query(let name):
            piece.kind = .queryParameter
            piece.text = arena.store(name)
        case .requestHeader(let name, let other, let limit):
            (piece.kind, piece.name) = source(name, .requestHeader)
            if let other { (piece.otherKind, piece.otherName) = source(other, .requestHeader) }
            piece.limit = limit ?? Int.max
        case .responseHeader(let name, let other, let limit):
            (piece.kind, piece.name) = source(name, .responseHeader)
            if let other { (piece.otherKind, piece.otherName) = source(other, .responseHeader) }
            piece.limit = limit ?? Int.max
        }
        return piece
    }

    private func source(_ name: String, _ kind: ValuePiece.Kind) -> (ValuePiece.Kind, HeaderName) {
        let header = HeaderName(arena.store(name))
        if kind == .responseHeader { return (kind, header) }
        switch name {
        case ":method": return (.method, header)
        case ":path": return (.path, header)
        case ":authority", "host": return (.authority, header)
        case ":scheme": return (.scheme, header)
        default: return (kind, header)
        }
    }

    /// Envoy keeps one line of these and joins what is added.
    private func isSingleSlot(_ name: HeaderName, _ isRequest: Bool) -> Bool {
        guard let id = HeaderID(rawValue: name.id) else { return false }
        switch id {
        case .contentType, .via, .xRequestID: return true
        case .userAgent, .xForwardedFor, .xForwardedHost, .xForwardedProto, .xForwardedClientCert, .expect,
            .te, .grpcTimeout, .accept:
            return isRequest
        case .date, .server, .location, .vary: return !isRequest
        default: return false
        }
    }
}
