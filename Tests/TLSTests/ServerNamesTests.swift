// Server names to servers: exact, longest wildcard, any, none.
import TLS
import Testing

@Suite struct ServerNamesTests {
    private let names = ServerNames([
        ["a.example", "*.b.example"], ["*.example", "B.Example"], ["*.x.b.example"],
    ])

    @Test func exactComesBeforeWildcards() {
        #expect(names.server(for: "a.example") == 0)
        #expect(names.server(for: "b.example") == 1)
        #expect(names.server(for: "A.EXAMPLE.") == 0)
    }

    @Test func theLongestWildcardWins() {
        #expect(names.server(for: "y.b.example") == 0)
        #expect(names.server(for: "z.y.b.example") == 0)
        #expect(names.server(for: "y.x.b.example") == 2)
        #expect(names.server(for: "x.b.example") == 0)
        #expect(names.server(for: "c.example") == 1)
    }

    @Test func whatNoServerIsForHasNone() {
        #expect(names.server(for: "example") == nil)
        #expect(names.server(for: "a.test") == nil)
        #expect(names.server(for: "") == nil)
        #expect(names.server(for: ".") == nil)
    }

    @Test func aServerForAnyNameTakesTheRest() {
        let names = ServerNames([["a.example"], ["*"], ["*"], ["a.example"]])
        #expect(names.server(for: "a.example") == 0)
        #expect(names.server(for: "b.test") == 1)
        #expect(names.server(for: "") == 1)
    }
}
