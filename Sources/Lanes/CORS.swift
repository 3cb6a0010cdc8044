// A route's CORS policy: which preflights it answers, and what it adds to answers for origins that it allows
// (istio-semantics.md 11).
internal import Base
internal import HTTP

/// What becomes of the answer to a request on a route with a CORS policy.
public enum CORSAnswer: UInt8, Sendable, BitwiseCopyable {
    /// No Origin, or one that is not allowed: nothing.
    case none
    /// The origin is allowed: the answer says so.
    case allowed
    /// A preflight of an allowed origin, answered here.
    case preflight
    /// A preflight of another origin, answered here without a word of CORS.
    case silent
}

/// The trivial twin of `CORSModel`: lists joined, ready to be written.
struct CORSPolicy: BitwiseCopyable {
    var origins: Frozen<Matcher>
    /// Empty: no such header.
    var methods: ByteView
    var headers: ByteView
    var exposed: ByteView
    var maxAge: ByteView
    var allowCredentials: Bool
    /// What the preflight asks for is what it gets.
    var echoesMethod: Bool
    var echoesHeaders: Bool
    var answersUnmatched: Bool

    func judge(_ request: Request, _ headers: HeaderList) -> CORSAnswer {
        guard let origin = headers.find(.origin)?.pointee.value, !origin.isEmpty else { return .none }
        let asked = headers.find(.accessControlRequestMethod)?.pointee.value ?? .empty
        let isPreflight = !asked.isEmpty && request.method.equals("OPTIONS")
        if allows(origin) { return isPreflight ? .preflight : .allowed }
        return isPreflight && answersUnmatched ? .silent : .none
    }

    private func allows(_ origin: ByteView) -> Bool {
        var index = 0
        while index < origins.count {
            if origins[index].pointee.matches(origin) { return true }
            index &+= 1
        }
        return false
    }
}

/// Judges a request; true: it is a preflight that goes no further. The route's own header operations do not
/// touch such an answer.
func answersPreflight(
    _ route: UnsafePointer<Route>, _ request: Request, _ headers: HeaderList, _ decision: inout Decision
) -> Bool {
    guard let policy = route.pointee.cors else { return false }
    let answer = policy.pointee.judge(request, headers)
    decision.response.cors = answer
    guard answer == .preflight || answer == .silent else { return false }
    decision.outcome = .preflight
    decision.response.levels = .empty
    return true
}

/// Says on a response what the policy allows; what the upstream said of the same is replaced.
func allowOrigin(_ answer: CORSAnswer, _ format: FormatContext, _ headers: inout HeaderList) {
    guard answer != .silent, let policy = format.cors, !format.origin.isEmpty else { return }
    headers.set(HeaderNames.name(.accessControlAllowOrigin), format.origin)
    if policy.pointee.allowCredentials {
        headers.set(HeaderName("access-control-allow-credentials"), ByteView(literal: "true"))
    }
    if !policy.pointee.exposed.isEmpty {
        headers.set(HeaderName("access-control-expose-headers"), policy.pointee.exposed)
    }
    guard answer == .preflight else { return }
    let request = format.requestHeaders
    func asked(_ id: HeaderID) -> ByteView { request?.pointee.find(id)?.pointee.value ?? .empty }
    let methods =
        policy.pointee.echoesMethod ? asked(.accessControlRequestMethod) : policy.pointee.methods
    if !methods.isEmpty { headers.set(HeaderName("access-control-allow-methods"), methods) }
    let names = policy.pointee.echoesHeaders ? asked(.accessControlRequestHeaders) : policy.pointee.headers
    if !names.isEmpty { headers.set(HeaderNames.name(.accessControlAllowHeaders), names) }
    if !policy.pointee.maxAge.isEmpty {
        headers.set(HeaderName("access-control-max-age"), policy.pointee.maxAge)
    }
}

extension Decision {
    /// Names the route's CORS policy in what responses are formatted by.
    public func addCORS(to format: inout FormatContext) { format.cors = route?.pointee.cors }
}

extension TableBuilder {
    mutating func freeze(_ cors: CORSModel) throws(TableError) -> CORSPolicy {
        var origins: [Matcher] = []
        for origin in cors.allowOrigins { origins.append(try freeze(origin)) }
        let echoesMethod = cors.allowMethods == ["*"]
        let echoesHeaders = cors.allowHeaders == ["*"]
        return CORSPolicy(
            origins: arena.store(origins), methods: arena.store(cors.allowMethods.joined(separator: ",")),
            headers: arena.store(cors.allowHeaders.joined(separator: ",")),
            exposed: arena.store(cors.exposeHeaders.joined(separator: ",")),
            maxAge: arena.store(cors.maxAgeSeconds.map { String($0) } ?? ""),
            allowCredentials: cors.allowCredentials, echoesMethod: echoesMethod, echoesHeaders: echoesHeaders,
            answersUnmatched: cors.answersUnmatched)
    }
}
