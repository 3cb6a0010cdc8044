// Small questions about requests and answers: encodings, sites, dates.
import Testing

@testable import Admin

@Test(arguments: [
    ("gzip", true), ("GZIP, br", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false),
    ("gzip; q=0.000", false),
    ("*", true), ("*;q=0", false), ("identity", false), ("", false), ("gzip;q=0, *", false),
    ("*, gzip;q=0", false),
    ("x-gzip", true), ("gzip;q=nonsense", false),
])
func gzipOnlyForThoseWhoAsk(header: String, expected: Bool) {
    var request = AdminRequest()
    request.acceptEncoding = header
    #expect(request.acceptsGzip == expected)
}

@Test func crossSiteRequestsAreTold() {
    func crossSite(origin: String? = nil, site: String? = nil, host: String = "127.0.0.1:15000") -> Bool {
        var request = AdminRequest()
        request.host = host
        request.origin = origin
        request.fetchSite = site
        return request.isCrossSite
    }
    #expect(!crossSite())
    #expect(!crossSite(origin: "http://127.0.0.1:15000", site: "same-origin"))
    #expect(!crossSite(site: "none"))
    #expect(crossSite(site: "cross-site"))
    // Another port of the same host is the same site and another origin.
    #expect(crossSite(site: "same-site"))
    #expect(crossSite(origin: "http://evil.example"))
    #expect(crossSite(origin: "null"))
    #expect(crossSite(origin: "http://127.0.0.1:15000.evil.example"))
    #expect(crossSite(origin: "http://127.0.0.1:3000"))
}

@Test func parametersAreDecodedOnce() {
    var request = AdminRequest()
    request.query = "a=1&level=de%62ug&level=info&bad=%zz&empty=&flag"
    #expect(request.parameter("level") == "debug")
    #expect(request.parameter("bad") == nil)
    #expect(request.parameter("empty") == "")
    #expect(request.parameter("flag") == "")
    #expect(request.parameter("none") == nil)
}

@Test func datesAreImfFixdate() {
    #expect(httpDate(784_111_777_000_000_000) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(httpDate(1_767_323_045_678_900_000) == "Fri, 02 Jan 2026 03:04:05 GMT")
}

@Test func answersAreCompressedWhenItPays() {
    var request = AdminRequest()
    request.method = "GET"
    request.acceptEncoding = "gzip"
    let large = AdminResponse.text(200, String(repeating: "metric 1\n", count: 1_000))
    let bytes = large.bytes(for: request, keepAlive: true, nowNs: 0)
    #expect(bytes.count < 2_000)
    #expect(String(decoding: bytes, as: UTF8.self).contains("content-encoding: gzip\r\n"))
    let small = AdminResponse.text(200, "ok").bytes(for: request, keepAlive: true, nowNs: 0)
    #expect(String(decoding: small, as: UTF8.self).hasSuffix("\r\n\r\nok\n"))
}
