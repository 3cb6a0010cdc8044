// Runs the scripts of a listener for `explain`: the same interpreter and the same order as on live traffic,
// on a head of its own. What needs more than a head (a body, a call) is told and ends there.
public import Base
internal import HTTP
public import Lua

extension ScriptFilter {
    /// Frozen, its texts in `arena`.
    public init(_ model: ScriptModel, _ arena: Arena) {
        self.init(
            name: arena.store(model.name), document: arena.store(model.source.document),
            file: arena.store(model.source.file), linesBefore: UInt32(clamping: model.source.line - 1),
            code: arena.store(model.code), port: model.port, clearsRouteCache: model.clearsRouteCache)
    }
}

/// The scripts of one explained request.
struct ExplainedScripts {
    private let table: UnsafePointer<Table>
    private let listener: UnsafePointer<Listener>
    private let interpreter: Interpreter?
    private let data: UnsafeMutablePointer<Int32>
    private let port: UInt16
    private(set) var told: [Explanation.Script] = []
    /// `respond`: its status.
    private(set) var answer: Int?

    init(_ table: UnsafePointer<Table>, _ listener: UnsafePointer<Listener>, _ authority: ByteView) {
        self.table = table
        self.listener = listener
        data = .allocate(capacity: 1)
        data.initialize(to: 0)
        let isOutbound = listener.pointee.role == .outbound
        port = isOutbound ? outboundPort(listener, authority) : 0
        interpreter = listener.pointee.scripts.isEmpty ? nil : try? Interpreter.load(table.pointee.scripts)
    }

    func deallocate() { data.deallocate() }

    var isEmpty: Bool { interpreter == nil }

    /// `envoy_on_request` of each, until one answers itself.
    mutating func run(request: inout Request, _ headers: inout HeaderList) {
        for position in 0..<listener.pointee.scripts.count where answer == nil {
            withUnsafeMutablePointer(to: &headers) { list in
                withUnsafeMutablePointer(to: &request) { request in
                    var message = ScriptMessage(headers: list)
                    message.request = request
                    run(position, .request, &message)
                }
            }
        }
    }

    /// `envoy_on_response` of each, the other way round.
    mutating func run(status: Int, _ headers: inout HeaderList) {
        for position in (0..<listener.pointee.scripts.count).reversed() {
            withUnsafeMutablePointer(to: &headers) { list in
                var message = ScriptMessage(headers: list)
                message.status = status
                run(position, .response, &message)
            }
        }
    }

    private mutating func run(_ position: Int, _ phase: ScriptPhase, _ message: inout ScriptMessage) {
        let filter = listener.pointee.scripts[position].pointee
        let number = listener.pointee.firstScript + position
        guard let interpreter, interpreter.has(number, phase), filter.port == 0 || filter.port == port
        else { return }
        message.filter = filter
        message.factContext = UnsafeRawPointer(table)
        message.hasCluster = { table, name, count in
            guard let table = table?.assumingMemoryBound(to: Table.self) else { return 0 }
            return table.pointee.cluster(named: ByteView(name, count)) == nil ? 0 : 1
        }
        let trace = ScriptTrace()
        message.trace = trace
        var waiting: ScriptRun?
        let outcome = withUnsafeMutablePointer(to: &message) {
            interpreter.run(number, phase, $0, data: data, run: &waiting)
        }
        if let waiting { interpreter.cancel(waiting) }
        var script = Explanation.Script(
            document: filter.document.string, name: filter.name.string,
            phase: phase == .request ? "request" : "response", did: trace.lines)
        switch outcome {
        case .done: break
        case .failed: script.error = interpreter.lastError
        case .responded:
            let status = message.answer.value(":status").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
            answer = status ?? 200
            script.did.append("responds with \(answer ?? 200)")
        case .waitsForBody, .waitsForChunk:
            script.did.append("waits for the body: what it does then is not explained")
        case .waitsForCall:
            script.did.append("waits for the answer: what it does then is not explained")
        }
        told.append(script)
    }
}
