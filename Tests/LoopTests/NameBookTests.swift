// When names are asked for and what is remembered, on a clock that the test moves.
import Base
import Synchronization
import Testing

@testable import Loop

private let one = SocketAddress(ipv4: 0x0A00_0001, port: 0)
private let two = SocketAddress(ipv4: 0x0A00_0002, port: 0)

/// What waiters were told.
private final class Heard: Sendable {
    let answers = Mutex<[[SocketAddress]]>([])
    var waiter: NameBook.Waiter { { addresses in self.answers.withLock { $0.append(addresses) } } }
}

/// A book and a clock.
private struct Desk {
    var book = NameBook()
    var nowMs: UInt64 = 1_000

    /// Moves on to the next moment at which something is due, at most so far; the names asked for then.
    mutating func next(within ms: UInt64 = 10_000_000) -> [NameBook.Question] {
        let end = nowMs + ms
        for _ in 0..<10 {
            guard let sleep = book.sleepMs(nowMs: nowMs), nowMs + sleep <= end else { break }
            nowMs += sleep
            let questions = book.questions(nowMs: nowMs)
            if !questions.isEmpty { return questions }
        }
        return []
    }

    @discardableResult
    mutating func answer(_ question: NameBook.Question, _ answer: NameAnswer) -> NameBook.Told {
        let told = book.answer(question.id, answer, nowMs: nowMs)
        for waiter in told.waiters { waiter(told.addresses) }
        return told
    }
}

@Suite struct NameBooks {
    @Test func watchedNamesAreAskedForAgainWhenTheirTimeIsOver() throws {
        var desk = Desk()
        desk.book.watch(["a.test"])
        var question = try #require(desk.next().first)
        #expect(question.name == "a.test" && desk.nowMs == 1_000, "at once")
        #expect(desk.answer(question, .addresses([one], ttlSeconds: 30)).changed == "a.test")
        question = try #require(desk.next().first)
        #expect(desk.nowMs == 31_000)
        #expect(desk.answer(question, .addresses([one], ttlSeconds: 7)).changed == nil, "the same")
        question = try #require(desk.next().first)
        #expect(desk.nowMs == 38_000)
        #expect(desk.answer(question, .addresses([two, one], ttlSeconds: 7)).changed == "a.test")
        #expect(desk.book.state("a.test")?.addresses == [two, one])
    }

    @Test(
        arguments: [
            (nil, Limits.resolverUnknownTTLMs), (1, 1_000), (30, 30_000), (3_600, 3_600_000),
            (86_400, Limits.resolverMostTTLMs), (UInt32.max, Limits.resolverMostTTLMs),
        ] as [(UInt32?, UInt64)])
    func timesToLiveHaveBounds(_ told: UInt32?, _ held: UInt64) throws {
        var desk = Desk()
        desk.book.watch(["a.test"])
        desk.answer(try #require(desk.next().first), .addresses([one], ttlSeconds: told))
        #expect(desk.book.state("a.test")?.ttlMs == held)
        _ = desk.next()
        #expect(desk.nowMs == 1_000 + held)
    }

    /// After failures the old addresses stay, and it is asked again ever less often, then as usual.
    @Test func failuresKeepTheOldAddresses() throws {
        var desk = Desk()
        desk.book.watch(["a.test"])
        desk.answer(try #require(desk.next().first), .addresses([one], ttlSeconds: 10))
        var question = try #require(desk.next().first)
        var pauses: [UInt64] = []
        for _ in 0..<8 {
            #expect(desk.answer(question, .failed(.server)).changed == nil)
            #expect(desk.book.state("a.test")?.addresses == [one])
            #expect(desk.book.state("a.test")?.status == .failing)
            let before = desk.nowMs
            question = try #require(desk.next().first)
            pauses.append(desk.nowMs - before)
        }
        #expect(pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
        #expect(desk.answer(question, .addresses([two], ttlSeconds: 10)).changed == "a.test")
        #expect(desk.book.state("a.test")?.failures == 0)
        question = try #require(desk.next().first)
        let before = desk.nowMs
        desk.answer(question, .failed(.timeout))
        _ = desk.next()
        #expect(desk.nowMs - before == 1_000, "the pauses begin anew")
    }

    /// A server that says there is nothing is believed.
    @Test func namesThatAreGoneHaveNoAddresses() throws {
        var desk = Desk()
        desk.book.watch(["a.test"])
        desk.answer(try #require(desk.next().first), .addresses([one], ttlSeconds: 10))
        let told = desk.answer(try #require(desk.next().first), .absent)
        #expect(told.changed == "a.test" && told.addresses.isEmpty)
        #expect(desk.book.state("a.test")?.status == .absent)
        #expect(try #require(desk.next().first).name == "a.test")
        #expect(desk.nowMs == 12_000, "looked for again soon")
    }

    @Test func questionsWithoutAnswerFail() throws {
        var desk = Desk()
        desk.book.watch(["a.test"])
        let question = try #require(desk.next().first)
        #expect(desk.next(within: Limits.resolverQuestionMs - 1).isEmpty)
        #expect(desk.book.expire(nowMs: 1_000 + Limits.resolverQuestionMs - 1).isEmpty)
        desk.nowMs = 1_000 + Limits.resolverQuestionMs
        #expect(desk.book.expire(nowMs: desk.nowMs).count == 1)
        #expect(desk.book.state("a.test")?.failure == .timeout)
        #expect(desk.answer(question, .addresses([one], ttlSeconds: 1)).changed == nil, "too late")
        #expect(desk.book.state("a.test")?.addresses == [])
        #expect(desk.next().first?.name == "a.test")
    }

    @Test func whoAsksIsToldOnce() throws {
        var desk = Desk()
        let heard = Heard()
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, heard.waiter) == .waits)
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, heard.waiter) == .waits)
        let questions = desk.next()
        #expect(questions.count == 1, "one question for both")
        desk.answer(questions[0], .addresses([one], ttlSeconds: 3))
        #expect(heard.answers.withLock { $0 } == [[one], [one]])
        desk.nowMs += 2_999
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, heard.waiter) == .known([one]))
        #expect(desk.next().isEmpty, "nobody watches it")
        desk.nowMs += 1
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, heard.waiter) == .waits, "too old")
        desk.answer(try #require(desk.next().first), .absent)
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, heard.waiter) == .known([]), "for a while")
        desk.nowMs += Limits.resolverMemoryMs
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, heard.waiter) == .waits)
        #expect(heard.answers.withLock { $0 } == [[one], [one], []])
        #expect(desk.book.close().count == 1)
    }

    @Test func namesThatAreWatchedNoMoreAreLeftAlone() throws {
        var desk = Desk()
        desk.book.watch(["a.test", "b.test"])
        for question in desk.next() { desk.answer(question, .addresses([one], ttlSeconds: 5)) }
        desk.book.watch(["b.test", "c.test"])
        #expect(desk.next().map(\.name) == ["c.test"])
        #expect(desk.next().map(\.name) == ["b.test"])
        #expect(desk.book.watchedCount == 2)
    }

    @Test func boundsHold() throws {
        var desk = Desk()
        let names = (0..<Limits.resolverNames + 10).map { "n\($0).test" }
        desk.book.watch(Set(names))
        #expect(desk.book.count == Limits.resolverNames)
        let first = desk.next()
        #expect(first.count == Limits.resolverInFlight)
        #expect(desk.book.questions(nowMs: desk.nowMs).isEmpty, "no more at a time")
        desk.answer(first[0], .absent)
        #expect(desk.book.questions(nowMs: desk.nowMs).count == 1)
        #expect(desk.book.want("other.test", nowMs: desk.nowMs, { _ in }) == .refused, "no room")
        desk.book.watch([])
        desk = Desk()
        for _ in 0..<Limits.resolverQuestions {
            #expect(desk.book.want("a.test", nowMs: 1, { _ in }) == .waits)
        }
        #expect(desk.book.want("a.test", nowMs: 1, { _ in }) == .refused)
        let many = (0..<1_000).map { SocketAddress(ipv4: UInt32($0), port: 0) }
        desk.answer(try #require(desk.next().first), .addresses(many, ttlSeconds: 1))
        #expect(desk.book.state("a.test")?.addresses.count == Limits.resolverAddresses)
        #expect(desk.book.want("a.test", nowMs: desk.nowMs, { _ in }) != .refused, "they were told")
    }

    /// Names of requests make room for each other.
    @Test func whatNobodyNeedsIsForgotten() throws {
        var desk = Desk()
        for number in 0..<3 * Limits.resolverNames {
            #expect(desk.book.want("n\(number).test", nowMs: desk.nowMs, { _ in }) == .waits)
            let question = try #require(desk.book.questions(nowMs: desk.nowMs).first)
            desk.answer(question, .addresses([one], ttlSeconds: 60))
            if desk.book.count > Limits.resolverNames { Issue.record("more than there is room for") }
        }
    }
}
