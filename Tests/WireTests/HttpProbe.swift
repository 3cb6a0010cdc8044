// Raw input through a proxy to an upstream that records every byte: what reaches it is whole well-formed
// requests, or nothing that could be taken for one.
import TestSupport
import Testing

/// One raw input through a proxy: forwarded as well-formed requests, each answered, or refused.
struct HttpProbe {
    let upstream: RecordingUpstream
    let proxy: HttpProxy

    init(spec: [String] = []) throws {
        upstream = try RecordingUpstream()
        proxy = try HttpProxy(to: [upstream.port], spec: spec)
    }

    struct Outcome: Equatable, CustomStringConvertible {
        /// Statuses in order.
        var statuses: [Int]
        /// Bodies of whole requests that the upstream got.
        var forwarded: [String]
        var description: String { "statuses \(statuses), forwarded \(forwarded)" }
    }

    func run(_ pieces: [[UInt8]], _ name: String) throws -> Outcome {
        let client = try proxy.connect()
        var answer: [UInt8] = []
        do {
            for piece in pieces { try client.send(piece) }
            client.halfClose()
            answer = try client.receiveToEnd()
        } catch let reset as ConnectionReset {
            answer = reset.received + ((try? client.receiveToEnd()) ?? [])
        }
        var outcome = Outcome(statuses: statuses(answer), forwarded: [])
        // Whole requests were answered before the client's end, so they are recorded; parts may still
        // come.
        for bytes in upstream.take() {
            let seen = StrictRequests(bytes)
            #expect(seen.fault == nil, "\(name): \(seen.fault ?? "")")
            outcome.forwarded += seen.whole.map {
                let body = String(decoding: $0.body, as: UTF8.self)
                return "\($0.line.dropLast(9)) \(body)"
            }
        }
        let served = outcome.statuses.filter { $0 == 200 }.count
        #expect(served == outcome.forwarded.count, "\(name): \(outcome)")
        #expect(outcome.statuses.dropLast().allSatisfy { $0 == 200 }, "\(name): \(outcome)")
        return outcome
    }

    /// Statuses of the responses in `bytes`; each is framed by its length.
    private func statuses(_ bytes: [UInt8]) -> [Int] {
        let text = String(decoding: bytes, as: UTF8.self)
        var statuses: [Int] = []
        var from = text.startIndex
        while let range = text[from...].firstRange(of: "HTTP/1.1 ") {
            statuses.append(Int(text[range.upperBound...].prefix(3)) ?? 0)
            from = range.upperBound
        }
        return statuses
    }
}
