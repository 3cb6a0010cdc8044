// A head as scripts read it: pseudo headers in front, names in any case, `host` as another word for
// `:authority` as in Envoy.
internal import Base
internal import HTTP

struct HeaderView {
    private let message: UnsafeMutablePointer<ScriptMessage>

    init(_ message: UnsafeMutablePointer<ScriptMessage>) { self.message = message }

    /// The `index`-th value of a name.
    func value(_ name: ByteView, _ index: Int) -> ByteView? {
        guard !name.isEmpty, let headers = message.pointee.headers else { return nil }
        if name[0] == 0x3A || (name.equalsIgnoringCase("host") && message.pointee.request != nil) {
            return index == 0 ? pseudo(name) : nil
        }
        guard let lower = lowered(name) else { return nil }
        var left = index
        var from = 0
        let wanted = HeaderName(lower)
        while let field = headers.pointee.find(wanted, from: from) {
            if left == 0 { return field.pointee.value }
            left -= 1
            from = headers.pointee.index(of: field) + 1
        }
        return nil
    }

    /// A name in lower case, in the interpreter's space; nil: longer than any name.
    func lowered(_ name: ByteView) -> ByteView? {
        guard let space = message.pointee.space, name.count <= Limits.scriptNameBytes else { return nil }
        for at in 0..<name.count { space[at] = asciiLower(name[at]) }
        return ByteView(space, name.count)
    }

    /// The names that iteration meets first; nil behind them.
    private func pseudoName(_ index: Int) -> ByteView? {
        guard message.pointee.request != nil else { return index == 0 ? ":status" : nil }
        switch index {
        case 0: return ":authority"
        case 1: return ":path"
        case 2: return ":method"
        case 3: return ":scheme"
        default: return nil
        }
    }

    private func pseudo(_ name: ByteView) -> ByteView? {
        guard let request = message.pointee.request else {
            return name.equals(":status") ? status : nil
        }
        if name.equals(":path") { return path(request.pointee) }
        if name.equals(":method") { return request.pointee.method }
        if name.equals(":authority") || name.equalsIgnoringCase("host") { return request.pointee.authority }
        if name.equals(":scheme") { return request.pointee.scheme }
        return nil
    }

    private var status: ByteView? {
        guard let space = message.pointee.space else { return nil }
        var left = message.pointee.status
        for at in [2, 1, 0] {
            space[at] = 0x30 + UInt8(left % 10)
            left /= 10
        }
        return ByteView(space, 3)
    }

    /// Path and query in one piece: as they lie in the head where nothing has changed them.
    private func path(_ request: Request) -> ByteView? {
        if request.isConnect { return nil }
        guard request.hasQuery else { return request.path }
        if request.query.start == request.path.end + 1, request.path.end[0] == 0x3F {
            return ByteView(request.path.start, request.path.count + 1 + request.query.count)
        }
        guard let space = message.pointee.space,
            request.path.count + request.query.count < Interpreter.spaceBytes
        else { return nil }
        space.update(from: request.path.start, count: request.path.count)
        space[request.path.count] = 0x3F
        (space + request.path.count + 1).update(from: request.query.start, count: request.query.count)
        return ByteView(space, request.path.count + 1 + request.query.count)
    }

    /// The line at the cursor, pseudo headers first.
    func next(_ cursor: inout Int) -> (name: ByteView, value: ByteView)? {
        guard let headers = message.pointee.headers else { return nil }
        while let name = pseudoName(cursor) {
            cursor += 1
            if let value = pseudo(name) { return (name, value) }
        }
        let pseudoCount = message.pointee.request != nil ? 4 : 1
        while cursor - pseudoCount < headers.pointee.count {
            let field = headers.pointee.fields + (cursor - pseudoCount)
            cursor += 1
            if field.pointee.dropped { continue }
            if message.pointee.request != nil, field.pointee.id == HeaderID.host.rawValue { continue }
            return (field.pointee.name, field.pointee.value)
        }
        return nil
    }
}
