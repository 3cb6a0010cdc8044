// One LuaJIT interpreter with all scripts of a configuration. Made by the control thread, handed to a worker,
// which alone uses it from then on: nothing in it is shared.
public import Base
internal import CLuaJIT

/// What is wrong with a script.
public struct ScriptProblem: Error, Equatable {
    /// Without the place.
    public var message: String
    /// Line of the file, from 1; 0: not known.
    public var line: Int

    /// Takes `name:27: message` apart.
    init(_ text: String) {
        message = text
        line = 0
        let pieces = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard pieces.count == 3, let number = Int(pieces[1]) else { return }
        line = number
        message = String(pieces[2].drop { $0 == " " })
    }
}

public final class Interpreter: Sendable {
    /// Used by one thread at a time.
    nonisolated(unsafe) private let lua: OpaquePointer
    /// Where texts are put together for scripts: a path with its query, a name in lower case.
    nonisolated(unsafe) let space: UnsafeMutablePointer<UInt8>
    nonisolated(unsafe) let logRate: UnsafeMutablePointer<LogRate>

    static let spaceBytes = 2 * Limits.targetBytes + 2

    /// nil: no memory.
    public init?() {
        var limits = fl_lua_limits(
            memory: Limits.scriptMemoryBytes, instructions: Limits.scriptInstructions,
            milliseconds: Limits.scriptMs, pattern_steps: Limits.scriptPatternSteps,
            stack: Limits.scriptStackBytes, calls: Limits.scriptRunCalls)
        guard let lua = fl_lua_new(&limits, Self.host) else { return nil }
        self.lua = lua
        space = .allocate(capacity: Self.spaceBytes)
        logRate = .allocate(capacity: 1)
        logRate.initialize(to: LogRate())
    }

    deinit {
        fl_lua_free(lua)
        space.deallocate()
        logRate.deallocate()
    }

    /// The functions by which scripts reach their message: one table for the process, in C memory because
    /// the shim keeps its address.
    nonisolated(unsafe) private static let host: UnsafePointer<fl_lua_host> = {
        let place = UnsafeMutablePointer<fl_lua_host>.allocate(capacity: 1)
        place.initialize(to: messageHost())
        return UnsafePointer(place)
    }()

    /// An interpreter with all of `filters`, in their order. Throws the first problem and the position of
    /// its filter.
    public static func load(
        _ filters: Frozen<ScriptFilter>
    ) throws(ScriptLoadError) -> Interpreter {
        guard let made = Interpreter() else {
            throw ScriptLoadError(position: 0, problem: ScriptProblem("no memory"))
        }
        for position in 0..<filters.count {
            if let problem = made.add(filters[position].pointee) {
                throw ScriptLoadError(position: position, problem: problem)
            }
        }
        return made
    }

    /// Compiles a script and runs its top level; nil: all is well. `quietly`: what it logs is thrown away.
    public func add(_ filter: ScriptFilter, quietly: Bool = false) -> ScriptProblem? {
        let name = filter.file.string.split(separator: "/").last.map(String.init) ?? ""
        // A colon would be taken for the one before the line number.
        let chunk = name.isEmpty ? "script" : String(name.suffix(40).map { $0 == ":" ? "_" : $0 })
        var message = ScriptMessage(headers: nil)
        message.filter = filter
        message.space = space
        message.logRate = logRate
        if quietly { message.trace = ScriptTrace() }
        let number = withUnsafeMutablePointer(to: &message) {
            fl_lua_load(lua, filter.code.luaText, chunk, filter.linesBefore, $0)
        }
        return number < 0 ? ScriptProblem(lastError) : nil
    }

    /// The text of the last failure: `FILE:LINE: what`.
    public var lastError: String { String(cString: fl_lua_error(lua)) }

    /// Bytes it holds.
    public var memoryBytes: Int { fl_lua_memory(lua) }

    /// Whether a script has a function for this phase.
    public func has(_ position: Int, _ phase: ScriptPhase) -> Bool {
        fl_lua_has(lua, Int32(truncatingIfNeeded: position), phase.rawValue) != 0
    }

    /// Runs a function on a message. `data` is the exchange's own number for what its scripts keep, 0 at
    /// first; `forget` it in the end. A run that waits is left in `run`.
    public func run(
        _ position: Int, _ phase: ScriptPhase, _ message: UnsafeMutablePointer<ScriptMessage>,
        data: UnsafeMutablePointer<Int32>, run: inout ScriptRun?
    ) -> ScriptOutcome {
        prepare(message)
        var call: OpaquePointer?
        let outcome = fl_lua_run(
            lua, Int32(truncatingIfNeeded: position), phase.rawValue, message, data, &call)
        run = call.map { ScriptRun(call: $0) }
        return ScriptOutcome(rawValue: outcome) ?? .failed
    }

    /// Goes on with a run that waited. `given`: what it waited for is there (`message.body`).
    public func resume(
        _ run: ScriptRun, _ message: UnsafeMutablePointer<ScriptMessage>, given: Bool
    ) -> ScriptOutcome {
        prepare(message)
        return ScriptOutcome(rawValue: fl_lua_resume(run.call, message, given ? 1 : 0)) ?? .failed
    }

    private func prepare(_ message: UnsafeMutablePointer<ScriptMessage>) {
        message.pointee.space = space
        message.pointee.logRate = logRate
    }

    /// Ends a run that waits and will not be resumed.
    public func cancel(_ run: ScriptRun) { fl_lua_cancel(run.call) }

    /// The exchange is over.
    public func forget(_ data: Int32) { fl_lua_forget(lua, data) }
}

/// A run that waits. Belongs to its interpreter; `resume` it until it waits no more, or `cancel` it.
public struct ScriptRun: BitwiseCopyable {
    let call: OpaquePointer
}

public struct ScriptLoadError: Error {
    /// Of the filter among those that were loaded.
    public var position: Int
    public var problem: ScriptProblem
}

extension ByteView {
    var luaText: fl_lua_text { fl_lua_text(start: start, count: count) }
}

extension fl_lua_text {
    var view: ByteView { start.map { ByteView($0, count) } ?? .empty }
}
