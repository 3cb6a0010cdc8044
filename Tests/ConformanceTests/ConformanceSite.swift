// A running fairlead over the manifests of one conformance test: every Service of them gets servers on
// loopback that answer with its name, and only the Gateways that the test speaks of are served.
import TestSupport

@testable import Config

final class ConformanceSite {
    let process: RunningProcess
    let folder: TemporaryDirectory
    /// By the name of the Service: its ports' servers in the order of its document.
    private let backends: [String: [Backend]]
    private let ports: [UInt16: UInt16]

    /// `client`: the namespace of a sidecar; nil: an edge.
    init(_ manifests: [Manifest], gateways: Set<String>, client: String?) throws {
        var backends: [String: [Backend]] = [:]
        var texts = [Self.proxy(client)]
        if client == nil { texts += try ConformanceCertificates.shared.get().documents() }
        var ports: Set<UInt16> = client == nil ? [] : [15_001]
        for manifest in manifests {
            switch manifest.kind {
            case "Gateway":
                guard gateways.contains(manifest.name), client == nil else { continue }
                texts.append(manifest.text)
                for listener in manifest.node["spec"]?["listeners"]?.elements ?? [] {
                    ports.insert(UInt16(listener["port"]?.text ?? "") ?? 0)
                }
            case "Service":
                let declared = manifest.node["spec"]?["ports"]?.elements ?? []
                let app = manifest.node["spec"]?["selector"]?["app"]?.text ?? manifest.name
                let served = try declared.compactMap { port in
                    try Backend(service: manifest.name, port, app: app).map { (port, $0) }
                }
                backends[manifest.name] = served.map(\.1)
                texts += [manifest.text, Self.slice(manifest, served)]
            // Ours stand in for them.
            case "EndpointSlice", "Deployment", "Pod": continue
            default: texts.append(manifest.text)
            }
        }
        let folder = try TemporaryDirectory()
        var seen: Set<String> = []
        try folder.write("site.yaml", texts.filter { seen.insert($0).inserted }.joined(separator: "\n---\n"))
        let bound = try Dictionary(uniqueKeysWithValues: ports.map { ($0, try freeLoopbackPort()) })
        process = try Programs.runFairlead(
            [folder.file("site.yaml"), "--workers", "1", "--admin", "127.0.0.1:\(try freeLoopbackPort())"]
                + bound.flatMap { ["--port", "\($0.key)=\($0.value)"] })
        (self.folder, self.backends, self.ports) = (folder, backends, bound)
    }

    /// Where a port of the documents is served.
    func port(_ wanted: UInt16) -> UInt16 { ports[wanted] ?? ports.values.first ?? 0 }

    /// Where a Service's first port is served: its pod's address.
    func podPort(_ service: String) -> UInt16 { backends[service]?.first?.port ?? 0 }

    private static func proxy(_ client: String?) -> String {
        let meta = "metadata: {name: client, namespace: \(client ?? "gateway-conformance-infra")}"
        let spec =
            client == nil ? "{role: edge}" : "{role: sidecar, outbound: {address: 127.0.0.1, port: 15001}}"
        return "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\n\(meta)\nspec: \(spec)\n"
    }

    private static func slice(_ service: Manifest, _ ports: [(declared: YAML, backend: Backend)]) -> String {
        let entries = ports.map { port in
            "{name: \"\(port.declared["name"]?.text ?? "")\", port: \(port.backend.port)}"
        }
        return """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata:
              name: \(service.name)-test
              namespace: \(service.namespace)
              labels: {kubernetes.io/service-name: \(service.name)}
            addressType: IPv4
            ports: [\(entries.joined(separator: ", "))]
            endpoints: [{addresses: [127.0.0.1]}]
            """
    }
}
