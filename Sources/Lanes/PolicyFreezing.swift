// Freezes the lane policy: carriers, preview hosts, the pin's text, and the names that routes accept.
internal import Base
internal import HTTP

extension TableBuilder {
    mutating func freezePolicy() throws(TableError) -> UnsafePointer<LanePolicy>? {
        guard let policy = model.policy else { return nil }
        if policy.key.isEmpty { throw TableError.emptyKey }
        let header = HeaderName(arena.store(policy.key.lowercased()))
        let known = try freezeKnown(policy)
        let frozen = LanePolicy(
            key: arena.store(policy.key), accept: carriers(policy.accept),
            propagate: carriers(policy.propagate), stripQuery: policy.stripQuery, cache: policy.cache,
            onLoss: policy.onLoss, unknownLane: policy.unknownLane, guardStrip: policy.guardStrip,
            header: header, tracestateKey: arena.store(policy.key.lowercased()),
            previewHosts: arena.store(policy.previewHosts.map(freeze)),
            signingSecret: arena.store(policy.signingSecret ?? []),
            signingRequired: policy.signingRequired,
            pin: policy.pin.map { UnsafePointer(arena.store(freeze($0))) }, knownNames: known.names,
            known: known.list, knownByValue: known.byValue, knownByPair: known.byPair,
            watched: watchedNames(header),
            cacheLine: line("cache-control", policy.cache == .none ? "no-store" : "private"),
            varyLine: line("vary", "\(policy.key), Cookie"))
        return UnsafePointer(arena.store(frozen))
    }

    private func carriers(_ given: Carriers) -> CarrierSet {
        var set = CarrierSet()
        if given.query { set.insert(.query) }
        if given.header { set.insert(.header) }
        if given.cookie { set.insert(.cookie) }
        if given.baggage { set.insert(.baggage) }
        if given.tracestate { set.insert(.tracestate) }
        if given.traceID { set.insert(.traceID) }
        return set
    }

    private func freeze(_ preview: PreviewHostModel) -> PreviewHost {
        PreviewHost(
            prefix: arena.store(preview.prefix.lowercased()),
            suffix: arena.store(preview.suffix.lowercased()), host: arena.store(preview.host))
    }

    private func freeze(_ pin: PinModel) -> Pin {
        Pin(
            maxAgeSeconds: pin.maxAgeSeconds,
            attributes: arena.store(pin.attributes(maxAge: pin.maxAgeSeconds)),
            clearing: arena.store(pin.attributes(maxAge: 0)), secure: pin.secure)
    }

    // MARK: names that routes accept

    private struct Known {
        var names: ByteTable
        var list: Frozen<KnownName>
        var byValue: UnsafePointer<PatternSet>?
        var byPair: UnsafePointer<PatternSet>?
    }

    /// Routes match the name itself in the header, or the pair `key=name` in the Cookie header.
    private mutating func freezeKnown(_ policy: LanePolicyModel) throws(TableError) -> Known {
        var names: Set<String> = []
        var byValue: [StringMatch] = []
        var byPair: [StringMatch] = []
        let pairStart = policy.key + "="
        for match in policy.knownByRoutes {
            switch match {
            case .present: break
            case .exact(let text):
                let name = text.hasPrefix(pairStart) ? String(text.dropFirst(pairStart.count)) : text
                if name.withView({ isLaneName($0) }) { names.insert(name) }
            case .prefix(let text):
                if text.hasPrefix(pairStart) { byPair.append(match) } else { byValue.append(match) }
            case .regex(let pattern):
                // Without its backslashes a pattern for the pair still spells the key.
                let isPair = pattern.filter { $0 != "\\" }.contains(pairStart)
                if isPair { byPair.append(match) } else { byValue.append(match) }
                // The literal of a shape is accepted by it, as a whole.
                if let shape = try self.pattern(pattern).shape {
                    let text = String(decoding: shape.literal, as: UTF8.self)
                    let name = isPair ? String(text.dropFirst(pairStart.count)) : text
                    if !isPair || text.hasPrefix(pairStart), name.withView({ isLaneName($0) }) {
                        names.insert(name)
                    }
                }
            }
        }
        let list = names.sorted().compactMap { name in
            laneLines(name).map {
                KnownName(name: arena.store(name), metricsID: registry.laneID(name), lines: $0)
            }
        }
        let entries = list.enumerated().map { (key: $1.name, value: UInt32($0)) }
        return Known(
            names: ByteTable(entries, arena), list: arena.store(list), byValue: try freezePatterns(byValue),
            byPair: try freezePatterns(byPair))
    }

    private mutating func freezePatterns(
        _ matches: [StringMatch]
    ) throws(TableError) -> UnsafePointer<PatternSet>? {
        if matches.isEmpty { return nil }
        var matchers: [Matcher] = []
        for match in matches { matchers.append(try freeze(match)) }
        let indexable = matchers.filter { $0.isIndexable && !$0.ignoresCase }
        var builder = LiteralAutomatonBuilder(indexable.map(\.text.bytes))
        var found: [Matcher] = []
        var others: [Matcher] = []
        for matcher in matchers {
            if matcher.isIndexable, !matcher.ignoresCase,
                builder.add(matcher.text.bytes, matcher.entry(found.count))
            {
                found.append(matcher)
            } else {
                others.append(matcher)
            }
        }
        let automaton = found.isEmpty ? nil : UnsafePointer(arena.store(builder.build(arena)))
        return UnsafePointer(
            arena.store(
                PatternSet(
                    automaton: automaton, patterns: arena.store(found), others: arena.store(others))))
    }
}

extension PinModel {
    /// What follows the pair in a Set-Cookie field; `Secure` is not part of it.
    func attributes(maxAge: UInt64) -> String {
        var text = "; Path=\(path); Max-Age=\(maxAge)"
        if let domain { text += "; Domain=\(domain.drop { $0 == "." })" }
        if httpOnly { text += "; HttpOnly" }
        if !sameSite.isEmpty { text += "; SameSite=\(sameSite)" }
        return text
    }
}

extension Matcher {
    /// A literal speaks for it: where the literal does not occur, it cannot match.
    var isIndexable: Bool {
        if text.isEmpty || text.count > Int(UInt16.max) { return false }
        return kind == .shape || kind == .exact || kind == .prefix || kind == .regex
    }

    func entry(_ rule: Int) -> LiteralEntry {
        let isPattern = kind == .shape || kind == .regex
        return LiteralEntry(
            rule: UInt32(rule), length: UInt16(text.count), left: isPattern ? left : .end,
            right: isPattern ? right : kind == .exact ? .end : .any,
            proof: kind == .regex ? .never : kind == .shape ? .plain : .always)
    }
}
