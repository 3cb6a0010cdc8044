// Writes a known lane to the carriers of the policy's `propagate`, and takes carriers away. What already says
// the same stays untouched; what belongs to others keeps its bytes and its order (lanes.md 2).
internal import Base
internal import HTTP

/// Bounds of a carrier that is shared with others: past them our member is left out, never theirs.
struct CarrierLimit {
    var bytes: Int
    var members: Int

    /// What every platform must carry on (W3C Baggage 3.3.2).
    static let baggage = CarrierLimit(bytes: Limits.baggageBytes, members: Limits.baggageMembers)
    /// W3C Trace Context 3.3.1.1 and 3.3.1.5.
    static let tracestate = CarrierLimit(bytes: Limits.tracestateBytes, members: Limits.tracestateMembers)
}

struct CarrierWriter {
    let policy: UnsafePointer<LanePolicy>

    /// Returns false where a carrier had no room for our member.
    func write(
        _ lane: LaneReading, _ scan: LineScan, _ reading: inout CarrierReading, _ headers: inout HeaderList
    ) -> Bool {
        var fits = true
        let propagate = policy.pointee.propagate
        let name = lane.name
        if propagate.contains(.header) {
            let isThere =
                reading.headerLines == 1 && headers.fields[scan.firstKey].value.equals(name)
            if !isThere {
                if scan.firstKey >= 0 { headers.remove(policy.pointee.header) }
                if let lines = lane.lines {
                    headers.append(lines.pointee.header)
                } else {
                    headers.append(policy.pointee.header, name)
                }
            }
        }
        if propagate.contains(.baggage), !says(reading.baggageMembers, name) {
            if scan.firstBaggage < 0, let lines = lane.lines {
                headers.append(lines.pointee.baggage)
            } else {
                fits = writeMember(
                    .baggage, .baggage, scan.firstBaggage, policy.pointee.key, name, .baggage, &headers)
            }
        }
        if propagate.contains(.tracestate), !says(reading.tracestateMembers, name) {
            if scan.firstTracestate < 0, let lines = lane.lines {
                headers.append(lines.pointee.tracestate)
            } else {
                let written = writeMember(
                    .tracestate, .tracestate, scan.firstTracestate, policy.pointee.tracestateKey, name,
                    .tracestate, &headers)
                fits = fits && written
            }
        }
        return fits
    }

    private func says(_ members: OurMembers, _ name: ByteView) -> Bool {
        guard members.count == 1, let value = members.value else { return false }
        return value.equals(name)
    }

    private func writeMember(
        _ kind: ListKind, _ id: HeaderID, _ first: Int, _ key: ByteView, _ name: ByteView,
        _ limit: CarrierLimit, _ headers: inout HeaderList
    ) -> Bool {
        let header = HeaderNames.name(id)
        guard first >= 0 else {
            guard let room = headers.reserve(header, key.count &+ 1 &+ name.count) else { return false }
            room.update(from: key.start, count: key.count)
            room[key.count] = 0x3D
            (room + key.count + 1).update(from: name.start, count: name.count)
            return true
        }
        let others = measure(kind, id, first, key, headers)
        guard others.bytes &+ 1 &+ key.count &+ 1 &+ name.count <= limit.bytes, others.members < limit.members
        else {
            removePieces(kind, id, key, &headers)
            return false
        }
        place(kind, id, first, key, name, others, &headers)
        return true
    }

    /// What others have in the list.
    private struct Others {
        var bytes = 0
        var members = 0
        /// Line of our first member; negative: none.
        var firstOurs = -1
        var lastLine = -1
    }

    private func measure(
        _ kind: ListKind, _ id: HeaderID, _ first: Int, _ key: ByteView, _ headers: HeaderList
    ) -> Others {
        var others = Others()
        var index = first
        while index < headers.count {
            let field = headers.fields + index
            if field.pointee.id == id.rawValue, !field.pointee.dropped {
                others.lastLine = index
                var pieces = Pieces(field.pointee.value, separator: kind.separator)
                while let piece = pieces.next() {
                    if kind.value(piece, key) != nil {
                        if others.firstOurs < 0 { others.firstOurs = index }
                    } else {
                        others.bytes &+= piece.count &+ 1
                        if !piece.trimmed.isEmpty { others.members &+= 1 }
                    }
                }
            }
            index &+= 1
        }
        return others
    }

    /// Ours once: in place of our first member, else last; in tracestate first of all.
    private func place(
        _ kind: ListKind, _ id: HeaderID, _ first: Int, _ key: ByteView, _ name: ByteView, _ others: Others,
        _ headers: inout HeaderList
    ) {
        let header = HeaderNames.name(id)
        let isFirst = kind == .tracestate
        let home = isFirst ? first : others.firstOurs < 0 ? others.lastLine : others.firstOurs
        var index = first
        while index < headers.count {
            if headers.fields[index].id == id.rawValue, !headers.fields[index].dropped {
                if index == home {
                    replaceLine(
                        index, header, kind, key, isFirst ? .first : .inPlace, (key, name), &headers)
                } else if holdsOurs(headers.fields[index].value, kind, key) {
                    replaceLine(index, header, kind, key, .nowhere, (key, name), &headers)
                }
            }
            index &+= 1
        }
    }

    /// Takes every carrier but the query away and tells which there were.
    @discardableResult
    func strip(_ scan: LineScan, _ headers: inout HeaderList) -> CarrierSet {
        var stripped = CarrierSet()
        if scan.firstKey >= 0, headers.remove(policy.pointee.header) { stripped.insert(.header) }
        if scan.firstCookie >= 0, removePieces(.cookie, .cookie, policy.pointee.key, &headers) {
            stripped.insert(.cookie)
        }
        if scan.firstBaggage >= 0, removePieces(.baggage, .baggage, policy.pointee.key, &headers) {
            stripped.insert(.baggage)
        }
        if scan.firstTracestate >= 0,
            removePieces(.tracestate, .tracestate, policy.pointee.tracestateKey, &headers)
        {
            stripped.insert(.tracestate)
        }
        return stripped
    }
}
