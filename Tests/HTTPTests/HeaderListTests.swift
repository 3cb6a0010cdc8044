// The list of a head's lines: looking up, removing, adding within bounds, and copying what goes on.
import Base
import FuzzInvariants
import TestSupport
import Testing

@testable import HTTP

/// A list read from `lines`, with the bytes it points into.
private final class ListUnderTest {
    var list = HeaderList()
    let bytes: UnsafeMutablePointer<UInt8>

    init(_ lines: String) {
        let raw = Array("HTTP/1.1 200 OK\r\n\(lines)\r\n".utf8)
        bytes = .allocate(capacity: raw.count)
        bytes.initialize(from: raw, count: raw.count)
        var head = ResponseHead()
        _ = H1Parser.readResponse(
            bytes, raw.count, &head, &list, maxBytes: Limits.headBytes, maxFields: Limits.headFields)
    }

    deinit {
        list.deallocate()
        bytes.deallocate()
    }

    var text: String {
        let capacity = max(1, list.lineBytes)
        let copied = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            if let start = buffer.baseAddress { count = list.copyLines(to: start) - start }
        }
        return String(decoding: copied, as: UTF8.self)
    }
}

/// A name that lives as long as the process, as configuration's names outlive requests.
private func name(_ text: String) -> HeaderName {
    let bytes = Array(text.utf8)
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
    memory.initialize(from: bytes, count: bytes.count)
    return HeaderName(ByteView(UnsafePointer(memory), bytes.count))
}

@Suite struct HeaderLists {
    @Test func findsInOrderAndSkipsWhatIsDropped() {
        let under = ListUnderTest("A: 1\r\nCookie: 2\r\na: 3\r\nCookie: 4\r\n")
        let a = name("a")
        let first = under.list.find(a)
        #expect(first?.pointee.value.string == "1")
        let index = first.map { under.list.index(of: $0) } ?? -1
        #expect(under.list.find(a, from: index + 1)?.pointee.value.string == "3")
        #expect(under.list.find(a, from: 3) == nil)
        first?.pointee.dropped = true
        #expect(under.list.find(a)?.pointee.value.string == "3")
        #expect(under.list.find(HeaderID.cookie)?.pointee.value.string == "2")
        #expect(under.list.find(name("cookie"), from: 2)?.pointee.value.string == "4")
        #expect(under.list.find(name("cooki")) == nil && under.list.find(name("cookies")) == nil)
    }

    @Test func removing() {
        let under = ListUnderTest("A: 1\r\nCookie: 2\r\nA: 3\r\nB: 4\r\n")
        let removed = [name("a"), name("a"), name("c")].map { under.list.remove($0) }
        #expect(removed == [true, false, false])
        #expect(under.text == "cookie: 2\r\nb: 4\r\n")
        under.list.remove(HeaderID.cookie)
        #expect(under.text == "b: 4\r\n")
        #expect(under.list.lineBytes == 6)
    }

    @Test func addingAndSetting() {
        let under = ListUnderTest("A: 1\r\nB:  2 \r\n")
        "new".withView { under.list.append(name("x-y"), $0) }
        "3".withView { under.list.set(name("a"), $0) }
        "".withView { under.list.append(name("date"), $0) }
        #expect(under.text == "b:  2 \r\nx-y: new\r\na: 3\r\ndate: \r\n")
        #expect(under.list.find(HeaderID.date)?.pointee.value.count == 0)
        #expect(under.list.find(name("x-y"))?.pointee.value.string == "new")
    }

    /// The value that replaces a line may be that very line's.
    @Test func settingALineToItsOwnValue() throws {
        let under = ListUnderTest("A: old\r\n")
        let value = try #require(under.list.find(name("a"))).pointee.value
        under.list.set(name("a"), value)
        #expect(under.text == "a: old\r\n")
    }

    @Test func resetForgetsAll() {
        let under = ListUnderTest("A: 1\r\n")
        "v".withView { under.list.append(name("b"), $0) }
        under.list.reset()
        #expect(under.list.count == 0 && under.text.isEmpty && !under.list.overflowed)
    }

    @Test func tooManyAddedLinesOverflow() {
        let under = ListUnderTest(String(repeating: "a: 1\r\n", count: Limits.headFields))
        #expect(under.list.count == Limits.headFields)
        for _ in 0..<Limits.editFields { "v".withView { under.list.append(name("b"), $0) } }
        #expect(!under.list.overflowed)
        "v".withView { under.list.append(name("c"), $0) }
        #expect(under.list.overflowed && under.list.find(name("c")) == nil)
        #expect(under.list.count == Limits.headFields + Limits.editFields)
        under.list.reset()
        #expect(!under.list.overflowed)
    }

    @Test func tooManyAddedBytesOverflow() {
        let under = ListUnderTest("")
        let room = Limits.editBytes - "b".utf8.count - 4
        let tooMuch = under.list.reserve(name("b"), room + 1)
        #expect(tooMuch == nil)
        #expect(under.list.overflowed)
        under.list.reset()
        let place = under.list.reserve(name("b"), room)
        place?.initialize(repeating: 0x76, count: room)
        #expect(place != nil && !under.list.overflowed)
        #expect(under.text == "b: \(String(repeating: "v", count: room))\r\n")
        "".withView { under.list.append(name("c"), $0) }
        #expect(under.list.overflowed && under.list.count == 1)
    }

    /// Scratch room lies between lines that are neighbours in the list: it must not be copied with them.
    @Test func scratchRoomBelongsToNoLine() {
        let under = ListUnderTest("")
        "1".withView { under.list.append(name("a"), $0) }
        let room = under.list.scratch(5)
        room?.initialize(repeating: 0x21, count: 5)
        "2".withView { under.list.append(name("b"), $0) }
        #expect(room != nil && under.text == "a: 1\r\nb: 2\r\n")
        let used = 2 * "a: 1\r\n".utf8.count + 5
        let rest = under.list.scratch(Limits.editBytes - used)
        #expect(rest != nil && !under.list.overflowed)
        let more = under.list.scratch(1)
        #expect(more == nil && under.list.overflowed)
    }

    /// Lines are copied in runs of neighbours; whichever are dropped, what is left is what a naive copy
    /// leaves.
    @Test func everyPatternOfDroppedLines() {
        let lines = ["a: 1\r\n", "bb:22\r\n", "c:\r\n", "d:  4\r\n"]
        let added = ["e: 5\r\n", "f: 6\r\n"]
        for pattern in 0..<64 {
            let under = ListUnderTest(lines.joined())
            "5".withView { under.list.append(name("e"), $0) }
            "6".withView { under.list.append(name("f"), $0) }
            for index in 0..<6 where pattern & (1 << index) != 0 { under.list.fields[index].dropped = true }
            let left = (lines + added).enumerated().filter { pattern & (1 << $0.offset) == 0 }.map(\.element)
            #expect(under.text == left.joined())
            #expect(under.list.lineBytes == left.joined().utf8.count)
        }
    }

    @Test func structsOfTheRequestPathAreSmallAndTrivial() {
        #expect(MemoryLayout<HeaderField>.size <= 24)
        #expect(MemoryLayout<ConnectionFields>.size <= 24)
    }

    /// Look-ups that ask the marks first against a walk over the lines.
    @Test func lookUpsAgainstAWalk() {
        var random = SeededRandom()
        let known: [HeaderID] = [.cookie, .te, .grpcStatus, .xRequestID]
        let others = ["x-a", "x-b", "accept-language"].map { name($0) }
        for _ in 0..<500 {
            let names = known.map(\.name) + ["x-a", "x-b"]
            let under = ListUnderTest(
                (0..<random.int(0...6)).map { "\(random.pick(names)): \($0)\r\n" }.joined())
            for _ in 0..<8 {
                let asked = random.chance(50) ? HeaderNames.name(random.pick(known)) : random.pick(others)
                if random.chance(20) {
                    "v".withView { under.list.append(asked, $0) }
                } else if random.chance(20) {
                    let there = (0..<under.list.count).contains {
                        asked.matches(under.list.fields + $0) && !under.list.fields[$0].dropped
                    }
                    #expect(under.list.remove(asked) == there)
                } else if random.chance(20), under.list.count > 0 {
                    under.list.fields[random.int(0...(under.list.count - 1))].dropped = true
                }
                let from = random.int(0...max(0, under.list.count))
                let walked = (from..<under.list.count).first {
                    asked.matches(under.list.fields + $0) && !under.list.fields[$0].dropped
                }
                #expect(under.list.find(asked, from: from).map { under.list.index(of: $0) } == walked)
                if let id = HeaderID(rawValue: asked.id), id != .other {
                    let last = (0..<under.list.count).last { under.list.fields[$0].id == asked.id }
                    #expect(under.list.last(id).map { under.list.index(of: $0) } == last)
                    #expect(under.list.present.contains(id) == (last != nil))
                }
            }
        }
    }
}
