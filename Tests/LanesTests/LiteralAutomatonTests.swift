// The automaton finds what a naive search finds, every occurrence of every literal.
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct LiteralAutomatonTests {
    struct Hit: Hashable {
        var end: Int
        var rule: UInt32
    }

    private func build(_ literals: [[UInt8]], _ arena: Arena) -> UnsafePointer<LiteralAutomaton> {
        var builder = LiteralAutomatonBuilder(literals)
        for (rule, literal) in literals.enumerated() {
            let added = builder.add(
                literal,
                LiteralEntry(
                    rule: UInt32(rule), length: UInt16(literal.count), left: .any, right: .any,
                    proof: .always))
            #expect(added)
        }
        return UnsafePointer(arena.store(builder.build(arena)))
    }

    private func found(_ automaton: UnsafePointer<LiteralAutomaton>, _ value: [UInt8]) -> [Hit] {
        view(value) { value in
            var hits: [Hit] = []
            var cursor = LiteralAutomaton.Cursor()
            while LiteralAutomaton.advance(automaton, &cursor, value) {
                var row = cursor.row
                while row != 0 {
                    let output = automaton.pointee.output(row)
                    for index in 0..<output.pointee.entries.count {
                        hits.append(
                            Hit(end: cursor.at, rule: output.pointee.entries[index].pointee.rule))
                    }
                    row = output.pointee.next
                }
            }
            return hits
        }
    }

    private func naive(_ literals: [[UInt8]], _ value: [UInt8]) -> [Hit] {
        var hits: [Hit] = []
        for end in stride(from: 1, through: value.count, by: 1) {
            for (rule, literal) in literals.enumerated()
            where end >= literal.count && Array(value[(end - literal.count)..<end]) == literal {
                hits.append(Hit(end: end, rule: UInt32(rule)))
            }
        }
        return hits
    }

    @Test func findsWhatANaiveSearchFinds() {
        var random = SeededRandom()
        for _ in 0..<400 {
            let alphabet = random.pick(["ab", "abc", "a", "xyz-0123", "é\u{1}ab"])
            let literals = (0..<random.int(1...12)).map { _ in
                Array(random.text(random.int(1...5), of: alphabet).utf8)
            }
            let arena = Arena()
            let automaton = build(literals, arena)
            for _ in 0..<10 {
                let value = Array(random.text(random.int(0...30), of: alphabet + "q").utf8)
                let hits = found(automaton, value)
                #expect(hits.count == Set(hits).count)
                #expect(Set(hits) == Set(naive(literals, value)))
            }
        }
    }

    @Test func lettersBeyondItsClassesEndAMatch() {
        let arena = Arena()
        let automaton = build([Array("ab".utf8)], arena)
        #expect(found(automaton, Array("a b ab aab".utf8)).count == 2)
    }

    @Test func refusesWhatPassesItsBound() {
        var builder = LiteralAutomatonBuilder([Array(0...255)])
        let entry = LiteralEntry(
            rule: 0, length: 1, left: .any, right: .any, proof: .always)
        let addedByte = builder.add([1], entry)
        #expect(!addedByte, "256 distinct bytes leave no class for the others")
        var long = LiteralAutomatonBuilder([Array("ab".utf8)])
        let addedLong = long.add([UInt8](repeating: 0x61, count: 70_000), entry)
        let addedEmpty = long.add([], entry)
        #expect(!addedLong)
        #expect(!addedEmpty)
    }
}
