// Builds the index of a virtual host's routes: for each route the one literal that the fewest others share.
internal import Base
internal import HTTP

extension TableBuilder {
    /// nil: too few routes have a literal.
    func freezeIndex(_ routes: Frozen<Route>) -> UnsafePointer<RouteIndex>? {
        if routes.count < RouteIndex.minimumFields { return nil }
        var plan = IndexPlan()
        for position in 0..<routes.count { plan.add(routes[position].pointee.conditions) }
        plan.choose()
        guard plan.isWorthwhile else { return nil }
        var sources: [RouteIndex.Source] = []
        for group in plan.groups where !group.chosen.isEmpty {
            let (source, refused) = freeze(group)
            sources.append(source)
            plan.always += refused
        }
        return UnsafePointer(
            arena.store(
                RouteIndex(sources: arena.store(sources), always: arena.store(plan.always.sorted()))))
    }

    /// One source, and the rules that it has no room for.
    private func freeze(_ group: IndexPlan.Group) -> (source: RouteIndex.Source, refused: [Rule]) {
        var texts: [TextIndex.Item] = []
        var inside: [(position: Int, matcher: Matcher)] = []
        for (position, matcher) in group.chosen {
            guard let isWhole = matcher.isWholeText else {
                inside.append((position, matcher))
                continue
            }
            // Of a shape only plain values are proven; of what is no field nothing is.
            let proven = group.kind.isField && matcher.kind != .shape
            texts.append(
                TextIndex.Item(text: matcher.text, isWhole: isWhole, rule: Rule(position, proven: proven)))
        }
        var refused: [Rule] = []
        var builder = LiteralAutomatonBuilder(
            inside.map { $0.matcher.text.bytes }, ignoringCase: group.ignoresCase)
        for (position, matcher) in inside
        where !builder.add(matcher.text.bytes, matcher.entry(position)) {
            refused.append(Rule(position, proven: false))
        }
        let source = RouteIndex.Source(
            kind: sourceKind(group.kind, group.name), name: group.name,
            texts: texts.isEmpty ? nil : UnsafePointer(arena.store(TextIndex(texts, arena))),
            automaton: builder.isEmpty ? nil : UnsafePointer(arena.store(builder.build(arena))))
        return (source, refused)
    }

    private func sourceKind(_ kind: RouteIndex.Kind, _ name: HeaderName) -> RouteIndex.Kind {
        // Without a policy nobody notes lines.
        guard kind == .header, let policy = model.policy else { return kind }
        if name.bytes.string == policy.key.lowercased() { return .key }
        return name.id == HeaderID.cookie.rawValue ? .cookie : .header
    }
}

/// Which literal speaks for which route of one virtual host.
private struct IndexPlan {
    /// The routes that are found by one source.
    struct Group {
        var kind: RouteIndex.Kind
        var name: HeaderName
        var ignoresCase: Bool
        var chosen: [(position: Int, matcher: Matcher)] = []
    }

    /// The text is the arena's, which is longer there than the plan.
    private struct Literal: Hashable {
        var group: Int
        var text: ByteView

        static func == (left: Literal, right: Literal) -> Bool {
            left.group == right.group && left.text.equals(right.text)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(group)
            hasher.combine(text.hash)
        }
    }

    private struct Place: Hashable {
        var kind: RouteIndex.Kind
        var name: ByteView
        var ignoresCase: Bool

        static func == (left: Place, right: Place) -> Bool {
            left.kind == right.kind && left.ignoresCase == right.ignoresCase
                && left.name.equals(right.name)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(kind)
            hasher.combine(ignoresCase)
            hasher.combine(name.hash)
        }
    }

    private(set) var groups: [Group] = []
    /// Routes without a literal.
    var always: [Rule] = []
    private var places: [Place: Int] = [:]
    /// Regexes that require the same literal are candidates together, which has a bound: more than so many
    /// are tried without.
    private static let sharersMost = 16
    /// By route: its literals.
    private var literals: [[(literal: Literal, matcher: Matcher)]] = []
    private var sharers: [Literal: Int] = [:]

    /// The next route's conditions.
    mutating func add(_ conditions: UnsafePointer<RouteConditions>) {
        var own: [(literal: Literal, matcher: Matcher)] = []
        if conditions.pointee.indexed >= 0 {
            let field = conditions.pointee.fields[conditions.pointee.indexed].pointee
            let kind: RouteIndex.Kind = field.field == .query ? .query : .header
            own.append(literal(field.matcher, kind, field.name))
        }
        if conditions.pointee.uri.findsPaths {
            own.append(literal(conditions.pointee.uri, .path, HeaderName(":path")))
        }
        if conditions.pointee.authority.isIndexable {
            own.append(literal(conditions.pointee.authority, .authority, HeaderName(":authority")))
        }
        for (literal, _) in own { sharers[literal, default: 0] += 1 }
        literals.append(own)
    }

    var isWorthwhile: Bool {
        let paths = groups.reduce(0) { $0 + ($1.kind.isField ? 0 : $1.chosen.count) }
        let fields = literals.count - always.count - paths
        return fields >= RouteIndex.minimumFields || paths + fields >= RouteIndex.minimumPaths
    }

    private mutating func literal(
        _ matcher: Matcher, _ kind: RouteIndex.Kind, _ name: HeaderName
    ) -> (Literal, Matcher) {
        let place = Place(kind: kind, name: name.bytes, ignoresCase: matcher.ignoresCase)
        let group = places[place] ?? groups.count
        if group == groups.count {
            places[place] = group
            groups.append(Group(kind: kind, name: name, ignoresCase: matcher.ignoresCase))
        }
        return (Literal(group: group, text: matcher.text), matcher)
    }

    /// Settles each route's literal: the rarest; of equally rare ones the field's, which need not be looked
    /// at again.
    mutating func choose() {
        for (position, own) in literals.enumerated() {
            let best = own.min { sharers[$0.literal, default: 0] < sharers[$1.literal, default: 0] }
            let isOfMany = best.map { sharers[$0.literal, default: 0] > Self.sharersMost } ?? true
            if let best, best.matcher.kind != .regex || !isOfMany {
                groups[best.literal.group].chosen.append((position, best.matcher))
            } else {
                always.append(Rule(position, proven: false))
            }
        }
    }
}

extension Matcher {
    /// The literal is the value (true) or begins it (false); nil: it may stand anywhere.
    fileprivate var isWholeText: Bool? {
        switch kind {
        case .exact: true
        case .prefix, .pathSegments: false
        case .shape: left == .end ? right == .end : nil
        default: nil
        }
    }

    /// Paths without the literal cannot match, and not all paths have it.
    fileprivate var findsPaths: Bool {
        switch kind {
        case .exact, .prefix, .pathSegments, .shape, .regex: text.count > 1 && text.count <= Int(UInt16.max)
        default: false
        }
    }
}
