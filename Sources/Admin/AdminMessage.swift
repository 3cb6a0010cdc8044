// A request to the admin server and its answer, as values: what comes between parser and routes.
internal import Base
internal import HTTP
internal import Telemetry

/// A whole request.
struct AdminRequest {
    var method = ""
    var path = ""
    /// After the first `?`, as sent.
    var query = ""
    var host = ""
    var origin: String?
    var fetchSite: String?
    var acceptEncoding = ""
    var body: [UInt8] = []

    /// First query parameter of this name, percent-decoded; nil if it is missing or badly escaped.
    func parameter(_ name: String) -> String? {
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0] == name { return parts.count == 2 ? Self.percentDecoded(parts[1].utf8) : "" }
        }
        return nil
    }

    private static func percentDecoded(_ bytes: Substring.UTF8View) -> String? {
        var out: [UInt8] = []
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            guard byte == 0x25 else {
                out.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit)
            else { return nil }
            out.append(high << 4 | low)
        }
        return String(validating: out, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Whether a page of another site sent this with the visitor's browser: actions refuse those.
    var isCrossSite: Bool {
        if let fetchSite, fetchSite != "same-origin", fetchSite != "none" { return true }
        guard let origin else { return false }
        return origin != "http://\(host)" && origin != "https://\(host)"
    }

    /// `gzip` or `*` with a weight above 0 (RFC 9110 12.5.3).
    var acceptsGzip: Bool {
        var any = false
        for item in acceptEncoding.lowercased().split(separator: ",") {
            let parts = item.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
            guard let coding = parts.first, coding == "gzip" || coding == "x-gzip" || coding == "*" else {
                continue
            }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }
            let accepted = weight.map { (Double($0.dropFirst(2)) ?? 0) > 0 } ?? true
            if coding != "*" { return accepted }
            any = accepted
        }
        return any
    }
}

struct AdminResponse {
    var status: Int
    var contentType: String
    var body: [UInt8]
    var headers: [(name: String, value: String)] = []

    init(_ status: Int, _ contentType: String, _ body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    static func json(_ status: Int = 200, _ body: [UInt8]) -> AdminResponse {
        AdminResponse(status, "application/json", body + [0x0A])
    }

    static func json(_ status: Int = 200, _ members: (inout JSONWriter) -> Void) -> AdminResponse {
        var json = JSONWriter()
        json.object(members)
        return .json(status, json.finish())
    }

    static func text(_ status: Int, _ text: String) -> AdminResponse {
        AdminResponse(status, "text/plain; charset=utf-8", Array("\(text)\n".utf8))
    }

    static func error(_ status: Int, _ message: String) -> AdminResponse {
        .json(status) { $0.member("error", message) }
    }

    static func notAllowed(_ allow: String) -> AdminResponse {
        var response = error(405, "method not allowed here; allowed: \(allow)")
        response.headers.append(("allow", allow))
        return response
    }

    /// The bytes on the wire. A body is compressed when the client asks and it pays.
    func bytes(for request: AdminRequest, keepAlive: Bool, nowNs: UInt64) -> [UInt8] {
        var body = body
        var head = "HTTP/1.1 \(status) \(Self.phrase(status))\r\ncontent-type: \(contentType)\r\n"
        if request.acceptsGzip, body.count > 1_024, let packed = gzip(body) {
            body = packed
            head += "content-encoding: gzip\r\n"
        }
        head += "content-length: \(body.count)\r\nvary: accept-encoding\r\ncache-control: no-store\r\n"
        head += "x-content-type-options: nosniff\r\nserver: fairlead\r\ndate: \(httpDate(nowNs))\r\n"
        for header in headers { head += "\(header.name): \(header.value)\r\n" }
        head += keepAlive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n"
        return Array(head.utf8) + (request.method == "HEAD" ? [] : body)
    }

    private static func phrase(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 202: "Accepted"
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}

/// IMF-fixdate (RFC 9110 5.6.7) of nanoseconds since 1970.
func httpDate(_ nanoseconds: UInt64) -> String {
    let time = UTCTime(nanoseconds: nanoseconds)
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let day = days[Int(nanoseconds / 86_400_000_000_000 % 7)]
    return "\(day), \(two(time.day)) \(months[time.month - 1]) \(time.year) "
        + "\(two(time.hour)):\(two(time.minute)):\(two(time.second)) GMT"
}
