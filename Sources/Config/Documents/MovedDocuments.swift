// Documents that were read once and now stand at other lines, because something before them in their file
// grew or shrank. Only the kinds of which there are thousands know how to; the others are read again.
internal import Lanes

extension DocumentSet {
    /// Whether `moved(by:)` is enough for objects of a kind.
    static func canMove(kind: String, group: String) -> Bool {
        switch (group, kind) {
        case ("networking.istio.io", "VirtualService"), ("networking.istio.io", "DestinationRule"),
            ("fairlead.dev", "Lane"), ("", "Service"), ("", "Pod"), ("", "Namespace"),
            ("discovery.k8s.io", "EndpointSlice"), ("apps", _):
            true
        default: false
        }
    }

    /// The same `lines` further down. All are of kinds that can move.
    func moved(by lines: Int) -> DocumentSet {
        var moved = self
        moved.virtualServices = virtualServices.map { VirtualServiceDocument($0, movedBy: lines) }
        for index in destinationRules.indices { moved.destinationRules[index].move(by: lines) }
        for index in lanes.indices { moved.lanes[index].move(by: lines) }
        for index in services.indices { moved.services[index].move(by: lines) }
        for index in pods.indices { moved.pods[index].meta.move(by: lines) }
        for index in endpointSlices.indices { moved.endpointSlices[index].move(by: lines) }
        return moved
    }
}

extension SourceRef {
    func moved(by lines: Int) -> SourceRef {
        var moved = self
        moved.line += lines
        return moved
    }
}

extension Located {
    fileprivate mutating func move(by lines: Int) { line += lines }
}

extension Meta {
    fileprivate mutating func move(by lines: Int) { ref.line += lines }

    func moved(by lines: Int) -> Meta {
        var moved = self
        moved.move(by: lines)
        return moved
    }
}

extension [Located<String>] {
    func moved(by lines: Int) -> [Located<String>] { map { Located($0.value, line: $0.line + lines) } }
}

extension ServiceDocument {
    fileprivate mutating func move(by lines: Int) {
        meta.move(by: lines)
        for index in ports.indices { ports[index].line += lines }
    }
}

extension EndpointSliceDocument {
    fileprivate mutating func move(by lines: Int) {
        meta.move(by: lines)
        line += lines
        for index in endpoints.indices { endpoints[index].line += lines }
    }
}

extension LaneDocument {
    fileprivate mutating func move(by lines: Int) {
        meta.move(by: lines)
        for index in members.indices {
            members[index].line += lines
            for endpoint in members[index].endpoints.indices {
                members[index].endpoints[endpoint].move(by: lines)
            }
        }
    }
}

extension DestinationRuleDocument {
    fileprivate mutating func move(by lines: Int) {
        meta.move(by: lines)
        hostLine += lines
        policy?.move(by: lines)
        for index in subsets.indices {
            subsets[index].line += lines
            subsets[index].policy?.move(by: lines)
        }
    }
}

extension TrafficPolicy {
    fileprivate mutating func move(by lines: Int) {
        settings.tls?.move(by: lines)
        for port in ports.keys { ports[port]?.tls?.move(by: lines) }
    }
}

extension ClientTLSFields {
    fileprivate mutating func move(by lines: Int) {
        ref.line += lines
        files?.certificate.move(by: lines)
        files?.key.move(by: lines)
        authorities?.move(by: lines)
        revocations?.move(by: lines)
        credential?.move(by: lines)
    }
}

extension VirtualServiceDocument.HTTPRoute {
    func moved(by lines: Int) -> VirtualServiceDocument.HTTPRoute {
        var moved = self
        moved.line += lines
        moved.ref.line += lines
        for index in matches.indices { moved.matches[index].move(by: lines) }
        for index in destinations.indices { moved.destinations[index].line += lines }
        for index in mirrors.indices { moved.mirrors[index].line += lines }
        return moved
    }
}

extension VirtualServiceDocument.Match {
    fileprivate mutating func move(by lines: Int) {
        line += lines
        if let own = claimLine { claimLine = own + lines }
    }
}

extension VirtualServiceDocument.ConnectionRoute {
    func moved(by lines: Int) -> VirtualServiceDocument.ConnectionRoute {
        var moved = self
        moved.ref.line += lines
        for index in matches.indices {
            moved.matches[index].line += lines
            moved.matches[index].sniHosts = matches[index].sniHosts.moved(by: lines)
        }
        for index in destinations.indices { moved.destinations[index].line += lines }
        return moved
    }
}
