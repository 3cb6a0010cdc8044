// The PROXY header reader against a second one that works on text and arrays, over any bytes and every cut;
// and what is read must come out the same when it is written and read again.
internal import Base
internal import Sniff

package enum ProxyHeaderVerdict: Equatable {
    case more, missing, malformed, family, tooLong
    case header(length: Int, source: String?, destination: String?)
}

package enum ProxyHeaderInvariants {
    /// `cuts`: after how many bytes the input is cut, one after the other; the default is every one.
    package static func violation(_ bytes: [UInt8], cuts: Int = .max) -> String? {
        let expected = reference(bytes)
        let (whole, _) = read(bytes)
        if whole != expected { return "\(whole), expected \(expected)" }
        let isHeader = if case .header = whole { true } else { false }
        return prefixViolation(bytes, cuts: cuts, whole: whole, more: .more, isComplete: isHeader, read)
            ?? rewritten(bytes)
    }

    /// Reads from memory of exactly the input's size.
    package static func read(_ bytes: [UInt8]) -> (ProxyHeaderVerdict, need: Int) {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
        defer { memory.deallocate() }
        memory.initialize(from: bytes, count: bytes.count)
        switch ProxyHeader.read(ByteView(memory, bytes.count)) {
        case .needMore(let need): return (.more, need)
        case .refused(.missing): return (.missing, 0)
        case .refused(.malformed): return (.malformed, 0)
        case .refused(.family): return (.family, 0)
        case .refused(.tooLong): return (.tooLong, 0)
        case .complete(let header):
            let known = header.hasAddresses
            return (
                .header(
                    length: header.length, source: known ? header.source.text : nil,
                    destination: known ? header.destination.text : nil), 0
            )
        }
    }

    private static func rewritten(_ bytes: [UInt8]) -> String? {
        let result = bytes.withUnsafeBufferPointer { buffer in
            ProxyHeader.read(ByteView(buffer.baseAddress ?? ByteView.empty.start, buffer.count))
        }
        guard case .complete(let header) = result, header.hasAddresses else { return nil }
        for version in [ProxyHeader.Version.v1, .v2] {
            var out = [UInt8](repeating: 0, count: ProxyHeader.writtenBytesMax)
            let count = ProxyHeader.write(version, header.source, header.destination, to: &out)
            let again = read(Array(out[..<count])).0
            let same = ProxyHeaderVerdict.header(
                length: count, source: header.source.text, destination: header.destination.text)
            if again != same { return "written as \(version): \(again), not \(same)" }
        }
        return nil
    }

    package static func reference(_ bytes: [UInt8]) -> ProxyHeaderVerdict {
        let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10] + Array("QUIT\n".utf8)
        if bytes.isEmpty { return .more }
        if bytes.starts(with: signature) || signature.starts(with: bytes) {
            return bytes.count < 16 ? .more : binary(bytes)
        }
        let word = Array("PROXY ".utf8)
        if word.starts(with: bytes) { return .more }
        return bytes.starts(with: word) ? line(bytes) : .missing
    }

    private static func line(_ bytes: [UInt8]) -> ProxyHeaderVerdict {
        guard let feed = bytes.prefix(107).firstIndex(of: 10) else {
            return bytes.count < 107 ? .more : .tooLong
        }
        if bytes[feed - 1] != 13 { return .malformed }
        let words = bytes[6..<feed - 1].split(separator: 32, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        if words[0].isEmpty { return .malformed }
        if words[0] == "UNKNOWN" { return .header(length: feed + 1, source: nil, destination: nil) }
        guard words[0] == "TCP4" || words[0] == "TCP6" else { return .family }
        guard words.count == 5, bytes[6..<feed].allSatisfy({ $0 < 128 }) else { return .malformed }
        let colons = words[0] == "TCP6"
        guard words[1].contains(":") == colons, words[2].contains(":") == colons,
            let from = port(words[3]), let to = port(words[4]),
            let source = SocketAddress(text: words[1], port: from),
            let destination = SocketAddress(text: words[2], port: to)
        else { return .malformed }
        return .header(length: feed + 1, source: source.text, destination: destination.text)
    }

    private static func port(_ text: String) -> UInt16? {
        guard let value = UInt16(text), String(value) == text else { return nil }
        return value
    }

    private static func binary(_ bytes: [UInt8]) -> ProxyHeaderVerdict {
        let length = 16 + Int(bytes[14]) * 256 + Int(bytes[15])
        guard bytes[12] == 0x20 || bytes[12] == 0x21 else { return .malformed }
        if length > Limits.proxyHeaderBytes { return .tooLong }
        let hasAddresses = bytes[12] == 0x21 && bytes[13] != 0
        if hasAddresses, bytes[13] != 0x11, bytes[13] != 0x21 {
            return bytes[13] < 0x40 && bytes[13] % 16 < 3 ? .family : .malformed
        }
        let size = bytes[13] == 0x11 ? 4 : 16
        if hasAddresses, length < 16 + 2 * size + 4 { return .malformed }
        if bytes.count < length { return .more }
        if !hasAddresses { return .header(length: length, source: nil, destination: nil) }
        var extras = bytes[(16 + 2 * size + 4)..<length]
        while !extras.isEmpty {
            let start = extras.startIndex
            guard extras.count >= 3 else { return .malformed }
            let count = 3 + Int(extras[start + 1]) * 256 + Int(extras[start + 2])
            guard count <= extras.count else { return .malformed }
            extras = extras.dropFirst(count)
        }
        func text(_ address: Int, _ port: Int) -> String {
            let groups = (0..<size / 2).map { index in
                String(Int(bytes[address + 2 * index]) * 256 + Int(bytes[address + 2 * index + 1]), radix: 16)
            }
            let number = UInt16(bytes[port]) << 8 | UInt16(bytes[port + 1])
            let host =
                size == 4
                ? (0..<4).map { String(bytes[address + $0]) }.joined(separator: ".")
                : groups.joined(separator: ":")
            return SocketAddress(text: host, port: number)?.text ?? "no address"
        }
        return .header(
            length: length, source: text(16, 16 + 2 * size),
            destination: text(16 + size, 16 + 2 * size + 2))
    }
}
