// The same scripts in Fairlead and in real Envoy (istio-semantics.md 20).
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15)))
struct ScriptDifferentialTests {
    @Test func scriptsMeanTheSame() throws {
        let pair = try Pair(.edge, [("scripts.test", Site(documents: [try routes(), luaFilter()]))])
        for one in scriptCases {
            var probe = one.probe
            probe.fields.append(Probe.Field("x-case", one.name))
            let (fairlead, envoy) = try pair.ask(probe, of: "scripts.test")
            let ours = fairlead.lines.filter { !envoy.lines.contains($0) }.joined(separator: "\n  ")
            let theirs = envoy.lines.filter { !fairlead.lines.contains($0) }.joined(separator: "\n  ")
            let areMet = one.fairlead.allSatisfy(fairlead.meets) && one.envoy.allSatisfy(envoy.meets)
            let isRight = one.envoy.isEmpty ? fairlead == envoy : areMet
            #expect(
                isRight,
                "\(one.name)\n\(fairlead.lines)\nFairlead alone:\n  \(ours)\nEnvoy alone:\n  \(theirs)")
        }
    }

    private func routes() throws -> Json {
        try virtualService(
            """
            - match:
              - uri: {prefix: /v2}
              - headers: {x-to: {exact: v2}}
              route: [{destination: {host: app.test, subset: v2}}]
            - match: [{headers: {x-to: {exact: nobody}}}]
              route: [{destination: {host: app.test, subset: empty}}]
            - route: [{destination: {host: app.test, subset: v1}}]
            """)
    }

    /// Scripts know the cluster of a subset by `cluster("v1")`.
    private func luaFilter() -> Json {
        let naming = "function cluster(name) return 'outbound|8080|' .. name .. '|app.test' end\n"
        let router: Json = [
            "name": "envoy.filters.network.http_connection_manager",
            "subFilter": ["name": "envoy.filters.http.router"],
        ]
        let configuration: Json = [
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": ["inline_string": .text(naming + scriptOfAllCases)],
        ]
        return document(
            "networking.istio.io/v1alpha3", "EnvoyFilter", "script",
            [
                "configPatches": [
                    [
                        "applyTo": "HTTP_FILTER",
                        "match": ["context": "GATEWAY", "listener": ["filterChain": ["filter": router]]],
                        "patch": [
                            "operation": "INSERT_BEFORE",
                            "value": ["name": "envoy.lua", "typed_config": configuration],
                        ],
                    ]
                ]
            ])
    }
}
