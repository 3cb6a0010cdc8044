// Random requests to random sites, some of them nasty.
import TestSupport

extension Generator {
    mutating func probe(_ setup: Setup, _ site: Site) -> Probe {
        var probe = Probe()
        if random.chance(30) { probe.method = random.pick(RuleGenerator.methods) }
        probe.target = target()
        // Slashes alone Envoy does not merge.
        let isSlashes = !probe.target.hasPrefix("//a") || probe.target.contains { ".%".contains($0) }
        if setup.normalization.hasSuffix("MERGE_SLASHES"), probe.target.hasPrefix("//"), isSlashes {
            probe.target = "/x" + probe.target
        }
        if site.documents.contains(where: { $0["kind"] == "GRPCRoute" }) {
            makeCall(&probe)
        } else if random.chance(5) {
            probe.fields.append(.init("content-type", "application/grpc"))
        }
        probe.host = setup.role == .edge ? edgeHost(setup) : sidecarHost(setup)
        if setup.role == .edge || setup.opensListeners, random.chance(15) { probe.port = 8_080 }
        addFields(&probe)
        if random.chance(20) { addOrigin(&probe) }
        // What is refused before it is routed is no gRPC.
        let isCall = probe.fields.contains { $0.value == "application/grpc" }
        if !isCall, random.chance(12) { makeOdd(&probe) }
        return probe
    }

    private mutating func target() -> String {
        var target = random.pick(RuleGenerator.paths)
        if random.chance(20) {
            target += random.pick([
                "/..", "/../a", "/./b", "/", "\\x", "/%2e%2e/a", "//b", "%2Fc", "/%2E", "%5Cd", ";x=1",
                "/...", "/.%2e",
            ])
        }
        if random.chance(35) {
            let pairs = (0..<random.int(1...3)).map { _ in
                random.pick(RuleGenerator.keys)
                    + random.pick(["", "=", "=1", "=foo", "=a%20b", "=2", "=1=2", "=lane=a"])
            }
            target += "?" + pairs.joined(separator: random.pick(["&", "&", "&&", ";", "&=&"]))
        } else if random.chance(5) {
            target += random.pick(["?", "??q=1", "?&", "?=", "?q=1?v=2"])
        }
        return target
    }

    private mutating func makeCall(_ probe: inout Probe) {
        if random.chance(25) { return }
        if random.chance(80) { probe.method = "POST" }
        probe.target = random.pick([
            "/a.S/Get", "/a.S/Put", "/g/Get", "/g/Put", "/a.b.T/Get", "/a.S/", "/c/Get",
        ])
        if random.chance(60) { probe.fields.append(.init("content-type", "application/grpc")) }
    }

    private mutating func edgeHost(_ setup: Setup) -> String {
        var host = random.chance(60) ? "$HOST" : random.pick(Self.edgeHosts + ["x-$HOST", "unknown.invalid"])
        // Redirects of the Gateway API have a port always, which beside the Host's Envoy does not take off.
        if !setup.isOfGatewayAPI, random.chance(12) { host += random.pick([":80", ":8080", ":1", "."]) }
        if random.chance(4), host.hasPrefix("a.") || host.hasPrefix("x.") {
            host = host.prefix(1).uppercased() + host.dropFirst()
        }
        return host
    }

    private mutating func sidecarHost(_ setup: Setup) -> String {
        if setup.outboundTrafficPolicy == "ALLOW_ANY", random.chance(15) {
            return "127.0.0.1:$ABROAD"
        }
        let host = random.pick(Self.sidecarHosts)
        // Without a port, a service that has no port 80 is called on its only one: no proxy in the way could.
        if host.hasPrefix("o.") { return host + ":8080" }
        if !setup.egressPorts.isEmpty { return host + random.pick([":80", ":80", ":8080"]) }
        return host + random.pick(["", "", "", ":80", ":8080"])
    }

    private mutating func addFields(_ probe: inout Probe) {
        while random.chance(50) {
            let name = random.pick(RuleGenerator.names)
            // Envoy joins repeated lines of fields that it keeps in one place.
            if name == "user-agent", probe.fields.contains(where: { $0.name.lowercased() == name }) {
                continue
            }
            let value =
                random.chance(3)
                ? String(repeating: "long ", count: 700) + "end" : random.pick(RuleGenerator.values + [""])
            probe.fields.append(.init(random.chance(15) ? name.uppercased() : name, value))
        }
    }

    private mutating func addOrigin(_ probe: inout Probe) {
        probe.fields.append(.init("origin", random.pick(["http://o.test", "http://evil.test"])))
        guard random.chance(60) else { return }
        probe.method = "OPTIONS"
        probe.fields.append(.init("access-control-request-method", "POST"))
        if random.chance(50) { probe.fields.append(.init("access-control-request-headers", "x-q")) }
    }

    /// What few clients send.
    private mutating func makeOdd(_ probe: inout Probe) {
        switch random.int(0...9) {
        case 0, 1: probe.target = "http://\(probe.host ?? "")\(probe.target)"
        case 2: probe.target = random.pick(["/%zz", "/a%2", "/%00", "/a%", "/%c0%af", "/a/%2e", "/\\..\\b"])
        case 3: probe.target = "/" + String(repeating: "a/../", count: 300) + "c"
        case 4: probe.target = "/a?" + String(repeating: "q=1&", count: 900)
        case 5: probe.method = random.pick(["TRACE", "PROPFIND", "MKCOL"])
        case 6:
            probe.fields.append(
                .init(
                    random.pick([
                        "x-forwarded-proto", "x-forwarded-for", "x-request-id", "x-envoy-max-retries", "te",
                        "x-forwarded-host", "referer", "expect-ct", "x-envoy-original-path", "x_a",
                    ]),
                    random.pick(["https", "1.2.3.4", "trailers", "http://x/#f", "abc"])))
        case 7:
            probe.fields.append(
                .init("connection", random.pick(["x-a", "keep-alive, x-b", "cookie", "close"])))
        case 8: probe.version = "HTTP/1.0"
        default: probe.fields += [.init("x-b", ""), .init("x-b", ""), .init("x-a", " , ")]
        }
    }
}
