// What the suite's code fills into exchanges that it runs in a loop: the list has names of variables there.
import TestSupport

@testable import Config

enum ConformanceLoops {
    /// Values by the text that stands for them, one dictionary a round. `serverName`: of a TLS client.
    static let rounds: [String: [[String: String]]] = [
        "HTTPRouteHTTPSListener": [
            https("example.org", "example.org", "200", "infra-backend-v1"),
            https("second-example.org", "second-example.org", "200", "infra-backend-v2"),
            https("unknown-example.org", "unknown-example.org", "404"),
        ],
        "HTTPRouteHTTPSListenerDetectMisdirectedRequests": [
            https("example.org", "example.org", "200", "infra-backend-v1"),
            https("example.org", "second-example.org", "421"),
            https("example.org", "unknown-example.org", "404"),
            https("second-example.org", "second-example.org", "200", "infra-backend-v2"),
            https("second-example.org", "example.org", "421"),
            https("second-example.org", "unknown-example.org", "421"),
            https("third-example.wildcard.org", "third-example.wildcard.org", "200", "infra-backend-v3"),
            https("third-example.wildcard.org", "fith-example.wildcard.org", "200", "infra-backend-v3"),
            https("third-example.wildcard.org", "fourth-example.wildcard.org", "421"),
            https("third-example.wildcard.org", "second-example.org", "421"),
            https("third-example.wildcard.org", "unknown-example.org", "421"),
            https("fourth-example.wildcard.org", "fourth-example.wildcard.org", "200", "infra-backend-v1"),
            https("fourth-example.wildcard.org", "fith-example.wildcard.org", "421"),
            https("unknown-example.org", "example.org", "200", "infra-backend-v1"),
            https("unknown-example.org", "unknown-example.org", "404"),
        ],
        "BackendTLSPolicyInvalidCACertificateRef": [
            path("nonexistent-ca-certificate-ref"), path("malformed-ca-certificate-ref"),
        ],
        "BackendTLSPolicyInvalidKind": [path("invalid-kind")],
        "HTTPRouteServiceTypes": ["headless", "manual-endpointslices", "headless-manual-endpointslices"].map {
            ["/<path>": "/\($0)", "infra-backend-v1": $0]
        },
    ]

    /// Exchanges that want an error, which the list doesn't show.
    static let failing: [String: Set<Int>] = [
        "BackendTLSPolicy": [2, 3], "BackendTLSPolicyGRPCRoute": [1, 2],
        "GatewayFrontendInvalidDefaultClientCertificateValidation": [1],
        "GatewayFrontendClientCertificateValidation": [1, 3],
    ]

    private static func path(_ policy: String) -> [String: String] {
        ["/backendtlspolicy-<policyNN.Name>": "/backendtlspolicy-\(policy)"]
    }

    private static func https(_ name: String, _ host: String, _ status: String, _ backend: String = "")
        -> [String: String]
    {
        ["serverName": name, "tc.host": host, "tc.statusCode": status, "tc.backend": backend]
    }

    /// A node with every scalar that stands for a value exchanged.
    static func fill(_ node: YAML, _ values: [String: String]) -> YAML {
        var filled = node
        switch node.value {
        case .scalar(let text, let plain):
            filled.value = .scalar(values[text] ?? text, plain: plain)
        case .list(let elements): filled.value = .list(elements.map { fill($0, values) })
        case .map(let entries):
            filled.value = .map(
                entries.map { YAML.Entry(key: $0.key, line: $0.line, value: fill($0.value, values)) })
        case .null: break
        }
        return filled
    }
}
