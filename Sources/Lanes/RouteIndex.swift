// Which of many routes can match at all: those whose literal is in the path, authority, header or query
// parameter that they look at, and those without a literal. They are tried in the order of the routes, so
// that the first rule wins exactly as if every rule had been tried.
internal import Base
internal import HTTP

struct RouteIndex: BitwiseCopyable {
    /// Fewer routes that a header or query parameter finds, and fewer that paths find, are tried one by one.
    static let minimumFields = 3
    static let minimumPaths = 8

    /// What routes look at.
    enum Kind: UInt8 {
        case path, authority, header, query
        /// Headers whose lines the lane stage has noted already.
        case key, cookie

        /// Its condition is among a route's `fields`, where the one that was found need not be tried again.
        var isField: Bool { self != .path && self != .authority }
    }

    /// The path, the authority, one header or one query parameter that routes look at.
    struct Source: BitwiseCopyable {
        var kind: Kind
        var name: HeaderName
        /// Literals that are the value or begin it; nil: there are none.
        var texts: UnsafePointer<TextIndex>?
        /// Literals that stand anywhere in it; nil: there are none.
        var automaton: UnsafePointer<LiteralAutomaton>?
    }

    var sources: Frozen<Source>
    /// Routes that no literal speaks for.
    var always: Frozen<Rule>

    func choose(
        _ routes: Frozen<Route>, _ request: Request, _ headers: HeaderList, _ notes: LineNotes
    ) -> UnsafePointer<Route>? {
        withUnsafeTemporaryAllocation(of: Rule.self, capacity: Candidates.capacity) { candidateRoom in
            withUnsafeTemporaryAllocation(of: Frozen<Rule>.self, capacity: RuleLists.capacity) { listRoom in
                var candidates = Candidates(candidateRoom.baseAddress.unsafelyUnwrapped)
                var lists = RuleLists(listRoom.baseAddress.unsafelyUnwrapped)
                lists.add(always)
                collect(request, headers, notes, &candidates, &lists)
                lists.add(candidates.list)
                return first(routes, request, headers, candidates, &lists)
            }
        }
    }

    @inline(__always)
    private func collect(
        _ request: Request, _ headers: HeaderList, _ notes: LineNotes, _ candidates: inout Candidates,
        _ lists: inout RuleLists
    ) {
        var index = 0
        while index < sources.count {
            let source = sources[index]
            index &+= 1
            var from = 0
            switch source.pointee.kind {
            case .path:
                // CONNECT has no path; conditions that take it all the same are not indexed.
                if !request.isConnect { look(source, request.path, &candidates, &lists) }
                continue
            case .authority:
                look(source, request.authority, &candidates, &lists)
                continue
            case .query:
                if request.hasQuery, let value = firstParameter(request.query, source.pointee.name.bytes) {
                    look(source, value, &candidates, &lists)
                }
                continue
            case .key: from = notes.firstKey
            case .cookie: from = notes.firstCookie
            case .header: break
            }
            if from < 0 { continue }
            while let line = headers.find(source.pointee.name, from: from) {
                look(source, line.pointee.value, &candidates, &lists)
                from = headers.index(of: line) &+ 1
            }
        }
    }

    private func look(
        _ source: UnsafePointer<Source>, _ value: ByteView, _ candidates: inout Candidates,
        _ lists: inout RuleLists
    ) {
        if let texts = source.pointee.texts { texts.pointee.find(value, &lists) }
        if let automaton = source.pointee.automaton {
            scan(automaton, value, isField: source.pointee.kind.isField, &candidates)
        }
    }

    @inline(never)
    private func scan(
        _ automaton: UnsafePointer<LiteralAutomaton>, _ value: ByteView, isField: Bool,
        _ candidates: inout Candidates
    ) {
        var cursor = LiteralAutomaton.Cursor()
        var isKnownPlain = false
        var isPlainValue = false
        while LiteralAutomaton.advance(automaton, &cursor, value) {
            var row = cursor.row
            while row != 0 {
                let output = automaton.pointee.output(row)
                var index = 0
                while index < output.pointee.entries.count {
                    let entry = output.pointee.entries[index]
                    index &+= 1
                    if entry.pointee.proof == .plain, !isKnownPlain {
                        isKnownPlain = true
                        isPlainValue = isPlain(value)
                    }
                    if entry.pointee.proof == .never || entry.pointee.proof == .plain && !isPlainValue {
                        // The literal must occur for the regex to match; the rest is RE2's verdict.
                        candidates.insert(entry.pointee.rule, proven: false)
                    } else if entry.pointee.fits(value, end: cursor.at) {
                        candidates.insert(entry.pointee.rule, proven: isField)
                    }
                }
                row = output.pointee.next
            }
        }
    }

    /// Tries what was found in the order of the routes.
    private func first(
        _ routes: Frozen<Route>, _ request: Request, _ headers: HeaderList, _ candidates: Candidates,
        _ lists: inout RuleLists
    ) -> UnsafePointer<Route>? {
        if lists.overflowed { return linear(routes, request, headers, from: 0) }
        var trace = NoTrace()
        while let rule = lists.next() {
            let route = routes[rule.position]
            if matches(route.pointee.conditions, request, headers, proven: rule.isProven, &trace) {
                return route
            }
            if candidates.isCut, rule.position == candidates.last {
                return linear(routes, request, headers, from: rule.position &+ 1)
            }
        }
        return nil
    }

    private func linear(
        _ routes: Frozen<Route>, _ request: Request, _ headers: HeaderList, from: Int
    ) -> UnsafePointer<Route>? {
        var trace = NoTrace()
        var index = from
        while index < routes.count {
            if matches(routes[index].pointee.conditions, request, headers, proven: false, &trace) {
                return routes[index]
            }
            index &+= 1
        }
        return nil
    }
}

/// Where lines of the lane's carriers begin, after its stage; negative: there is none.
struct LineNotes {
    var firstKey = 0
    var firstCookie = 0
}

/// Routes whose literal was found anywhere in a value, ascending and each once. Bounded: of more, the first
/// are kept, and what comes after them is tried one by one.
private struct Candidates {
    static let capacity = 64
    private let rules: UnsafeMutablePointer<Rule>
    private var count = 0
    private(set) var isCut = false

    init(_ rules: UnsafeMutablePointer<Rule>) { self.rules = rules }

    var list: Frozen<Rule> { Frozen(start: UnsafePointer(rules), count: count) }
    /// Position of the last route; there is one.
    var last: Int { rules[count &- 1].position }

    mutating func insert(_ position: UInt32, proven: Bool) {
        let position = Int(position)
        var at = count
        while at > 0, rules[at &- 1].position > position { at &-= 1 }
        if at > 0, rules[at &- 1].position == position {
            if proven { rules[at &- 1] = Rule(position, proven: true) }
            return
        }
        if count == Self.capacity {
            isCut = true
            if at == count { return }
            count &-= 1
        }
        var move = count
        while move > at {
            rules[move] = rules[move &- 1]
            move &-= 1
        }
        rules[at] = Rule(position, proven: proven)
        count &+= 1
    }
}
