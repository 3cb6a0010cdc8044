// Section 19: `egress` of a Sidecar by port, and the listeners that its elements open.

/// The element for port 8080 sees `ofPort`, the one for all other ports `egress`.
func egressCases() throws -> [Case] {
    try byPort() + listeners()
}

private let services =
    serviceEntry("s.$HOST", name: "s") + serviceEntry("t.$HOST", name: "t", port: 8_080, echo: "$V2")
        + """
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: b-$ID, namespace: shop}
        spec:
          hosts: [b.$HOST]
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}, {number: 8080, name: alt, protocol: HTTP}]
          endpoints: [{address: 127.0.0.1, ports: {http: $V1, alt: $V2}}]

        """

private func ported(
    _ row: String, egress: [String], ofPort: [String], _ yaml: String = "", _ asks: Ask...
) throws -> Case {
    var site = Site(documents: try documents(yaml: services + yaml), egress: egress)
    site.egressOfPort = ofPort
    return Case(row: row, setup: .portedSidecar, site: site, asks: asks)
}

private func answer(_ name: String, _ hosts: String) -> String {
    answering(name, name, hosts: hosts, more: "gateways: [mesh]")
}

private func byPort() throws -> [Case] {
    [
        try ported(
            "19 egress port: its services on that port alone", egress: [], ofPort: ["shop/b.$HOST"], "",
            Ask("/", host: "b.$HOST:8080", "200 V2"), Ask("/", host: "b.$HOST:80", "502"),
            Ask("/", host: "s.$HOST", "502")),
        try ported(
            "19 egress port: the element without a port is for all others",
            egress: ["shop/b.$HOST", "*/t.$HOST"],
            ofPort: [], "", Ask("/", host: "b.$HOST", "200 V1"), Ask("/", host: "b.$HOST:8080", "502"),
            Ask("/", host: "t.$HOST:8080", "502")),
        try ported(
            "19 egress port: a service without that port is nobody there", egress: [], ofPort: ["*/*.$HOST"],
            "",
            Ask("/", host: "s.$HOST:8080", "502"), Ask("/", host: "t.$HOST:8080", "200 V2")),
        try ported(
            "19 egress port: VirtualServices by the hosts of their element", egress: ["shop/s.$HOST"],
            ofPort: ["shop/b.$HOST"], answer("vs", "[b.$HOST]") + answer("vt", "[s.$HOST]"),
            Ask("/", host: "b.$HOST:8080", "body vs"), Ask("/", host: "s.$HOST", "body vt"),
            Ask("/", host: "b.$HOST:80", "502")),
        try ported(
            "19 egress port: the same service, other VirtualServices seen", egress: ["shop/b.$HOST"],
            ofPort: ["shop/b.$HOST", "~shop/nobody.$HOST"],
            answering("all", "all", hosts: "[\"*.$HOST\"]", more: "gateways: [mesh]"),
            Ask("/", host: "b.$HOST:8080", "body all"), Ask("/", host: "b.$HOST", "body all")),
        try ported(
            "19 egress port: a service of another element is nobody here", egress: ["*/x.$HOST"],
            ofPort: ["shop/b.$HOST"],
            answering("all", "all", hosts: "[\"*.$HOST\", x.$HOST]", more: "gateways: [mesh]"),
            Ask("/", host: "b.$HOST", "body all"), Ask("/", host: "b.$HOST:8080", "body all")),
        try ported(
            "19 egress port: destinations need no listing there", egress: ["shop/s.$HOST"], ofPort: [],
            """
            ---
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: $ID, namespace: shop}
            spec:
              hosts: [s.$HOST]
              http: [{route: [{destination: {host: t.$HOST, port: {number: 8080}}}]}]
            """, Ask("/", host: "s.$HOST", "200 V2"), Ask("/", host: "t.$HOST:8080", "502")),
    ]
}

private func listeners() throws -> [Case] {
    func direct(_ host: String, _ expected: String) -> Ask {
        Ask("/", host: host, expected).with { $0.port = 8_080 }
    }
    func one(_ row: String, ofPort: [String], _ yaml: String = "", _ asks: Ask...) throws -> Case {
        var site = Site(documents: try documents(yaml: services + yaml), egress: ["shop/s.$HOST"])
        site.egressOfPort = ofPort
        return Case(row: row, setup: .listeningSidecar, site: site, asks: asks)
    }
    return [
        try one(
            "19 egress listener: its port's services, whatever port the Host has", ofPort: ["shop/b.$HOST"],
            "",
            direct("b.$HOST", "200 V2"), direct("b.$HOST:80", "200 V2"), direct("b.$HOST:8080", "200 V2"),
            direct("s.$HOST", "502")),
        try one(
            "19 egress listener: what it does not see", ofPort: ["shop/b.$HOST"], "",
            direct("t.$HOST", "502"), direct("unknown.invalid", "502")),
        try one(
            "19 egress listener: its VirtualServices", ofPort: ["shop/b.$HOST", "shop/s.$HOST"],
            answer("vs", "[b.$HOST]"), direct("b.$HOST", "body vs"), Ask("/", host: "s.$HOST", "200 V1")),
    ]
}
