// The filters of the published pattern and of Istio's tutorials, as they are printed: they load, stand where
// Istio would put them, do what their Lua says, and `check` names what it does not do.
import Base
import Lanes
import Testing

@testable import Config

/// The Lua filter of one EnvoyFilter, in the long form that people copy.
private func filter(
    _ name: String, _ namespace: String, labels: String, context: String, port: String = "", code: String
) -> String {
    let indented = code.split(separator: "\n", omittingEmptySubsequences: false)
        .map { "            " + $0 }.joined(separator: "\n")
    return """
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata:
          name: \(name)
          namespace: \(namespace)
        spec:
          workloadSelector:
            labels: \(labels)
          configPatches:
          - applyTo: HTTP_FILTER
            match:
              context: \(context)
              listener:\(port)
                filterChain:
                  filter:
                    name: "envoy.filters.network.http_connection_manager"
                    subFilter:
                      name: "envoy.filters.http.router"
            patch:
              operation: INSERT_BEFORE
              value:
                name: envoy.lua
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                  inlineCode: |
        \(indented)
        ---

        """
}

private let promotion = filter(
    "digillect-gateway-feat-param-filter", "digillect-nonprod", labels: "{istio: ingressgateway}",
    context: "GATEWAY",
    code: """
        -- Request phase only: promote ?x-feat-name to a header.
        -- Set-Cookie is handled by the VirtualService response headers block.
        function envoy_on_request(request_handle)
          local path = request_handle:headers():get(":path") or ""
          local feat = path:match("[?&]x%-feat%-name=([^&]+)")
          if feat then
            request_handle:headers():replace("x-feat-name", feat)
            request_handle:logInfo("digillect: x-feat-name=" .. feat .. " promoted from queryParam")
          end
        end
        """)

private let propagation = filter(
    "auth-refactor-auth-svc-filter", "digillect-nonprod",
    labels: "{version: auth-refactor, app: digillect-auth}", context: "SIDECAR_OUTBOUND",
    code: """
        local feat_name = "auth-refactor"

        function envoy_on_response(response_handle)
          response_handle:logInfo("digillect: propagating x-feat-name=" .. feat_name)
          response_handle:headers():add("x-feat-name", feat_name)
        end
        """)

private let version = filter(
    "api-header-filter", "default", labels: "{app: web-frontend}", context: "SIDECAR_INBOUND",
    port: "\n        portNumber: 8080",
    code: """
        function envoy_on_response(response_handle)
        response_handle:headers():add("api-version", "v1")
        end
        """)

private func proxy(_ namespace: String, _ labels: String, _ spec: String) -> String {
    """
    apiVersion: fairlead.dev/v1alpha1
    kind: Proxy
    metadata: {name: proxy, namespace: \(namespace), labels: \(labels)}
    spec: {\(spec)}
    ---

    """
}

private let sidecar =
    "role: sidecar, outbound: {port: 15001}, inbound: [{port: 15006, app: \"127.0.0.1:8080\"}]"

private func explained(
    _ text: String, _ listener: String, _ url: String
) throws -> Explanation {
    let snapshot = try Snapshot(model: try modelOf(text), generation: 1, registry: Lanes.Registry())
    return explain(snapshot, method: "GET", url: url, headers: [], listener: listener)
}

@Suite struct PatternScriptTests {
    private let edge =
        proxy("digillect-nonprod", "{istio: ingressgateway}", "role: edge")
        + gateway.replacing("namespace: shop", with: "namespace: digillect-nonprod")

    @Test func theGatewayPromotesAndIsNamed() throws {
        let all = edge + promotion + propagation + version
        let result = loadText(all)
        // What all of them get wrong, whoever this proxy is.
        #expect(Set(result.findings.map(\.code)) == ["FL0101", "FL0107", "FL0109", "FL0110", "IST0151"])
        #expect(try modelOf(all).listeners.map { $0.scripts.map(\.name) } == [["envoy.lua"]])
        let told = try explained(all, "gateway/80", "http://a.test/?x-feat-name=auth-refactor").scripts
        #expect(told.map(\.document) == ["EnvoyFilter digillect-nonprod/digillect-gateway-feat-param-filter"])
        #expect(
            told.first?.did == [
                "sets x-feat-name: auth-refactor",
                "logs info: digillect: x-feat-name=auth-refactor promoted from queryParam",
            ])
        #expect(try explained(all, "gateway/80", "http://a.test/").scripts.map(\.did) == [[]])
    }

    @Test func theFeaturesSidecarAddsToAnswers() throws {
        let all =
            proxy("digillect-nonprod", "{version: auth-refactor, app: digillect-auth}", sidecar) + promotion
            + propagation
        let told = try explained(all, "outbound", "http://session.test/")
        #expect(told.scripts.map(\.phase) == ["response"])
        #expect(told.edits.contains("response: add x-feat-name: auth-refactor"), "\(told.edits)")
        #expect(try explained(all, "inbound/15006", "http://session.test/").scripts.isEmpty)
        // A stable pod has none of it.
        let stable = all.replacing(
            "labels: {version: auth-refactor, app: digillect-auth}}", with: "labels: {}}")
        #expect(try modelOf(stable).listeners.allSatisfy(\.scripts.isEmpty))
    }

    @Test func theTutorialsVersionIsForItsPort() throws {
        let all = proxy("default", "{app: web-frontend}", sidecar) + version
        #expect(loadText(all).findings.map(\.code) == ["IST0151"])
        let told = try explained(all, "inbound/15006", "http://any.test/")
        #expect(told.edits.contains("response: add api-version: v1"), "\(told.edits)")
        let other = all.replacing("portNumber: 8080", with: "portNumber: 9090")
        #expect(try modelOf(other).listeners.allSatisfy(\.scripts.isEmpty))
    }
}

@Test func aGatewayAPIListenerHasScriptsToo() throws {
    let text =
        edgeProxy
            + """
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: {name: api, namespace: shop}
            spec:
              gatewayClassName: any
              listeners:
              - {name: http, port: 80, protocol: HTTP}
            ---

            """
        + filter(
            "a", "shop", labels: "{istio: ingressgateway}", context: "GATEWAY",
            code: "function envoy_on_request(h) end")
    #expect(try modelOf(text).listeners.map { $0.scripts.map(\.name) } == [["envoy.lua"]])
}

@Test func scriptsThatDoNotFitTogetherAreRefused() throws {
    func load(_ names: [String]) -> LoadResult {
        let filters = names.map {
            filter(
                $0, "shop", labels: "{istio: ingressgateway}", context: "GATEWAY",
                code: "kept = string.rep('\($0)', 9000000)\nfunction envoy_on_request(h) end")
        }
        return loadText(edgeProxy + gateway + filters.joined())
    }
    #expect(load(["a"]).model != nil)
    let both = load(["a", "b"])
    #expect(both.model == nil)
    #expect(both.has("FL0071", containing: "do not load together"), "\(both.findings.map(\.text))")
}
