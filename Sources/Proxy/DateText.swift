// The `date` field's value (RFC 9110 5.6.7), written anew once a second at most.
internal import Base
internal import CLinux

struct DateText: ~Copyable {
    static let count = 29
    private let bytes: UnsafeMutablePointer<UInt8>
    private var second: UInt64 = 0

    init() { bytes = .allocate(capacity: Self.count) }
    deinit { bytes.deallocate() }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`; holds until the next call.
    mutating func view(realtimeNs: UInt64) -> ByteView {
        let now = realtimeNs / 1_000_000_000
        if now != second {
            second = now
            write(UTCTime(nanoseconds: realtimeNs), weekday: Int(now / 86_400 + 4) % 7)
        }
        return ByteView(bytes, Self.count)
    }

    private func write(_ time: UTCTime, weekday: Int) {
        let days: StaticString = "SunMonTueWedThuFriSat"
        let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
        let pattern: StaticString = "xxx, 00 xxx 0000 00:00:00 GMT"
        memcpy(bytes, pattern.utf8Start, Self.count)
        memcpy(bytes, days.utf8Start + 3 * weekday, 3)
        memcpy(bytes + 8, months.utf8Start + 3 * (time.month - 1), 3)
        two(time.day, 5)
        two(time.year / 100, 12)
        two(time.year % 100, 14)
        two(time.hour, 17)
        two(time.minute, 20)
        two(time.second, 23)
    }

    private func two(_ value: Int, _ at: Int) {
        bytes[at] = 0x30 + UInt8(truncatingIfNeeded: value / 10)
        bytes[at + 1] = 0x30 + UInt8(truncatingIfNeeded: value % 10)
    }
}
