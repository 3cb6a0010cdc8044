// The other scans of heads against byte-by-byte references, flush with the end of memory: request targets,
// plain hosts, short copies.
import CLinux
import TestSupport
import Testing

@testable import HTTP

@Suite struct HeadScans {
    private let memory = GuardedBytes()

    /// Length, first `?`, first `#`, and whether the path is plain.
    private struct Target: Equatable {
        var length: Int
        var question: Int?
        var hash: Int?
        var isPlain: Bool
    }

    private func read(_ bytes: [UInt8], before: Int) -> Target {
        let start = memory.place(bytes, before: before)
        var marks = fl_target()
        let length = fl_read_target(start, start + bytes.count, &marks)
        func place(_ at: UInt32) -> Int? { at == .max ? nil : Int(at) }
        return Target(
            length: Int(length), question: place(marks.question), hash: place(marks.hash),
            isPlain: marks.is_plain != 0)
    }

    private func readPlainly(_ bytes: [UInt8]) -> Target {
        let target = bytes.prefix { $0 > 0x20 && $0 != 0x7F }
        let path = Array(target.prefix { $0 != 0x3F && $0 != 0x23 })
        var isPlain = !path.contains(0x25) && !path.contains(0x5C)
        for (first, second) in zip(path, path.dropFirst())
        where first == 0x2F && (second == 0x2F || second == 0x2E) {
            isPlain = false
        }
        return Target(
            length: target.count, question: target.firstIndex(of: 0x3F), hash: target.firstIndex(of: 0x23),
            isPlain: isPlain)
    }

    @Test func targetsOfEveryLength() {
        for count in 0...70 {
            let path = (0..<count).map { Array("/products/list.x".utf8)[$0 % 16] }
            let tails = ["", " HTTP/1.1\r\n", "?a=b#c HTTP/1.1\r\n", "#c?d", "\n", "\u{7F}"]
            for tail in tails + ["/", "/.", "."] {
                let bytes = path + Array(tail.utf8)
                #expect(read(bytes, before: count % 17) == readPlainly(bytes), "\(printable(bytes))")
            }
        }
    }

    @Test func randomTargets() {
        var random = SeededRandom()
        for _ in 0..<20_000 {
            let alphabet = random.pick(["ab/", "ab/.%\\?#", "/.", "abc /?#"])
            let text = random.text(random.int(0...60), of: alphabet)
            let bytes = random.chance(80) ? Array(text.utf8) : random.mutated(Array(text.utf8))
            #expect(read(bytes, before: random.int(0...20)) == readPlainly(bytes), "\(printable(bytes))")
        }
    }

    /// Plain paths are what normalisation leaves alone, whatever the mode.
    @Test func plainPathsNeedNoNormalisation() {
        var random = SeededRandom()
        let out = UnsafeMutablePointer<UInt8>.allocate(capacity: 128)
        defer { out.deallocate() }
        for _ in 0..<5_000 {
            let text = "/" + random.text(random.int(0...40), of: "abc./~")
            guard readPlainly(Array(text.utf8)).isPlain else { continue }
            for mode in [PathNormalizer.Mode.none, .base, .mergeSlashes, .decodeAndMergeSlashes] {
                guard case .unchanged = text.withView({ PathNormalizer.normalize($0, mode, out) }) else {
                    Issue.record("\(text) was changed by \(mode)")
                    continue
                }
            }
        }
    }

    @Test func plainHosts() {
        for count in 0...270 {
            let host = (0..<count).map { Array("shop-1.example.t".utf8)[$0 % 16] }
            let start = memory.place(host)
            #expect((fl_is_plain_host(start, count) != 0) == (1...255).contains(count))
        }
        for count in [1, 7, 15, 16, 17, 31, 32, 33] {
            for at in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var host = [UInt8](repeating: 0x61, count: count)
                    host[at] = byte
                    let isPlain = Array("abcdefghijklmnopqrstuvwxyz0123456789.-".utf8).contains(byte)
                    let found = fl_is_plain_host(memory.place(host), count) != 0
                    #expect(found == isPlain)
                    if found {
                        let text = String(decoding: host, as: UTF8.self)
                        #expect(text.withView { RequestRules.hostIsValid($0) })
                    }
                }
            }
        }
    }

    @Test func eitherOfTwoBytes() {
        for count in 0...50 {
            let start = memory.place([UInt8](repeating: 0x61, count: count))
            #expect(fl_holds_either(start, count, 0x23, 0x40) == 0)
            for at in 0..<count {
                for byte in [UInt8(0x23), 0x40] {
                    start[at] = byte
                    #expect(fl_holds_either(start, count, 0x23, 0x40) != 0)
                    start[at] = 0x61
                }
            }
        }
    }

    @Test func shortCopies() {
        let from = GuardedBytes()
        for count in 0...100 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let to = memory.place([0xEE] + [UInt8](repeating: 0, count: count)) + 1
            fl_copy_short(to, from.place(bytes), count)
            #expect(Array(UnsafeBufferPointer(start: to, count: count)) == bytes && to[-1] == 0xEE)
        }
    }
}
