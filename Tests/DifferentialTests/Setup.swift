// What one run of both programs holds: a proxy and what all of its sites share, and the documents of each
// site. Sites are named by the run (`$HOST`, `$ID`), so that many fit beside each other.

/// A proxy. Sites with the same one run together.
struct Setup: Hashable {
    enum Role { case edge, sidecar }

    var role = Role.edge
    var normalization = "BASE"
    var outboundTrafficPolicy = "ALLOW_ANY"
    /// Sidecar: only what sites name in `egress` is seen.
    var isScoped = false
    var http10 = true
    /// Edge: its listeners are those of a Gateway of the Gateway API.
    var isOfGatewayAPI = false
    /// Scoped sidecar: ports for which its Sidecar has an element, whose hosts sites name in `egressOfPort`.
    var egressPorts: [Int] = []
    /// The elements for ports have listeners of their own.
    var opensListeners = false
    /// Sidecar: what is nobody's name on a port is told from the services of that port alone, as by Istio
    /// (README.md).
    var namesByPort = false

    static let edge = Setup()
    static let api = Setup(isOfGatewayAPI: true)
    static let sidecar = Setup(role: .sidecar)
    static let strictSidecar = Setup(role: .sidecar, outboundTrafficPolicy: "REGISTRY_ONLY")
    static let scopedSidecar = Setup(
        role: .sidecar, outboundTrafficPolicy: "REGISTRY_ONLY", isScoped: true)
    static let portedSidecar = Setup(
        role: .sidecar, outboundTrafficPolicy: "REGISTRY_ONLY", isScoped: true, egressPorts: [8_080])
    static let listeningSidecar = Setup(
        role: .sidecar, outboundTrafficPolicy: "REGISTRY_ONLY", isScoped: true, egressPorts: [8_080],
        opensListeners: true)
}

/// The documents of one case. In every text `$HOST` stands for a host name of its own, `$ID` for its first
/// label; a text that is `$V1`, `$V2` or `$V3` alone is an echo's port.
struct Site: Equatable {
    var documents: [Json]
    /// Of a Sidecar's `egress` hosts, in a scoped setup.
    var egress: [String] = []
    /// Of the element for the setup's `egressPorts`.
    var egressOfPort: [String] = []
}

/// Upstreams that documents name by `$` and these names.
enum Upstreams {
    static let echoes = ["V1", "V2", "V3"]
    /// Somebody no document knows.
    static let abroad = "ABROAD"
    /// Nobody listens; closes each connection; answers what is no HTTP.
    static let broken = ["DEAD", "SHY", "RUDE"]
}

/// Everything that Fairlead reads and Envoy's configuration is made from: what all sites share, then each
/// site's.
func documents(_ setup: Setup, _ sites: [(name: String, site: Site)], ports: [String: UInt16]) -> [[Json]] {
    func egress(_ own: KeyPath<Site, [String]>) -> [Json] {
        let given = sites.flatMap { name, site in
            site[keyPath: own].map { Json.text($0).named(name, ports) }
        }
        return ["shop/app.test", "shop/one.test", "shop/two.test"] + given
    }
    let shared = setup.documents(egress: egress(\.egress), ofPort: egress(\.egressOfPort))
    return [shared.map { $0.named("", ports) }]
        + sites.map { name, site in site.documents.map { $0.named(name, ports).onLoopback } }
}

extension Setup {
    fileprivate func documents(egress: [Json], ofPort: [Json]) -> [Json] {
        var proxy: [(String, Json?)] = [
            ("role", role == .edge ? "edge" : "sidecar"), ("pathNormalization", .text(normalization)),
            ("http10", .flag(http10)),
        ]
        if role == .sidecar {
            proxy.append(("outbound", ["address": "127.0.0.1", "port": 15_001]))
            proxy.append(("outboundTrafficPolicy", .text(outboundTrafficPolicy)))
        }
        var all = [
            document(
                "fairlead.dev/v1alpha1", "Proxy", "self", .members(proxy),
                labels: ["istio": "edge", "app": "caller", "version": "v2"])
        ]
        all += services
        if role == .edge { all.append(isOfGatewayAPI ? gatewayOfAPI : gateway) }
        if isScoped {
            let elements = egressPorts.map { port -> Json in
                .members([
                    ("port", ["number": .number(port), "name": "http", "protocol": "HTTP"]),
                    ("captureMode", opensListeners ? "NONE" : nil), ("hosts", .list(ofPort)),
                ])
            }
            all.append(
                document(
                    "networking.istio.io/v1", "Sidecar", "default",
                    ["egress": .list(elements + [["hosts": .list(egress)]])]))
        }
        return all
    }

    /// `app` has a subset for each of two echoes, `one` is the first, `two` is another one on each port.
    private var services: [Json] {
        func entry(_ name: String, _ ports: [(String, Int)], _ endpoints: [Json]) -> Json {
            document(
                "networking.istio.io/v1", "ServiceEntry", name,
                [
                    "hosts": [.text(name + ".test")], "resolution": "STATIC", "location": "MESH_INTERNAL",
                    "ports": .list(
                        ports.map { ["number": .number($0.1), "name": .text($0.0), "protocol": "HTTP"] }),
                    "endpoints": .list(endpoints),
                ])
        }
        func endpoint(_ ports: Json, _ version: String) -> Json {
            ["address": "127.0.0.1", "labels": ["version": .text(version)], "ports": ports]
        }
        let subsets = ["v1", "v2", "empty"].map { name -> Json in
            ["name": .text(name), "labels": ["version": .text(name)]]
        }
        return [
            entry(
                "app", [("http", 8_080)],
                [endpoint(["http": "$V1"], "v1"), endpoint(["http": "$V2"], "v2")]),
            entry("one", [("http", 80)], [endpoint(["http": "$V1"], "v1")]),
            entry(
                "two", [("http", 80), ("alt", 8_080)], [endpoint(["http": "$V1", "alt": "$V2"], "v1")]),
            entry("dead", [("http", 80)], [endpoint(["http": "$DEAD"], "v1")]),
            entry("shy", [("http", 80)], [endpoint(["http": "$SHY"], "v1")]),
            entry("rude", [("http", 80)], [endpoint(["http": "$RUDE"], "v1")]),
            document(
                "networking.istio.io/v1", "DestinationRule", "app",
                ["host": "app.test", "subsets": .list(subsets)]),
        ]
    }

    private var gateway: Json {
        let servers = [80, 8_080].map { port -> Json in
            [
                "port": ["number": .number(port), "name": .text("http-\(port)"), "protocol": "HTTP"],
                "hosts": ["*"],
            ]
        }
        return document(
            "networking.istio.io/v1", "Gateway", "public",
            ["selector": ["istio": "edge"], "servers": .list(servers)]
        ).onLoopback
    }

    /// Takes routes of every namespace.
    private var gatewayOfAPI: Json {
        let listeners = [80, 8_080].map { port -> Json in
            [
                "name": .text("http-\(port)"), "port": .number(port), "protocol": "HTTP",
                "allowedRoutes": ["namespaces": ["from": "All"]],
            ]
        }
        return document(
            "gateway.networking.k8s.io/v1", "Gateway", "public",
            ["gatewayClassName": "istio", "listeners": .list(listeners)])
    }

    /// The ports that the run's listeners have in documents.
    func ports(_ world: IstioWorld) -> [Int] {
        role == .edge ? [80, 8_080] : world.sidecarHosts().keys.sorted()
    }
}

/// An object in the proxy's own namespace unless told otherwise.
func document(
    _ version: String, _ kind: String, _ name: String, _ spec: Json, labels: Json? = nil,
    namespace: String = "shop", created: String? = nil
) -> Json {
    [
        "apiVersion": .text(version), "kind": .text(kind),
        "metadata": .members([
            ("name", .text(name)), ("namespace", .text(namespace)), ("labels", labels),
            ("creationTimestamp", created.map(Json.text)),
        ]),
        "spec": spec,
    ]
}

extension Json {
    /// With a run's names and ports in every text.
    func named(_ name: String, _ ports: [String: UInt16]) -> Json {
        mapTexts { text in
            if text.hasPrefix("$"), let port = ports[String(text.dropFirst())] { return .number(Int(port)) }
            return .text(naming(text, name, ports))
        }
    }

    /// A Gateway's servers do not listen beyond this machine.
    fileprivate var onLoopback: Json {
        guard self["kind"] == "Gateway", let spec = self["spec"], spec["servers"] != nil else { return self }
        let servers = spec.items("servers").map { $0.setting("bind", "127.0.0.1") }
        return setting("spec", spec.setting("servers", .list(servers)))
    }
}

/// A text with a run's names and ports for `$` and capitals.
func naming(_ text: String, _ name: String, _ ports: [String: UInt16]) -> String {
    let bytes = Array(text.utf8)
    guard bytes.contains(0x24) else { return text }
    var out: [UInt8] = []
    var at = 0
    while at < bytes.count {
        var end = at + 1
        while bytes[at] == 0x24, end < bytes.count,
            (0x30...0x39).contains(bytes[end]) || (0x41...0x5A).contains(bytes[end])
        {
            end += 1
        }
        let word = String(decoding: bytes[at..<end], as: UTF8.self)
        switch word {
        case "$HOST": out += name.utf8
        case "$ID": out += name.utf8.prefix { $0 != 0x2E }
        default: out += ports[String(word.dropFirst())].map { Array("\($0)".utf8) } ?? Array(bytes[at..<end])
        }
        at = end
    }
    return String(decoding: out, as: UTF8.self)
}
