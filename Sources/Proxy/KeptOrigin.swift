// What an exchange keeps aside of its request until the response: the explanation that was asked for, and the
// Origin that a CORS policy judged, which header operations may have taken away by then.
internal import Base

extension Worker {
    /// Notes the Origin, while the request's fields are as they came: before its header operations, and not
    /// again.
    mutating func keepOrigin(_ number: UInt32) {
        let x = exchange(number)
        guard x.pointee.originBytes == 0, x.pointee.head.isEmpty,
            let origin = requestHeaders.pointee.find(.origin)?.pointee.value,
            let count = UInt16(exactly: origin.count)
        else { return }
        buffers.append(&x.pointee.explanation, origin.start, origin.count)
        x.pointee.originBytes = count
    }

    func keptOrigin(_ number: UInt32) -> ByteView {
        let x = exchange(number)
        let count = Int(x.pointee.originBytes)
        if count == 0 { return .empty }
        let kept = x.pointee.explanation
        return ByteView(kept.bytes + (kept.count - count), count)
    }

    /// Writes the explanation's line, if there is one.
    mutating func putExplanation(_ number: UInt32, _ at: inout UnsafeMutablePointer<UInt8>) {
        let x = exchange(number)
        let count = x.pointee.explanation.count - Int(x.pointee.originBytes)
        if count == 0 { return }
        put(&at, "x-fairlead-explain: ")
        put(&at, ByteView(x.pointee.explanation.bytes, count))
        put(&at, "\r\n")
    }
}
