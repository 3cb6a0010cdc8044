// A running fairlead over the manifests of one conformance test: every Service of them gets an upstream on
// loopback that answers with its name, and only the Gateways that the test speaks of are served.
import TestSupport

@testable import Config

final class ConformanceSite {
    let process: RunningProcess
    let folder: TemporaryDirectory
    private let upstreams: [EchoUpstream]
    private let ports: [UInt16: UInt16]

    /// `client`: the namespace of a sidecar; nil: an edge.
    init(_ manifests: [Manifest], gateways: Set<String>, client: String?) throws {
        var upstreams: [EchoUpstream] = []
        var texts = [Self.proxy(client)]
        var ports: Set<UInt16> = client == nil ? [] : [15_001]
        for manifest in manifests {
            switch manifest.kind {
            case "Gateway":
                guard gateways.contains(manifest.name), client == nil else { continue }
                texts.append(manifest.text)
                for listener in manifest.node["spec"]?["listeners"]?.elements ?? []
                where listener["protocol"]?.text == "HTTP" {
                    ports.insert(UInt16(listener["port"]?.text ?? "") ?? 0)
                }
            case "Service":
                let upstream = try Self.upstream(manifest)
                upstreams.append(upstream)
                texts += [manifest.text, Self.slice(manifest, upstream.port)]
            // Ours stand in for them.
            case "EndpointSlice", "Deployment", "Pod": continue
            default: texts.append(manifest.text)
            }
        }
        let folder = try TemporaryDirectory()
        try folder.write("site.yaml", texts.joined(separator: "\n---\n"))
        let bound = try Dictionary(uniqueKeysWithValues: ports.map { ($0, try freeLoopbackPort()) })
        process = try Programs.runFairlead(
            [folder.file("site.yaml"), "--workers", "1", "--admin", "127.0.0.1:\(try freeLoopbackPort())"]
                + bound.flatMap { ["--port", "\($0.key)=\($0.value)"] })
        (self.folder, self.upstreams, self.ports) = (folder, upstreams, bound)
    }

    /// Where a port of the documents is served.
    func port(_ wanted: UInt16) -> UInt16 { ports[wanted] ?? ports.values.first ?? 0 }

    private static func proxy(_ client: String?) -> String {
        let meta = "metadata: {name: client, namespace: \(client ?? "gateway-conformance-infra")}"
        let spec =
            client == nil ? "{role: edge}" : "{role: sidecar, outbound: {address: 127.0.0.1, port: 15001}}"
        return "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\n\(meta)\nspec: \(spec)\n"
    }

    /// Answers after `?delay=`, if asked to.
    private static func upstream(_ service: Manifest) throws -> EchoUpstream {
        try EchoUpstream(service.name) { request in
            if request.target.contains("delay=1s") { sleepMs(1_000) }
            return nil
        }
    }

    private static func slice(_ service: Manifest, _ port: UInt16) -> String {
        let ports = (service.node["spec"]?["ports"]?.elements ?? []).map { entry in
            "{name: \"\(entry["name"]?.text ?? "")\", port: \(port)}"
        }
        return """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata:
              name: \(service.name)-test
              namespace: \(service.namespace)
              labels: {kubernetes.io/service-name: \(service.name)}
            addressType: IPv4
            ports: [\(ports.joined(separator: ", "))]
            endpoints: [{addresses: [127.0.0.1]}]
            """
    }
}
