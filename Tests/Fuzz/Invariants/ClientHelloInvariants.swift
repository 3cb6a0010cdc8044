// The ClientHello reader against a naive one that first puts the records together, over any bytes and every
// cut.
internal import Base
internal import Sniff

/// What became of some input.
package enum ClientHelloVerdict: Equatable {
    case more, notTLS, malformed, tooLong
    case hello(serverName: String, protocols: [[UInt8]])
}

package enum ClientHelloInvariants {
    /// `cuts`: after how many bytes the input is cut, one after the other; the default is every one.
    package static func violation(_ bytes: [UInt8], cuts: Int = .max) -> String? {
        let expected = reference(bytes)
        let (whole, _) = read(bytes)
        if whole != expected { return "\(whole), expected \(expected)" }
        let isHello = if case .hello = whole { true } else { false }
        return prefixViolation(bytes, cuts: cuts, whole: whole, more: .more, isComplete: isHello, read)
    }

    /// Reads from memory of exactly the input's size, so that the address sanitizer sees a byte too many.
    package static func read(_ bytes: [UInt8]) -> (ClientHelloVerdict, need: Int) {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
        defer { memory.deallocate() }
        memory.initialize(from: bytes, count: bytes.count)
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: ClientHello.roomBytes)
        defer { room.deallocate() }
        switch ClientHello.read(ByteView(memory, bytes.count), room) {
        case .needMore(let need): return (.more, need)
        case .notTLS: return (.notTLS, 0)
        case .refused(.malformed): return (.malformed, 0)
        case .refused(.tooLong): return (.tooLong, 0)
        case .complete(let hello):
            var names: [[UInt8]] = []
            var rest = hello.protocols.bytes[...]
            while let count = rest.first {
                names.append(Array(rest.dropFirst().prefix(Int(count))))
                rest = rest.dropFirst(1 + Int(count))
            }
            return (.hello(serverName: hello.serverName.string, protocols: names), 0)
        }
    }

    private struct Short: Error {}
    private struct TooLong: Error {}
    private struct Bad: Error {}
    private struct NotTLS: Error {}

    /// RFC 8446 5.1 and 4.1.2, over an array.
    package static func reference(_ bytes: [UInt8]) -> ClientHelloVerdict {
        do {
            return try parse(Array(bytes.prefix(Limits.clientHelloBytes)))
        } catch is Short {
            return bytes.count >= Limits.clientHelloBytes ? .tooLong : .more
        } catch is TooLong {
            return .tooLong
        } catch is NotTLS {
            return .notTLS
        } catch {
            return .malformed
        }
    }

    /// Handshake bytes with the input's position behind each, and what ended them.
    private struct Message {
        var bytes: [UInt8] = []
        /// Which error a read past `bytes` meets.
        var next: any Error

        func need(_ count: Int, _ at: Int) throws {
            if at + count > bytes.count { throw next }
        }
    }

    private static func records(_ input: [UInt8]) -> Message {
        var message = Message(next: Short())
        var at = 0
        while true {
            let head = input[at...].prefix(5)
            let wrong: any Error = at == 0 ? NotTLS() : Bad()
            if head.first.map({ $0 != 22 }) == true || head.dropFirst().first.map({ $0 != 3 }) == true {
                message.next = wrong
                return message
            }
            guard head.count == 5 else {
                message.next = Short()
                return message
            }
            let length = Int(input[at + 3]) * 256 + Int(input[at + 4])
            guard (1...16_384).contains(length) else {
                message.next = wrong
                return message
            }
            let end = at + 5 + length
            message.bytes += input[(at + 5)...].prefix(length)
            guard end <= input.count else {
                message.next = Short()
                return message
            }
            at = end
        }
    }

    /// A vector within `limit` bytes from `at`.
    private static func vector(
        _ message: Message, _ at: inout Int, _ width: Int, _ limit: Int, most: Int = .max
    ) throws -> Int {
        for index in 0..<width {
            if at + index >= limit { throw Bad() }
            try message.need(1, at + index)
        }
        let length = message.bytes[at..<at + width].reduce(0) { $0 * 256 + Int($1) }
        at += width
        if length > most || at + length > limit { throw Bad() }
        return length
    }

    private static func parse(_ input: [UInt8]) throws -> ClientHelloVerdict {
        let message = records(input)
        try message.need(1, 0)
        if message.bytes[0] != 1 { throw NotTLS() }
        try message.need(4, 0)
        let length = message.bytes[1..<4].reduce(0) { $0 * 256 + Int($1) }
        if length > Limits.clientHelloBytes { throw TooLong() }
        let end = 4 + length
        var at = 4
        func skip(_ count: Int) throws {
            if at + count > end { throw Bad() }
            try message.need(count, at)
            at += count
        }
        try skip(34)
        try skip(vector(message, &at, 1, end, most: 32))
        try skip(vector(message, &at, 2, end))
        try skip(vector(message, &at, 1, end))
        var verdict = (name: "", protocols: [[UInt8]]())
        if at < end {
            let count = try vector(message, &at, 2, end)
            if at + count != end { throw Bad() }
            try extensions(message, &at, end, &verdict)
        }
        return .hello(serverName: verdict.name, protocols: verdict.protocols)
    }

    private static func extensions(
        _ message: Message, _ at: inout Int, _ end: Int, _ verdict: inout (name: String, protocols: [[UInt8]])
    ) throws {
        var seen: Set<Int> = []
        while at < end {
            let kind = try two(message, &at, end)
            let length = try vector(message, &at, 2, end)
            let stop = at + length
            guard kind == 0 || kind == 16 else {
                try message.need(length, at)
                at = stop
                continue
            }
            if !seen.insert(kind).inserted { throw Bad() }
            let list = try vector(message, &at, 2, stop)
            if at + list != stop || list == 0 { throw Bad() }
            if kind == 0 {
                try names(message, &at, stop, &verdict.name)
            } else {
                if list < 2 { throw Bad() }
                try protocols(message, &at, stop, &verdict.protocols)
            }
        }
    }

    private static func two(_ message: Message, _ at: inout Int, _ end: Int) throws -> Int {
        var value = 0
        for _ in 0..<2 {
            if at >= end { throw Bad() }
            try message.need(1, at)
            value = value * 256 + Int(message.bytes[at])
            at += 1
        }
        return value
    }

    private static func names(_ message: Message, _ at: inout Int, _ stop: Int, _ name: inout String) throws {
        while at < stop {
            try message.need(1, at)
            let kind = message.bytes[at]
            at += 1
            let count = try vector(message, &at, 2, stop)
            guard kind == 0 else {
                try message.need(count, at)
                at += count
                continue
            }
            if !(1...Limits.serverNameBytes).contains(count) || !name.isEmpty { throw Bad() }
            for _ in 0..<count {
                try message.need(1, at)
                let letter = Character(Unicode.Scalar(message.bytes[at]))
                let marks = "-._~!$&'()*+;=%"
                let fine = letter.isASCII && (letter.isLetter || letter.isNumber || marks.contains(letter))
                if !fine { throw Bad() }
                name.append(letter.lowercased())
                at += 1
            }
            if name.count > 1, name.hasSuffix(".") { name.removeLast() }
        }
    }

    private static func protocols(
        _ message: Message, _ at: inout Int, _ stop: Int, _ names: inout [[UInt8]]
    ) throws {
        var kept = 0
        while at < stop {
            try message.need(1, at)
            let count = Int(message.bytes[at])
            at += 1
            if count == 0 || at + count > stop { throw Bad() }
            try message.need(count, at)
            if kept + 1 + count <= Limits.applicationProtocolBytes {
                names.append(Array(message.bytes[at..<at + count]))
                kept += 1 + count
            }
            at += count
        }
    }
}
