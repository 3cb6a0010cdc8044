// Whether one route's conditions hold for a request (istio-semantics.md 4, 4.1, 4.2 and 29: repeated lines
// are matched line by line).
internal import Base
internal import HTTP

/// What a condition looks at.
enum ConditionField: UInt8 {
    case uri, method, authority, scheme
    case header, path, query
}

struct RouteConditions: BitwiseCopyable {
    var uri = Matcher()
    var method = Matcher()
    var authority = Matcher()
    var scheme = Matcher()
    var fields = Frozen<FieldCondition>.empty
    /// Position in `fields` of the one that a `RouteIndex` has looked up; negative: none.
    var indexed = -1
    /// There are none.
    var holdAlways = false
}

/// A condition on a header or query parameter.
struct FieldCondition: BitwiseCopyable {
    /// `header`, `query`, or the pseudo header that the name stands for.
    var field: ConditionField
    var name: HeaderName
    /// `withoutHeaders`.
    var inverted: Bool
    var matcher: Matcher
}

/// What `decide` tells while it works. Specialised away where nothing is recorded.
protocol DecisionTrace {
    static var isRecording: Bool { get }
    mutating func trying(_ route: UnsafePointer<Route>)
    /// One condition of the route being tried does not hold; `actual` nil: the field is missing.
    mutating func failed(
        _ field: ConditionField, _ name: ByteView, _ matcher: Matcher, _ inverted: Bool, _ actual: ByteView?)
    mutating func tried(_ route: UnsafePointer<Route>, _ matched: Bool)
    mutating func found(_ carrier: Carrier, _ value: ByteView)
}

struct NoTrace: DecisionTrace {
    static var isRecording: Bool { false }
    mutating func trying(_ route: UnsafePointer<Route>) {}
    mutating func failed(
        _ field: ConditionField, _ name: ByteView, _ matcher: Matcher, _ inverted: Bool, _ actual: ByteView?
    ) {}
    mutating func tried(_ route: UnsafePointer<Route>, _ matched: Bool) {}
    mutating func found(_ carrier: Carrier, _ value: ByteView) {}
}

/// All conditions hold. `proven`: the indexed one is known to.
func matches<Trace: DecisionTrace>(
    _ conditions: UnsafePointer<RouteConditions>, _ request: Request, _ headers: HeaderList,
    proven: Bool, _ trace: inout Trace
) -> Bool {
    var holds = true
    // CONNECT has no path; a route for everything takes it all the same.
    if conditions.pointee.uri.kind != .none,
        !(request.isConnect
            ? takesEveryPath(conditions.pointee.uri) : conditions.pointee.uri.matches(request.path))
    {
        if !Trace.isRecording { return false }
        trace.failed(.uri, .empty, conditions.pointee.uri, false, request.path)
        holds = false
    }
    if conditions.pointee.method.kind != .none, !conditions.pointee.method.matches(request.method) {
        if !Trace.isRecording { return false }
        trace.failed(.method, .empty, conditions.pointee.method, false, request.method)
        holds = false
    }
    if conditions.pointee.authority.kind != .none,
        !conditions.pointee.authority.matches(request.authority)
    {
        if !Trace.isRecording { return false }
        trace.failed(.authority, .empty, conditions.pointee.authority, false, request.authority)
        holds = false
    }
    if conditions.pointee.scheme.kind != .none, !conditions.pointee.scheme.matches(request.scheme) {
        if !Trace.isRecording { return false }
        trace.failed(.scheme, .empty, conditions.pointee.scheme, false, request.scheme)
        holds = false
    }
    var index = 0
    while index < conditions.pointee.fields.count {
        if !proven || index != conditions.pointee.indexed,
            !matchesField(conditions.pointee.fields[index], request, headers, &trace)
        {
            if !Trace.isRecording { return false }
            holds = false
        }
        index &+= 1
    }
    return holds
}

private func takesEveryPath(_ uri: Matcher) -> Bool {
    switch uri.kind {
    case .present: true
    case .prefix, .prefixIgnoringCase: uri.text.isEmpty || uri.text.equals("/")
    case .pathSegments: uri.text.isEmpty
    case .shape: uri.text.isEmpty
    default: false
    }
}

private func matchesField<Trace: DecisionTrace>(
    _ condition: UnsafePointer<FieldCondition>, _ request: Request, _ headers: HeaderList,
    _ trace: inout Trace
) -> Bool {
    let actual: ByteView?
    switch condition.pointee.field {
    case .header: return matchesHeader(condition, headers, &trace)
    case .query:
        actual = request.hasQuery ? firstParameter(request.query, condition.pointee.name.bytes) : nil
    case .path, .uri: actual = request.path
    case .method: actual = request.method
    case .authority: actual = request.authority
    case .scheme: actual = request.scheme
    }
    let found = actual.map { condition.pointee.matcher.matches($0) } ?? missingMatches(condition)
    if found != condition.pointee.inverted { return true }
    if Trace.isRecording {
        trace.failed(
            condition.pointee.field, condition.pointee.name.bytes, condition.pointee.matcher,
            condition.pointee.inverted, actual)
    }
    return false
}

private func matchesHeader<Trace: DecisionTrace>(
    _ condition: UnsafePointer<FieldCondition>, _ headers: HeaderList, _ trace: inout Trace
) -> Bool {
    var found = false
    var first: ByteView?
    var from = 0
    while let line = headers.find(condition.pointee.name, from: from) {
        if first == nil { first = line.pointee.value }
        if condition.pointee.matcher.matches(line.pointee.value) {
            if condition.pointee.inverted { first = line.pointee.value }
            found = true
            break
        }
        from = headers.index(of: line) &+ 1
    }
    if first == nil { found = missingMatches(condition) }
    if found != condition.pointee.inverted { return true }
    if Trace.isRecording {
        trace.failed(
            .header, condition.pointee.name.bytes, condition.pointee.matcher, condition.pointee.inverted,
            first)
    }
    return false
}

/// A missing field satisfies no condition, but under `withoutHeaders` it is an empty one.
private func missingMatches(_ condition: UnsafePointer<FieldCondition>) -> Bool {
    guard condition.pointee.inverted, condition.pointee.matcher.kind != .present else { return false }
    return condition.pointee.matcher.matches(.empty)
}
