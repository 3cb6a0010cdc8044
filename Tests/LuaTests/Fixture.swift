// One script on one made-up message.
import Base
import HTTP
import Lua
import Testing

/// A head made of text, and what a script did to it.
final class Scripted {
    let arena = Arena()
    let headers: UnsafeMutablePointer<HeaderList>
    let request: UnsafeMutablePointer<Request>
    let message: UnsafeMutablePointer<ScriptMessage>
    let data: UnsafeMutablePointer<Int32>
    let trace = ScriptTrace()
    let isResponse: Bool
    private var lines: [[UInt8]] = []

    init(
        response: Int? = nil, method: String = "GET", authority: String = "shop.example.com",
        path: String = "/", _ fields: [(String, String)] = []
    ) {
        isResponse = response != nil
        headers = .allocate(capacity: 1)
        headers.initialize(to: HeaderList())
        request = .allocate(capacity: 1)
        request.initialize(to: Request())
        data = .allocate(capacity: 1)
        data.initialize(to: 0)
        message = .allocate(capacity: 1)
        message.initialize(to: ScriptMessage(headers: headers))
        request.pointee.method = arena.store(method)
        request.pointee.authority = arena.store(authority)
        request.pointee.scheme = "http"
        let whole = arena.store(path)
        let mark = whole.firstIndex(of: 0x3F)
        request.pointee.path = whole.slice(0, mark ?? whole.count)
        request.pointee.hasQuery = mark != nil
        if let mark { request.pointee.query = whole.slice(mark + 1, whole.count) }
        for (name, value) in fields {
            headers.pointee.append(HeaderName(arena.store(name)), arena.store(value))
        }
        if let response {
            message.pointee.status = response
        } else {
            message.pointee.request = request
        }
        message.pointee.trace = trace
    }

    deinit {
        headers.pointee.deallocate()
        headers.deallocate()
        request.deallocate()
        message.deinitialize(count: 1)
        message.deallocate()
        data.deallocate()
    }

    func filter(_ code: String) -> ScriptFilter {
        ScriptFilter(
            name: "envoy.lua", document: "EnvoyFilter test/script", file: "test.yaml", linesBefore: 10,
            code: arena.store(code), port: 0, clearsRouteCache: true)
    }

    /// Runs the function for this kind of message; `run` is set where it waits.
    @discardableResult
    func run(_ interpreter: Interpreter, _ position: Int = 0, run: inout ScriptRun?) -> ScriptOutcome {
        message.pointee.filter = filter("")
        return interpreter.run(position, isResponse ? .response : .request, message, data: data, run: &run)
    }

    /// Loads a script and runs it; a script that waits is ended.
    func run(_ code: String) throws -> ScriptOutcome {
        let interpreter = try #require(Interpreter())
        if let problem = interpreter.add(filter(code)) { throw problem }
        var waiting: ScriptRun?
        let outcome = run(interpreter, run: &waiting)
        if let waiting { interpreter.cancel(waiting) }
        error = outcome == .failed ? interpreter.lastError : ""
        return outcome
    }

    /// Of the last run.
    private(set) var error = ""

    /// The values of a name that go on.
    func values(_ name: String) -> [String] {
        (0..<headers.pointee.count).filter {
            !headers.pointee.fields[$0].dropped && headers.pointee.fields[$0].name.string == name
        }.map { headers.pointee.fields[$0].value.string }
    }
}

/// `return EXPRESSION` of a script, as text: by way of a header.
func evaluate(_ expression: String, path: String = "/") throws -> String? {
    let head = Scripted(path: path)
    let code = """
        function envoy_on_request(h)
          h:headers():replace("x-result", tostring((\(expression))))
        end
        """
    let outcome = try head.run(code)
    if outcome != .done { return "\(outcome): \(head.error)" }
    return head.values("x-result").first
}
