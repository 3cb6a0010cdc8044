// Two objects that claim one thing: VirtualServices on a mesh host (trap 3), Gateways on a host and port.
internal import Lanes

extension Analysis {
    /// In the mesh only the oldest VirtualService of a host counts (IST0109).
    mutating func checkMeshConflicts() {
        var owners: [String: [VirtualServiceDocument]] = [:]
        for document in virtualServices where document.isInMesh {
            for (host, name) in zip(document.hosts, document.fullHosts) {
                // Only owners whose clients differ stand side by side, so there are few.
                let earlier = owners[name] ?? []
                if let owner = earlier.first(where: { Self.shareClients($0, document) }) {
                    note(
                        .error, Code.conflictingMeshHosts,
                        "\(name) belongs to the older \(owner.meta.resource): sidecars ignore this one",
                        document.meta.ref, line: host.line,
                        suggestion: "merge them, bind this one to a gateway, or use a Lane")
                } else {
                    owners[name, default: []].append(document)
                }
            }
        }
    }

    /// Whether some namespace sees both.
    private static func shareClients(_ left: VirtualServiceDocument, _ right: VirtualServiceDocument) -> Bool
    {
        func targets(_ document: VirtualServiceDocument) -> Set<String>? {
            if document.exportTo.isEmpty || document.exportTo.contains("*") { return nil }
            return Set(document.exportTo.map { $0 == "." ? document.meta.namespace : $0 })
        }
        guard let first = targets(left), let second = targets(right) else { return true }
        return !first.isDisjoint(with: second)
    }

    mutating func checkGatewayConflicts() {
        struct Key: Hashable {
            var selector: [String: String]
            var port: UInt16
            var bind: IPAddress?
            var host: String
        }
        var owners: [Key: SourceRef] = [:]
        for gateway in documents.gateways.oldestFirst() {
            for server in gateway.servers {
                for host in server.hosts {
                    let key = Key(
                        selector: gateway.selector, port: server.port, bind: server.bind,
                        host: host.value.lowercased())
                    guard let owner = owners[key] else {
                        var ref = gateway.meta.ref
                        ref.line = host.line
                        owners[key] = ref
                        continue
                    }
                    guard owner.document != gateway.meta.ref.document else { continue }
                    for (ref, line, other) in [
                        (gateway.meta.ref, host.line, owner), (owner, owner.line, gateway.meta.ref),
                    ] {
                        note(
                            .error, Code.conflictingGateways,
                            "\(other.document) serves \(host.value) on port \(server.port) too", ref,
                            line: line,
                            suggestion: "one Gateway for a host and port; VirtualServices may share it")
                    }
                }
            }
        }
    }
}
