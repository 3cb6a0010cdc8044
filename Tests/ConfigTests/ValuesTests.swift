// Durations, addresses, ranges, names and the nearest word.
import Lanes
import Testing

@testable import Config

@Test func durations() {
    let good: [(String, UInt64)] = [
        ("8h", 28_800_000), ("30s", 30_000), ("0s", 0), ("0", 0), ("1h30m", 5_400_000), ("500ms", 500),
        ("1.5s", 1_500), ("10us", 1), ("1ns", 1), ("1m1s1ms", 61_001),
    ]
    for (text, milliseconds) in good { #expect(parseDuration(text) == milliseconds, "\(text)") }
    for text in ["", "5", "s", "-1s", "1x", "1h-3m", "1 h", "9999999999999h", "1..5s", "1e9s", "h1", "+1s"] {
        #expect(parseDuration(text) == nil, "\(text)")
    }
}

@Test func addressesAndRanges() {
    #expect(parseSocketAddress("10.1.2.3:8080")?.text == "10.1.2.3:8080")
    #expect(parseSocketAddress("[::1]:80")?.text == "[::1]:80")
    for text in [
        "10.1.2.3", "10.1.2.3:0", "10.1.2.3:65536", "::1:80", "host:80", ":80", "10.1.2.3:+8", "[::1]", "",
    ] {
        #expect(parseSocketAddress(text) == nil, "\(text)")
    }
    #expect(parseCIDR("10.1.2.3/8") == CIDR(high: 0, low: 0xFFFF_0A00_0000, prefixLength: 104))
    #expect(parseCIDR("0.0.0.0/0") == CIDR(high: 0, low: 0xFFFF_0000_0000, prefixLength: 96))
    #expect(parseCIDR("192.168.1.7") == CIDR(high: 0, low: 0xFFFF_C0A8_0107, prefixLength: 128))
    #expect(parseCIDR("::/0") == CIDR(high: 0, low: 0, prefixLength: 0))
    #expect(parseCIDR("fd00::1/64") == CIDR(high: 0xFD00_0000_0000_0000, low: 0, prefixLength: 64))
    #expect(parseCIDR("fd00::1/72") == CIDR(high: 0xFD00_0000_0000_0000, low: 0, prefixLength: 72))
    for text in ["10.0.0.0/33", "::1/129", "10.0.0/8", "10.0.0.0/", "/8", "10.0.0.0/+8", "a/8", ""] {
        #expect(parseCIDR(text) == nil, "\(text)")
    }
}

@Test func names() {
    for name in ["a", "auth-refactor", "x2", String(repeating: "a", count: 63)] { #expect(isDNSLabel(name)) }
    for name in ["", "-a", "a-", "A", "a.b", "a_b", String(repeating: "a", count: 64), "ä"] {
        #expect(!isDNSLabel(name), "\(name)")
    }
    for name in ["*", "*.foo.com", "*-bar.foo.com", "a.b", "10.0.0.1", "::1", "x_y.z", "a.b."] {
        #expect(isHostName(name, wildcard: true), "\(name)")
    }
    for name in ["", ".", "a..b", "a b", "a/b", "*a*", "a.*", "http://x", "a:80"] {
        #expect(!isHostName(name, wildcard: true), "\(name)")
    }
    #expect(!isHostName("*.foo.com", wildcard: false))
}

@Test func nearestWord() {
    #expect(nearest(to: "macth", among: ["match", "name", "route"]) == "match")
    #expect(nearest(to: "schema", among: ["scheme", "headers", "uri"]) == "scheme")
    #expect(nearest(to: "Sevice", among: ["Service", "ServiceEntry"]) == "Service")
    #expect(nearest(to: "zzz", among: ["match", "name"]) == nil)
    #expect(nearest(to: "", among: ["a"]) == "a")
}

@Test func base64() {
    #expect(decodeBase64("aGVsbG8=") == Array("hello".utf8))
    #expect(decodeBase64("aGVsbG8") == Array("hello".utf8))
    #expect(decodeBase64("") == [])
    #expect(decodeBase64("_-8=") == [0xFF, 0xEF])
    for text in ["a", "aa=a", "a*b=", "aGVsbG8=x"] { #expect(decodeBase64(text) == nil, "\(text)") }
}

@Test func shortNamesAndGateways() {
    #expect(Names.resolve("reviews", namespace: "shop") == "reviews.shop.svc.cluster.local")
    #expect(Names.resolve("reviews.prod", namespace: "shop") == "reviews.prod")
    #expect(Names.resolve("*", namespace: "shop") == "*")
    #expect(Names.resolve("10.0.0.1", namespace: "shop") == "10.0.0.1")
    #expect(Names.resolve("::1", namespace: "shop") == "::1")
    #expect(Names.resolve("Reviews", namespace: "shop") == "reviews.shop.svc.cluster.local")
    #expect(Names.gateway("public", namespace: "shop") == "shop/public")
    #expect(Names.gateway("edge/public", namespace: "shop") == "edge/public")
    #expect(Names.gateway("./public", namespace: "shop") == "shop/public")
    #expect(Names.gateway("public.edge.svc.cluster.local", namespace: "shop") == "edge/public")
    #expect(Names.gateway("mesh", namespace: "shop") == "mesh")
}

@Test func exportTo() {
    #expect(Names.isExported([], own: "a", to: "b"))
    #expect(Names.isExported(["*"], own: "a", to: "b"))
    #expect(Names.isExported(["."], own: "a", to: "a"))
    #expect(!Names.isExported(["."], own: "a", to: "b"))
    #expect(Names.isExported(["b"], own: "a", to: "b"))
    #expect(!Names.isExported(["~"], own: "a", to: "a"))
}

@Test func wildcardHosts() {
    #expect(Names.covers("*.foo.com", "a.foo.com"))
    #expect(Names.covers("*.foo.com", "a.b.foo.com"))
    #expect(!Names.covers("*.foo.com", "foo.com"))
    #expect(!Names.covers("*.foo.com", ".foo.com"))
    #expect(Names.covers("*-bar.foo.com", "x-bar.foo.com"))
    #expect(Names.covers("*", "x"))
    #expect(Names.intersection("*.com", "a.com") == "a.com")
    #expect(Names.intersection("*.foo.com", "*.com") == "*.foo.com")
    #expect(Names.intersection("*.foo.com", "*.bar.com") == nil)
    #expect(Names.intersection("a.com", "b.com") == nil)
}

/// The index must agree with looking at every entry.
@Test func hostIndexAgreesWithTheDefinition() {
    var random = SystemRandomNumberGenerator()
    let labels = ["a", "b", "ab", "x"]
    func name() -> String {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in labels.randomElement(using: &random)! }
            .joined(separator: ".")
    }
    for _ in 0..<300 {
        var index = HostIndex<String>()
        var entries: [String] = []
        for _ in 0..<8 {
            let entry = ["", "*.", "*", "*-"].randomElement(using: &random)! + name()
            index[entry] = entry
            entries.append(entry)
        }
        let host = (Bool.random(using: &random) ? "*." : "") + name()
        let covering = Set(entries.filter { Names.covers($0, host) })
        #expect(Set(index.covering(host).map(\.value)) == covering, "\(host) in \(entries)")
        let best = covering.sorted {
            ($0 == host ? 0 : 1, -$0.utf8.count, $0) < ($1 == host ? 0 : 1, -$1.utf8.count, $1)
        }.first
        #expect(index.mostSpecific(host) == best, "\(host) in \(entries)")
    }
}

@Test func labelIndexSelectsByAllPairs() {
    var index = LabelIndex()
    index.add(scope: "a", labels: ["app": "x", "version": "1"])
    index.add(scope: "a", labels: ["app": "x", "version": "2"])
    index.add(scope: "b", labels: ["app": "x", "version": "1"])
    #expect(index.select(scope: "a", ["app": "x"]) == [0, 1])
    #expect(index.select(scope: "a", ["app": "x", "version": "2"]) == [1])
    #expect(index.select(scope: "a", ["app": "y"]).isEmpty)
    #expect(index.select(scope: "b", [:]) == [2])
    #expect(index.select(scope: "c", [:]).isEmpty)
}
