// Bounds of a head: bytes, lines, target. The outcome must not depend on how much came at once.
import Base
import FuzzInvariants
import HTTP
import TestSupport
import Testing

@Suite struct HeadLimits {
    private func fields(_ count: Int) -> String { (0..<count).map { "x-\($0): \($0)\r\n" }.joined() }

    /// A request of exactly `count` bytes.
    private func requestOf(_ count: Int) -> [UInt8] {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
        let filler = count - start.utf8.count - 4
        return Array((start + String(repeating: "v", count: filler) + "\r\n\r\n").utf8)
    }

    @Test func exactlyTheBytesAllowed() {
        let reader = HeadReader()
        #expect(reader.read(.request, requestOf(Limits.headBytes)).head?.length == Limits.headBytes)
        #expect(reader.read(.request, requestOf(Limits.headBytes + 1)) == .refused(.headTooLarge))
        let response = Array("HTTP/1.1 200 OK\r\n".utf8) + requestOf(Limits.headBytes - 1)[16...]
        #expect(reader.read(.response, response).head?.length == Limits.headBytes)
        #expect(reader.read(.response, [0x48] + response) == .refused(.badStatusLine))
        let larger = Array("HTTP/1.1 200 OKE\r\n".utf8) + requestOf(Limits.headBytes - 1)[16...]
        #expect(reader.read(.response, larger) == .refused(.headTooLarge))
    }

    @Test func exactlyTheLinesAllowed() {
        let reader = HeadReader()
        func raw(_ count: Int) -> [UInt8] {
            Array("GET / HTTP/1.1\r\nHost: a\r\n\(fields(count - 1))\r\n".utf8)
        }
        #expect(reader.read(.request, raw(Limits.headFields)).head?.fields.count == Limits.headFields)
        #expect(reader.read(.request, raw(Limits.headFields + 1)) == .refused(.tooManyFields))
        reader.maxFields = 3
        #expect(reader.read(.request, raw(3)).head != nil)
        #expect(reader.read(.request, raw(4)) == .refused(.tooManyFields))
        reader.maxFields = 10_000
        #expect(
            reader.read(.request, raw(Limits.headFields + 1)) == .refused(.tooManyFields), "room is fixed")
    }

    @Test func exactlyTheTargetAllowed() {
        let reader = HeadReader()
        func raw(_ count: Int) -> [UInt8] {
            Array("GET /\(String(repeating: "p", count: count - 1)) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        }
        #expect(reader.read(.request, raw(Limits.targetBytes)).head != nil)
        #expect(reader.read(.request, raw(Limits.targetBytes + 1)) == .refused(.targetTooLong))
    }

    /// What never ends is refused by its size, whatever part of the head it is.
    @Test(
        arguments: [
            ("", HeadError.badRequestLine), ("GET ", .targetTooLong), ("GET / HTTP/1.1\r\n", .headTooLarge),
            ("GET / HTTP/1.1\r\nHost: ", .headTooLarge), ("GET / HTTP/1.1\r\nHost: a\r\nX: ", .headTooLarge),
        ])
    func endless(_ start: String, _ reason: HeadError) {
        let reader = HeadReader()
        let bytes = Array(start.utf8) + [UInt8](repeating: 0x61, count: Limits.headBytes)
        #expect(reader.read(.request, bytes) == .refused(reason))
        #expect(reader.read(.request, Array(bytes[..<Limits.headBytes])) == .refused(reason))
        reader.maxBytes = 1_024
        let small = Array(bytes[..<1_024])
        #expect(reader.read(.request, Array(small.dropLast())) != .refused(.headTooLarge))
        let atSmallLimit = reader.read(.request, small)
        #expect(atSmallLimit == .refused(reason == .badRequestLine ? .badRequestLine : .headTooLarge))
        #expect(
            reader.read(.request, bytes)
                == (reason == .targetTooLong ? .refused(.headTooLarge) : atSmallLimit))
    }

    @Test(arguments: ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX: "])
    func endlessResponse(_ start: String) {
        let reader = HeadReader()
        let bytes = Array(start.utf8) + [UInt8](repeating: 0x61, count: Limits.headBytes)
        #expect(reader.read(.response, Array(bytes[..<(Limits.headBytes - 1)])) == .needMore)
        #expect(reader.read(.response, Array(bytes[..<Limits.headBytes])) == .refused(.headTooLarge))
        #expect(reader.read(.response, bytes) == .refused(.headTooLarge))
    }

    /// A fault behind the limit must not change the answer: whether it was read yet is chance.
    @Test func whatIsBehindTheLimitDoesNotCount() {
        let reader = HeadReader()
        reader.maxBytes = 64
        let start = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8)
        for tail in ["\u{0}", "\n", "\r\nbad name: 1\r\n\r\n", "\r\n\r\n", ""] {
            let bytes = start + [UInt8](repeating: 0x61, count: 100) + Array(tail.utf8)
            #expect(reader.read(.request, bytes) == .refused(.headTooLarge))
        }
    }

    @Test func mayBeCompleteFindsTheEndAtEverySplit() {
        let raw = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest".utf8)
        let end = raw.count - 4
        for step in 1...5 {
            var scanned = 0
            var held = 0
            while held < raw.count {
                held = min(raw.count, held + step)
                let found = raw.withUnsafeBufferPointer {
                    H1Parser.mayBeComplete($0.baseAddress!, held, scanned: &scanned)
                }
                #expect(found == (held >= end))
                if found { break }
                #expect(scanned == held)
            }
        }
    }

    @Test func mayBeCompleteReportsBareLineFeedsAtOnce() {
        for text in ["\n", "a\n", "a\r\nb\n", "\n\n"] {
            var scanned = 0
            let bytes = Array(text.utf8)
            #expect(
                bytes.withUnsafeBufferPointer {
                    H1Parser.mayBeComplete($0.baseAddress!, $0.count, scanned: &scanned)
                })
        }
        for text in ["", "\r", "\r\n", "a\r\n", "a\r\nb\r\n", "a\r\n\r"] {
            var scanned = 0
            let bytes = Array(text.utf8) + [0x0A]
            #expect(
                !bytes.withUnsafeBufferPointer {
                    H1Parser.mayBeComplete($0.baseAddress!, $0.count - 1, scanned: &scanned)
                })
        }
    }
}
