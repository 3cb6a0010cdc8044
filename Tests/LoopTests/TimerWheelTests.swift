// The timer wheel against a naive model: deadlines are never early, at most a tick late, and none is lost.
import TestSupport
import Testing

@testable import Loop

/// A wheel with storage of its own and what a plain dictionary knows of its timers.
private final class WheelUnderTest {
    struct Timer {
        var deadlineMs: UInt64
        var setAtMs: UInt64
    }

    private static let tickMs: UInt64 = 32
    private let links: UnsafeMutablePointer<TimerLink>
    private let count: Int
    private var wheel: TimerWheel
    private(set) var timers: [UInt32: Timer] = [:]
    var nowMs: UInt64

    init(count: Int, nowMs: UInt64) {
        self.count = count
        self.nowMs = nowMs
        links = .allocate(capacity: count)
        links.initialize(repeating: TimerLink(), count: count)
        wheel = TimerWheel(nowMs: nowMs)
    }

    deinit { links.deallocate() }

    func set(_ slot: UInt32, _ deadlineMs: UInt64) {
        let links = links
        // As a worker does: most deadlines are moved without the wheel.
        if !links[Int(slot)].postpone(deadlineMs) { wheel.set(slot, deadlineMs) { links + Int($0) } }
        timers[slot] = deadlineMs == 0 ? nil : Timer(deadlineMs: deadlineMs, setAtMs: nowMs)
    }

    func remove(_ slot: UInt32) {
        let links = links
        wheel.remove(slot) { links + Int($0) }
        timers[slot] = nil
        #expect(!links[Int(slot)].isArmed && links[Int(slot)].deadlineMs == 0)
    }

    /// Takes out what has expired and holds it against the model; returns the slots. `looks` bounds a wheel
    /// that runs in a circle.
    @discardableResult
    func expire() -> [UInt32] {
        let links = links
        var looks = 0
        var expired: [UInt32] = []
        while let slot = wheel.nextExpired(
            nowMs: nowMs,
            link: {
                looks += 1
                precondition(looks < 1_000_000, "the wheel runs in a circle")
                return links + Int($0)
            })
        {
            let timer = timers.removeValue(forKey: slot)
            if timer == nil { Issue.record("slot \(slot) has no deadline") }
            if let timer, timer.deadlineMs > nowMs { Issue.record("\(timer.deadlineMs - nowMs) ms early") }
            #expect(links[Int(slot)].deadlineMs == 0)
            expired.append(slot)
        }
        for (slot, timer) in timers where isLate(timer) {
            Issue.record("slot \(slot) of \(timer) is late at \(nowMs)")
        }
        return expired
    }

    private func isLate(_ timer: Timer) -> Bool {
        let dueMs = max(timer.deadlineMs, timer.setAtMs)
        return dueMs < nowMs && dueMs + Self.tickMs <= nowMs
    }

    /// A poll that sleeps as told must not sleep past a deadline by more than the tick.
    func checkSleep(most: UInt64) -> UInt64 {
        let sleepMs = UInt64(wheel.sleepMs(nowMs: nowMs, most: most))
        #expect(sleepMs <= most)
        if let next = timers.values.map({ max($0.deadlineMs, $0.setAtMs) }).min() {
            #expect(next > nowMs + most || nowMs + sleepMs <= max(next, nowMs) + Self.tickMs + 1)
        }
        return sleepMs
    }
}

@Suite struct TimerWheels {
    @Test func nothingArmedNothingExpires() {
        let under = WheelUnderTest(count: 1, nowMs: 12_345)
        #expect(under.expire().isEmpty)
        #expect(under.checkSleep(most: 60_000) == 60_000)
        under.nowMs += 1 << 40
        #expect(under.expire().isEmpty)
    }

    @Test(arguments: [
        0, 1, 31, 32, 33, 63, 64, 1_000, 32_735, 32_736, 32_767, 32_768, 32_769, 65_536, 3_600_000,
    ])
    func oneDeadlineAtEveryMillisecond(_ afterMs: UInt64) {
        for start in [0, 1, 31, 32, 1_000_003] as [UInt64] {
            let under = WheelUnderTest(count: 1, nowMs: start)
            let deadlineMs = max(1, start + afterMs)
            under.set(0, deadlineMs)
            var expired = false
            // Every millisecond near the deadline, coarse steps before.
            while !expired, under.nowMs < deadlineMs + 100 {
                let left = deadlineMs > under.nowMs ? deadlineMs - under.nowMs : 0
                under.nowMs += left > 200 ? 97 : 1
                expired = under.expire() == [0]
            }
            #expect(expired)
        }
    }

    /// A long deadline is looked at again and again, at whatever time the loop wakes.
    @Test(arguments: 0..<96) func aLongDeadlineIsPutOffAtAnyTime(_ offsetMs: UInt64) {
        let under = WheelUnderTest(count: 2, nowMs: 1_000)
        under.set(0, 1_000 + 3_600_000)
        under.set(1, 1_000 + 32_768)
        under.nowMs = 1_000 + 32_704 - 48 + offsetMs
        under.expire()
        under.nowMs += 32_768 + offsetMs
        #expect(under.expire().count <= 1)
        under.nowMs = 1_000 + 3_600_032
        under.expire()
        #expect(under.timers.isEmpty)
    }

    @Test func movingADeadlineEitherWay() {
        let under = WheelUnderTest(count: 1, nowMs: 1_000)
        under.set(0, 5_000)
        under.set(0, 9_000)
        under.set(0, 2_000)
        under.nowMs = 2_040
        #expect(under.expire() == [0])
        under.set(0, 3_000)
        under.set(0, 8_000)
        under.nowMs = 7_999
        #expect(under.expire().isEmpty)
        under.nowMs = 8_032
        #expect(under.expire() == [0])
    }

    @Test func takingADeadlineAway() {
        let under = WheelUnderTest(count: 2, nowMs: 1_000)
        under.set(0, 2_000)
        under.set(0, 0)
        under.set(1, 2_000)
        under.remove(1)
        under.remove(1)
        under.nowMs = 10_000
        #expect(under.expire().isEmpty)
        under.set(1, 10_100)
        under.nowMs = 10_200
        #expect(under.expire() == [1], "a slot is used again")
    }

    /// Removing any one of several timers of one slot of the wheel leaves the others.
    @Test(arguments: 0..<4) func removingFromALine(_ removed: UInt32) {
        let under = WheelUnderTest(count: 4, nowMs: 1_000)
        for slot in UInt32(0)..<4 { under.set(slot, 2_000) }
        under.remove(removed)
        under.nowMs = 2_032
        #expect(under.expire().sorted() == [0, 1, 2, 3].filter { $0 != removed })
    }

    @Test func deadlinesInThePastExpireWithinATick() {
        let under = WheelUnderTest(count: 2, nowMs: 100_000)
        under.set(0, 1)
        under.set(1, 100_000)
        under.nowMs += 32
        #expect(under.expire().count == 2)
    }

    @Test func theFarthestDeadlineIsHarmless() {
        let under = WheelUnderTest(count: 1, nowMs: 1_000)
        under.set(0, .max)
        for _ in 0..<100 {
            under.nowMs += 40_000
            #expect(under.expire().isEmpty)
        }
        #expect(under.checkSleep(most: 1_000) <= 1_000)
    }

    @Test func aSleepOfAnySizeFindsEverything() {
        for sleepMs in [32_767, 32_768, 32_769, 65_536, 100_000, 86_400_000] as [UInt64] {
            let under = WheelUnderTest(count: 500, nowMs: 777)
            for slot in UInt32(0)..<500 { under.set(slot, 777 + UInt64(slot) * 173) }
            under.nowMs += sleepMs
            under.expire()
            // What is left is later, and comes as well.
            under.nowMs += 100_000
            under.expire()
            #expect(under.timers.isEmpty)
        }
    }

    @Test func randomSequencesAgainstTheModel() {
        var random = SeededRandom()
        for _ in 0..<40 {
            let under = WheelUnderTest(count: 60, nowMs: random.next() % 1_000_000)
            for _ in 0..<1_500 {
                let slot = UInt32(random.int(0...59))
                switch random.int(0...9) {
                case 0: under.remove(slot)
                case 1: under.set(slot, 0)
                case 2: under.set(slot, max(1, under.nowMs - min(under.nowMs, UInt64(random.int(0...100)))))
                case 3: under.set(slot, under.nowMs + UInt64(random.int(1...200)))
                case 4: under.set(slot, under.nowMs + UInt64(random.int(1...40_000)))
                case 5: under.set(slot, under.nowMs + UInt64(random.int(30_000...4_000_000)))
                case 6: under.nowMs += UInt64(random.pick([0, 1, 5, 31, 32, 33, 64]))
                case 7: under.nowMs += UInt64(random.int(0...2_000))
                case 8:
                    under.nowMs += UInt64(random.pick([32_735, 32_736, 32_768, 33_000, 70_000, 5_000_000]))
                default: _ = under.checkSleep(most: UInt64(random.pick([1, 100, 1_000, 60_000])))
                }
                // A loop may set deadlines with a clock that is ahead of the wheel.
                if random.chance(80) { under.expire() }
            }
            under.nowMs += 5_000_000
            under.expire()
            #expect(under.timers.isEmpty)
        }
    }

    /// A loop that sleeps as it is told meets all deadlines with few wake-ups.
    @Test func aLoopThatSleepsAsTold() {
        var random = SeededRandom()
        for _ in 0..<20 {
            let under = WheelUnderTest(count: 30, nowMs: random.next() % 100_000)
            for slot in UInt32(0)..<30 { under.set(slot, under.nowMs + UInt64(random.int(1...400_000))) }
            var wakeUps = 0
            while !under.timers.isEmpty, wakeUps < 5_000 {
                under.nowMs += max(1, under.checkSleep(most: 60_000))
                under.expire()
                wakeUps += 1
            }
            #expect(under.timers.isEmpty && wakeUps < 30 * 16, "\(wakeUps) wake-ups")
        }
    }
}
