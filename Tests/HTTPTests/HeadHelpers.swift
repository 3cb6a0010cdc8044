// Reading heads in tests: text in, plain values out, and the worker's way of feeding pieces.
import Base
import FuzzInvariants
import HTTP
import TestSupport
import Testing

func readRequest(_ text: String) -> HeadOutcome { HeadReader().read(.request, Array(text.utf8)) }

func readResponse(_ text: String) -> HeadOutcome { HeadReader().read(.response, Array(text.utf8)) }

/// Why the request is refused; nil if it is not.
func refusal(_ text: String) -> HeadError? {
    if case .refused(let why) = readRequest(text) { return why }
    return nil
}

/// A request with these lines between a plain start and the blank line.
func request(_ lines: String..., start: String = "GET / HTTP/1.1") -> String {
    ([start] + lines).map { $0 + "\r\n" }.joined() + "\r\n"
}

/// Feeds pieces as a connection does: the first look parses, later ones only once the head can be whole.
func readByPieces(_ kind: HeadKind, _ pieces: [[UInt8]]) -> HeadOutcome {
    let reader = HeadReader()
    var held: [UInt8] = []
    var scanned = 0
    var outcome = HeadOutcome.needMore
    for piece in pieces {
        let isFirst = held.isEmpty
        held += piece
        if !isFirst {
            let mayBeComplete = held.withUnsafeBufferPointer { buffer -> Bool in
                guard let base = buffer.baseAddress else { return false }
                return H1Parser.mayBeComplete(base, buffer.count, scanned: &scanned)
            }
            if !mayBeComplete, held.count < reader.maxBytes { continue }
        }
        outcome = reader.read(kind, inPlace: &held)
        if outcome != .needMore { return outcome }
        scanned = held.count
    }
    return outcome
}

/// Whether a blank line or a bare line feed is there, so that a worker looks at the head at once.
func isLookedAt(_ bytes: [UInt8]) -> Bool {
    for (index, byte) in bytes.enumerated() where byte == 0x0A {
        if index == 0 || bytes[index - 1] != 0x0D { return true }
        if index >= 3, bytes[index - 2] == 0x0A, bytes[index - 3] == 0x0D { return true }
    }
    return false
}

/// All invariants, and the same outcome at every split fed as a connection feeds it.
func checkHead(
    _ kind: HeadKind, _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let reader = HeadReader()
    if let wrong = HeadInvariants.violation(kind, bytes, reader) {
        Issue.record("\(printable(bytes)): \(wrong)", sourceLocation: sourceLocation)
    }
    if isLookedAt(bytes), bytes.count < 1_000 {
        try assertSameAtEverySplit(bytes) { readByPieces(kind, $0) }
    }
}

extension ReadHead {
    func values(_ name: String) -> [String] {
        fields.filter { $0.name == Array(name.utf8) }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    var linesText: String { String(decoding: lines, as: UTF8.self) }
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
