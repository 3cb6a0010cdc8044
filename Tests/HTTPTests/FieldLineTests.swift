// The reader of field lines against one that goes byte by byte: random and hostile lines, cut at every place,
// at every alignment, and flush with the end of memory.
import Base
import CLinux
import FuzzInvariants
import TestSupport
import Testing

@testable import HTTP

/// What a reading came to.
private struct LinesRead: Equatable {
    var state: Int
    var fields: [ReadField] = []
    var ids: [UInt8] = []
    /// Bytes used up to the end of the last whole line.
    var used = 0
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

/// RFC 9112 5 in the order of its bytes.
private func readPlainly(_ bytes: [UInt8], most: Int) -> LinesRead {
    var read = LinesRead(state: Int(FL_HEAD_MORE))
    while true {
        var at = read.used
        func byte() -> UInt8? { at < bytes.count ? bytes[at] : nil }
        func end(_ state: Int) -> LinesRead {
            read.state = state
            return read
        }
        func bad(_ byte: UInt8) -> LinesRead {
            end(byte == 0x0A ? Int(FL_HEAD_BARE_LINE_FEED) : Int(FL_HEAD_BAD_LINE))
        }
        if byte() == 0x0D {
            at += 1
            guard let feed = byte() else { return end(Int(FL_HEAD_MORE)) }
            if feed != 0x0A { return end(Int(FL_HEAD_BAD_LINE)) }
            read.used = at + 1
            return end(Int(FL_HEAD_END))
        }
        while let next = byte(), StrictReader.isTokenByte(next) { at += 1 }
        guard let colon = byte() else { return end(Int(FL_HEAD_MORE)) }
        if colon != 0x3A || at == read.used { return bad(colon) }
        let name = bytes[read.used..<at].map(StrictReader.lower)
        at += 1
        let from = at
        while let next = byte(), StrictReader.isValueByte(next) { at += 1 }
        guard let stop = byte() else { return end(Int(FL_HEAD_MORE)) }
        if stop != 0x0D { return bad(stop) }
        let value = bytes[from..<at]
        at += 1
        guard let feed = byte() else { return end(Int(FL_HEAD_MORE)) }
        if feed != 0x0A { return end(Int(FL_HEAD_BAD_LINE)) }
        if read.fields.count == most { return end(Int(FL_HEAD_TOO_MANY)) }
        let start = value.firstIndex { !isBlank($0) } ?? value.endIndex
        let last = value.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? start
        read.fields.append(ReadField(name, Array(value[start..<last])))
        let text = String(decoding: name, as: UTF8.self)
        read.ids.append(HeaderID.allCases.first { $0 != .other && $0.name == text }?.rawValue ?? 0)
        read.used = at + 1
    }
}

/// As browsers write names.
private func capitalized(_ name: String) -> String {
    let words = name.split(separator: "-", omittingEmptySubsequences: false)
    return words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: "-")
}

@Suite struct FieldLines {
    private let memory = GuardedBytes()
    private let room = UnsafeMutablePointer<HeaderField>.allocate(capacity: 128)

    /// Reads what lies at `start`; checks the marks against the lines.
    private func read(
        _ start: UnsafeMutablePointer<UInt8>, _ count: Int, most: Int
    ) -> LinesRead {
        let places = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        defer { places.deallocate() }
        var marks = fl_line_marks()
        marks.places = places
        let fields = UnsafeMutableRawPointer(room).assumingMemoryBound(to: fl_field.self)
        var (used, length) = (start, 0)
        let state = withUnsafeMutablePointer(to: &marks) { marks in
            var reader = fl_head_reader(
                at: start, end: start + count, names: HeaderNames.ids, fields: fields, count: 0,
                most: UInt32(most), marks: marks)
            defer { (used, length) = (reader.at, Int(reader.count)) }
            return Int(fl_read_lines(&reader))
        }
        var result = LinesRead(state: state)
        for index in 0..<length {
            let field = room[index]
            #expect(!field.dropped && field.line + Int(field.lineLength) <= UnsafePointer(used))
            result.fields.append(ReadField(field.name.bytes, field.value.bytes))
            result.ids.append(field.id)
        }
        result.used = used - start
        checkMarks(marks, result)
        return result
    }

    private func checkMarks(_ marks: fl_line_marks, _ read: LinesRead) {
        for id in HeaderID.allCases {
            let places = read.ids.indices.filter { read.ids[$0] == id.rawValue }
            #expect(HeaderList.bit(id.rawValue, marks.present) == !places.isEmpty)
            #expect(HeaderList.bit(id.rawValue, marks.repeated) == (places.count > 1))
            if let last = places.last { #expect(Int(marks.places[Int(id.rawValue)]) == last) }
        }
        for (id, field) in zip(read.ids, read.fields) where id == 0 {
            #expect(marks.other_lengths >> UInt64(field.name.count % 64) & 1 == 1)
            #expect(marks.other_initials >> UInt64(field.name[0] % 64) & 1 == 1)
        }
    }

    private func check(_ bytes: [UInt8], before: Int = 0, most: Int = 100) {
        let start = memory.place(bytes, before: before)
        let read = read(start, bytes.count, most: most)
        #expect(read == readPlainly(bytes, most: most), "\(printable(bytes))")
    }

    /// Whatever a line is cut to is either read to the same end or waits for more.
    private func checkEveryCut(_ bytes: [UInt8]) {
        for count in 0...bytes.count { check(Array(bytes[..<count])) }
    }

    @Test func usualHeadCutEverywhere() {
        checkEveryCut(
            Array(
                """
                Host: shop.example.test\r
                User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r
                Accept: a\r
                accept-encoding:gzip\r
                Upgrade-Insecure-Requests: 1 \r
                cookie: \r
                X_Odd!: \t padded\tinside\t \r
                x:\r
                a: b\r
                Cookie: c=d\r
                \r

                """.utf8))
    }

    @Test func knownNamesInAnyCase() {
        for id in HeaderID.allCases where id != .other {
            for name in [id.name, id.name.uppercased(), capitalized(id.name)] {
                check(Array("\(name): value of it\r\n\r\n".utf8))
                check(Array("\(name):\r\n\r\n".utf8))
                check(Array("\(name)x: value of it\r\n\r\n".utf8))
                check(Array("\(name)\0: value of it\r\n\r\n".utf8))
                check(Array("\(name)\r\n: value of it\r\n\r\n".utf8))
                check(Array("\(name) : value of it\r\n\r\n".utf8))
            }
        }
    }

    /// No other byte is taken for one of a known name, or for a token's.
    @Test func everyByteAtEveryPlaceOfAName() {
        for name in ["te", "host", "content-length", "cache-control", "x-request-id", "accept-language"] {
            for at in 0...name.utf8.count {
                for byte in UInt8.min...UInt8.max {
                    var bytes = Array("\(name): value of it\r\n\r\n".utf8)
                    bytes[at] = byte
                    check(bytes)
                }
            }
        }
    }

    @Test func everyByteAtEveryPlaceOfAValue() {
        for count in [1, 2, 14, 15, 16, 17, 31, 32, 33] {
            for at in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var value = [UInt8](repeating: 0x76, count: count)
                    value[at] = byte
                    check(Array("host: ".utf8) + value + Array("\r\n\r\n".utf8), before: at % 16)
                }
            }
        }
    }

    @Test func lengthsAndAlignments() {
        for before in 0..<16 {
            for name in 1...20 {
                for value in 0...40 {
                    let line = [UInt8](repeating: 0x4E, count: name) + [0x3A, 0x20]
                    let text = [UInt8](repeating: 0x76, count: value)
                    check(line + text + Array("\r\n\r\n".utf8), before: before)
                }
            }
        }
    }

    @Test func limits() {
        let lines = Array(String(repeating: "a: b\r\nhost: c\r\n", count: 8).utf8) + [0x0D, 0x0A]
        for most in 0...17 { check(lines, most: most) }
    }

    @Test func randomLines() {
        var random = SeededRandom()
        let names = HeaderID.allCases.map(\.name) + ["x-a", "X_b", "accept-language", "sec-fetch-mode", ""]
        let values = ["", "a", "text/html, */*", "\tb\t", "c=d; e=f", "\u{FC}", "a\u{0B}b", "x\ny", "x\ry"]
        for _ in 0..<4_000 {
            var text = ""
            for _ in 0..<random.int(0...6) {
                let name = random.pick(names)
                let blanks = random.pick(["", " ", " ", " ", "\t", "  "])
                text += "\(random.chance(30) ? capitalized(name) : name):\(blanks)\(random.pick(values))\r\n"
            }
            text += random.pick(["\r\n", "\r\n", "\r\nbody", "\r", "\n", ""])
            let bytes = random.chance(60) ? Array(text.utf8) : random.mutated(Array(text.utf8))
            let whole = bytes.count < 4_000 ? bytes : Array(bytes[..<4_000])
            check(whole, before: random.int(0...20), most: random.int(0...8))
            check(Array(whole[..<random.int(0...whole.count)]))
        }
    }

    @Test func fieldsHaveOneLayout() {
        #expect(MemoryLayout<HeaderField>.size == MemoryLayout<fl_field>.size)
        #expect(MemoryLayout<HeaderField>.stride == MemoryLayout<fl_field>.stride)
        let offsets: [(PartialKeyPath<HeaderField>, PartialKeyPath<fl_field>)] = [
            (\.line, \.line), (\.lineLength, \.line_length), (\.valueOffset, \.value_offset),
            (\.valueLength, \.value_length), (\.nameLength, \.name_length), (\.id, \.id),
            (\.dropped, \.dropped),
        ]
        for (ours, theirs) in offsets {
            #expect(MemoryLayout<HeaderField>.offset(of: ours) == MemoryLayout<fl_field>.offset(of: theirs))
        }
    }
}
