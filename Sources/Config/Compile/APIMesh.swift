// Routes of the Gateway API attached to a Service: what a client in the mesh follows (GAMMA,
// istio-semantics.md 21.1).
internal import Lanes

extension Compiler {
    /// The routes that a client in the mesh follows to a service's port (GAMMA); nil: none is attached.
    /// Routes of the client's own namespace come before those of the service's, which are for everybody.
    func meshRoutes(of service: Service, port: UInt16) -> (oldest: Meta, routes: [RouteModel])? {
        let attachments = registry.attachments
        let here = attachments.attached(service: service.host).filter { ($0.port ?? port) == port }
            .map(\.route)
        if here.isEmpty { return nil }
        func from(_ namespace: String) -> [Int] {
            Set(here.filter { attachments.routes[$0].meta.namespace == namespace }).sorted()
        }
        let own = from(proxy.model.namespace)
        let chosen = own.isEmpty ? from(service.namespace) : own
        guard let oldest = chosen.first else { return nil }
        return (attachments.routes[oldest].meta, orderedRoutes(chosen, port: port))
    }
}
