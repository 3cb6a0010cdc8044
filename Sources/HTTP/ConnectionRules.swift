// What single field lines mean for framing and connection, noted while a head is read (RFC 9112 6, 9.3;
// RFC 9110 7.6.1; istio-semantics.md 22.3). Ambiguity is refused here, before anything acts on it.
internal import Base
internal import CLinux

public enum ConnectionRules {
    /// Names in one `connection` field before it is refused, as Envoy does.
    private static let connectionNamesMax = 10
    private static var keepAlive: ByteView { "keep-alive" }

    /// Notes the lines that were read; an error refuses the head.
    @inline(__always)
    static func note(_ headers: inout HeaderList, _ fields: inout ConnectionFields) -> HeadError? {
        fields.hostCount =
            headers.mayHave(HeaderID.host.rawValue)
            ? headers.isRepeated(HeaderID.host.rawValue) ? 2 : 1 : 0
        var there = headers.present.low & noted
        if headers.repeatedLow & there != 0 { return noteAll(&headers, &fields) }
        while there != 0 {
            let id = UInt8(truncatingIfNeeded: there.trailingZeroBitCount)
            there &= there &- 1
            if note(headers.fields + headers.place(id), &fields) != nil { return firstError(&headers) }
        }
        return nil
    }

    /// Of several, the first one in the head is told: it is told as well when no more of the head has come.
    private static func firstError(_ headers: inout HeaderList) -> HeadError? {
        var fields = ConnectionFields()
        return noteAll(&headers, &fields)
    }

    /// In the order of the lines, which counts where a name is there twice.
    private static func noteAll(_ headers: inout HeaderList, _ fields: inout ConnectionFields) -> HeadError? {
        var index = 0
        while index < headers.count {
            let field = headers.fields + index
            index &+= 1
            if let why = note(field, &fields) { return why }
        }
        return nil
    }

    /// The names that `note` knows.
    @inline(__always)
    private static var noted: UInt64 {
        1 << UInt64(HeaderID.contentLength.rawValue) | 1 << UInt64(HeaderID.transferEncoding.rawValue)
            | 1 << UInt64(HeaderID.connection.rawValue) | 1 << UInt64(HeaderID.upgrade.rawValue)
            | 1 << UInt64(HeaderID.te.rawValue) | 1 << UInt64(HeaderID.expect.rawValue)
    }

    /// Notes one line, of whatever name; an error refuses the head.
    public static func note(
        _ field: UnsafeMutablePointer<HeaderField>, _ fields: inout ConnectionFields
    ) -> HeadError? {
        // By number: making a case of it is a call.
        switch field.pointee.id {
        case HeaderID.contentLength.rawValue:
            return noteContentLength(field, &fields)
        case HeaderID.transferEncoding.rawValue:
            return noteTransferEncoding(field.pointee.value, &fields)
        case HeaderID.connection.rawValue:
            return noteConnection(field.pointee.value, &fields)
        case HeaderID.upgrade.rawValue:
            fields.upgradesToWebSocket =
                !fields.hasUpgrade && field.pointee.value.equalsIgnoringCase("websocket")
            fields.upgradesToH2C = !fields.hasUpgrade && field.pointee.value.equalsIgnoringCase("h2c")
            fields.hasUpgrade = true
        case HeaderID.te.rawValue:
            if field.pointee.valueLength > 256 { return .badTE }
        case HeaderID.expect.rawValue:
            fields.expectsContinue = field.pointee.value.equalsIgnoringCase("100-continue")
        default:
            break
        }
        return nil
    }

    private static func noteContentLength(
        _ field: UnsafeMutablePointer<HeaderField>, _ fields: inout ConnectionFields
    ) -> HeadError? {
        let text = field.pointee.value
        if text.isEmpty { return .badContentLength }
        var value: UInt64 = 0
        var index = 0
        while index < text.count {
            let digit = text[index] &- 0x30
            if digit > 9 { return .badContentLength }
            // Eighteen digits cannot be too many.
            if index >= 18, value > (UInt64(Int64.max) - UInt64(digit)) / 10 { return .contentLengthTooLarge }
            value = value &* 10 &+ UInt64(digit)
            index &+= 1
        }
        if fields.hasContentLength {
            // RFC 9110 8.6 lets a repeated equal value pass as one; which one others would take is the risk.
            if fields.contentLength != value { return .badContentLength }
            field.pointee.dropped = true
            fields.isOdd = true
            fields.repeatsLength = true
        }
        fields.contentLength = value
        fields.hasContentLength = true
        return nil
    }

    private static func noteTransferEncoding(
        _ value: ByteView, _ fields: inout ConnectionFields
    ) -> HeadError? {
        if fields.hasTransferEncoding { return .badTransferEncoding }
        fields.hasTransferEncoding = true
        fields.isChunked = value.equalsIgnoringCase("chunked")
        return fields.isChunked ? nil : .unknownTransferEncoding
    }

    private static func noteConnection(_ value: ByteView, _ fields: inout ConnectionFields) -> HeadError? {
        // The two values nearly everybody sends, most often in lower case.
        if value.count == 10, fl_equal(value.start, keepAlive.start, 10) != 0 {
            fields.hasKeepAlive = true
            return nil
        }
        if value.count == 10, value.equalsIgnoringCase("keep-alive") {
            fields.hasKeepAlive = true
            return nil
        }
        if value.count == 5, value.equalsIgnoringCase("close") {
            fields.hasClose = true
            return nil
        }
        var names = 0
        var from = 0
        while from <= value.count {
            let to = value.firstIndex(of: 0x2C, from: from) ?? value.count
            let token = value.slice(from, to).trimmed
            from = to + 1
            if token.isEmpty { continue }
            names += 1
            if names >= connectionNamesMax { return .badConnection }
            if token.equalsIgnoringCase("close") {
                fields.hasClose = true
            } else if token.equalsIgnoringCase("keep-alive") {
                fields.hasKeepAlive = true
            } else if token.equalsIgnoringCase("upgrade") {
                fields.hasConnectionUpgrade = true
            } else {
                if token.firstIndex(of: 0x3A) != nil { return .badConnection }
                // Removing these would let a client forge what the next hop believes.
                if token.equalsIgnoringCase("x-forwarded-for")
                    || token.equalsIgnoringCase("x-forwarded-host")
                    || token.equalsIgnoringCase("x-forwarded-proto")
                {
                    return .badConnection
                }
                fields.namesFields = true
            }
        }
        return nil
    }

    /// Marks what belongs to one hop only as not going on: `connection` and what it names, `keep-alive`,
    /// `proxy-connection`, `transfer-encoding`, `te` but `trailers`, `upgrade` (RFC 9110 7.6.1). Whoever
    /// writes the head adds its own framing and, for an upgrade, the two fields again. `namesFields` is that
    /// of the head's `ConnectionFields`: a struct of so many flags is dear to hand over.
    @inlinable @inline(__always)
    public static func removeHopByHop(_ headers: inout HeaderList, namesFields: Bool) {
        if namesFields { removeNamed(&headers) }
        let there = headers.present.intersection(hopByHop)
        if there.isEmpty { return }
        // What most responses have, and nothing else of it.
        if there.low == 1 << UInt64(HeaderID.connection.rawValue) {
            headers.remove(.connection)
        } else {
            removeThose(&headers, there)
        }
    }

    /// `connection`, `te`, `upgrade`, `keep-alive`, `proxy-connection`, `transfer-encoding`, `trailer`.
    @inlinable @inline(__always)
    static var hopByHop: HeaderIDSet {
        HeaderIDSet(
            low: 1 << UInt64(HeaderID.connection.rawValue) | 1 << UInt64(HeaderID.te.rawValue)
                | 1 << UInt64(HeaderID.upgrade.rawValue) | 1 << UInt64(HeaderID.keepAlive.rawValue)
                | 1 << UInt64(HeaderID.proxyConnection.rawValue)
                | 1 << UInt64(HeaderID.transferEncoding.rawValue)
                | 1 << UInt64(HeaderID.trailer.rawValue), high: 0)
    }

    @usableFromInline
    static func removeThose(_ headers: inout HeaderList, _ ids: HeaderIDSet) {
        var rest = ids
        while let id = rest.popFirst() {
            if id != HeaderID.te.rawValue {
                _ = headers.remove(id: id)
                continue
            }
            var from = 0
            while let field = headers.find(.te, from: from) {
                from = headers.index(of: field) &+ 1
                if !field.pointee.value.equalsIgnoringCase("trailers") { field.pointee.dropped = true }
            }
        }
    }

    @usableFromInline
    static func removeNamed(_ headers: inout HeaderList) {
        var index = 0
        let count = headers.count
        while index < count {
            let field = headers.fields + index
            index += 1
            guard field.pointee.id == HeaderID.connection.rawValue else { continue }
            let value = field.pointee.value
            var from = 0
            while from <= value.count {
                let to = value.firstIndex(of: 0x2C, from: from) ?? value.count
                let token = value.slice(from, to).trimmed
                from = to + 1
                var other = 0
                while other < count {
                    let candidate = headers.fields + other
                    other += 1
                    // Framing and Host are not a client's to remove.
                    let id = HeaderID(rawValue: candidate.pointee.id)
                    if id == .host || id == .contentLength || id == .te { continue }
                    if candidate.pointee.name.equalsIgnoringCase(token) { candidate.pointee.dropped = true }
                }
            }
        }
    }
}
