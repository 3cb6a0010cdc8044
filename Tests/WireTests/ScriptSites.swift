// The sites of the script tests: the published pattern with its own Lua, and scripts that do what no script
// should.
import TestSupport

/// An EnvoyFilter with one Lua filter in front of the router.
func luaFilter(
    _ name: String, _ context: String, _ script: String, match: String = "", more: String = "",
    spec: String = ""
) -> String {
    let code = script.split(separator: "\n", omittingEmptySubsequences: false)
        .map { "            " + $0 }.joined(separator: "\n")
    return """
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata: {name: \(name), namespace: shop}
        spec:
          \(spec)
          configPatches:
          - applyTo: HTTP_FILTER
            match:
              context: \(context)
              listener: {\(match)filterChain: {filter: {name: envoy.filters.network.http_connection_manager,
                subFilter: {name: envoy.filters.http.router}}}}
            patch:
              operation: INSERT_BEFORE
              value:
                name: envoy.lua
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                  \(more)
                  inlineCode: |
        \(code.replacing("            ", with: "                    "))
        """
}

/// The gateway of the pattern: a link promotes its query, the VirtualService matches the header.
struct ScriptEdge: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let feature: EchoUpstream
    static let host = RawEdge.host
    static let shared = Result { try ScriptEdge() }

    static let promotion = """
        -- Request phase only: promote ?x-feat-name to a header.
        function envoy_on_request(request_handle)
          local path = request_handle:headers():get(":path") or ""
          local feat = path:match("[?&]x%-feat%-name=([^&]+)")
          if feat then
            request_handle:headers():replace("x-feat-name", feat)
            request_handle:logInfo("digillect: x-feat-name=" .. feat .. " promoted from queryParam")
          end
        end
        """

    private init() throws {
        stable = try puppet("stable")
        feature = try puppet("auth-refactor")
        site = try LaneSite(
            Documents.join([
                Documents.edge(),
                Documents.service(
                    Self.host,
                    [
                        (stable.port, "{app: digillect-auth, version: stable}"),
                        (feature.port, "{app: digillect-auth, version: auth-refactor}"),
                    ]),
                RawEdge.subset("auth-refactor", "first", created: "2026-01-01T00:00:00Z"),
                RawEdge.feature("auth-refactor", gateways: "[front]", created: "2026-01-01T00:00:00Z"),
                luaFilter(
                    "promotion", "GATEWAY", Self.promotion,
                    spec: "workloadSelector: {labels: {istio: ingressgateway}}"),
                luaFilter("elsewhere", "SIDECAR_OUTBOUND", "function envoy_on_request(h) h:none() end"),
                luaFilter(
                    "others", "ANY", "function envoy_on_request(h) h:none() end",
                    spec: "workloadSelector: {labels: {istio: egressgateway}}"),
            ]))
    }

    func get(_ target: String, _ lines: [String] = []) throws -> LaneAnswer {
        try site.get(target, host: Self.host, lines)
    }
}

/// Scripts that do as the request's path says.
struct ScriptPlayground: Sendable {
    let site: LaneSite
    let upstream: EchoUpstream
    static let shared = Result { try ScriptPlayground() }

    private static let misdeeds: [(path: String, lines: String)] = [
        ("loop", "while true do end"),
        ("caught-loop", "while true do pcall(function() while true do end end) end"),
        ("deep", "local function f() pcall(f) f() end f()"),
        ("deep-pattern", "local function f() return (string.gsub('x', 'x', f)) end f()"),
        ("deep-coroutine", "local f f = function() return coroutine.wrap(f)() end f()"),
        ("memory", "local s = 'x' while true do s = s .. s end"),
        ("huge", "string.rep('x', 1e9)"),
        ("pattern", "p = string.rep('a', 20000) p:find('.-.-.-.-.-b')"),
        ("os", "os.execute('touch /tmp/fairlead-was-here')"),
        ("io", "io.open('/etc/passwd')"),
        ("ffi", "require('ffi').C.exit(1)"),
        ("error", "error('on purpose')"),
        ("nil", "local x = nil x.y = 1"),
        ("split", "headers:add('x-evil', 'a\\r\\nb: c')"),
        ("lines", "for i = 1, 1e6 do headers:add('x-n-' .. i, 'v') end"),
        ("frame", "headers:add('transfer-encoding', 'chunked') headers:replace('content-length', '99')"),
        ("yield", "coroutine.yield(1)"),
    ]
    static let paths = misdeeds.map(\.path)

    static var script: String {
        var lines = ["function envoy_on_request(h)", "local headers = h:headers()"]
        lines += ["local path = headers:get(':path')", "headers:add('x-before', '1')"]
        for (path, misdeed) in misdeeds { lines.append("if path == '/\(path)' then \(misdeed) end") }
        lines += [
            "if path == '/respond' then",
            "h:respond({[':status'] = '403', ['x-why'] = 'script'}, 'no entry') end",
            "if path == '/rewrite' then headers:replace(':path', '/other?z=1') end",
            "if path == '/authority' then headers:replace(':authority', 'second.test') end",
            "if path == '/facts' then local i = h:streamInfo() headers:add('x-facts', i:protocol() .. ' '",
            ".. i:routeName() .. ' ' .. i:downstreamRemoteAddress()) end",
            "if path == '/body' then local b = h:body() headers = h:headers()",
            "headers:add('x-body', b and b:length() .. ':' .. b:getBytes(0, 3) or 'none') end",
            "if path == '/set-body' then local b = h:body(true) headers = h:headers()",
            "headers:add('x-set', '1')",
            "b:setBytes('replaced') end",
            "if path == '/body-lane' then local b = h:body() headers = h:headers()",
            "if b:getBytes(0, 6) == 'second' then headers:replace(':authority', 'second.test') end end",
            "if path == '/watch' then local n = 0 for c in h:bodyChunks() do n = n + c:length() end",
            "h:logInfo('request of ' .. n) return end",
            "if path == '/remember' then h:streamInfo():dynamicMetadata():set('f', 'k', path) end",
            "headers:add('x-after', '1')",
            "end",
            "function envoy_on_response(h)",
            "local headers = h:headers()",
            "local f = h:streamInfo():dynamicMetadata():get('f')",
            "if f then headers:add('x-remembered', f.k) end",
            "headers:add('x-status-seen', headers:get(':status'))",
            "if headers:get('x-break') == 'yes' then error('response') end",
            "if headers:get('x-status-wish') then headers:replace(':status', headers:get('x-status-wish'))",
            "headers:setHttp1ReasonPhrase('As Wished') end",
            "headers:remove('content-length')",
            "local wish = headers:get('x-body-wish')",
            "if wish == 'read' then local b = h:body() headers = h:headers()",
            "headers:add('x-body', b and b:length() .. ':' .. b:getBytes(0, 3) or 'none') end",
            "if wish == 'set' then local b = h:body() headers = h:headers()",
            "headers:add('x-was', tostring(b and b:length()))",
            "if b then b:setBytes('brand new') end end",
            "if wish == 'watch' then local n = 0 for c in h:bodyChunks() do n = n + c:length() end",
            "h:logInfo('watched ' .. n) end",
            "end",
        ]
        return lines.joined(separator: "\n")
    }

    private init() throws {
        upstream = try puppet("up")
        site = try LaneSite(
            Documents.join([
                Documents.edge(), Documents.service("up.test", [(upstream.port, "{version: v1}")]),
                Documents.virtualService(
                    "up.test",
                    """
                    - name: all
                      headers: {response: {set: {x-route: "1"}}}
                      route: [{destination: {host: up.test}}]
                    """),
                Documents.virtualService(
                    "second.test",
                    """
                    - headers: {request: {set: {x-second: "1"}}}
                      route: [{destination: {host: up.test}}]
                    """),
                luaFilter("play", "GATEWAY", Self.script),
            ]))
    }

    func get(_ target: String, _ lines: [String] = []) throws -> LaneAnswer {
        try site.get(target, host: "up.test", lines)
    }

    /// A POST whose body is sent in `pieces`.
    func post(_ target: String, _ lines: [String], _ pieces: [String]) throws -> LaneAnswer {
        let connection = try RawConnection(port: site.port())
        let head = ["POST \(target) HTTP/1.1", "Host: up.test"] + lines
        try connection.send(head.joined(separator: "\r\n") + "\r\n\r\n")
        for piece in pieces {
            sleepMs(5)
            try connection.send(piece)
        }
        return LaneAnswer(response: try connection.response())
    }
}

/// The sidecar of the pattern's feature pod: its outbound filter, as printed, and one on the way in.
struct ScriptSidecar: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let app: EchoUpstream
    static let shared = Result { try ScriptSidecar() }

    static let propagation = """
        local feat_name = "auth-refactor"

        function envoy_on_response(response_handle)
          response_handle:logInfo("digillect: propagating x-feat-name=" .. feat_name)
          response_handle:headers():add("x-feat-name", feat_name)
        end
        """

    private init() throws {
        stable = try puppet("stable")
        app = try puppet("app")
        let labels = "{app: digillect-auth, version: auth-refactor}"
        let inbound = "inbound: [{address: 127.0.0.1, port: 15006, app: \"127.0.0.1:\(app.port)\"}]"
        let version = "function envoy_on_response(h)\nh:headers():add('api-version', 'v1')\nend"
        let inject = "function envoy_on_request(h)\nh:headers():add('x-injected', 'yes')\nend"
        site = try LaneSite(
            Documents.join([
                Documents.sidecar(inbound, labels: labels),
                Documents.service("session.test", [(stable.port, "{version: stable}")]),
                Documents.service("web.test", [(stable.port, "{version: stable}")], port: 80),
                luaFilter(
                    "propagation", "SIDECAR_OUTBOUND", Self.propagation,
                    spec: "workloadSelector: {labels: \(labels)}"),
                luaFilter("version", "SIDECAR_INBOUND", version, match: "portNumber: \(app.port), "),
                luaFilter("not-here", "SIDECAR_INBOUND", inject, match: "portNumber: 9, "),
                luaFilter("inject", "SIDECAR_OUTBOUND", inject, match: "portNumber: 8080, "),
            ]), ports: [15_001, 15_006])
    }
}
