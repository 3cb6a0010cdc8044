// Random sites: documents out of a small vocabulary, so that rules, hosts and requests meet often.
import TestSupport

struct Generator {
    var random: SeededRandom

    /// A proxy for a run.
    mutating func setup() -> Setup {
        switch random.int(0...12) {
        case 0...2: .edge
        case 3: Setup(normalization: random.pick(["NONE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]))
        case 4...6: .api
        case 7: .sidecar
        case 8, 9: .strictSidecar
        case 10: .scopedSidecar
        case 11: .portedSidecar
        default: .listeningSidecar
        }
    }

    mutating func site(_ setup: Setup) -> Site {
        if setup.isOfGatewayAPI { return apiSite() }
        return setup.role == .edge ? edgeSite() : sidecarSite(setup)
    }

    // MARK: edge

    static let edgeHosts = ["$HOST", "a.$HOST", "b.$HOST", "x.a.$HOST"]

    private mutating func edgeSite() -> Site {
        var documents: [Json] = []
        var gateways = ["public", "shop/public", "./public", "public.shop"]
        if random.chance(40) {
            for name in random.chance(30) ? ["gw", "gx"] : ["gw"] {
                let namespace = random.pick(["shop", "shop", "team"])
                documents.append(gateway("\(name)-$ID", namespace))
                gateways += ["\(namespace)/\(name)-$ID", "\(namespace)/\(name)-$ID", "\(name)-$ID"]
            }
        }
        if random.chance(50) { documents += localServices() }
        if random.chance(30) { documents += destinationRules(["s.$HOST", "*.$HOST", "k-$ID"]) }
        for index in 0..<random.int(1...3) {
            let namespace = random.pick(["shop", "shop", "shop", "team"])
            var hosts = some(Self.edgeHosts + ["*.$HOST", "*.a.$HOST", "*-$HOST", "*.$HOST"])
            if index == 0, random.chance(70) { hosts = unique(["$HOST"] + hosts) }
            let bound = some(gateways)
            documents += virtualService(
                "vs\(index)-$ID", namespace, hosts: hosts,
                gateways: namespace == "shop" ? bound : bound.map(\.asSeenFromTeam))
        }
        return Site(documents: documents)
    }

    private mutating func gateway(_ name: String, _ namespace: String) -> Json {
        let servers = (0..<random.int(1...2)).map { index -> Json in
            let prefix = random.pick(["", "", "", "./", "*/", "team/", "shop/"])
            let hosts = some(["$HOST", "*.$HOST", "a.$HOST", "*.a.$HOST"]).map { Json.text(prefix + $0) }
            // Istio makes no redirect for hosts with a namespace.
            let redirects = prefix.isEmpty && random.chance(15)
            return .members([
                (
                    "port",
                    [
                        "number": .number(random.chance(80) ? 80 : 8_080), "name": .text("http-\(index)"),
                        "protocol": .text(random.pick(["HTTP", "HTTP2", "HTTP"])),
                    ]
                ),
                ("hosts", .list(hosts)), ("tls", redirects ? ["httpsRedirect": true] : nil),
            ])
        }
        let selector: Json = random.chance(90) ? ["istio": "edge"] : ["istio": "other"]
        return document(
            "networking.istio.io/v1", "Gateway", name, ["selector": selector, "servers": .list(servers)],
            namespace: namespace, created: created())
    }

    /// `s` of shop, `k` of Kubernetes in both namespaces.
    private mutating func localServices() -> [Json] {
        [serviceEntry("s.$HOST", "s-$ID", random.pick(["shop", "team"]), [80])]
            + kubernetesService("k-$ID", "shop", "$V1") + kubernetesService("k-$ID", "team", "$V2")
    }

    // MARK: sidecar

    static let sidecarHosts = [
        "s.$HOST", "s.$HOST", "t.$HOST", "o.$HOST", "q.w.$HOST", "k-$ID", "k-$ID.shop", "k-$ID.team",
        "k-$ID.team.svc", "k-$ID.team.svc.cluster.local", "k-$ID.shop.svc.cluster.local.", "m-$ID.team",
        "pod.m-$ID.team", "u.$HOST", "x.u.$HOST", "$HOST", "nobody.$HOST", "10.9.8.7",
    ]

    private mutating func sidecarSite(_ setup: Setup) -> Site {
        var documents: [Json] = []
        documents.append(serviceEntry("s.$HOST", "s-$ID", "shop", random.pick([[80], [80, 8_080]])))
        if random.chance(60) { documents.append(serviceEntry("t.$HOST", "t-$ID", "team", [80])) }
        if random.chance(30) { documents.append(serviceEntry("o.$HOST", "o-$ID", "team", [8_080])) }
        if random.chance(30) { documents.append(serviceEntry("*.w.$HOST", "w-$ID", "shop", [80])) }
        if random.chance(50) { documents += kubernetesService("k-$ID", "shop", "$V1") }
        if random.chance(50) { documents += kubernetesService("k-$ID", "team", "$V2") }
        if random.chance(30) { documents += kubernetesService("m-$ID", "team", "$V3", isHeadless: true) }
        if random.chance(40) { documents += destinationRules(["s.$HOST", "*.$HOST", "k-$ID", "t.$HOST"]) }
        var names = [
            "s.$HOST", "s.$HOST", "t.$HOST", "o.$HOST", "u.$HOST", "*.u.$HOST", "*.$HOST", "*.w.$HOST",
            "q.w.$HOST", "$HOST",
        ]
        // Which kind a service follows that has both is nobody's word.
        if random.chance(30) {
            documents += meshRoutes()
        } else {
            names += ["k-$ID", "k-$ID.team.svc.cluster.local", "k-$ID.team"]
        }
        for index in 0..<random.int(0...4) {
            let hosts = some(names)
            let gateways = random.pick([[], [], ["mesh"], ["mesh", "public"], ["public"]])
            documents += virtualService(
                "vs\(index)-$ID", random.pick(["shop", "shop", "team"]), hosts: hosts, gateways: gateways)
        }
        var site = Site(documents: documents)
        if setup.isScoped { site.egress = egress() }
        if !setup.egressPorts.isEmpty { site.egressOfPort = egress() }
        return site
    }

    private mutating func egress() -> [String] {
        some([
            "*/*.$HOST", "./*.$HOST", "shop/s.$HOST", "team/t.$HOST", "*/k-$ID.team.svc.cluster.local",
            "./k-$ID.shop.svc.cluster.local", "*/$HOST", "~team/t.$HOST", "~*/*.w.$HOST", "*/u.$HOST",
            "shop/*.w.$HOST", "*/k-$ID.team",
        ])
    }

    // MARK: objects

    mutating func created() -> String? {
        random.chance(50) ? "2026-01-0\(random.int(1...3))T00:00:00Z" : nil
    }

    private mutating func exportTo() -> Json? {
        if random.chance(75) { return nil }
        return .list([.text(random.pick([".", "shop", "team", "*"]))])
    }

    /// With one endpoint, so that it is no matter of chance who answers.
    private mutating func serviceEntry(
        _ host: String, _ name: String, _ namespace: String, _ ports: [Int]
    ) -> Json {
        let names = ports.map { Json.text("http-\($0)") }
        let echoes: [(String, Json?)] = ports.map {
            ("http-\($0)", .text("$" + random.pick(Upstreams.echoes)))
        }
        return document(
            "networking.istio.io/v1", "ServiceEntry", name,
            .members([
                ("hosts", [.text(host)]), ("resolution", "STATIC"), ("exportTo", exportTo()),
                (
                    "ports",
                    .list(
                        zip(ports, names).map { ["number": .number($0.0), "name": $0.1, "protocol": "HTTP"] })
                ),
                (
                    "endpoints",
                    [
                        [
                            "address": "127.0.0.1", "ports": .members(echoes),
                            "labels": ["version": .text(random.pick(["v1", "v2"]))],
                        ]
                    ]
                ),
            ]), namespace: namespace, created: created())
    }

    mutating func kubernetesService(
        _ name: String, _ namespace: String, _ echo: String, isHeadless: Bool = false
    ) -> [Json] {
        func meta(_ name: String, _ labels: Json?) -> Json {
            .members([("name", .text(name)), ("namespace", .text(namespace)), ("labels", labels)])
        }
        var spec: Json = ["ports": [["name": "http", "port": 80, "targetPort": 9_999]]]
        if isHeadless { spec = spec.setting("clusterIP", "None") }
        let pod = Json.text(name + "-pod")
        return [
            ["apiVersion": "v1", "kind": "Service", "metadata": meta(name, nil), "spec": spec],
            [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": meta(name + "-1", ["kubernetes.io/service-name": .text(name)]),
                "addressType": "IPv4",
                "ports": [["name": "http", "port": .text(echo), "protocol": "TCP"]],
                "endpoints": [
                    [
                        "addresses": ["127.0.0.1"], "conditions": ["ready": .flag(random.chance(90))],
                        "targetRef": ["kind": "Pod", "name": pod],
                    ]
                ],
            ],
            [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": meta(name + "-pod", ["version": .text(random.pick(["v1", "v2"]))]),
                "spec": ["containers": [["name": "app"]]], "status": ["podIP": "127.0.0.1"],
            ],
        ]
    }

    private mutating func destinationRules(_ hosts: [String]) -> [Json] {
        (0..<random.int(1...3)).map { index in
            let subsets = some(["v1", "v2", "canary"]).map { name -> Json in
                ["name": .text(name), "labels": ["version": .text(random.pick(["v1", "v2"]))]]
            }
            let selector: Json? =
                random.chance(15)
                ? ["matchLabels": ["app": .text(random.pick(["caller", "somebody"]))]] : nil
            return document(
                "networking.istio.io/v1", "DestinationRule", "dr\(index)-$ID",
                .members([
                    ("host", .text(random.pick(hosts))), ("subsets", .list(subsets)),
                    ("exportTo", selector == nil ? exportTo() : nil), ("workloadSelector", selector),
                ]), namespace: random.pick(["shop", "shop", "team", "istio-system"]), created: created())
        }
    }

    /// With the delegates that it refers to.
    private mutating func virtualService(
        _ name: String, _ namespace: String, hosts: [String], gateways: [String]
    ) -> [Json] {
        var delegates: [Json] = []
        var rules = RuleGenerator(random: random, mesh: gateways.isEmpty || gateways.contains("mesh"))
        let entries = (0..<rules.random.int(1...4)).map { index -> Json in
            guard rules.random.chance(15) else { return rules.entry() }
            let own = rules.random.pick([namespace, namespace, "team"])
            let inner = (0..<rules.random.int(1...3)).map { _ in rules.entry() }
            let delegate = "d\(index)-\(name)"
            if rules.random.chance(95) {
                delegates.append(
                    document(
                        "networking.istio.io/v1", "VirtualService", delegate, ["http": .list(inner)],
                        namespace: own))
            }
            return rules.delegating(delegate, own == namespace ? nil : own)
        }
        random = rules.random
        for index in delegates.indices where random.chance(20) {
            let spec = delegates[index]["spec"] ?? [:]
            delegates[index] = delegates[index].setting("spec", spec.with([("exportTo", ["."])]))
        }
        let service = document(
            "networking.istio.io/v1", "VirtualService", name,
            .members([
                ("hosts", .list(hosts.map(Json.text))), ("gateways", Json.texts(gateways)),
                ("exportTo", exportTo()), ("http", .list(entries)),
            ]), namespace: namespace, created: created())
        return [service] + delegates
    }

    // MARK: choices

    /// One to three of these, each once.
    mutating func some(_ choices: [String]) -> [String] {
        unique((0..<random.int(1...3)).map { _ in random.pick(choices) })
    }

    private func unique(_ values: [String]) -> [String] {
        values.enumerated().filter { !values[..<$0.offset].contains($0.element) }.map(\.element)
    }
}

extension String {
    /// A gateway's name as an object of another namespace than the gateway's gives it.
    fileprivate var asSeenFromTeam: String { self == "public" || self == "./public" ? "shop/public" : self }
}
