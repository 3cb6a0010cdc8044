// The log: levels, and lines that no peer's bytes can forge.
import TestSupport
import Testing

@testable import Base

@Suite struct Logging {
    private let time = UTCTime(nanoseconds: 1_767_323_045_678_000_000)

    private func plain(_ message: String) -> String {
        String(decoding: Log.line(.info, time, message, json: false), as: UTF8.self)
    }

    @Test func lines() {
        #expect(plain("hello") == "2026-01-02T03:04:05.678Z info hello\n")
        #expect(
            String(decoding: Log.line(.error, time, "a\"b\n", json: true), as: UTF8.self)
                == "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"error\",\"message\":\"a\\\"b\\n\"}\n")
    }

    @Test(
        arguments: [
            "\n", "\r", "\r\n", "\u{0}", "\u{1B}[2J", "\u{7F}", "\u{85}", "\u{9B}2J", "\u{2028}", "\u{2029}",
            "\u{0B}",
            "\u{0C}", "\n\u{301}", "\r\u{200D}\n", "\t",
        ])
    func forging(_ hostile: String) {
        for json in [false, true] {
            let line = Log.line(.warning, time, "a\(hostile)b", json: json)
            #expect(line.last == 0x0A && !line.dropLast().contains { $0 < 0x20 || $0 == 0x7F })
            if json { continue }
            let text = String(decoding: line.dropLast(), as: UTF8.self)
            #expect(!text.contains { $0.isNewline })
            #expect(!text.unicodeScalars.contains { $0.properties.generalCategory == .control })
        }
    }

    @Test func otherTextStays() { #expect(plain("H\u{E4}\u{1F600} x").hasSuffix(" H\u{E4}\u{1F600} x\n")) }

    @Test func randomBytesAreOneLine() {
        var random = SeededRandom()
        for _ in 0..<500 {
            let message = String(decoding: random.bytes(random.int(0...60)), as: UTF8.self)
            let line = Log.line(.info, time, message, json: false)
            #expect(line.filter { $0 == 0x0A }.count == 1 && line.last == 0x0A)
        }
    }

    @Test(
        arguments: [
            ("trace", LogLevel.trace), ("debug", .debug), ("info", .info), ("warn", .warning),
            ("warning", .warning),
            ("error", .error), ("err", .error), ("critical", .error), ("off", .off), ("none", .off),
            ("INFO", nil),
            ("", nil), ("verbose", nil),
        ])
    func words(_ word: String, _ level: LogLevel?) { #expect(LogLevel(word) == level) }

    @Test func everyLevelReadsItsOwnName() {
        for level in LogLevel.allCases { #expect(LogLevel(level.name) == level) }
    }
}
