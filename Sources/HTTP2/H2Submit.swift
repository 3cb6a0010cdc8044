// Heads on their way out. The rest of the program writes every head as HTTP/1 text, once; here the text
// becomes fields: the start line turns into pseudo-header fields, and what concerns an HTTP/1 connection only
// is left out (RFC 9113 8.2.2).
public import Base
internal import CNghttp2

/// What a request's head text does not say.
public struct H2RequestForm: BitwiseCopyable {
    public var isTLS = false
    /// The text asks for a WebSocket upgrade: extended CONNECT (RFC 8441).
    public var isWebSocket = false

    public init() {}
}

extension H2Session {
    /// The response whose head `text` is; the stream's output follows unless it ends here. False: it cannot
    /// be sent, because the stream is over.
    public func submitResponse(_ stream: UnsafeMutablePointer<H2Stream>, _ text: ByteView, ends: Bool) -> Bool
    {
        guard let count = responseFields(text) else { return false }
        return submit(stream, count, ends: ends)
    }

    /// A 1xx head.
    public func submitInterim(_ stream: UnsafeMutablePointer<H2Stream>, _ text: ByteView) -> Bool {
        guard let count = responseFields(text), !stream.pointee.flags.contains(.closed) else { return false }
        markDirty()
        return nghttp2_submit_headers(
            state.pointee.session, 0, stream.pointee.id, nil, state.pointee.engine.pointee.nva, count, nil)
            == 0
    }

    private func submit(_ stream: UnsafeMutablePointer<H2Stream>, _ count: Int, ends: Bool) -> Bool {
        if stream.pointee.flags.contains(.closed) { return false }
        let nva = state.pointee.engine.pointee.nva
        var code: Int32
        if ends {
            stream.pointee.flags.insert(.shut)
            code = nghttp2_submit_response(state.pointee.session, stream.pointee.id, nva, count, nil)
        } else {
            var provider = Self.provider(stream)
            code = nghttp2_submit_response(state.pointee.session, stream.pointee.id, nva, count, &provider)
        }
        if code != 0 { return false }
        stream.pointee.flags.insert(.hasHead)
        markDirty()
        return true
    }

    private static func provider(_ stream: UnsafeMutablePointer<H2Stream>) -> nghttp2_data_provider {
        nghttp2_data_provider(source: nghttp2_data_source(ptr: stream), read_callback: h2ReadOutput)
    }

    /// The request whose head `text` is, on a record from `open`; its output follows unless it ends here.
    /// False: no more requests can be made on this connection.
    public func submitRequest(
        _ stream: UnsafeMutablePointer<H2Stream>, _ text: ByteView, _ form: H2RequestForm, ends: Bool
    ) -> Bool {
        guard let count = requestFields(text, form) else { return false }
        let nva = state.pointee.engine.pointee.nva
        let id: Int32
        if ends {
            stream.pointee.flags.insert(.shut)
            id = nghttp2_submit_request(state.pointee.session, nil, nva, count, nil, stream)
        } else {
            var provider = Self.provider(stream)
            id = nghttp2_submit_request(state.pointee.session, nil, nva, count, &provider, stream)
        }
        if id < 0 { return false }
        stream.pointee.id = id
        stream.pointee.flags.insert(.hasHead)
        markDirty()
        return true
    }

    /// Called when the output is out and trailers follow; `trailers` holds whole lines.
    func submitTrailers(_ stream: UnsafeMutablePointer<H2Stream>) {
        let lines = ByteView(stream.pointee.trailers.bytes, stream.pointee.trailers.count)
        let count = addLines(lines, 0, 0, skipsKey: false)
        nghttp2_submit_trailer(
            state.pointee.session, stream.pointee.id, state.pointee.engine.pointee.nva, count)
    }

    // MARK: text to fields

    /// `HTTP/1.1 200 OK` and lines; 101 is the 200 of an extended CONNECT.
    private func responseFields(_ text: ByteView) -> Int? {
        guard text.count > 14, let lineEnd = text.firstIndex(of: 0x0A) else { return nil }
        var status = text.slice(9, 12)
        let switches = status.equals("101")
        if switches { status = "200" }
        put(0, ":status", status)
        return addLines(text, lineEnd + 1, 1, skipsKey: switches)
    }

    /// `GET /path HTTP/1.1`, `host: …` and lines.
    private func requestFields(_ text: ByteView, _ form: H2RequestForm) -> Int? {
        guard let methodEnd = text.firstIndex(of: 0x20),
            let targetEnd = text.firstIndex(of: 0x20, from: methodEnd + 1),
            let lineEnd = text.firstIndex(of: 0x0A, from: targetEnd)
        else { return nil }
        let hostEnd = text.firstIndex(of: 0x0D, from: lineEnd) ?? text.count
        guard hostEnd - lineEnd > 7, text.slice(lineEnd + 1, lineEnd + 7).equals("host: ") else { return nil }
        var count = 0
        put(count, ":method", form.isWebSocket ? "CONNECT" : text.slice(0, methodEnd))
        count += 1
        if form.isWebSocket {
            put(count, ":protocol", "websocket")
            count += 1
        }
        put(count, ":scheme", form.isTLS ? "https" : "http")
        put(count + 1, ":authority", text.slice(lineEnd + 7, hostEnd))
        put(count + 2, ":path", text.slice(methodEnd + 1, targetEnd))
        return addLines(text, hostEnd + 2, count + 3, skipsKey: form.isWebSocket)
    }

    private func put(_ index: Int, _ name: ByteView, _ value: ByteView) {
        (state.pointee.engine.pointee.nva + index).initialize(
            to: nghttp2_nv(
                name: UnsafeMutablePointer(mutating: name.start),
                value: UnsafeMutablePointer(mutating: value.start), namelen: name.count,
                valuelen: value.count, flags: 0))
    }

    /// Field lines from `from` to the blank line or the end; returns how many fields there are then.
    private func addLines(_ text: ByteView, _ from: Int, _ first: Int, skipsKey: Bool) -> Int {
        var count = first
        var at = from
        while at < text.count, count < H2EngineState.nvaCapacity,
            let end = text.firstIndex(of: 0x0D, from: at), end > at
        {
            let line = text.slice(at, end)
            at = end + 2
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let name = line.slice(0, colon)
            if Self.staysBehind(name, skipsKey) { continue }
            put(count, name, line.slice(colon + 1, line.count).trimmed)
            count += 1
        }
        return count
    }

    private static func staysBehind(_ name: ByteView, _ skipsKey: Bool) -> Bool {
        switch name.count {
        case 7: name.equals("upgrade")
        case 10: name.equals("connection") || name.equals("keep-alive")
        case 16: name.equals("proxy-connection")
        case 17: name.equals("transfer-encoding") || (skipsKey && name.equals("sec-websocket-key"))
        case 20: skipsKey && name.equals("sec-websocket-accept")
        default: false
        }
    }
}
