// Access log lines byte by byte, and what hostile bytes become in them.
import Base
import Testing

@testable import Telemetry

/// Keeps the bytes that a record's views point at.
final class RecordTexts {
    private var kept: [UnsafeMutablePointer<UInt8>] = []

    func view(_ text: String) -> ByteView { view(Array(text.utf8)) }

    func view(_ bytes: [UInt8]) -> ByteView {
        if bytes.isEmpty { return .empty }
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
        copy.initialize(from: bytes, count: bytes.count)
        kept.append(copy)
        return ByteView(copy, bytes.count)
    }

    deinit { for text in kept { text.deallocate() } }
}

private func line(_ record: AccessRecord, _ format: AccessLogFormat) -> String {
    var writer = AccessFormat(format)
    writer.append(record)
    return String(decoding: writer.out, as: UTF8.self)
}

/// 2026-01-02T03:04:05.678Z
private let startNs: UInt64 = 1_767_323_045_678_900_000

private func fullRecord(_ texts: RecordTexts) -> AccessRecord {
    var record = AccessRecord()
    record.startNs = startNs
    record.method = texts.view("GET")
    record.path = texts.view("/new?q=1")
    record.originalPath = texts.view("/old?q=1")
    record.httpVersion = .http11
    record.responseCode = 503
    record.flags = [.UF, .URX]
    record.details = texts.view("upstream_reset_before_response_started{connection_failure}")
    record.transportFailure = texts.view("delayed connect error: 111")
    record.bytesReceived = 12
    record.bytesSent = 95
    record.durationNs = 4_999_999
    record.upstreamServiceMs = 3
    record.forwardedFor = texts.view("10.0.0.1,10.0.0.2")
    record.userAgent = texts.view("curl/8.0")
    record.requestID = texts.view("0a1b")
    record.authority = texts.view("myapp.example.com")
    record.upstream = SocketAddress(ipv4: 0x0A01_0203, port: 8_080)
    record.cluster = texts.view("outbound|8080|v1|auth.ns.svc.cluster.local")
    record.upstreamLocal = SocketAddress(ipv4: 0x7F00_0001, port: 40_000)
    record.downstreamLocal = SocketAddress(high: 0x2001_0DB8_0000_0000, low: 1, port: 80, isIPv4: false)
    record.downstreamRemote = SocketAddress(ipv4: 0xC0A8_0001, port: 51_000)
    record.serverName = texts.view("sni.example.com")
    record.route = texts.view("auth-route")
    record.lane = texts.view("auth-refactor")
    record.laneDecision = texts.view("lane")
    record.laneCarrier = texts.view("cookie")
    record.reason = texts.view("upstream-connect")
    return record
}

@Test func textIsIstiosLineAndOurFields() {
    let texts = RecordTexts()
    #expect(
        line(fullRecord(texts), .text)
            == #"[2026-01-02T03:04:05.678Z] "GET /old?q=1 HTTP/1.1" 503 UF,URX "#
            + #"upstream_reset_before_response_started{connection_failure} - "delayed connect error: 111" "#
            + #"12 95 4 3 "10.0.0.1,10.0.0.2" "curl/8.0" "0a1b" "myapp.example.com" "10.1.2.3:8080" "#
            + #"outbound|8080|v1|auth.ns.svc.cluster.local 127.0.0.1:40000 [2001:db8::1]:80 "#
            + #"192.168.0.1:51000 sni.example.com auth-route "#
            + "lane=auth-refactor lane_decision=lane lane_carrier=cookie reason=upstream-connect\n")
}

@Test func whatWasAgreedInsideTLSFollows() {
    let texts = RecordTexts()
    var record = fullRecord(texts)
    record.tlsVersion = texts.view("TLSv1.3")
    record.tlsCipher = texts.view("TLS_AES_128_GCM_SHA256")
    let bare = line(record, .text)
    #expect(
        bare.hasSuffix(
            " reason=upstream-connect downstream_tls_version=TLSv1.3 "
                + #"downstream_tls_cipher=TLS_AES_128_GCM_SHA256 downstream_peer_subject="-""# + "\n"))
    #expect(line(record, .json).contains(#""downstream_peer_subject":null,"downstream_remote_address":"#))
    record.peerSubject = texts.view(#"O="A B",CN=web"#)
    #expect(line(record, .text).hasSuffix(#" downstream_peer_subject="O=\"A B\",CN=web""# + "\n"))
    #expect(
        line(record, .json).contains(
            #""downstream_peer_subject":"O=\"A B\",CN=web","downstream_remote_address":"192.168.0.1:51000","#
                + #""downstream_tls_cipher":"TLS_AES_128_GCM_SHA256","downstream_tls_version":"TLSv1.3","#
                + #""duration":4"#))
}

@Test func missingValuesAreDashes() {
    var record = AccessRecord()
    record.startNs = startNs
    #expect(
        line(record, .text)
            == #"[2026-01-02T03:04:05.678Z] "- - -" 0 - - - "-" 0 0 0 - "-" "-" "-" "-" "-" - - - - - - "#
            + "lane=- lane_decision=- lane_carrier=- reason=-\n")
}

@Test func jsonHasIstiosKeysSortedWithNumbersAsNumbers() {
    let texts = RecordTexts()
    #expect(
        line(fullRecord(texts), .json)
            == #"{"authority":"myapp.example.com","bytes_received":12,"bytes_sent":95,"#
            + #""connection_termination_details":null,"downstream_local_address":"[2001:db8::1]:80","#
            + #""downstream_remote_address":"192.168.0.1:51000","duration":4,"lane":"auth-refactor","#
            + #""lane_carrier":"cookie","lane_decision":"lane","method":"GET","path":"/old?q=1","#
            + #""protocol":"HTTP/1.1","reason":"upstream-connect","request_id":"0a1b","#
            + #""requested_server_name":"sni.example.com","response_code":503,"#
            + #""response_code_details":"upstream_reset_before_response_started{connection_failure}","#
            + #""response_flags":"UF,URX","route_name":"auth-route","#
            + #""start_time":"2026-01-02T03:04:05.678Z","#
            + #""upstream_cluster":"outbound|8080|v1|auth.ns.svc.cluster.local","#
            + #""upstream_host":"10.1.2.3:8080","upstream_local_address":"127.0.0.1:40000","#
            + #""upstream_service_time":"3","#
            + #""upstream_transport_failure_reason":"delayed connect error: 111","#
            + #""user_agent":"curl/8.0","x_forwarded_for":"10.0.0.1,10.0.0.2"}"# + "\n")
}

@Test func jsonMissingValuesAreNull() {
    var record = AccessRecord()
    record.startNs = startNs
    let text = line(record, .json)
    for key in ["authority", "method", "protocol", "upstream_host", "upstream_service_time", "lane"] {
        #expect(text.contains("\"\(key)\":null"))
    }
    #expect(text.contains("\"response_flags\":\"-\""))
    #expect(text.contains("\"response_code\":0"))
}

@Test func theSecondIsNotKeptTooLong() {
    var writer = AccessFormat(.text)
    for offset: UInt64 in [0, 321_100_000, 322_000_000, 60_000_000_000] {
        var record = AccessRecord()
        record.startNs = startNs + offset
        writer.append(record)
    }
    let times = String(decoding: writer.out, as: UTF8.self).split(separator: "\n").map { $0.prefix(26) }
    #expect(
        times == [
            "[2026-01-02T03:04:05.678Z]", "[2026-01-02T03:04:06.000Z]", "[2026-01-02T03:04:06.000Z]",
            "[2026-01-02T03:05:05.678Z]",
        ])
}

@Test func noPeerByteCanForgeALineOrAField() {
    let texts = RecordTexts()
    for byte in UInt8.min...UInt8.max {
        var record = AccessRecord()
        record.userAgent = texts.view([0x61, byte, 0x62])
        record.serverName = texts.view([byte])
        let text = line(record, .text)
        #expect(text.filter { $0 == "\n" }.count == 1)
        #expect(text.utf8.allSatisfy { (0x20...0x7E).contains($0) || $0 == 0x0A })
        let columns = text.split(separator: " ").count
        var plain = AccessRecord()
        plain.userAgent = texts.view(byte == 0x20 ? "a b" : "a")
        plain.serverName = texts.view("s")
        #expect(columns == line(plain, .text).split(separator: " ").count, "\(byte)")
        let json = line(record, .json)
        #expect(json.filter { $0.isNewline }.count == 1)
        #expect(json.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x0A })
    }
}

@Test func quotesBackslashesAndControlsAreEscaped() {
    let texts = RecordTexts()
    var record = AccessRecord()
    record.path = texts.view(Array("/a\"b\\c\r\nd\u{7F}".utf8) + [0xFF])
    #expect(line(record, .text).contains(#""- /a\"b\\c\x0d\x0ad\x7f\xff -""#))
    #expect(line(record, .json).contains(#""path":"/a\"b\\c\u000d\u000ad\u007f"# + "\u{FFFD}\""))
}
