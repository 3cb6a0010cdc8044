// `httpCall` as a script wrote it: judged before the script goes on, so that what cannot be sent is an error
// at its line.
internal import Base
internal import CLuaJIT

public struct ScriptCall {
    /// Name of the cluster, `outbound|80||host`.
    public var cluster: [UInt8]
    public var method: [UInt8]
    public var authority: [UInt8]
    public var path: [UInt8]
    /// Names in lower case; nothing that speaks of framing.
    public var fields: [(name: [UInt8], value: [UInt8])] = []
    public var body: [UInt8] = []
    /// Milliseconds; 0: none of its own.
    public var timeoutMs: UInt64
    /// Nobody waits for the answer.
    public var isAsynchronous: Bool
    public var sendsForwardedFor: Bool

    /// Makes a call of what was put into the message's answer; returns one of the shim's results.
    static func take(_ message: UnsafeMutablePointer<ScriptMessage>, _ wish: fl_lua_http_call) -> Int32 {
        let put = message.pointee.answer
        message.pointee.answer = ScriptAnswer()
        guard let known = message.pointee.hasCluster, let name = wish.cluster.start,
            known(message.pointee.factContext, UnsafeMutablePointer(mutating: name), wish.cluster.count) != 0
        else { return Int32(FL_LUA_NO_CLUSTER) }
        guard let method = put.value(":method"), let path = put.value(":path"),
            let authority = put.value(":authority")
        else { return Int32(FL_LUA_BAD_CALL) }
        var call = ScriptCall(
            cluster: wish.cluster.view.bytes, method: method, authority: authority, path: path,
            timeoutMs: wish.timeout_ms, isAsynchronous: wish.asynchronous != 0,
            sendsForwardedFor: wish.sends_forwarded_for != 0)
        call.body = put.body ?? []
        guard call.takeFields(put.fields) else { return Int32(FL_LUA_BAD_CALL) }
        guard call.body.count <= Limits.scriptBodyBytes, call.headBytes <= Limits.scriptCallHeadBytes else {
            return Int32(FL_LUA_LONG_CALL)
        }
        message.pointee.trace?.note(
            "calls \(wish.cluster.view.string): \(call.text(method)) \(call.text(path))")
        message.pointee.calls.append(call)
        return Int32(FL_LUA_CALLED)
    }

    /// False: something in it would not stay one request.
    private mutating func takeFields(_ put: [(name: [UInt8], value: [UInt8])]) -> Bool {
        let isWhole =
            view(method) { HeaderEdit.isName($0) && $0.count <= Limits.methodBytes && !$0.equals("CONNECT") }
            && view(path) { !$0.isEmpty && $0[0] == 0x2F && HeaderEdit.isGraphic($0) }
            && view(authority) { !$0.isEmpty && HeaderEdit.isGraphic($0) && HeaderEdit.isAuthority($0) }
        guard isWhole else { return false }
        for (name, value) in put {
            // Other pseudo headers are the transport's.
            if name.first == 0x3A { continue }
            let fits = view(name) { name in
                HeaderEdit.isName(name) && view(value) { HeaderEdit.isValue($0) }
            }
            if !fits { return false }
            let isOurs = view(name) { ScriptNames.areFraming($0) || $0.equals("host") || $0.equals("expect") }
            if !isOurs { fields.append((name, value)) }
        }
        return true
    }

    /// Bytes of the head's text, but for what the proxy adds.
    public var headBytes: Int {
        fields.reduce(method.count + path.count + authority.count) { $0 + $1.name.count + $1.value.count + 4 }
    }

    private func view(_ bytes: [UInt8], _ judge: (ByteView) -> Bool) -> Bool {
        bytes.withUnsafeBufferPointer { judge($0.baseAddress.map { ByteView($0, bytes.count) } ?? .empty) }
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(256), as: UTF8.self) }
}
