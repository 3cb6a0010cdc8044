// Runs the head parsers over plain arrays and returns plain values that can be compared. Each look gets
// memory of exactly its size, so that the address sanitizer sees a read past the end.
internal import Base
package import HTTP

/// One field line as it was read.
package struct ReadField: Equatable {
    package var name: [UInt8]
    package var value: [UInt8]

    package init(_ name: [UInt8], _ value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// Everything that a head says, request or response.
package struct ReadHead: Equatable {
    package var length = 0
    package var method: [UInt8] = []
    package var target: [UInt8] = []
    package var scheme: [UInt8] = []
    package var authority: [UInt8] = []
    package var path: [UInt8] = []
    package var query: [UInt8]?
    package var isConnect = false
    package var isAbsoluteForm = false
    package var asksWholeServer = false
    package var status = 0
    package var phrase: [UInt8] = []
    package var minorVersion = 0
    package var framing = BodyFraming.none
    package var contentLength: UInt64 = 0
    package var keepsAlive = false
    package var expectsContinue = false
    package var upgradesToWebSocket = false
    package var upgradesToH2C = false
    package var hasConnectionUpgrade = false
    package var namesFields = false
    package var fields: [ReadField] = []
    /// The lines that go on, before any edit.
    package var lines: [UInt8] = []
}

package enum HeadOutcome: Equatable {
    case needMore
    case refused(HeadError)
    case complete(ReadHead)

    package var head: ReadHead? {
        if case .complete(let head) = self { return head }
        return nil
    }
}

/// What `bytes` of a head are.
package enum HeadKind: Sendable {
    case request, response
}

package final class HeadReader {
    private var headers = HeaderList()
    package var maxBytes = Limits.headBytes
    package var maxFields = Limits.headFields

    package init() {}

    deinit { headers.deallocate() }

    package func read(_ kind: HeadKind, _ bytes: [UInt8]) -> HeadOutcome {
        var copy = bytes
        return read(kind, inPlace: &copy)
    }

    /// Reads; what the parser changes in its buffer stays changed in `bytes`, as between two reads of a
    /// connection.
    package func read(_ kind: HeadKind, inPlace bytes: inout [UInt8]) -> HeadOutcome {
        let count = bytes.count
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, count))
        defer { memory.deallocate() }
        memory.initialize(from: bytes, count: count)
        let outcome = kind == .request ? request(memory, count) : response(memory, count)
        bytes = Array(UnsafeBufferPointer(start: memory, count: count))
        return outcome
    }

    /// As the worker does it: the parser, then the rules that need the whole head.
    private func request(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> HeadOutcome {
        var head = RequestHead()
        switch H1Parser.readRequest(bytes, count, &head, &headers, maxBytes: maxBytes, maxFields: maxFields) {
        case .needMore: return .needMore
        case .refused(let why): return .refused(why)
        case .complete(let length):
            if let why = RequestRules.settleAuthority(&head, &headers) { return .refused(why) }
            var read = common(length, head.connection)
            read.method = head.request.method.bytes
            read.target = head.request.target.bytes
            read.scheme = head.request.scheme.bytes
            read.authority = head.request.authority.bytes
            read.path = head.request.path.bytes
            read.query = head.request.hasQuery ? head.request.query.bytes : nil
            read.isConnect = head.request.isConnect
            read.isAbsoluteForm = head.isAbsoluteForm
            read.asksWholeServer = head.asksWholeServer
            read.minorVersion = Int(head.minorVersion)
            read.framing = head.framing
            read.keepsAlive = head.keepsAlive
            return .complete(read)
        }
    }

    private func response(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> HeadOutcome {
        var head = ResponseHead()
        switch H1Parser.readResponse(bytes, count, &head, &headers, maxBytes: maxBytes, maxFields: maxFields)
        {
        case .needMore: return .needMore
        case .refused(let why): return .refused(why)
        case .complete(let length):
            if head.status >= 200, let why = ResponseRules.frame(&head, toHead: false) {
                return .refused(why)
            }
            var read = common(length, head.connection)
            read.status = head.status
            read.phrase = head.reasonPhrase.bytes
            read.minorVersion = Int(head.minorVersion)
            read.framing = head.framing
            read.keepsAlive = head.keepsAlive
            return .complete(read)
        }
    }

    private func common(_ length: Int, _ connection: ConnectionFields) -> ReadHead {
        var read = ReadHead()
        read.length = length
        read.contentLength = connection.contentLength
        read.expectsContinue = connection.expectsContinue
        read.upgradesToWebSocket = connection.upgradesToWebSocket
        read.upgradesToH2C = connection.upgradesToH2C
        read.hasConnectionUpgrade = connection.hasConnectionUpgrade
        read.namesFields = connection.namesFields
        for index in 0..<headers.count {
            let field = headers.fields[index]
            read.fields.append(ReadField(field.name.bytes, field.value.bytes))
        }
        read.lines = [UInt8](unsafeUninitializedCapacity: max(1, headers.lineBytes)) { buffer, count in
            if let start = buffer.baseAddress { count = headers.copyLines(to: start) - start }
        }
        return read
    }
}
