// The functions by which the shim reaches a message. None of them touches Lua; what they return is judged
// there.
internal import Base
internal import CLuaJIT

private typealias Context = UnsafeMutableRawPointer
private typealias Message = UnsafeMutablePointer<ScriptMessage>

private func message(_ context: Context?) -> Message {
    context.unsafelyUnwrapped.assumingMemoryBound(to: ScriptMessage.self)
}

func messageHost() -> fl_lua_host {
    fl_lua_host(
        header: { context, name, index, value in
            guard let found = HeaderView(message(context)).value(name.view, index) else { return 0 }
            value?.pointee = found.luaText
            return 1
        },
        next_header: { context, cursor, name, value in
            guard let cursor, let found = HeaderView(message(context)).next(&cursor.pointee) else { return 0 }
            name?.pointee = found.name.luaText
            value?.pointee = found.value.luaText
            return 1
        },
        edit: { context, operation, name, value in
            HeaderEdit(message(context)).apply(operation, name.view, value.view)
        },
        begin_message: { context in message(context).pointee.answer = ScriptAnswer() },
        put_header: { context, name, value in
            message(context).pointee.answer.fields.append(
                (name.view.bytes.map(asciiLower), value.view.bytes))
        },
        put_body: { context, body in message(context).pointee.answer.body = body.view.bytes },
        body: { context in message(context).pointee.body.luaText },
        set_body: { context, body in setBody(message(context), body.view) },
        make_call: { context, call in
            guard let call else { return Int32(FL_LUA_BAD_CALL) }
            return ScriptCall.take(message(context), call.pointee)
        },
        is_key: { key in PublicKey(key.view) != nil ? 1 : 0 },
        verify: { hash, key, signature, data in
            PublicKey(key.view)?.verify(hash.view, signature.view, data.view) ?? Int32(FL_LUA_UNFIT_KEY)
        },
        log: { context, level, text in log(message(context), level, text.view) },
        fact: { context, which, value in
            let own = message(context)
            guard let fact = own.pointee.fact, let space = own.pointee.space else { return 0 }
            let count = fact(own.pointee.factContext, which, space)
            guard count >= 0 else { return 0 }
            value?.pointee = ByteView(space, Int(count)).luaText
            return 1
        },
        clear_route: { context in
            message(context).pointee.clearsRoute = true
            message(context).pointee.trace?.note("clears the route")
        },
        next_answer: { context, cursor, name, value in
            nextAnswer(message(context), cursor, name, value)
        },
        answer_body: { context in
            // As the fields, it stays where it is.
            message(context).pointee.answerBody.withUnsafeBufferPointer {
                fl_lua_text(start: $0.baseAddress, count: $0.count)
            }
        })
}

private func setBody(_ own: Message, _ body: ByteView) -> Int32 {
    guard own.pointee.mayReplaceBody, body.count <= Limits.scriptBodyBytes else { return 0 }
    own.pointee.newBody = body.bytes
    own.pointee.trace?.note("sets a body of \(body.count) bytes")
    // What the script reads from now on.
    own.pointee.newBody?.withUnsafeBufferPointer { bytes in
        own.pointee.body = bytes.baseAddress.map { ByteView($0, bytes.count) } ?? .empty
    }
    return 1
}

private func nextAnswer(
    _ own: Message, _ cursor: UnsafeMutablePointer<Int>?, _ name: UnsafeMutablePointer<fl_lua_text>?,
    _ value: UnsafeMutablePointer<fl_lua_text>?
) -> Int32 {
    guard let cursor, cursor.pointee < own.pointee.answerFields.count else { return 0 }
    // The arrays stay where they are until the message changes.
    own.pointee.answerFields[cursor.pointee].name.withUnsafeBufferPointer { bytes in
        name?.pointee = fl_lua_text(start: bytes.baseAddress, count: bytes.count)
    }
    own.pointee.answerFields[cursor.pointee].value.withUnsafeBufferPointer { bytes in
        value?.pointee = fl_lua_text(start: bytes.baseAddress, count: bytes.count)
    }
    cursor.pointee += 1
    return 1
}

private func log(_ own: Message, _ level: Int32, _ text: ByteView) {
    let level: LogLevel =
        switch Int(level) {
        case 0: .trace
        case 1: .debug
        case 2: .info
        case 3: .warning
        default: .error
        }
    own.pointee.trace?.note("logs \(level.name): \(text.slice(0, min(text.count, 256)).string)")
    guard own.pointee.trace == nil, level.rawValue >= Log.currentLevel.rawValue,
        let rate = own.pointee.logRate, rate.pointee.allows(nowNs: own.pointee.nowNs)
    else { return }
    let place = own.pointee.filter?.document.string ?? "script"
    var line = "\(place): \(text.slice(0, min(text.count, Limits.scriptLogBytes)).string)"
    if rate.pointee.isLast { line += " (scripts said more in this second than is logged)" }
    switch level {
    case .trace: Log.trace(line)
    case .debug: Log.debug(line)
    case .info: Log.info(line)
    case .warning: Log.warning(line)
    case .error, .off: Log.error(line)
    }
}
