// Names to addresses without leaving this machine: literal addresses, /etc/hosts, and a scripted server.
import Base
import TestSupport
import Testing

@testable import Loop

@Suite struct Resolving {
    private func resolver(_ server: ScriptedDNS) throws -> Resolver {
        try #require(Resolver(servers: [SocketAddress(ipv4: 0x7F00_0001, port: server.port)]))
    }

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

    /// The final dot keeps this machine's search domains out of it.
    private func texts(_ resolver: Resolver, _ name: String) throws -> [String] {
        try ask(resolver, name + ".", port: 80).map(\.text)
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

    /// Names that are asked of no server.
    @Test(arguments: ["", "a..b", "a b", "localhost\0.example", "\u{1}", "\u{e4}.test"])
    func namesThatCannotBe(_ name: String) throws {
        let server = try ScriptedDNS()
        defer { server.stop() }
        let resolver = try resolver(server)
        #expect(try ask(resolver, name.isEmpty ? String(repeating: "a", count: 64) : name).isEmpty)
        #expect(server.questions.isEmpty)
        #expect(!(try ask(resolver, "localhost")).isEmpty, "the next is answered")
        resolver.stop()
    }

    @Test func answersOfAServer() throws {
        let server = try ScriptedDNS([
            "four.test": .addresses(["10.0.0.1", "10.0.0.2"], ttl: 60),
            "both.test": .addresses(["fd00::1", "10.0.0.3"], ttl: 60),
            "six.test": .addresses(["fd00::2"], ttl: 60),
            "alias.test": .alias("four.test", ttl: 60),
            "nothing.test": .addresses([], ttl: 60),
            "broken.test": .serverFailure,
            "large.test": .onlyByTCP((1...200).map { "10.1.0.\($0)" }, ttl: 60),
        ])
        defer { server.stop() }
        let resolver = try resolver(server)
        defer { resolver.stop() }
        #expect(Set(try texts(resolver, "four.test")) == ["10.0.0.1:80", "10.0.0.2:80"])
        #expect(try texts(resolver, "both.test") == ["10.0.0.3:80"], "IPv4 where there is some")
        #expect(try texts(resolver, "six.test") == ["[fd00::2]:80"])
        #expect(Set(try texts(resolver, "alias.test")) == ["10.0.0.1:80", "10.0.0.2:80"])
        #expect(try texts(resolver, "nothing.test").isEmpty)
        #expect(try texts(resolver, "missing.test").isEmpty)
        #expect(try texts(resolver, "broken.test").isEmpty)
        #expect(try texts(resolver, "large.test").count == 200)
        #expect(server.questions.contains { $0.name == "large.test" && $0.byTCP })
        #expect(try texts(resolver, "FOUR.test").count == 2)
        #expect(resolver.stats.resolved == 5, "remembered")
        #expect(resolver.stats.resolved == 5 && resolver.stats.absent == 2 && resolver.stats.failed == 1)
    }

    /// An alias may hold for less long than what it stands for.
    @Test func timesToLive() throws {
        let server = try ScriptedDNS([
            "four.test": .addresses(["10.0.0.1"], ttl: 300), "alias.test": .alias("four.test", ttl: 20),
        ])
        defer { server.stop() }
        let resolver = try resolver(server)
        defer { resolver.stop() }
        let names: Set = ["four.test.", "alias.test.", "localhost"]
        resolver.watch(names)
        resolver.settle(names, withinMs: 60_000)
        #expect(resolver.state("four.test.").ttlMs == 300_000)
        #expect(resolver.state("alias.test.").ttlMs == 20_000)
        #expect(resolver.state("localhost").ttlMs == Limits.resolverUnknownTTLMs)
        #expect(resolver.stats.watched == 3)
    }

    /// Watched names follow the server, keep what they had while it fails, and lose what it takes back.
    @Test func watchedNamesFollowTheServer() throws {
        let server = try ScriptedDNS(["a.test": .addresses(["10.0.0.1"], ttl: 1)])
        defer { server.stop() }
        let resolver = try resolver(server)
        defer { resolver.stop() }
        let changes = try #require(Mailbox<Set<String>>())
        resolver.whenChanged { changes.post($0) }
        resolver.watch(["a.test."])
        func addresses() -> [String] { resolver.state("a.test.").addresses.map(\.text) }
        try waitUntil("the first answer") { addresses() == ["10.0.0.1:0"] }
        server.set("a.test", .addresses(["10.0.0.2", "10.0.0.3"], ttl: 1))
        try waitUntil("the second") { Set(addresses()) == ["10.0.0.2:0", "10.0.0.3:0"] }
        server.set("a.test", .serverFailure)
        try waitUntil("a failure") { resolver.state("a.test.").status == .failing }
        #expect(addresses().count == 2)
        server.set("a.test", .noSuchName)
        try waitUntil("the end") { resolver.state("a.test.").status == .absent }
        #expect(addresses() == [])
        var told: [Set<String>] = []
        try waitUntil("three changes") {
            told += changes.take()
            return told.count >= 3
        }
        #expect(told == [["a.test."], ["a.test."], ["a.test."]])
    }

    /// Without an answer the wait ends all the same, with what there is.
    @Test func settlingHasABound() throws {
        let server = try ScriptedDNS(["quiet.test": .silence, "good.test": .addresses(["10.0.0.1"], ttl: 9)])
        defer { server.stop() }
        let resolver = try resolver(server)
        defer { resolver.stop() }
        resolver.watch(["quiet.test.", "good.test."])
        resolver.settle(["good.test."], withinMs: 60_000)
        #expect(resolver.state("good.test.").status == .resolved)
        resolver.settle(["quiet.test.", "good.test."], withinMs: 20)
        #expect(resolver.state("quiet.test.").status != .resolved)
        resolver.settle(["quiet.test."], withinMs: 60_000)
        #expect(resolver.state("quiet.test.").failure == .timeout, "a question has its own bound")
    }

    @Test func nonsenseIsNoAnswer() throws {
        let server = try ScriptedDNS(["bad.test": .nonsense])
        defer { server.stop() }
        let resolver = try resolver(server)
        defer { resolver.stop() }
        #expect(try texts(resolver, "bad.test").isEmpty)
    }

    @Test func aServerThatIsNotThere() throws {
        let port = try freeLoopbackPort()
        let resolver = try #require(Resolver(servers: [SocketAddress(ipv4: 0x7F00_0001, port: port)]))
        defer { resolver.stop() }
        #expect(try texts(resolver, "a.test").isEmpty)
        #expect(resolver.state("a.test.").status == .failing)
    }

    @Test func afterStopEverybodyGetsNone() throws {
        let resolver = try #require(Resolver())
        resolver.stop()
        #expect(try ask(resolver, "localhost").isEmpty)
        resolver.stop()
    }

    /// Each question is answered exactly once, whenever the resolver is stopped or let go.
    @Test func everyQuestionIsAnsweredOnce() throws {
        let server = try ScriptedDNS(["quiet.test": .silence])
        defer { server.stop() }
        for letGo in [false, true] {
            let questions = 200
            let box = try #require(Mailbox<Int>())
            var resolver: Resolver? = try self.resolver(server)
            for number in 0..<questions {
                let name = number.isMultiple(of: 2) ? "localhost" : "quiet.test."
                resolver?.resolve(name, port: 1) { _ in box.post(number) }
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
        let server = try ScriptedDNS(["quiet.test": .silence])
        defer { server.stop() }
        let resolver = try resolver(server)
        let box = try #require(Mailbox<Bool>())
        for _ in 0..<Limits.resolverQuestions + 5 {
            resolver.resolve("quiet.test.", port: 1) { box.post($0.isEmpty) }
        }
        #expect(box.take().count >= 5, "refused at once")
        resolver.stop()
        #expect(try ask(resolver, "localhost").isEmpty)
    }
}
