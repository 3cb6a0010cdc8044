// The ring of ticket keys: a fresh key each hour, old ones open tickets for as long as those are good.
import Base
import Testing

@testable import TLS

@Suite struct TicketKeysTests {
    @Test func keysChangeAndGo() throws {
        var keys = TicketKeys()
        let start: UInt64 = 1_000
        let made = keys.current(start)
        let first = try #require(made)
        let same = keys.current(start + Limits.ticketKeySeconds - 1)
        #expect(same?.name == first.name)
        #expect(keys.find(first.name, start)?.isCurrent == true)
        // A ticket of a key that is due gets replaced, even if no other key is there yet.
        let due = start + Limits.ticketKeySeconds
        #expect(keys.find(first.name, due)?.isCurrent == false)
        let next = keys.current(due)
        let second = try #require(next)
        #expect(second.name != first.name && second.cipher != first.cipher && second.mac != first.mac)
        #expect(keys.find(first.name, due)?.isCurrent == false)
        #expect(keys.find(first.name, due)?.key.cipher == first.cipher)
        #expect(keys.find(second.name, due)?.isCurrent == true)
        #expect(keys.find([UInt8](repeating: 1, count: 16), due) == nil)
        let last = due + Limits.ticketSeconds
        #expect(keys.find(first.name, last - 1) != nil && keys.find(first.name, last) == nil)
        // Gone when no ticket of it can be good any more; a steady stream keeps a bounded number.
        var now = due
        while now < start + Limits.ticketSeconds + 3 * Limits.ticketKeySeconds {
            now += Limits.ticketKeySeconds
            _ = keys.current(now)
        }
        #expect(keys.find(first.name, now) == nil)
        #expect(keys.count <= Int(Limits.ticketSeconds / Limits.ticketKeySeconds) + 2)
    }
}
