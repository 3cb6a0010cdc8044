// A head as scripts change it. What would make one message look like two, or leave its framing to the
// script's word, is refused or has no effect.
public import Base
internal import CLuaJIT
internal import HTTP

struct HeaderEdit {
    private let message: UnsafeMutablePointer<ScriptMessage>

    init(_ message: UnsafeMutablePointer<ScriptMessage>) { self.message = message }

    /// One of the shim's edits; returns one of its results.
    func apply(_ operation: Int32, _ name: ByteView, _ value: ByteView) -> Int32 {
        guard let headers = message.pointee.headers else { return Int32(FL_LUA_LATE) }
        guard Self.isValue(value) else { return Int32(FL_LUA_BAD_VALUE) }
        if operation == FL_LUA_REASON { return setReason(value, headers) }
        let isPseudo = !name.isEmpty && name[0] == 0x3A
        if isPseudo || (message.pointee.request != nil && name.equalsIgnoringCase("host")) {
            return applyPseudo(operation, name, value, headers)
        }
        guard Self.isName(name), let lower = HeaderView(message).lowered(name) else {
            return Int32(FL_LUA_BAD_NAME)
        }
        if ScriptNames.areFraming(lower) { return Int32(FL_LUA_EDITED) }
        let wanted = HeaderName(lower)
        if operation != FL_LUA_REMOVE, !hasRoom(headers, lower.count + value.count) {
            return Int32(FL_LUA_NO_ROOM)
        }
        if operation != FL_LUA_ADD { headers.pointee.remove(wanted) }
        if operation != FL_LUA_REMOVE { headers.pointee.append(wanted, value) }
        note(operation, lower, value)
        return Int32(FL_LUA_EDITED)
    }

    /// Scripts leave room for the edits that come after theirs: carriers, the route's operations.
    private func hasRoom(_ headers: UnsafeMutablePointer<HeaderList>, _ count: Int) -> Bool {
        headers.pointee.mayAdd(
            count, keepingFields: Limits.editFields / 2, keepingBytes: Limits.editBytes / 4)
    }

    private func note(_ operation: Int32, _ name: ByteView, _ value: ByteView) {
        message.pointee.isEdited = true
        if message.pointee.filter?.clearsRouteCache == true { message.pointee.clearsRoute = true }
        message.pointee.trace?.note(
            operation == FL_LUA_REMOVE
                ? "removes \(name.string)"
                : "\(operation == FL_LUA_ADD ? "adds" : "sets") \(name.string): \(value.string)")
    }

    private func setReason(_ value: ByteView, _ headers: UnsafeMutablePointer<HeaderList>) -> Int32 {
        guard message.pointee.request == nil, value.count <= Limits.scriptNameBytes else {
            return Int32(FL_LUA_BAD_VALUE)
        }
        guard let copy = keep(value, headers) else { return Int32(FL_LUA_NO_ROOM) }
        message.pointee.reasonPhrase = copy
        return Int32(FL_LUA_EDITED)
    }

    /// Bytes that hold as long as the head.
    private func keep(_ value: ByteView, _ headers: UnsafeMutablePointer<HeaderList>) -> ByteView? {
        guard hasRoom(headers, value.count), let room = headers.pointee.scratch(value.count) else {
            return nil
        }
        room.update(from: value.start, count: value.count)
        return ByteView(room, value.count)
    }

    private func applyPseudo(
        _ operation: Int32, _ name: ByteView, _ value: ByteView, _ headers: UnsafeMutablePointer<HeaderList>
    ) -> Int32 {
        // There is one of each, always.
        if operation != FL_LUA_REPLACE { return Int32(FL_LUA_BAD_NAME) }
        guard let request = message.pointee.request else {
            guard name.equals(":status") else { return Int32(FL_LUA_BAD_NAME) }
            guard let status = Self.status(value) else { return Int32(FL_LUA_BAD_VALUE) }
            message.pointee.status = status
            note(operation, name, value)
            return Int32(FL_LUA_EDITED)
        }
        let isHost = name.equalsIgnoringCase("host")
        guard isHost || name.equals(":path") || name.equals(":authority") || name.equals(":method"),
            !request.pointee.isConnect
        else { return Int32(FL_LUA_BAD_NAME) }
        guard !value.isEmpty, Self.isGraphic(value) else { return Int32(FL_LUA_BAD_VALUE) }
        if name.equals(":path"), value[0] != 0x2F || value.count > Limits.targetBytes {
            return Int32(FL_LUA_BAD_VALUE)
        }
        if isHost || name.equals(":authority"), !Self.isAuthority(value) { return Int32(FL_LUA_BAD_VALUE) }
        if name.equals(":method"), !Self.isName(value) || value.count > Limits.methodBytes {
            return Int32(FL_LUA_BAD_VALUE)
        }
        guard let copy = keep(value, headers) else { return Int32(FL_LUA_NO_ROOM) }
        if name.equals(":path") {
            let mark = copy.firstIndex(of: 0x3F)
            request.pointee.path = copy.slice(0, mark ?? copy.count)
            request.pointee.hasQuery = mark != nil
            request.pointee.query = mark.map { copy.slice($0 + 1, copy.count) } ?? .empty
        } else if name.equals(":method") {
            request.pointee.method = copy
        } else {
            request.pointee.authority = copy
            request.pointee.hasPlainAuthority = false
        }
        note(operation, name, value)
        return Int32(FL_LUA_EDITED)
    }

    // MARK: what may be written

    /// A token (RFC 9110 5.6.2).
    static func isName(_ name: ByteView) -> Bool {
        if name.isEmpty { return false }
        for at in 0..<name.count {
            switch name[at] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E,
                0x5E...0x60,
                0x7C, 0x7E:
                continue
            default: return false
            }
        }
        return true
    }

    /// No control characters but tabs (RFC 9110 5.5).
    static func isValue(_ value: ByteView) -> Bool {
        for at in 0..<value.count where (value[at] < 0x20 && value[at] != 0x09) || value[at] == 0x7F {
            return false
        }
        return true
    }

    static func isGraphic(_ value: ByteView) -> Bool {
        for at in 0..<value.count where value[at] <= 0x20 || value[at] == 0x7F { return false }
        return true
    }

    /// Nothing that ends an authority or begins another part of a URL.
    static func isAuthority(_ value: ByteView) -> Bool {
        for byte in "/?#@\\,".utf8 where value.firstIndex(of: byte) != nil { return false }
        return true
    }

    private static func status(_ value: ByteView) -> Int? {
        guard value.count == 3, let number = Int(value.string), (200...599).contains(number) else {
            return nil
        }
        return number
    }
}

/// Fields that a script wants in an answer of its own.
public enum ScriptRules {
    /// A pseudo header is no line, and framing is ours.
    public static func mayAppend(_ lower: ByteView, _ value: ByteView) -> Bool {
        HeaderEdit.isName(lower) && HeaderEdit.isValue(value) && !ScriptNames.areFraming(lower)
    }
}

/// Fields that say where a message ends or how its connection is used: the proxy's, whatever a script says.
enum ScriptNames {
    static func areFraming(_ lower: ByteView) -> Bool {
        switch lower.count {
        case 2: lower.equals("te")
        case 7: lower.equals("trailer") || lower.equals("upgrade")
        case 10: lower.equals("connection") || lower.equals("keep-alive")
        case 14: lower.equals("content-length")
        case 16: lower.equals("proxy-connection")
        case 17: lower.equals("transfer-encoding")
        default: false
        }
    }
}
