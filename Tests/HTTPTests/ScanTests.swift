// The two vector scans against byte-by-byte references, at every length, place and alignment. Each input lies
// at the very end of its memory, so that the address sanitizer sees a read past it.
import CLinux
import FuzzInvariants
import TestSupport
import Testing

@Suite struct Scans {
    /// Runs `body` with `bytes` at `offset` from an allocation's start and flush with its end.
    private func atEnd<Result>(
        _ bytes: [UInt8], offset: Int, _ body: (UnsafeMutablePointer<UInt8>, Int) -> Result
    ) -> Result {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, offset + bytes.count))
        defer { memory.deallocate() }
        memory.initialize(repeating: 0x41, count: offset)
        (memory + offset).initialize(from: bytes, count: bytes.count)
        return body(memory + offset, bytes.count)
    }

    private func scanValue(_ bytes: [UInt8], offset: Int) -> Int? {
        atEnd(bytes, offset: offset) { start, count in
            fl_scan_field_value(start, start + count).map { $0 - UnsafePointer(start) }
        }
    }

    @Test func valuesAtEveryOffsetLengthAndPlace() {
        for offset in 0..<16 {
            for count in 0...40 {
                let clean = [UInt8](repeating: 0x78, count: count)
                #expect(scanValue(clean, offset: offset) == count)
                for at in 0..<count {
                    var bytes = clean
                    bytes[at] = [0x0D, 0x00, 0x7F, 0x1F][(at + count) % 4]
                    #expect(scanValue(bytes, offset: offset) == at)
                    if at + 1 < count {
                        bytes[count - 1] = 0x0A
                        #expect(scanValue(bytes, offset: offset) == at, "the first counts")
                    }
                }
            }
        }
    }

    @Test func everyByteOfAValue() {
        for byte in UInt8.min...UInt8.max {
            for at in [0, 5, 15, 16, 17, 31] {
                var bytes = [UInt8](repeating: 0x78, count: 32)
                bytes[at] = byte
                #expect(scanValue(bytes, offset: 3) == (StrictReader.isValueByte(byte) ? 32 : at))
            }
        }
    }

    /// Where the token ends and what became of the bytes.
    private func lower(_ bytes: [UInt8], offset: Int) -> (Int?, [UInt8]) {
        atEnd(bytes, offset: offset) { start, count in
            let end = fl_lower_token(start, start + count).map { $0 - start }
            return (end, Array(UnsafeBufferPointer(start: start, count: count)))
        }
    }

    private func expected(_ bytes: [UInt8]) -> (Int, [UInt8]) {
        let end = bytes.firstIndex { !StrictReader.isTokenByte($0) } ?? bytes.count
        return (end, bytes[..<end].map(StrictReader.lower) + bytes[end...])
    }

    /// Names of every length, 15, 16 and 17 among them, with and without their colon at the very end, and
    /// with a value behind whose capitals must stay.
    @Test func namesOfEveryLength() {
        for offset in 0..<16 {
            for count in 0...40 {
                let name = (0..<count).map { Array("CONTENT-Length_0".utf8)[$0 % 16] }
                for tail in ["", ":", ": VALUE", ":ABCDEFGHIJKLMNOPQRSTUVWXYZ", " : X", "!:X", "\r"] {
                    let bytes = name + Array(tail.utf8)
                    let (end, text) = lower(bytes, offset: offset)
                    let (expectedEnd, expectedText) = expected(bytes)
                    #expect(end == expectedEnd && text == expectedText)
                }
            }
        }
    }

    @Test func everyByteOfAName() {
        for byte in UInt8.min...UInt8.max {
            for at in 0..<20 {
                var bytes = [UInt8](repeating: 0x58, count: 20)
                bytes[at] = byte
                let (end, text) = lower(bytes, offset: 1)
                let (expectedEnd, expectedText) = expected(bytes)
                #expect(end == expectedEnd && text == expectedText)
                #expect((fl_is_token(byte) != 0) == StrictReader.isTokenByte(byte))
            }
        }
    }

    @Test func randomNames() {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            var bytes = Array(random.text(random.int(0...48), of: "abcXYZ019-_!#'*.~^`|").utf8)
            if !bytes.isEmpty, random.chance(50) {
                bytes[random.int(0...(bytes.count - 1))] = UInt8(truncatingIfNeeded: random.next())
            }
            let (end, text) = lower(bytes, offset: random.int(0...15))
            let (expectedEnd, expectedText) = expected(bytes)
            #expect(end == expectedEnd && text == expectedText)
        }
    }

    /// Names of 15, 16 and 17 bytes through the parser, the head ending right behind them.
    @Test(arguments: ["fifteen-bytes-n", "sixteen-bytes-nm", "seventeen-bytes-n", "CONTENT-ENCODING", "a"])
    func namesThroughTheParser(_ name: String) throws {
        let raw = "GET / HTTP/1.1\r\nHost: a\r\n\(name.uppercased()):\r\n\r\n"
        let head = try #require(readRequest(raw).head)
        #expect(head.fields.last == ReadField(Array(name.lowercased().utf8), []))
        try checkHead(.request, Array(raw.utf8))
    }
}
