// Letters across threads: none lost, none twice, in order per sender, and a quiet box does not wake anybody.
import TestSupport
import Testing

@testable import Loop

private struct Letter: Sendable {
    var sender: Int
    var number: Int
}

@Suite struct Mailboxes {
    @Test func quietUntilPosted() throws {
        let box = try #require(Mailbox<Int>())
        let poller = try TestPoller(eventsPerTurn: 4)
        #expect(poller.add(reader: box.descriptor, data: 7))
        #expect(poller.wait().isEmpty)
        #expect(box.take().isEmpty)
        box.post(1)
        box.post(2)
        #expect(poller.wait().map { $0.data == 7 && $0.readable } == [true])
        #expect(box.take() == [1, 2])
        #expect(poller.wait().isEmpty)
        box.post(3)
        #expect(poller.wait().count == 1)
        #expect(box.take() == [3])
    }

    @Test func manySenders() throws {
        let senders = 4
        let each = 2_000
        let box = try #require(Mailbox<Letter>())
        let poller = try TestPoller(eventsPerTurn: 4)
        #expect(poller.add(reader: box.descriptor, data: 0))
        let threads = try (0..<senders).map { sender in
            try #require(
                Thread(name: "sender") {
                    for number in 0..<each { box.post(Letter(sender: sender, number: number)) }
                })
        }
        var next = [Int](repeating: 0, count: senders)
        let deadline = Deadline.usual
        while next.reduce(0, +) < senders * each, !deadline.hasPassed {
            guard !poller.wait(1_000).isEmpty else { continue }
            for letter in box.take() {
                #expect(letter.number == next[letter.sender])
                next[letter.sender] += 1
            }
        }
        for thread in threads { thread.join() }
        #expect(next == [Int](repeating: each, count: senders))
        #expect(box.take().isEmpty && poller.wait().isEmpty)
    }

    @Test func lettersAreReleasedWithTheBox() throws {
        final class Probe: Sendable {}
        weak var watched: Probe?
        do {
            let box = try #require(Mailbox<Probe>())
            let probe = Probe()
            watched = probe
            box.post(probe)
        }
        #expect(watched == nil)
    }
}
