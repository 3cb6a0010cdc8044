// One level of header operations, made ready: names resolved, literal values frozen, `%FORMATTERS%` cut into
// pieces. Removes first, then all values from what is left, then sets, then adds (istio-semantics.md 6).
internal import Base
internal import HTTP

@usableFromInline
struct HeaderLevel: BitwiseCopyable {
    var remove: Frozen<HeaderName>
    var set: Frozen<HeaderOperation>
    var add: Frozen<HeaderOperation>
    /// Some value has to be formatted per message.
    var isFormatted: Bool

    var isEmpty: Bool { remove.isEmpty && set.isEmpty && add.isEmpty }
}

struct HeaderOperation: BitwiseCopyable {
    var name: HeaderName
    var isLiteral: Bool
    var literal: ByteView
    /// The whole line of a literal value.
    var line: HeaderField
    var pieces: Frozen<ValuePiece>
    /// Envoy keeps one line of this header: another value is joined with a comma.
    var joins: Bool
}

/// Applies one level. Values that format to nothing are neither added nor do they overwrite.
func apply(
    _ level: UnsafePointer<HeaderLevel>, _ headers: inout HeaderList, _ scratch: inout EditScratch,
    _ format: FormatContext, _ request: Request?, _ status: Int
) {
    guard level.pointee.isFormatted else {
        applyLiteral(level, &headers)
        return
    }
    var index = 0
    while index < level.pointee.remove.count {
        headers.remove(level.pointee.remove[index].pointee)
        index &+= 1
    }
    let sets = level.pointee.set
    let adds = level.pointee.add
    // Values are computed before any of them is written: none sees another's result.
    scratch.beginValues()
    index = 0
    while index < sets.count {
        scratch.appendValue(sets[index], headers, format, request, status)
        index &+= 1
    }
    index = 0
    while index < adds.count {
        scratch.appendValue(adds[index], headers, format, request, status)
        index &+= 1
    }
    index = 0
    while index < sets.count {
        let value = scratch.value(index)
        if !value.isEmpty { headers.set(sets[index].pointee.name, value) }
        index &+= 1
    }
    index = 0
    while index < adds.count {
        append(adds[index], scratch.value(sets.count &+ index), &headers)
        index &+= 1
    }
}

/// Applies a level whose values are all literal.
func applyLiteral(_ level: UnsafePointer<HeaderLevel>, _ headers: inout HeaderList) {
    var index = 0
    while index < level.pointee.remove.count {
        headers.remove(level.pointee.remove[index].pointee)
        index &+= 1
    }
    index = 0
    while index < level.pointee.set.count {
        let operation = level.pointee.set[index]
        if !operation.pointee.literal.isEmpty {
            headers.remove(operation.pointee.name)
            headers.append(operation.pointee.line)
        }
        index &+= 1
    }
    index = 0
    while index < level.pointee.add.count {
        let operation = level.pointee.add[index]
        if operation.pointee.joins {
            append(operation, operation.pointee.literal, &headers)
        } else if !operation.pointee.literal.isEmpty {
            headers.append(operation.pointee.line)
        }
        index &+= 1
    }
}

private func append(
    _ operation: UnsafePointer<HeaderOperation>, _ value: ByteView, _ headers: inout HeaderList
) {
    let name = operation.pointee.name
    if value.isEmpty { return }
    guard operation.pointee.joins, let line = headers.find(name) else {
        headers.append(name, value)
        return
    }
    let old = line.pointee.value
    line.pointee.dropped = true
    if old.isEmpty {
        headers.append(name, value)
        return
    }
    guard let room = headers.reserve(name, old.count &+ 1 &+ value.count) else { return }
    room.update(from: old.start, count: old.count)
    room[old.count] = 0x2C
    (room + old.count + 1).update(from: value.start, count: value.count)
}
