// Loads a script as a worker will: what does not compile, or whose top level fails, is refused with the line
// in the document.
internal import Base
internal import Lua

struct ScriptCheck {
    let context: DocumentContext

    init(_ context: DocumentContext) { self.context = context }

    /// `firstLine` is the code's, `line` where the value begins.
    func check(_ code: String, firstLine: Int, line: Int) {
        let arena = Arena()
        let filter = ScriptFilter(
            name: .empty, document: .empty, file: "script", linesBefore: UInt32(clamping: firstLine - 1),
            code: arena.store(code), port: 0, clearsRouteCache: true)
        guard let interpreter = Interpreter() else { return }
        if let problem = interpreter.add(filter, quietly: true) {
            context.add(
                Finding(
                    .error, Code.scriptBroken, "the script does not load: \(problem.message)",
                    file: context.file, line: problem.line > 0 ? problem.line : line,
                    resource: context.resource, refused: true))
        } else if !interpreter.has(0, .request), !interpreter.has(0, .response) {
            context.warn(
                line, Code.scriptWithoutFunctions,
                "the script defines neither envoy_on_request nor envoy_on_response: it does nothing")
        }
    }
}
