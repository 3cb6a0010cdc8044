// Scripts that would stop a worker, take its memory or leave their sandbox.
import Base
import HTTP
import Lua
import Testing

@Suite struct HostileScriptTests {
    /// Runs lines in a request; returns what became of it.
    private func fate(_ lines: String) throws -> String {
        let head = Scripted(path: "/" + String(repeating: "a", count: 20_000))
        let outcome = try head.run("function envoy_on_request(h)\n\(lines)\nend")
        return outcome == .failed ? head.error : "\(outcome)"
    }

    @Test(arguments: [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() pcall(f) f() end f()",
        "local co = coroutine.wrap(function() while true do end end) co()",
        "for i = 1, 1e12 do local t = {} end",
        "local function f() pcall(f) pcall(f) end f()",
        "local function f() xpcall(f, f) f() end f()",
        "local function f() local a, b, c, d, e, g, i, j, k pcall(f) f() end f()",
        "local function f() pcall(string.gsub, 'x', 'x', f) f() end f()",
        "while true do xpcall(error, function() while true do end end) end",
        "local s = string.rep('x', 8e6) while true do local t = string.rep('x', 8e6) end",
    ])
    func endlessLoopsEnd(_ lines: String) throws {
        let fate = try fate(lines)
        #expect(fate.contains("script ran"))
    }

    @Test(arguments: [
        "local s = 'x' while true do s = s .. s end",
        "string.rep('x', 1e9)",
        "('x'):rep(1e9)",
        "local t = {} while true do t[#t + 1] = string.rep('y', 1e6) end",
        "local t = {} for i = 1, 1e6 do t[i] = 'abcdefg' .. i end local s = table.concat(t, ('z'):rep(1e5))",
    ])
    func memoryEnds(_ lines: String) throws {
        let fate = try fate(lines)
        #expect(fate.contains("not enough memory") || fate.contains("script ran"), "\(fate)")
    }

    @Test(arguments: [
        "local function f() return 1 + f() end f()",
        "local function f(x) return (string.gsub('x', 'x', f)) end f()",
        "local f f = function() return coroutine.wrap(f)() end f()",
        "local f f = function() return coroutine.resume(coroutine.create(f)) end f() f()",
        "local function f(a, b) table.sort({3, 2, 1}, f) return a < b end f(1, 2)",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
        "local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) print(t)",
        "local t = setmetatable({}, {__tostring = function(t) print(t) return '' end}) print(t)",
        "local function f() return xpcall(f, f) end f() error('end')",
    ])
    func deepRecursionEnds(_ lines: String) throws {
        // On a thread as small as a worker's.
        let (fate, ended) = try onSmallStack { try self.fate(lines) }
        #expect(ended)
        #expect(!fate.isEmpty)
    }

    @Test(arguments: [
        "local p = h:headers():get(':path') p:find('.-.-.-.-.-b')",
        "local p = h:headers():get(':path') p:match('(a*)(a*)(a*)(a*)b')",
        "local p = h:headers():get(':path') for x in p:gmatch('a-a-a-a-b') do end",
        "local p = h:headers():get(':path') p:gsub('a*a*a*a*b', '')",
    ])
    func patternsThatExplodeEnd(_ lines: String) throws {
        let fate = try fate(lines)
        #expect(fate.contains("too many steps"), "\(fate)")
    }

    @Test(arguments: [
        "os.execute('true')", "os.exit(1)", "os.remove('/tmp/x')", "os.getenv('PATH')",
        "io.open('/etc/passwd')",
        "require('ffi')", "package.loadlib('x', 'y')", "dofile('/etc/passwd')", "loadfile('/etc/passwd')",
        "load(function() end)", "debug.getregistry()", "jit.on()", "newproxy(true)", "string.dump(print)",
        "getfenv(0).io.open('x')", "module('x')",
        "getmetatable(h).__index.respond = nil", "getmetatable('').__index.rep = nil",
        "assert(loadstring('\\27LJ\\2'))()", "assert(getfenv(0).loadstring('\\27LJ\\2'))()",
        "setmetatable(getfenv(0), nil).io.open('x')",
    ])
    func nothingLeadsOutside(_ lines: String) throws {
        let fate = try fate(lines)
        #expect(fate != "done", "\(lines)")
        #expect(!fate.contains("script ran"))
    }

    /// Errors while an error is told, and waiting where C stands in between: the run ends, nothing else does.
    @Test(arguments: [
        "error(setmetatable({}, {__tostring = function() error('again') end}))", "error(nil)", "error({})",
        "error(error)", "xpcall(function() error('a') end, function() error('b') end) error('c')",
        "pcall(coroutine.yield, 1)", "coroutine.yield(h)", "('x'):gsub('x', function() h:body() end)",
        "table.sort({2, 1}, function() h:body() return true end)",
        "coroutine.wrap(function() h:body() end)()", "string.format('%99999999d', 1)",
        "string.format(('%s'):rep(100000), h)",
        "for i = 1, 300 do h = setmetatable({}, {__index = h}) end h:x()",
        "local t = {} for i = 1, 1e6 do t[i] = coroutine.create(function() end) end",
        "local t = {} for i = 1, 1e5 do t[i] = h:headers() end error('kept ' .. #t)",
    ])
    func whatEndsARunEndsNothingElse(_ lines: String) throws {
        #expect(try fate(lines) != "done")
        #expect(try fate("return 1") == "done")
    }

    @Test func waitingInsideOfPcallGoesOn() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted(method: "POST")
        let code = """
            function envoy_on_request(h)
              local ok, body = pcall(h.body, h)
              h:headers():add("x-body", tostring(ok) .. body:length())
              error("behind it")
            end
            """
        #expect(interpreter.add(head.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(head.run(interpreter, run: &waiting) == .waitsForBody)
        head.message.pointee.body = "hello"
        #expect(interpreter.resume(try #require(waiting), head.message, given: true) == .failed)
        #expect(head.values("x-body") == ["true5"])
    }

    @Test func anInterpreterSurvivesItsScripts() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted(path: "/?bad=1")
        let code = """
            function envoy_on_request(h)
              local p = h:headers():get(":path")
              if p:find("loop") then while true do end end
              if p:find("memory") then local s = "x" while true do s = s .. s end end
              if p:find("error") then error({}) end
              if p:find("yield") then coroutine.yield(1) end
              h:headers():replace("x-ok", "1")
            end
            """
        #expect(interpreter.add(head.filter(code)) == nil)
        for round in 0..<20 {
            for what in ["loop", "memory", "error", "yield", "fine"] {
                let head = Scripted(path: "/\(what)")
                var waiting: ScriptRun?
                let outcome = head.run(interpreter, run: &waiting)
                #expect(outcome == (what == "fine" ? .done : .failed), "\(what) in round \(round)")
            }
        }
        #expect(interpreter.memoryBytes < 4 << 20)
    }

    @Test func scriptsThatDoNotLoadSayWhere() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted()
        func problem(_ code: String) -> ScriptProblem? { interpreter.add(head.filter(code)) }
        #expect(problem("function f()\n  local x = = 1\nend")?.line == 12)
        #expect(problem("local x = nil\n\nx.y = 1")?.line == 13)
        #expect(problem("while true do end")?.message.contains("script ran") == true)
        #expect(problem("\u{1B}LJ\u{2}")?.line == 11)
        #expect(problem("local s = 'x' while true do s = s .. s end")?.message.isEmpty == false)
        #expect(problem("x = 1") == nil)
    }

    @Test func aMillionBytesOfScriptLoad() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted()
        let line = "x = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n"
        var code = String(repeating: line, count: (Limits.scriptBytes - 100) / line.utf8.count)
        code += "function envoy_on_request(h) h:headers():add('x-big', '1') end"
        #expect(interpreter.add(head.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(head.run(interpreter, run: &waiting) == .done)
        #expect(head.values("x-big") == ["1"])
    }

    @Test func manyHeadersHaveABound() throws {
        let head = Scripted()
        let outcome = try head.run(
            "function envoy_on_request(h) for i = 1, 1e5 do h:headers():add('x-' .. i, 'v') end end")
        #expect(outcome == .failed)
        #expect(head.error.contains("no room"))
        #expect(!head.headers.pointee.overflowed)
    }
}
