// An access log line from a record: Istio's default text or its JSON keys (istio-semantics.md 25), each
// with our four lane fields and, of connections with TLS, what was agreed. Bytes that came from peers are
// escaped, so that no request can forge a line or a field.
internal import Base

/// Formats records one after the other into `out`, each ending in a newline.
struct AccessFormat {
    var out: [UInt8] = []
    private let isJSON: Bool
    /// START_TIME up to the second, kept while the second lasts.
    private var second: UInt64 = .max
    private var secondText: [UInt8] = []

    init(_ format: AccessLogFormat) { isJSON = format == .json }

    mutating func append(_ record: AccessRecord) {
        if isJSON { appendJSON(record) } else { appendText(record) }
        out.append(0x0A)
    }

    // MARK: text

    private mutating func appendText(_ record: AccessRecord) {
        out.append(0x5B)
        time(record.startNs)
        literal("] \"")
        quoted(record.method)
        space()
        quoted(record.originalPath.isEmpty ? record.path : record.originalPath)
        space()
        literal(record.httpVersion.text ?? "-")
        literal("\" ")
        number(UInt64(record.responseCode))
        space()
        literal(record.flags.text)
        space()
        word(record.details)
        space()
        word(record.terminationDetails)
        literal(" \"")
        quoted(record.transportFailure)
        literal("\" ")
        number(record.bytesReceived)
        space()
        number(record.bytesSent)
        space()
        number(record.durationNs / 1_000_000)
        space()
        if record.upstreamServiceMs < 0 { literal("-") } else { number(UInt64(record.upstreamServiceMs)) }
        literal(" \"")
        for value in [record.forwardedFor, record.userAgent, record.requestID, record.authority] {
            quoted(value)
            literal("\" \"")
        }
        literal(record.upstream.logText ?? "-")
        literal("\" ")
        configured(record.cluster)
        for address in [record.upstreamLocal, record.downstreamLocal, record.downstreamRemote] {
            space()
            literal(address.logText ?? "-")
        }
        space()
        word(record.serverName)
        space()
        configured(record.route)
        laneFields(record)
    }

    private mutating func laneFields(_ record: AccessRecord) {
        literal(" lane=")
        word(record.lane)
        literal(" lane_decision=")
        word(record.laneDecision)
        literal(" lane_carrier=")
        word(record.laneCarrier)
        literal(" reason=")
        word(record.reason)
        if record.tlsVersion.isEmpty { return }
        literal(" downstream_tls_version=")
        word(record.tlsVersion)
        literal(" downstream_tls_cipher=")
        word(record.tlsCipher)
        literal(" downstream_peer_subject=\"")
        quoted(record.peerSubject)
        literal("\"")
    }

    /// Between double quotes: blanks stay.
    private mutating func quoted(_ view: ByteView) { escaped(view, blanks: true) }

    /// Without quotes: a blank would shift the columns.
    private mutating func word(_ view: ByteView) { escaped(view, blanks: false) }

    /// A name from configuration, printed as Envoy prints it: blanks stay even without quotes.
    private mutating func configured(_ view: ByteView) { escaped(view, blanks: true) }

    private mutating func escaped(_ view: ByteView, blanks: Bool) {
        if view.isEmpty { return out.append(0x2D) }
        for byte in UnsafeBufferPointer(start: view.start, count: view.count) {
            switch byte {
            case 0x22, 0x5C:
                out.append(0x5C)
                out.append(byte)
            case 0x21...0x7E: out.append(byte)
            case 0x20 where blanks: out.append(byte)
            default:
                literal("\\x")
                hex(byte)
            }
        }
    }

    // MARK: JSON

    private mutating func appendJSON(_ record: AccessRecord) {
        literal("{")
        string("authority", record.authority, first: true)
        number("bytes_received", record.bytesReceived)
        number("bytes_sent", record.bytesSent)
        string("connection_termination_details", record.terminationDetails)
        string("downstream_local_address", record.downstreamLocal.logText)
        if !record.tlsVersion.isEmpty { string("downstream_peer_subject", record.peerSubject) }
        string("downstream_remote_address", record.downstreamRemote.logText)
        if !record.tlsVersion.isEmpty {
            string("downstream_tls_cipher", record.tlsCipher)
            string("downstream_tls_version", record.tlsVersion)
        }
        number("duration", record.durationNs / 1_000_000)
        string("lane", record.lane)
        string("lane_carrier", record.laneCarrier)
        string("lane_decision", record.laneDecision)
        string("method", record.method)
        string("path", record.originalPath.isEmpty ? record.path : record.originalPath)
        string("protocol", record.httpVersion.text)
        string("reason", record.reason)
        string("request_id", record.requestID)
        string("requested_server_name", record.serverName)
        number("response_code", UInt64(record.responseCode))
        string("response_code_details", record.details)
        string("response_flags", record.flags.text)
        string("route_name", record.route)
        key("start_time")
        literal("\"")
        time(record.startNs)
        literal("\"")
        string("upstream_cluster", record.cluster)
        string("upstream_host", record.upstream.logText)
        string("upstream_local_address", record.upstreamLocal.logText)
        // A header's value, hence a string in Envoy's JSON too.
        string("upstream_service_time", record.upstreamServiceMs < 0 ? nil : "\(record.upstreamServiceMs)")
        string("upstream_transport_failure_reason", record.transportFailure)
        string("user_agent", record.userAgent)
        string("x_forwarded_for", record.forwardedFor)
        literal("}")
    }

    private mutating func key(_ key: StaticString, first: Bool = false) {
        literal(first ? "\"" : ",\"")
        out.append(contentsOf: UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
        literal("\":")
    }

    private mutating func number(_ name: StaticString, _ value: UInt64) {
        key(name)
        number(value)
    }

    private mutating func string(_ name: StaticString, _ view: ByteView, first: Bool = false) {
        key(name, first: first)
        if view.isEmpty { return literal("null") }
        let bytes = UnsafeBufferPointer(start: view.start, count: view.count)
        out.append(0x22)
        if bytes.contains(where: { $0 >= 0x80 }) {
            // JSON is UTF-8: what is not becomes U+FFFD.
            for byte in String(decoding: bytes, as: UTF8.self).utf8 { jsonByte(byte) }
        } else {
            for byte in bytes { jsonByte(byte) }
        }
        out.append(0x22)
    }

    private mutating func string(_ name: StaticString, _ text: String?) {
        key(name)
        guard let text else { return literal("null") }
        out.append(0x22)
        for byte in text.utf8 { jsonByte(byte) }
        out.append(0x22)
    }

    private mutating func jsonByte(_ byte: UInt8) {
        switch byte {
        case 0x22, 0x5C:
            out.append(0x5C)
            out.append(byte)
        case 0..<0x20, 0x7F:
            literal("\\u00")
            hex(byte)
        default: out.append(byte)
        }
    }

    // MARK: pieces

    private mutating func space() { out.append(0x20) }

    private mutating func literal(_ text: String) { out.append(contentsOf: text.utf8) }

    private mutating func hex(_ byte: UInt8) {
        for digit in [byte >> 4, byte & 15] { out.append(digit < 10 ? 0x30 + digit : 0x57 + digit) }
    }

    private mutating func number(_ value: UInt64) { literal(String(value)) }

    private mutating func time(_ nanoseconds: UInt64) {
        if nanoseconds / 1_000_000_000 != second {
            second = nanoseconds / 1_000_000_000
            secondText = Array(UTCTime(nanoseconds: nanoseconds).text.utf8.dropLast(4))
        }
        out.append(contentsOf: secondText)
        let milliseconds = UInt8(nanoseconds / 1_000_000 % 1_000 / 100)
        out.append(0x30 + milliseconds)
        let rest = UInt8(nanoseconds / 1_000_000 % 100)
        out.append(0x30 + rest / 10)
        out.append(0x30 + rest % 10)
        out.append(0x5A)
    }
}

extension LogProtocol {
    var text: String? {
        switch self {
        case .unknown: nil
        case .http10: "HTTP/1.0"
        case .http11: "HTTP/1.1"
        case .http2: "HTTP/2"
        }
    }
}

extension SocketAddress {
    /// `10.0.0.1:80`, `[2001:db8::1]:80`; nil if there is none.
    fileprivate var logText: String? { self == .unspecified ? nil : text }
}
