// Lua's patterns as the reference manual has them: our matcher replaces LuaJIT's.
import Testing

@Suite struct PatternTests {
    @Test(arguments: [
        ("('hello world'):find('wor')", "7"), ("('a.b'):find('.', 1, true)", "2"),
        ("('hello'):match('l+')", "ll"), ("('key=value'):match('^(%w+)=(%w+)$')", "key"),
        ("select(2, ('key=value'):match('^(%w+)=(%w+)$'))", "value"),
        ("('  trim  '):match('^%s*(.-)%s*$')", "trim"), ("('abc'):match('()b()')", "2"),
        ("select(2, ('abc'):match('()b()'))", "3"), ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
        ("('THE (quick) fox'):find('%((%a+)%)')", "5"), ("('abc'):match('x?b')", "b"),
        ("('[[]]'):match('[]]+')", "]]"), ("('a-b'):match('[a%-]+')", "a-"),
        ("('x^y'):match('[x^]+')", "x^"), ("('abc123'):match('[^%d]+')", "abc"),
        ("('THE (quick) fox'):gsub('%f[%a]%a+', 'w')", "w (w) w"),
        ("('hello'):gsub('l', {l = 'L'})", "heLLo"), ("('hello'):gsub('', '-')", "-h-e-l-l-o-"),
        ("('hello world'):gsub('(%w+) (%w+)', '%2 %1')", "world hello"),
        ("('abc'):gsub('%w', '%0%0', 2)", "aabbc"), ("('100%'):gsub('%%', '%%')", "100%"),
        ("('abc'):gsub('b', function() return nil end)", "abc"), ("select(2, ('banana'):gsub('a', ''))", "3"),
        ("('\"a\" \"a\"'):match('([\"]).-%1')", "\""), ("('abc'):find('c', -1)", "3"),
        ("('abc'):match('a', 5)", "nil"), ("('x'):match('%z')", "nil"),
        ("('a\\0b'):match('a%z(b)')", "b"), ("('aXb'):match('%u')", "X"), ("('aXb'):match('%U+')", "a"),
        ("('abab'):match('^(ab)%1$')", "ab"), ("('a,b,,c'):match(',,(.)')", "c"),
    ])
    func agreesWithTheManual(_ expression: String, _ wanted: String) throws {
        #expect(try evaluate("(\(expression))") == wanted, "\(expression)")
    }

    @Test func gmatchMeetsAll() throws {
        let words = """
            (function() local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t+1] = k..v end
            return table.concat(t, ' ') end)()
            """
        #expect(try evaluate(words) == "a1 b2")
        let empty = "(function() local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end return n end)()"
        #expect(try evaluate(empty) == "4")
    }

    @Test(arguments: ["'%'", "'['", "'(a'", "'a)'", "'%b'", "'%f'", "'%1'", "'[%'", "'[a'", "'%ba'", "'(()'"])
    func brokenPatternsAreErrors(_ pattern: String) throws {
        #expect(try evaluate("('aaa'):match(\(pattern))")?.hasPrefix("failed") == true)
    }
}
