// Calendar time against glibc's, and RFC 3339 texts.
import Base
import CLinux
import TestSupport
import Testing

@Suite struct UTCTimes {
    /// gmtime_r as the reference.
    private func expected(_ seconds: UInt64) -> UTCTime {
        var instant = time_t(seconds)
        var fields = tm()
        gmtime_r(&instant, &fields)
        var time = UTCTime(nanoseconds: 0)
        time.year = Int(fields.tm_year) + 1_900
        time.month = Int(fields.tm_mon) + 1
        time.day = Int(fields.tm_mday)
        time.hour = Int(fields.tm_hour)
        time.minute = Int(fields.tm_min)
        time.second = Int(fields.tm_sec)
        return time
    }

    private func check(_ seconds: UInt64) {
        let time = UTCTime(nanoseconds: seconds * 1_000_000_000)
        #expect(time == expected(seconds))
        #expect(UTCTime.seconds(rfc3339: time.text) == Int64(seconds))
    }

    @Test func everyDayAroundLeapYears() {
        for day in stride(from: UInt64(0), to: 366 * 5, by: 1) { check(day * 86_400) }
        // 2000 is a leap year, 2100 and 2200 are not, 2400 is.
        for start in [946_684_800, 4_102_444_800, 7_258_118_400, 13_569_465_600] as [UInt64] {
            for day in UInt64(0)..<366 { check(start + day * 86_400 + 86_399) }
        }
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"), (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"), (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (2_147_483_648, "2038-01-19T03:14:08.000Z"), (18_446_744_073, "2554-07-21T23:34:33.000Z"),
        ] as [(UInt64, String)])
    func texts(_ seconds: UInt64, _ text: String) {
        #expect(UTCTime(nanoseconds: seconds * 1_000_000_000).text == text)
        #expect(UTCTime.seconds(rfc3339: text) == Int64(seconds))
    }

    @Test func milliseconds() {
        #expect(UTCTime(nanoseconds: 1_999_999).millisecond == 1)
        #expect(UTCTime(nanoseconds: 999_999_999).text == "1970-01-01T00:00:00.999Z")
        #expect(UTCTime(nanoseconds: 1_005_000_000).text == "1970-01-01T00:00:01.005Z")
        #expect(UTCTime(nanoseconds: .max).year == 2_554)
    }

    @Test func randomInstantsRoundTrip() {
        var random = SeededRandom()
        for _ in 0..<5_000 { check(random.next() % 18_446_744_073) }
    }

    @Test(
        arguments: [
            ("2026-01-02T03:04:05Z", 1_767_323_045), ("2026-01-02t03:04:05z", 1_767_323_045),
            ("2026-01-02T03:04:05.123456789Z", 1_767_323_045), ("2026-01-02T05:04:05+02:00", 1_767_323_045),
            ("2026-01-01T21:34:05-05:30", 1_767_323_045), ("1969-12-31T23:59:59Z", -1),
            ("0000-03-01T00:00:00Z", -62_162_035_200), ("0000-02-29T00:00:00Z", -62_162_121_600),
            ("0000-01-01T00:00:00Z", -62_167_219_200), ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
        ] as [(String, Int64)])
    func readable(_ text: String, _ seconds: Int64) { #expect(UTCTime.seconds(rfc3339: text) == seconds) }

    @Test(
        arguments: [
            "", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-13-02T03:04:05Z",
            "2026-00-02T03:04:05Z", "2026-01-00T03:04:05Z", "2026-01-32T03:04:05Z", "2026-02-29T03:04:05Z",
            "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-02T24:04:05Z", "2026-01-02T03:60:05Z",
            "2026-01-02T03:04:61Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.1", "2026-01-02T03:04:05Zx",
            "2026-01-02T03:04:05+0200", "2026-01-02T03:04:05+02:0", "2026-01-02T03:04:05+24:00",
            "2026-01-02T03:04:05+02:60", "2026-01-02T03:04:05+02:00x", "+026-01-02T03:04:05Z",
            "2026/01/02T03:04:05Z", "2026-01-02T03-04-05Z", "2\u{E4}26-01-02T03:04:05Z",
            "2026-1-2T03:04:05.00Z",
        ])
    func unreadable(_ text: String) { #expect(UTCTime.seconds(rfc3339: text) == nil) }

    @Test func hostileRandomTextsNeverCrash() {
        var random = SeededRandom()
        let good = Array("2026-01-02T03:04:05.678+02:00".utf8)
        for _ in 0..<5_000 {
            _ = UTCTime.seconds(rfc3339: String(decoding: random.mutated(good), as: UTF8.self))
        }
    }
}
