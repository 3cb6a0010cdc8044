// Which lane a request is in (lanes.md 2 and 3): every carrier is looked at once, the first that speaks in
// the fixed order wins, and the others are only compared with it.
internal import Base
internal import CLinux
internal import HTTP

/// Where carriers stand in the list, and what the single pass over it noticed.
struct LineScan {
    var firstKey = -1
    var firstCookie = -1
    var firstBaggage = -1
    var firstTracestate = -1
    var debugRequested = false

    /// Any carrier but the cookie, which only the edge reads.
    var hasHeaderCarriers: Bool { firstKey & firstBaggage & firstTracestate >= 0 }
}

/// Our members of a list.
struct OurMembers {
    /// Of the first, as it stands there.
    var value: ByteView?
    var count = 0
}

/// All that was found. Optional names: nil where the carrier is silent, invalid or refused.
struct CarrierReading {
    var query: ByteView?
    var leaves = false
    var previewHost: UnsafePointer<PreviewHost>?
    var previewName: ByteView?
    var header: ByteView?
    /// More header lines that differ from the first.
    var headerDiffers = false
    var headerLines = 0
    var cookie: ByteView?
    /// The request carries our cookie, whatever is in it.
    var hasCookie = false
    var baggage: ByteView?
    var baggageMembers = OurMembers()
    var tracestate: ByteView?
    var tracestateMembers = OurMembers()
    var invalid = CarrierSet()
    var refused = CarrierSet()
    /// The first name that was looked up and found; most requests carry no other.
    var found = FoundLane()
}

/// What a name turned out to be, so that it need not be looked up again.
struct FoundLane: BitwiseCopyable {
    /// Of the carrier; empty: nothing was found yet.
    var name = ByteView.empty
    var document: UnsafePointer<Lane>?
    var known: UnsafePointer<KnownName>?

    init() {}
}

/// Finds the carriers; at the edge drops what only Fairlead itself may say. Looks at lines only where the
/// list knows that there are some.
@inline(__always)
func scanLines(
    _ policy: UnsafePointer<LanePolicy>?, _ isEdge: Bool, _ headers: inout HeaderList
) -> LineScan {
    var scan = LineScan()
    let there = headers.present.intersection(policy?.pointee.watched ?? fairleadWatched)
    if !there.isEmpty {
        if there.contains(.cookie) { scan.firstCookie = headers.position(.cookie) }
        if there.contains(.baggage) { scan.firstBaggage = headers.position(.baggage) }
        if there.contains(.tracestate) { scan.firstTracestate = headers.position(.tracestate) }
        if let policy, policy.pointee.header.id != 0, let line = headers.find(policy.pointee.header) {
            scan.firstKey = headers.index(of: line)
        }
        if !there.intersection(ours).isEmpty { noteOurs(isEdge, &headers, &scan) }
    }
    if let policy, policy.pointee.header.id == 0, headers.mayHave(policy.pointee.header.bytes),
        let line = headers.find(policy.pointee.header)
    {
        scan.firstKey = headers.index(of: line)
    }
    if isEdge, headers.mayHaveOther(initial: 0x78) { removeFairlead(policy, &headers) }
    return scan
}

/// Names that only Fairlead itself may say.
private var ours: HeaderIDSet {
    HeaderIDSet(
        low: 1 << UInt64(HeaderID.xFairleadDebug.rawValue) | 1 << UInt64(HeaderID.xFairleadReason.rawValue)
            | 1 << UInt64(HeaderID.xFairleadExplain.rawValue) | 1 << UInt64(HeaderID.xFairleadLane.rawValue),
        high: 0)
}

private func noteOurs(_ isEdge: Bool, _ headers: inout HeaderList, _ scan: inout LineScan) {
    var from = 0
    while let line = headers.find(.xFairleadDebug, from: from) {
        if line.pointee.value.equals("1") { scan.debugRequested = true }
        from = headers.index(of: line) &+ 1
    }
    if isEdge { headers.remove(ours) }
}

/// Names that begin like ours but have no number: nobody outside may say any of them.
private func removeFairlead(_ policy: UnsafePointer<LanePolicy>?, _ headers: inout HeaderList) {
    var index = 0
    while index < headers.count {
        let field = headers.fields + index
        index &+= 1
        if field.pointee.id == HeaderID.other.rawValue, field.pointee.line[0] == 0x78,
            field.pointee.name.hasPrefix("x-fairlead-")
        {
            if let policy, policy.pointee.header.matches(field) { continue }
            field.pointee.dropped = true
        }
    }
}

/// What is looked at where there is no policy.
private var fairleadWatched: HeaderIDSet { ours }

/// The known names that the reader looks at under a policy with this header.
func watchedNames(_ header: HeaderName) -> HeaderIDSet {
    var set = ours
    for id in [HeaderID.cookie, .baggage, .tracestate] { set.insert(id) }
    if let id = HeaderID(rawValue: header.id), id != .other { set.insert(id) }
    return set
}

/// Reads carriers of one request under one policy.
struct LaneReader {
    let table: UnsafePointer<Table>
    let policy: UnsafePointer<LanePolicy>
    let isEdge: Bool
    let nowSeconds: Int64

    /// A value as a lane name. Only the edge asks for signatures: inside, the plain name travels.
    private func name(
        _ value: ByteView, _ carrier: Carrier, _ reading: inout CarrierReading
    ) -> ByteView? {
        if !isEdge || !policy.pointee.signingRequired, isFound(value, &reading.found) { return value }
        var name = ByteView.empty
        let verdict = SignedLane.read(
            value, secret: isEdge ? policy.pointee.signingSecret : .empty,
            required: isEdge && policy.pointee.signingRequired, nowSeconds: nowSeconds, &name)
        switch verdict {
        case .valid: return name
        case .invalid: reading.invalid.insert(carrier)
        case .refused: reading.refused.insert(carrier)
        }
        return nil
    }

    /// A name in the table is a lane name: looking it up spares the validation, and the second look-up.
    private func isFound(_ value: ByteView, _ found: inout FoundLane) -> Bool {
        if !found.name.isEmpty { return value.equals(found.name) }
        found = FoundLane(table, value, policy)
        return !found.name.isEmpty
    }

    /// A percent-encoded value as a lane name: decoded into the list's own room where it holds an escape.
    private func decodedName(
        _ value: ByteView, _ carrier: Carrier, _ headers: inout HeaderList, _ reading: inout CarrierReading
    ) -> ByteView? {
        guard value.firstIndex(of: 0x25) != nil else { return name(value, carrier, &reading) }
        // Decoding shortens: what is more than three times too long cannot become a name.
        guard value.count <= SignedLane.bytes * 3, let room = headers.scratch(value.count) else {
            reading.invalid.insert(carrier)
            return nil
        }
        var from = 0
        var length = 0
        while from < value.count {
            guard let byte = decodedByte(value, &from), byte >= 0x20, byte != 0x7F else {
                reading.invalid.insert(carrier)
                return nil
            }
            room[length] = byte
            length &+= 1
        }
        return name(ByteView(UnsafePointer(room), length), carrier, &reading)
    }

    func readQuery(_ request: Request, _ headers: inout HeaderList, _ reading: inout CarrierReading) {
        guard request.hasQuery, let value = laneParameter(request.query, policy.pointee.key) else { return }
        if value.isEmpty {
            reading.leaves = true
        } else {
            reading.query = decodedName(value, .query, &headers, &reading)
        }
    }

    /// Host names are compared in lower case, and so is the lane's part of one.
    func readPreviewHost(
        _ authority: ByteView, _ headers: inout HeaderList, _ reading: inout CarrierReading
    ) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: hostBytes) { room in
            let start = room.baseAddress.unsafelyUnwrapped
            guard let host = lowerHost(authority, start) else { return }
            var index = 0
            while index < policy.pointee.previewHosts.count {
                let preview = policy.pointee.previewHosts[index]
                index &+= 1
                let fixed = preview.pointee.prefix.count &+ preview.pointee.suffix.count
                guard host.count > fixed, host.hasPrefix(preview.pointee.prefix),
                    host.slice(host.count &- preview.pointee.suffix.count, host.count).equals(
                        preview.pointee.suffix)
                else { continue }
                var label = host.slice(
                    preview.pointee.prefix.count, host.count &- preview.pointee.suffix.count)
                // Another label in between is another host.
                if label.firstIndex(of: 0x2E) != nil { continue }
                reading.previewHost = preview
                if host.start == UnsafePointer(start), let kept = headers.scratch(label.count) {
                    kept.update(from: label.start, count: label.count)
                    label = ByteView(UnsafePointer(kept), label.count)
                }
                reading.previewName = name(label, .previewHost, &reading)
                return
            }
        }
    }

    func readHeader(_ first: Int, _ headers: HeaderList, _ reading: inout CarrierReading) {
        let value = headers.fields[first].value
        reading.headerLines = 1
        var from = first &+ 1
        while let line = headers.find(policy.pointee.header, from: from) {
            reading.headerLines &+= 1
            if !line.pointee.value.equals(value) { reading.headerDiffers = true }
            from = headers.index(of: line) &+ 1
        }
        if !value.isEmpty { reading.header = name(value, .header, &reading) }
    }

    /// The value of our first cookie, whether it is accepted or not; nil: there is none.
    @inline(__always)
    func cookie(_ first: Int, _ headers: inout HeaderList) -> ByteView? {
        if first < 0 { return nil }
        let line = headers.fields[first].value
        if !headers.isRepeated(.cookie) {
            var found = fl_pair()
            switch Int(fl_find_pair(line.start, line.count, 0x3B, key.start, key.count, &found)) {
            case FL_PAIR_NONE: return nil
            case FL_PAIR_FOUND: return ByteView(found.value, found.count)
            default: break
            }
        }
        return lookForCookie(first, headers)
    }

    private var key: ByteView { policy.pointee.key }

    @inline(never)
    private func lookForCookie(_ first: Int, _ headers: HeaderList) -> ByteView? {
        ourMembers(.cookie, .cookie, first, key, headers).value
    }

    func readCookie(_ value: ByteView, _ reading: inout CarrierReading) {
        reading.hasCookie = true
        reading.cookie = name(value, .cookie, &reading)
    }

    func readBaggage(_ first: Int, _ headers: inout HeaderList, _ reading: inout CarrierReading) {
        reading.baggageMembers = ourMembers(.baggage, .baggage, first, policy.pointee.key, headers)
        guard let value = reading.baggageMembers.value else { return }
        reading.baggage = decodedName(value, .baggage, &headers, &reading)
    }

    func readTracestate(_ first: Int, _ headers: HeaderList, _ reading: inout CarrierReading) {
        let key = policy.pointee.tracestateKey
        reading.tracestateMembers = ourMembers(.tracestate, .tracestate, first, key, headers)
        guard let value = reading.tracestateMembers.value else { return }
        reading.tracestate = name(value, .tracestate, &reading)
    }

    /// Our members of a list that may take several lines; the first of duplicates counts.
    private func ourMembers(
        _ kind: ListKind, _ id: HeaderID, _ first: Int, _ key: ByteView, _ headers: HeaderList
    ) -> OurMembers {
        var members = OurMembers()
        var index = first
        while index < headers.count {
            let field = headers.fields + index
            index &+= 1
            guard field.pointee.id == id.rawValue, !field.pointee.dropped else { continue }
            note(field.pointee.value, kind, key, &members)
        }
        return members
    }

    private func note(_ line: ByteView, _ kind: ListKind, _ key: ByteView, _ members: inout OurMembers) {
        var from = 0
        while from < line.count, let value = nextOurs(line, kind, key, from: &from) {
            if members.count == 0 { members.value = value }
            members.count &+= 1
        }
    }
}

extension FoundLane {
    /// A lane by its whole name: of a document, else of a literal that routes accept.
    @inline(__always)
    init(_ table: UnsafePointer<Table>, _ name: ByteView, _ policy: UnsafePointer<LanePolicy>) {
        if let at = table.pointee.laneIndex.find(name) {
            document = table.pointee.lanes[Int(at)]
            self.name = name
        } else if let at = policy.pointee.knownNames.find(name) {
            known = policy.pointee.known[Int(at)]
            self.name = name
        }
    }
}
