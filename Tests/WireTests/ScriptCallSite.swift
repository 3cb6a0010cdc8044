// A gateway whose script calls other services, as the path or the upstream's answer asks for.
import TestSupport

struct ScriptCallSite: Sendable {
    let site: LaneSite
    let upstream: EchoUpstream
    let auth: EchoUpstream
    let silent: ScriptedUpstream
    let cut: ScriptedUpstream
    static let shared = Result { try ScriptCallSite() }

    private static let script = """
        local function call(h, host, method, path, body, how)
          return h:httpCall("outbound|8080||" .. host,
            {[":method"] = method, [":path"] = path, [":authority"] = host, ["X-Token"] = "bob",
             ["x-two"] = {"a", "b"}, ["content-length"] = "77"}, body, how)
        end

        local function text(got, body)
          return got[":status"] .. " " .. tostring(got["x-user"]) .. " " .. tostring(body)
        end

        local wishes = {
          ["/check"] = function(h) return text(call(h, "auth.test", "POST", "/check?a=1", "ask", 60000)) end,
          ["/nothing"] = function(h) return text(call(h, "auth.test", "GET", "/nothing", nil, 60000)) end,
          ["/head"] = function(h) return text(call(h, "auth.test", "HEAD", "/check", nil, 60000)) end,
          ["/dead"] = function(h) return text(call(h, "dead.test", "GET", "/", nil, 60000)) end,
          ["/empty"] = function(h) return text(call(h, "empty.test", "GET", "/", nil, 60000)) end,
          ["/late"] = function(h) return text(call(h, "silent.test", "GET", "/", nil, 20)) end,
          ["/cut"] = function(h) return text(call(h, "cut.test", "GET", "/", nil, 60000)) end,
          ["/large"] = function(h) return text(call(h, "auth.test", "GET", "/large", nil, 60000)) end,
          ["/unknown"] = function(h) return text(call(h, "nobody.test", "GET", "/", nil, 60000)) end,
          ["/method"] = function(h) return text(call(h, "auth.test", "CONNECT", "/", nil, 60000)) end,
          ["/path"] = function(h) return text(call(h, "auth.test", "GET", "/ x", nil, 60000)) end,
          ["/long"] = function(h)
            return text(call(h, "auth.test", "POST", "/", string.rep("x", 2000000), 60000)) end,
          ["/option"] = function(h) return text(call(h, "auth.test", "GET", "/", nil, {wrong = 1})) end,
          ["/inside"] = function(h)
            return coroutine.wrap(function() return text(call(h, "auth.test", "GET", "/", nil, 60000)) end)()
          end,
          ["/twice"] = function(h)
            local first = call(h, "auth.test", "GET", "/echo", nil, 60000)
            local second = call(h, "auth.test", "GET", "/echo", nil, 60000)
            return first["x-connection"] .. second["x-connection"]
          end,
          ["/many"] = function(h) for i = 1, 100 do call(h, "auth.test", "GET", "/check", nil, 60000) end end,
          ["/polls"] = function(h)
            while true do pcall(call, h, "auth.test", "GET", "/check", nil, {asynchronous = true}) end end,
          ["/lists"] = function(h)
            local got = call(h, "auth.test", "GET", "/check", nil, {return_duplicate_headers = true})
            return got["x-multi"][1] .. got["x-multi"][2] .. got["x-user"]
          end,
          ["/asynchronous"] = function(h)
            local nothing = call(h, "auth.test", "POST", "/later", "x", {asynchronous = true})
            return tostring(nothing)
          end,
          ["/body-first"] = function(h)
            local body = h:body()
            local got, answer = call(h, "auth.test", "POST", "/check", body:getBytes(0, body:length()), 60000)
            return answer .. h:body():length()
          end,
          ["/body-last"] = function(h)
            local got, answer = call(h, "auth.test", "POST", "/check", "ask", 60000)
            return answer .. h:body():getBytes(0, 3)
          end,
          ["/set"] = function(h)
            h:body(true):setBytes("changed")
            local got, answer = call(h, "auth.test", "POST", "/check", "ask", 60000)
            return answer .. h:body():getBytes(0, 7)
          end,
          ["/deny"] = function(h)
            local got, body = call(h, "auth.test", "GET", "/deny", nil, 60000)
            h:respond({[":status"] = got[":status"], ["x-why"] = body}, "denied")
          end,
          ["/move"] = function(h)
            local got = call(h, "auth.test", "GET", "/check", nil, 60000)
            h:headers():replace(":authority", got["x-user"] .. ".test")
            return "moved"
          end,
          ["/wait"] = function(h) return text(call(h, "silent.test", "GET", "/", nil, 60000)) end,
        }

        function envoy_on_request(h)
          local wish = wishes[h:headers():get(":path")]
          h:headers():add("x-before", "1")
          local told = wish and (wish(h) or "nil")
          -- Objects from before a call are gone after it.
          if told then h:headers():add("x-call", told) end
        end

        function envoy_on_response(h)
          if h:headers():get("x-wish") == "call" or h:headers():get(":status") == "404" then
            local answer = text(call(h, "auth.test", "POST", "/check", "ask", 60000))
            h:headers():add("x-answer", answer)
          end
          if h:headers():get("x-wish") == "body" then
            local before = h:body():length()
            local answer = text(call(h, "auth.test", "POST", "/check", "ask", 60000))
            h:headers():add("x-answer", answer)
            h:headers():add("x-length", tostring(before + h:body():length()))
          end
        end
        """

    private init() throws {
        upstream = try puppet("up")
        auth = try EchoUpstream("auth") { request in
            let lines = ["x-user: \(request.value("x-token") ?? "")", "x-multi: a", "x-multi: b"]
            return switch request.target {
            case "/check", "/check?a=1":
                EchoUpstream.response(200, lines, request.body, toHead: request.method == "HEAD")
            case "/deny": EchoUpstream.response(403, lines, Array("not you".utf8))
            case "/nothing": EchoUpstream.response(204)
            case "/large": EchoUpstream.response(200, lines, [UInt8](repeating: 0x61, count: 2_000_000))
            default: nil
            }
        }
        silent = try ScriptedUpstream([[.readHead, .readToEnd]])
        cut = try ScriptedUpstream([
            [.readHead, .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"), .close]
        ])
        func service(_ host: String, _ port: UInt16?) -> String {
            Documents.service(host, port.map { [($0, "{version: v1}")] } ?? [])
        }
        site = try LaneSite(
            Documents.join([
                Documents.edge(), service("up.test", upstream.port), service("auth.test", auth.port),
                service("silent.test", silent.port), service("cut.test", cut.port),
                service("dead.test", try refusedPort()),
                service("empty.test", nil).replacing("endpoints:", with: "endpoints: []"),
                Documents.virtualService(
                    "up.test",
                    """
                    - match: [{uri: {exact: /missing}}]
                      directResponse: {status: 404, body: {string: "not here"}}
                    - route: [{destination: {host: up.test}}]
                    """),
                Documents.virtualService(
                    "bob.test",
                    """
                    - headers: {request: {set: {x-bob: "1"}}}
                      route: [{destination: {host: up.test}}]
                    """),
                luaFilter("calls", "GATEWAY", Self.script),
            ]))
    }

    func get(_ target: String, _ lines: [String] = []) throws -> LaneAnswer {
        try site.get(target, host: "up.test", lines)
    }

    /// What the script told the upstream of its call.
    func told(_ target: String) throws -> String? { try get(target).seen("x-call").first }
}
