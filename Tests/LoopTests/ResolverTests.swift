// Names to addresses without leaving this machine.
import Base
import TestSupport
import Testing

@testable import Loop

@Suite struct Resolving {
    /// Asks and waits for the answer.
    private func ask(_ resolver: Resolver, _ name: String, port: UInt16 = 80) throws -> [SocketAddress] {
        let box = try #require(Mailbox<[SocketAddress]>())
        resolver.resolve(name, port: port) { box.post($0) }
        var answer: [[SocketAddress]] = []
        try waitUntil("an answer for \(name)") {
            answer += box.take()
            return !answer.isEmpty
        }
        return answer[0]
    }

    @Test func localNames() throws {
        let resolver = try #require(Resolver())
        let found = try ask(resolver, "localhost", port: 8_080)
        #expect(!found.isEmpty && found.allSatisfy { $0.isLoopback && $0.port == 8_080 })
        #expect(try ask(resolver, "localhost", port: 9).map(\.port) == found.map { _ in 9 }, "remembered")
        resolver.stop()
    }

    @Test func literals() throws {
        let resolver = try #require(Resolver())
        #expect(try ask(resolver, "127.0.0.1", port: 1) == [SocketAddress(ipv4: 0x7F00_0001, port: 1)])
        #expect(
            try ask(resolver, "::1", port: 2) == [SocketAddress(high: 0, low: 1, port: 2, isIPv4: false)])
        resolver.stop()
    }

    /// Names that no resolver takes to the network.
    @Test(arguments: ["", "a..b", "a b", "localhost\0.example", "\u{1}"])
    func namesThatCannotBe(_ name: String) throws {
        let resolver = try #require(Resolver())
        #expect(try ask(resolver, name.isEmpty ? String(repeating: "a", count: 64) : name).isEmpty)
        #expect(!(try ask(resolver, "localhost")).isEmpty, "the next is answered")
        resolver.stop()
    }

    @Test func afterStopEverybodyGetsNone() throws {
        let resolver = try #require(Resolver())
        resolver.stop()
        #expect(try ask(resolver, "localhost").isEmpty)
        resolver.stop()
    }

    /// Each question is answered exactly once, whenever the resolver is stopped or let go.
    @Test func everyQuestionIsAnsweredOnce() throws {
        for letGo in [false, true] {
            let questions = 200
            let box = try #require(Mailbox<Int>())
            var resolver = Resolver()
            for number in 0..<questions {
                resolver?.resolve("127.0.0.1", port: 1) { _ in box.post(number) }
                if number == questions / 2 {
                    if letGo { resolver = nil } else { resolver?.stop() }
                }
            }
            let asked = letGo ? questions / 2 + 1 : questions
            var answers: [Int] = []
            try waitUntil("all answers") {
                answers += box.take()
                return answers.count >= asked
            }
            #expect(Set(answers).count == asked && answers.count == asked)
        }
    }

    @Test func noMoreThanTheBoundWait() throws {
        let resolver = try #require(Resolver())
        let gate = try #require(Mailbox<Int>())
        let box = try #require(Mailbox<Bool>())
        let entered = try #require(Mailbox<Int>())
        resolver.resolve("127.0.0.1", port: 1) { _ in
            entered.post(1)
            try? waitUntil("the gate") { !gate.take().isEmpty }
        }
        try waitUntil("the thread to be busy") { !entered.take().isEmpty }
        for _ in 0..<(Limits.resolverQuestions + 5) {
            resolver.resolve("127.0.0.1", port: 1) { box.post($0.isEmpty) }
        }
        #expect(box.take() == [Bool](repeating: true, count: 5), "refused at once")
        gate.post(1)
        var answers: [Bool] = []
        try waitUntil("the rest") {
            answers += box.take()
            return answers.count == Limits.resolverQuestions
        }
        #expect(!answers.contains(true))
        resolver.stop()
    }
}
