// Freezes header operations: which names may be touched at all, and values cut into pieces.
internal import Base
internal import HTTP

extension TableBuilder {
    /// One level, if it has something to do.
    mutating func freezeLevels(
        _ operations: HeaderOperations, isRequest: Bool
    ) throws(TableError) -> Frozen<HeaderLevel> {
        if operations.isEmpty { return .empty }
        // The routes of one entry, and its only destination, have the same.
        if let last = isRequest ? lastRequestLevel : lastResponseLevel, last.operations.equals(operations) {
            return last.levels
        }
        let made = try freezeLevel(operations, isRequest: isRequest)
        let known = (operations: operations, levels: made.isEmpty ? .empty : arena.store([made]))
        if isRequest { lastRequestLevel = known } else { lastResponseLevel = known }
        return known.levels
    }

    /// Both levels, as far as they have something to do.
    mutating func freezeLevels(
        _ first: HeaderOperations, _ second: HeaderOperations, isRequest: Bool
    ) throws(TableError) -> Frozen<HeaderLevel> {
        let inner = try freezeLevels(first, isRequest: isRequest)
        let outer = try freezeLevels(second, isRequest: isRequest)
        if inner.isEmpty { return outer }
        if outer.isEmpty { return inner }
        return arena.store([inner[0].pointee, outer[0].pointee])
    }

    func freezeLevel(
        _ operations: HeaderOperations, isRequest: Bool
    ) throws(TableError) -> HeaderLevel {
        let set = try freeze(operations.set, isRequest)
        let add = try freeze(operations.add, isRequest)
        let remove = operations.remove.compactMap(Self.modifiable).map { HeaderName(arena.store($0)) }
        return HeaderLevel(
            remove: arena.store(remove), set: arena.store(set), add: arena.store(add),
            isFormatted: set.contains { !$0.isLiteral } || add.contains { !$0.isLiteral })
    }

    private func freeze(
        _ entries: [(name: String, value: String)], _ isRequest: Bool
    ) throws(TableError) -> [HeaderOperation] {
        var made: [HeaderOperation] = []
        for entry in entries {
            guard let name = Self.modifiable(entry.name) else { continue }
            made.append(try freeze(name, entry.value, isRequest))
        }
        return made
    }

    /// A name in lower case. Nil: pseudo headers and the Host are not headers to edit, and framing is the
    /// proxy's own.
    private static func modifiable(_ name: String) -> String? {
        let name = name.lowercased()
        switch name {
        case "", "host", "content-length", "transfer-encoding": return nil
        default: return name.utf8.first == 0x3A ? nil : name
        }
    }

    private func freeze(
        _ name: String, _ value: String, _ isRequest: Bool
    ) throws(TableError) -> HeaderOperation {
        let header = HeaderName(arena.store(name))
        if HeaderValue.isLiteral(value) {
            let whole = line(name, value)
            return HeaderOperation(
                name: header, isLiteral: true, literal: whole.value, line: whole, pieces: .empty,
                joins: isSingleSlot(header, isRequest))
        }
        let parts: [HeaderValue.Part]
        switch HeaderValue.read(value) {
        case .success(let read): parts = read
        case .failure(let problem): throw TableError.headerValue(name: name, problem: problem.text)
        }
        var literal = ""
        var isLiteral = true
        for part in parts {
            if case .literal(let text) = part { literal += text } else { isLiteral = false }
        }
        let whole = line(name, isLiteral ? literal : "")
        return HeaderOperation(
            name: header, isLiteral: isLiteral, literal: whole.value, line: whole,
            pieces: isLiteral ? .empty : arena.store(parts.map(piece)),
            joins: isSingleSlot(header, isRequest))
    }

    /// A whole field line in the arena.
    func line(_ name: String, _ value: String) -> HeaderField {
        let nameLength = name.utf8.count
        let bytes = arena.store(name, ": ", value, "\r\n")
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
        case .time(let conversion):
            piece.kind = .timePart
            piece.text = arena.store(conversion)
        case .bareHeader(let name, let other, let limit):
            (piece.kind, piece.name) = bareSource(name)
            if let other { (piece.otherKind, piece.otherName) = bareSource(other) }
            piece.limit = limit ?? Int.max
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

    private func bareSource(_ name: String) -> (ValuePiece.Kind, HeaderName) {
        let (kind, header) = source(name, .requestHeader)
        switch kind {
        case .path: return (.barePath, header)
        case .requestHeader: return (.bareHeader, header)
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

extension HeaderOperations {
    fileprivate func equals(_ other: HeaderOperations) -> Bool {
        remove == other.remove && set.elementsEqual(other.set, by: ==) && add.elementsEqual(other.add, by: ==)
    }
}
