// One client of the admin server without its socket: bytes in, bytes out. Uses the same strict head parser
// as the data path; every refusal closes the connection.
internal import Base
internal import HTTP

struct AdminConnection {
    private enum Phase {
        case head
        case body(Int)
        case chunked(ChunkedDecoder)
    }

    private var input: [UInt8] = []
    private var scanned = 0
    private var phase = Phase.head
    private var request = AdminRequest()
    private var keepsAlive = true
    /// Bytes to send, from `sent` on.
    private(set) var output: [UInt8] = []
    private(set) var sent = 0
    /// The connection ends once `output` is sent; nothing more is read as a request.
    private(set) var isClosing = false

    var hasOutput: Bool { sent < output.count }
    /// A request has begun that is not answered yet.
    var isInRequest: Bool {
        if case .head = phase { return !input.isEmpty }
        return true
    }

    mutating func markSent(_ count: Int) {
        sent += count
        if sent == output.count {
            output.removeAll()
            sent = 0
        }
    }

    /// Takes in what the client sent and answers as many requests as are whole.
    mutating func receive(
        _ bytes: UnsafeBufferPointer<UInt8>, _ headers: inout HeaderList, nowNs: UInt64,
        _ handle: (AdminRequest) -> AdminResponse
    ) {
        if isClosing { return }
        input.append(contentsOf: bytes)
        resume(&headers, nowNs: nowNs, handle)
    }

    /// Goes on with what has been read: also when the last answer is sent. One answer is made at a time, so
    /// that a pipelining client cannot pile answers up.
    mutating func resume(
        _ headers: inout HeaderList, nowNs: UInt64, _ handle: (AdminRequest) -> AdminResponse
    ) {
        while !isClosing, !hasOutput {
            switch phase {
            case .head:
                guard readHead(&headers, nowNs: nowNs) else { return }
            case .body(let length):
                guard input.count >= length else { return }
                request.body = Array(input[..<length])
                input.removeFirst(length)
                answer(handle(request), nowNs: nowNs)
            case .chunked(var decoder):
                let step = input.withUnsafeMutableBufferPointer { buffer in
                    buffer.isEmpty ? nil : decoder.decode(buffer.baseAddress!, buffer.count)
                }
                guard let step else { return }
                request.body.append(contentsOf: input[..<step.produced])
                input.removeFirst(step.consumed)
                phase = .chunked(decoder)
                if step.status == .bad { return refuse(400, "malformed chunked body", nowNs: nowNs) }
                if request.body.count > Limits.adminRequestBytes { return refuseLarge(nowNs: nowNs) }
                if step.status == .more { return }
                answer(handle(request), nowNs: nowNs)
            }
        }
    }

    /// Ends the connection with an answer that no request asked for: a deadline.
    mutating func refuse(_ status: Int, _ message: String, nowNs: UInt64) {
        keepsAlive = false
        answer(.error(status, message), nowNs: nowNs)
    }

    private mutating func refuseLarge(nowNs: UInt64) {
        refuse(413, "a body may have \(Limits.adminRequestBytes) bytes at most", nowNs: nowNs)
    }

    private mutating func answer(_ response: AdminResponse, nowNs: UInt64) {
        output += response.bytes(for: request, keepAlive: keepsAlive, nowNs: nowNs)
        isClosing = !keepsAlive
        phase = .head
        request = AdminRequest()
        if isClosing { input.removeAll() }
    }

    /// True: the phase has changed, or the connection is closing.
    private mutating func readHead(_ headers: inout HeaderList, nowNs: UInt64) -> Bool {
        var head = RequestHead()
        var taken = AdminRequest()
        let result: HeadResult? = input.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress, !buffer.isEmpty else { return nil }
            guard
                H1Parser.mayBeComplete(start, buffer.count, scanned: &scanned)
                    || buffer.count > Limits.headBytes
            else { return nil }
            let result = H1Parser.readRequest(
                start, buffer.count, &head, &headers, maxBytes: Limits.headBytes,
                maxFields: Limits.headFields)
            if case .complete = result { taken = Self.request(head, headers) }
            return result
        }
        switch result {
        case nil, .needMore: return false
        case .refused(let why):
            refuse(why.status, String(describing: why.name), nowNs: nowNs)
            return true
        case .complete(let length):
            request = taken
            input.removeFirst(length)
            scanned = 0
        }
        if head.minorVersion == 1, head.connection.hostCount == 0 {
            refuse(400, "missing_host", nowNs: nowNs)
            return true
        }
        keepsAlive = head.keepsAlive
        switch head.framing {
        case .chunked: phase = .chunked(ChunkedDecoder())
        case .length where head.connection.contentLength > UInt64(Limits.adminRequestBytes):
            refuseLarge(nowNs: nowNs)
            return true
        case .length: phase = .body(Int(head.connection.contentLength))
        case .none, .untilClose, .stream: phase = .body(0)
        }
        if head.connection.expectsContinue, head.framing != .none, input.isEmpty {
            output += Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
        }
        return true
    }

    /// Copies what the routes need while the views hold.
    private static func request(_ head: RequestHead, _ headers: HeaderList) -> AdminRequest {
        var request = AdminRequest()
        request.method = head.request.method.string
        request.path = head.request.path.string
        request.query = head.request.query.string
        func value(_ name: StaticString) -> String? {
            let name = HeaderName(ByteView(name.utf8Start, name.utf8CodeUnitCount))
            return headers.find(name).map { $0.pointee.value.string }
        }
        request.host = value("host") ?? ""
        request.origin = value("origin")
        request.fetchSite = value("sec-fetch-site")
        request.acceptEncoding = value("accept-encoding") ?? ""
        return request
    }
}
