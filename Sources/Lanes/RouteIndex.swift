// Which of many routes can match at all: those whose literal occurs in the header they look at, and those
// without such a literal. Candidates are tried in the order of the routes, so that the first rule wins
// exactly as if every rule had been tried.
internal import Base
internal import HTTP

struct RouteIndex: BitwiseCopyable {
    /// Fewer indexable routes than this are tried one by one.
    static let minimumRoutes = 3

    /// What routes look at.
    enum Kind: UInt8 {
        case header, query
        /// Headers whose lines the lane stage has noted already.
        case key, cookie
    }

    /// One header or query parameter that routes look at.
    struct Source: BitwiseCopyable {
        var kind: Kind
        var name: HeaderName
        var automaton: UnsafePointer<LiteralAutomaton>
    }

    var sources: Frozen<Source>
    /// Routes that no literal speaks for, ascending.
    var always: Frozen<UInt32>

    func choose(
        _ routes: Frozen<Route>, _ request: Request, _ headers: HeaderList, _ notes: LineNotes
    ) -> UnsafePointer<Route>? {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Candidates.capacity) { room in
            var candidates = Candidates(room.baseAddress.unsafelyUnwrapped)
            collect(request, headers, notes, &candidates)
            return first(routes, request, headers, candidates)
        }
    }

    @inline(__always)
    private func collect(
        _ request: Request, _ headers: HeaderList, _ notes: LineNotes, _ candidates: inout Candidates
    ) {
        var index = 0
        while index < sources.count {
            let source = sources[index]
            index &+= 1
            var from = 0
            switch source.pointee.kind {
            case .query:
                if request.hasQuery, let value = firstParameter(request.query, source.pointee.name.bytes) {
                    scan(source, value, &candidates)
                }
                continue
            case .key: from = notes.firstKey
            case .cookie: from = notes.firstCookie
            case .header: break
            }
            if from < 0 { continue }
            while let line = headers.find(source.pointee.name, from: from) {
                scan(source, line.pointee.value, &candidates)
                from = headers.index(of: line) &+ 1
            }
        }
    }

    @inline(never)
    private func scan(
        _ source: UnsafePointer<Source>, _ value: ByteView, _ candidates: inout Candidates
    ) {
        let automaton = source.pointee.automaton
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
                    if !entry.pointee.isProofForAnyBytes, !isKnownPlain {
                        isKnownPlain = true
                        isPlainValue = isPlain(value)
                    }
                    if !entry.pointee.isProofForAnyBytes, !isPlainValue {
                        // The literal must occur for the regex to match; the rest is RE2's verdict.
                        candidates.insert(entry.pointee.rule, proven: false)
                    } else if entry.pointee.fits(value, end: cursor.at) {
                        candidates.insert(entry.pointee.rule, proven: true)
                    }
                }
                row = output.pointee.next
            }
        }
    }

    /// Tries candidates and `always` in the order of the routes.
    private func first(
        _ routes: Frozen<Route>, _ request: Request, _ headers: HeaderList, _ candidates: Candidates
    ) -> UnsafePointer<Route>? {
        var trace = NoTrace()
        var atCandidate = 0
        var atAlways = 0
        while true {
            let candidate = atCandidate < candidates.count ? candidates.rule(atCandidate) : UInt32.max
            let other = atAlways < always.count ? always[atAlways].pointee : UInt32.max
            if candidate == UInt32.max, candidates.isCut {
                return linear(routes, request, headers, from: Int(candidates.last) &+ 1)
            }
            if candidate == UInt32.max, other == UInt32.max { return nil }
            let rule = min(candidate, other)
            var proven = false
            if candidate <= other {
                proven = candidates.isProven(atCandidate)
                atCandidate &+= 1
            } else {
                atAlways &+= 1
            }
            let route = routes[Int(rule)]
            if matches(route.pointee.conditions, request, headers, proven: proven, &trace) { return route }
        }
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

/// Routes whose literal was found, ascending and each once. Bounded: of more, the first are kept, and what
/// comes after them is tried one by one.
private struct Candidates {
    static let capacity = 64
    /// Rule times two, plus one where the condition is not proven.
    private let entries: UnsafeMutablePointer<UInt32>
    private(set) var count = 0
    private(set) var isCut = false

    init(_ entries: UnsafeMutablePointer<UInt32>) { self.entries = entries }

    func rule(_ index: Int) -> UInt32 { entries[index] >> 1 }
    func isProven(_ index: Int) -> Bool { entries[index] & 1 == 0 }
    var last: UInt32 { entries[count &- 1] >> 1 }

    mutating func insert(_ rule: UInt32, proven: Bool) {
        var at = count
        while at > 0, entries[at &- 1] >> 1 > rule { at &-= 1 }
        if at > 0, entries[at &- 1] >> 1 == rule {
            if proven { entries[at &- 1] = rule << 1 }
            return
        }
        if count == Self.capacity {
            isCut = true
            if at == count { return }
            count &-= 1
        }
        var move = count
        while move > at {
            entries[move] = entries[move &- 1]
            move &-= 1
        }
        entries[at] = rule << 1 | (proven ? 0 : 1)
        count &+= 1
    }
}
