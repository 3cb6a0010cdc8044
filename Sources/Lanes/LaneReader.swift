// Which lane a request is in (lanes.md 2 and 3): every carrier is looked at once, the first that speaks in
// the fixed order wins, and the others are only compared with it.
internal import Base
internal import HTTP

/// What the reader does with a line, by its `HeaderID`.
enum LineKind: UInt8 {
    case nothing, key, cookie, baggage, tracestate
    /// Dropped at the edge.
    case fairlead, fairleadDebug
    /// Names without a number: compared by their bytes.
    case other
}

/// Where carriers stand in the list, and what the single pass over it noticed.
struct LineScan {
    var firstKey = -1
    var firstCookie = -1
    var firstBaggage = -1
    var firstTracestate = -1
    var debugRequested = false

    var hasCarriers: Bool { firstKey & firstCookie & firstBaggage & firstTracestate >= 0 }
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
}

/// One pass over the lines: finds the carriers; at the edge drops what only Fairlead itself may say.
func scanLines(
    _ policy: UnsafePointer<LanePolicy>?, _ isEdge: Bool, _ headers: inout HeaderList
) -> LineScan {
    var scan = LineScan()
    let kinds = policy?.pointee.lineKinds ?? fairleadKinds
    let fields = headers.fields
    let count = headers.count
    var index = 0
    while index < count {
        let kind = kinds[Int(fields[index].id)]
        if kind != LineKind.nothing.rawValue, !fields[index].dropped {
            note(kind, index, fields + index, policy, isEdge, &scan)
        }
        index &+= 1
    }
    return scan
}

@inline(__always)
private func note(
    _ kind: UInt8, _ index: Int, _ field: UnsafeMutablePointer<HeaderField>,
    _ policy: UnsafePointer<LanePolicy>?, _ isEdge: Bool, _ scan: inout LineScan
) {
    switch kind {
    case LineKind.key.rawValue: if scan.firstKey < 0 { scan.firstKey = index }
    case LineKind.cookie.rawValue: if scan.firstCookie < 0 { scan.firstCookie = index }
    case LineKind.baggage.rawValue: if scan.firstBaggage < 0 { scan.firstBaggage = index }
    case LineKind.tracestate.rawValue: if scan.firstTracestate < 0 { scan.firstTracestate = index }
    case LineKind.fairlead.rawValue: if isEdge { field.pointee.dropped = true }
    case LineKind.fairleadDebug.rawValue:
        if field.pointee.value.equals("1") { scan.debugRequested = true }
        if isEdge { field.pointee.dropped = true }
    default:
        if let policy, Int(field.pointee.nameLength) == policy.pointee.header.bytes.count,
            field.pointee.name.equals(policy.pointee.header.bytes)
        {
            if scan.firstKey < 0 { scan.firstKey = index }
        } else if isEdge, field.pointee.line[0] == 0x78, field.pointee.name.hasPrefix("x-fairlead-") {
            field.pointee.dropped = true
        }
    }
}

/// Kinds where there is no policy: only our own names count.
nonisolated(unsafe) let fairleadKinds: UnsafePointer<UInt8> = {
    let kinds = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
    kinds.initialize(repeating: LineKind.nothing.rawValue, count: 256)
    fillFairleadKinds(kinds)
    return UnsafePointer(kinds)
}()

func fillFairleadKinds(_ kinds: UnsafeMutablePointer<UInt8>) {
    kinds[Int(HeaderID.other.rawValue)] = LineKind.other.rawValue
    for id in HeaderID.allCases where id.name.hasPrefix("x-fairlead-") {
        kinds[Int(id.rawValue)] = LineKind.fairlead.rawValue
    }
    kinds[Int(HeaderID.xFairleadDebug.rawValue)] = LineKind.fairleadDebug.rawValue
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
        found = table.pointee.find(value, policy)
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

    func readCookie(_ first: Int, _ headers: HeaderList, _ reading: inout CarrierReading) {
        let members = ourMembers(.cookie, .cookie, first, policy.pointee.key, headers)
        guard let value = members.value else { return }
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
            var from = 0
            while let value = nextOurs(field.pointee.value, kind, key, from: &from) {
                if members.count == 0 { members.value = value }
                members.count &+= 1
            }
        }
        return members
    }
}

extension Table {
    /// A lane by its whole name: of a document, else of a literal that routes accept.
    func find(_ name: ByteView, _ policy: UnsafePointer<LanePolicy>) -> FoundLane {
        var found = FoundLane()
        if let at = laneIndex.find(name) {
            found.document = lanes[Int(at)]
            found.name = name
        } else if let at = policy.pointee.knownNames.find(name) {
            found.known = policy.pointee.known[Int(at)]
            found.name = name
        }
        return found
    }
}
