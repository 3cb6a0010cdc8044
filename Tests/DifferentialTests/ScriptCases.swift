// Scripts that Envoy and Fairlead are both given: each row of istio-semantics.md 20 that shows outside.

struct ScriptCase {
    var name: String
    /// Lines of `envoy_on_request(h)`; `headers` is there.
    var request = ""
    /// Lines of `envoy_on_response(h)`.
    var response = ""
    var probe = Probe()
    /// True of Fairlead's outcome, and of Envoy's: README.md says why they differ.
    var fairlead: [String] = []
    var envoy: [String] = []
}

private func fields(_ pairs: [(String, String)]) -> [Probe.Field] {
    pairs.map { Probe.Field($0.0, $0.1) }
}

private func post(_ body: String) -> Probe {
    Probe(method: "POST", fields: fields([("content-length", "\(body.utf8.count)")]), body: body)
}

private let call = Probe(
    method: "POST", fields: fields([("content-type", "application/grpc"), ("content-length", "0")]))
private let several = Probe(fields: fields([("x-a", "1"), ("x-b", "2"), ("X-A", "3"), ("x-a", "")]))

/// Puts what the called upstream saw into lines of the request.
private let tell = """
    local headers = h:headers()
    for line in (body or ''):gmatch('[^\\r\\n]+') do
      if line:find('^x%-forwarded%-for') or line:find('^x%-request%-id') then line = line:match('^[^:]+') end
      if not line:find('^x%-envoy%-') then headers:add('x-line', line) end
    end
    headers:add('x-status', got[':status'])
    """

let scriptCases: [ScriptCase] = scriptHeaderCases + scriptBodyCases + scriptAnswerCases + scriptCallCases

private let scriptHeaderCases = [
    ScriptCase(
        name: "several-lines",
        request: """
            headers:add('x-joined', headers:get('x-A'))
            headers:add('x-count', tostring(headers:getNumValues('x-a')) .. headers:getNumValues('x-none'))
            headers:add('x-at', headers:getAtIndex('x-a', 0) .. headers:getAtIndex('x-a', 1))
            headers:add('x-none', tostring((headers:getAtIndex('x-a', 3))) .. tostring((headers:get('x-z'))))
            """, probe: several),
    ScriptCase(
        name: "edits",
        request: """
            headers:add('x-b', '5') headers:replace('x-a', '9') headers:replace('X-New', 'n')
            headers:remove('user-agent') headers:add('x-empty', '')
            """, probe: several),
    ScriptCase(
        name: "pairs",
        request: """
            local seen = {}
            for name, value in pairs(headers) do
              if name:find('^:') or name:find('^x%-[ab]') then seen[#seen + 1] = name .. '=' .. value end
            end
            table.sort(seen)
            headers:add('x-seen', table.concat(seen, ';'))
            """, probe: several),
    ScriptCase(
        name: "edit-while-iterating",
        request: """
            headers:add('x-1', '1')
            for n in pairs(headers) do headers:remove(n) end
            headers:add('x-2', '2')
            """,
        probe: several),
    ScriptCase(
        name: "pseudo",
        request: """
            headers:add('x-p', headers:get(':method') .. headers:get(':path') .. headers:get(':scheme'))
            headers:add('x-h', tostring(headers:get('host') == headers:get(':authority')))
            headers:replace(':path', '/other/path?y=2')
            """, probe: Probe(target: "/first?x=1")),
    ScriptCase(name: "rerouted", request: "headers:replace('x-to', 'v2')"),
    ScriptCase(name: "rerouted-by-path", request: "headers:replace(':path', '/v2')"),
    ScriptCase(name: "no-route-now", request: "headers:replace(':authority', 'nobody.test')"),
    ScriptCase(name: "read-only", request: "local x = headers:get('x-a')", probe: several),
    ScriptCase(name: "method", request: "headers:replace(':method', 'PUT')"),
    ScriptCase(
        name: "failure", request: "headers:add('x-1', '1') local n = nil n.x = 1 headers:add('x-2', '2')"),
    ScriptCase(name: "logs", request: "h:logInfo('a') h:logWarn('b') h:logErr('c') headers:add('x-l', '1')"),
    ScriptCase(
        name: "tools",
        request: """
            headers:add('x-64', h:base64Escape('foobar!') .. h:base64Escape(''))
            headers:add('x-time', tostring(#h:timestampString()) .. type(h:timestamp()))
            headers:add('x-micro', tostring(#h:timestampString(EnvoyTimestampResolution.MICROSECOND)))
            """),
    ScriptCase(
        name: "information",
        request: """
            local info = h:streamInfo()
            headers:add('x-info', info:protocol())
            headers:add('x-peer', info:downstreamDirectRemoteAddress():match('^[^:]+'))
            headers:add('x-local', info:downstreamLocalAddress():match('^[^:]+'))
            headers:add('x-name', '[' .. info:requestedServerName() .. ']')
            headers:add('x-tls', tostring(info:downstreamSslConnection()) .. tostring(h:connection():ssl()))
            headers:add('x-meta', tostring((h:metadata():get('a'))))
            local n = 0 for k, v in pairs(h:metadata()) do n = n + 1 end
            headers:add('x-count', tostring(n))
            """),
    ScriptCase(
        name: "dynamic-metadata",
        request: "h:streamInfo():dynamicMetadata():set('f', 'k', {a = 'b', n = 2})",
        response: """
            local kept = h:streamInfo():dynamicMetadata():get('f')
            headers:add('x-kept', kept.k.a .. tostring(kept.k.n))
            headers:add('x-nothing', tostring((h:streamInfo():dynamicMetadata():get('none'))))
            """),
]

private let scriptBodyCases = [
    ScriptCase(
        name: "body",
        request: "local b = h:body() h:headers():add('x-b', b:length() .. b:getBytes(1, 3))",
        probe: post("hello")),
    ScriptCase(name: "no-body", request: "headers:add('x-b', tostring((h:body())))"),
    ScriptCase(
        name: "body-out-of-range",
        request:
            "local b = h:body() h:headers():add('x-1', '1') b:getBytes(3, 9) h:headers():add('x-2', '2')",
        probe: post("hello")),
    ScriptCase(
        name: "set-body",
        request: "local b = h:body() h:headers():add('x-n', tostring(b:setBytes('longer than before')))",
        probe: post("hello")),
    ScriptCase(
        name: "chunks",
        request: """
            local n = 0
            for c in h:bodyChunks() do n = n + c:length() end
            h:logInfo('n ' .. n)
            """, probe: post("hello")),
    ScriptCase(
        name: "edit-after-chunks",
        request: "for c in h:bodyChunks() do end headers:add('x-late', '1')", probe: post("hello")),
    ScriptCase(
        name: "objects-end-with-a-wait",
        request: "headers:add('x-1', '1') local b = h:body() headers:add('x-2', '2')", probe: post("hello")),
    ScriptCase(
        name: "objects-without-a-wait",
        request: "headers:add('x-1', '1') local b = h:body() headers:add('x-2', '2')"),
    ScriptCase(name: "no-value", request: "headers:add('x-n', tostring(headers:get('x-none')))"),
    ScriptCase(name: "trailers", request: "headers:add('x-t', tostring((h:trailers())))"),
    ScriptCase(
        name: "response-body",
        response: "local b = h:body() h:headers():add('x-b', b:getBytes(0, 4)) b:setBytes('all new')"),
    ScriptCase(
        name: "response-body-of-head", response: "headers:add('x-b', tostring((h:body())))",
        probe: Probe(method: "HEAD")),
]

private let scriptAnswerCases = [
    ScriptCase(
        name: "respond", request: "h:respond({[':status'] = '403', ['x-why'] = 'script'}, 'no entry')"),
    ScriptCase(
        name: "respond-type",
        request: """
            h:respond({[':status'] = 200, ['content-type'] = 'text/html', ['x-l'] = {'1', '2'}}, '<p>')
            """),
    ScriptCase(name: "respond-empty", request: "h:respond({[':status'] = '204'}, '')"),
    ScriptCase(
        name: "respond-post", request: "h:body() h:respond({[':status'] = '413'}, 'x')",
        probe: post("abc")),
    ScriptCase(
        name: "respond-to-call", request: "h:respond({[':status'] = '403', ['x-why'] = 'a'}, 'no entry')",
        probe: call),
    ScriptCase(
        name: "respond-well-to-call",
        request: "h:respond({[':status'] = '200', ['content-type'] = 'text/html'}, 'fine')", probe: call),
    ScriptCase(
        name: "respond-status-to-call",
        request: "h:respond({[':status'] = '200', ['grpc-status'] = '5', ['grpc-message'] = 'm'}, 'fine')",
        probe: call),
    ScriptCase(
        name: "respond-elsewhere-to-call", request: "h:respond({[':status'] = '302', ['location'] = '/x'})",
        probe: call),
    ScriptCase(name: "respond-nothing-to-call", request: "h:respond({[':status'] = '204'})", probe: call),
    ScriptCase(
        name: "respond-without-status",
        request: "h:respond({['x'] = '1'}, 'x') headers:add('x-2', '2')"),
    ScriptCase(name: "respond-too-low", request: "h:respond({[':status'] = '100'}, 'x')"),
    ScriptCase(
        name: "respond-and-response", request: "h:respond({[':status'] = '200'}, 'own')",
        response: "headers:add('x-seen', headers:get(':status'))"),
    ScriptCase(
        name: "respond-late", response: "headers:add('x-1', '1') h:respond({[':status'] = '200'}, 'x')"),
    ScriptCase(
        name: "response-edits",
        response: """
            headers:add('x-cookies', headers:getNumValues('set-cookie') .. headers:get('set-cookie'))
            headers:add('set-cookie', 'three=3') headers:replace('x-a', 'script') headers:remove('x-up')
            headers:replace(':status', '418')
            """),
    ScriptCase(
        name: "own-answer", response: "headers:add('x-seen', headers:get(':status'))",
        probe: Probe(host: "nobody.test")),
    ScriptCase(name: "clear", request: "headers:replace('x-to', 'v2') h:clearRouteCache()"),
]

private let scriptCallCases = [
    ScriptCase(name: "call", request: "local got, body = ask(h, cluster('v2'), 'ask', 5000) \(tell)"),
    ScriptCase(
        name: "call-no-body",
        request: "local got, body = ask(h, cluster('v2'), nil, 5000) \(tell)"),
    ScriptCase(
        name: "call-options",
        request: "local got, body = ask(h, cluster('v2'), 'ask', {timeout_ms = 5000}) \(tell)"),
    ScriptCase(
        name: "call-without-forwarding",
        request: "local got, body = ask(h, cluster('v2'), 'ask', {send_xff = false}) \(tell)"),
    ScriptCase(
        name: "call-fields",
        request: """
            local got = ask(h, cluster('v2'), 'ask', 5000)
            local names, headers = {}, h:headers()
            for name in pairs(got) do if not name:find("^x%-envoy%-") then names[#names + 1] = name end end
            table.sort(names)
            headers:add('x-names', table.concat(names, ' '))
            headers:add('x-cookie', got['set-cookie'])
            """),
    ScriptCase(
        name: "call-without-envoys-fields",
        request: """
            local got, body = ask(h, cluster('v2'), 'ask', 5000)
            local names = {}
            for name in (body or ''):gmatch('x%-envoy%-[a-z-]+') do names[#names + 1] = name end
            for name in pairs(got) do if name:find('^x%-envoy%-') then names[#names + 1] = name end end
            table.sort(names)
            h:headers():add('x-names', table.concat(names, ' ') .. '.')
            """,
        fairlead: ["> x-names: ."],
        envoy: [
            "> x-names: x-envoy-expected-rq-timeout-ms x-envoy-internal x-envoy-upstream-service-time."
        ]),
    ScriptCase(
        name: "call-lists",
        request: """
            local got = ask(h, cluster('v2'), 'ask', {return_duplicate_headers = true})
            h:headers():add('x-cookies', table.concat(got['set-cookie'], ';') .. type(got['x-a']))
            """),
    ScriptCase(
        name: "call-nobody",
        request: """
            local got, body = ask(h, cluster('empty'), 'ask', 5000)
            headers:add('x-got', got[':status'] .. tostring(got['content-type']) .. body)
            """),
    ScriptCase(
        name: "call-unknown",
        request: "headers:add('x-1', '1') ask(h, 'nobody', '', 5000) headers:add('x-2', '2')"),
    ScriptCase(
        name: "call-incomplete",
        request: "headers:add('x-1', '1') h:httpCall(cluster('v2'), {}, '', 5000) headers:add('x-2', '2')"),
    ScriptCase(
        name: "call-wrong-option",
        request: "headers:add('x-1', '1') ask(h, cluster('v2'), '', {x = 1}) headers:add('x-2', '2')"),
    ScriptCase(
        name: "call-asynchronous",
        request: "headers:add('x-r', tostring(ask(h, cluster('v2'), '', {asynchronous = true})))"),
    ScriptCase(
        name: "call-on-response",
        response: "local got = ask(h, cluster('v2'), 'a', 5000) h:headers():add('x-got', got['x-upstream'])"),
    ScriptCase(
        name: "call-on-own-answer",
        response: "local got = ask(h, cluster('v2'), 'a', 5000) h:headers():add('x-got', got['x-upstream'])",
        probe: Probe(host: "nobody.test")),
]

/// All cases as one script: a request says by `x-case` which is meant.
var scriptOfAllCases: String {
    var lines = [
        """
        local requests, responses = {}, {}
        local function ask(h, name, body, how)
          local head = {[":method"] = "POST", [":path"] = "/call?x=1", [":authority"] = "called.test"}
          head["x-c"] = "1"
          return h:httpCall(name, head, body, how)
        end
        """
    ]
    for one in scriptCases {
        lines.append("requests['\(one.name)'] = function(h, headers)\n\(one.request)\nend")
        lines.append("responses['\(one.name)'] = function(h, headers)\n\(one.response)\nend")
    }
    lines.append(
        """
        function envoy_on_request(h)
          local name = h:headers():get('x-case')
          if not name then return end
          h:streamInfo():dynamicMetadata():set('test', 'case', name)
          requests[name](h, h:headers())
        end
        function envoy_on_response(h)
          local kept = h:streamInfo():dynamicMetadata():get('test')
          if kept then responses[kept.case](h, h:headers()) end
        end
        """)
    return lines.joined(separator: "\n")
}
