// ListenerSet of the Gateway API: listeners that others than a Gateway's owner add to it, where its
// `allowedListeners` lets them.
internal import Lanes

struct ListenerSetDocument: Document {
    var meta: Meta
    /// The Gateway; empty name: something else is named, which a finding says.
    var gatewayNamespace = ""
    var gatewayName = ""
    var parentLine = 0
    var listeners: [APIGateway.Listener] = []

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        parentLine = spec.line(of: "parentRef")
        if let parent = spec.object("parentRef") {
            let group = parent.string("group") ?? gatewayAPIGroup
            let kind = parent.string("kind") ?? "Gateway"
            let name = parent.string("name") ?? ""
            gatewayNamespace = parent.string("namespace") ?? meta.namespace
            if name.isEmpty { context.invalid(parent.line, "\(parent.path).name is missing") }
            if group == gatewayAPIGroup, kind == "Gateway" {
                gatewayName = name
            } else {
                context.warn(
                    parent.line, Code.backendKind, "\(parent.path): a ListenerSet of a \(kind) is not known",
                    suggestion: "kind Gateway of \(gatewayAPIGroup)")
            }
            parent.finish()
        } else {
            context.invalid(spec.line, "spec.parentRef is missing")
        }
        listeners = APIGateway.readListeners(spec, meta.namespace)
        spec.finish()
    }
}
