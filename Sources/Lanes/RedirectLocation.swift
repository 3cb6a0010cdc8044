// The Location of a redirect (istio-semantics.md 5.3) and of Gateway `httpsRedirect` (17).
public import Base
public import HTTP

/// `scheme://host[:port]path[?query]`; holds until `scratch` is used again. Empty: it did not fit.
public func redirectLocation(
    _ decision: Decision, _ request: Request, _ context: DecisionContext, _ scratch: inout EditScratch
) -> ByteView {
    scratch.reset()
    guard let redirect = decision.route?.pointee.redirect, decision.outcome == .redirect else {
        // The Host is copied as it is, port included, and so is the preview host it may be.
        let mark = scratch.mark
        scratch.append("https://")
        scratch.append(decision.originalAuthority)
        appendPath(request.path, request, &scratch)
        return scratch.overflowed ? .empty : scratch.view(from: mark)
    }
    var path = request.path
    if redirect.pointee.uri.isEmpty, redirect.pointee.hasPrefixRewrite, let route = decision.route {
        let uri = route.pointee.conditions.pointee.uri
        path = replaceMatched(uri, redirect.pointee.prefixRewrite, path, &scratch)
    }
    let mark = scratch.mark
    let oldScheme = context.isTLS ? ByteView(literal: "https") : ByteView(literal: "http")
    let scheme = redirect.pointee.scheme.isEmpty ? oldScheme : redirect.pointee.scheme
    scratch.append(scheme)
    scratch.append("://")
    appendAuthority(redirect, decision, scheme, oldScheme, &scratch)
    if !redirect.pointee.uri.isEmpty {
        let uri = redirect.pointee.uri
        if uri[0] != 0x2F { scratch.append(0x2F) }
        scratch.append(uri)
        if uri.firstIndex(of: 0x3F) == nil { appendQuery(request, &scratch) }
    } else {
        appendPath(path, request, &scratch)
    }
    return scratch.overflowed ? .empty : scratch.view(from: mark)
}

private func appendAuthority(
    _ redirect: UnsafePointer<Redirect>, _ decision: Decision, _ scheme: ByteView, _ oldScheme: ByteView,
    _ scratch: inout EditScratch
) {
    if !redirect.pointee.authority.isEmpty, redirect.pointee.port == 0 {
        scratch.append(redirect.pointee.authority)
        return
    }
    let authority = decision.originalAuthority
    var host =
        redirect.pointee.authority.isEmpty
        ? authority : redirect.pointee.authority.slice(0, hostLength(redirect.pointee.authority))
    let port = redirect.pointee.port
    if port != 0 {
        host = host.slice(0, hostLength(host))
    } else if !scheme.equals(oldScheme), let old = portNumber(authority),
        old == (oldScheme.equals("https") ? 443 : 80)
    {
        // The old scheme's own port means nothing under the new one.
        host = authority.slice(0, hostLength(authority))
    }
    scratch.append(host)
    let isDefault = scheme.equals("https") ? port == 443 : port == 80
    if port != 0, !isDefault {
        scratch.append(0x3A)
        scratch.append(decimal: UInt64(port))
    }
}

private func appendPath(_ path: ByteView, _ request: Request, _ scratch: inout EditScratch) {
    scratch.append(path)
    appendQuery(request, &scratch)
}

private func appendQuery(_ request: Request, _ scratch: inout EditScratch) {
    guard request.hasQuery else { return }
    scratch.append(0x3F)
    scratch.append(request.query)
}

extension ByteView {
    /// A literal's bytes, which live as long as the program.
    init(literal text: StaticString) { self.init(text.utf8Start, text.utf8CodeUnitCount) }
}
