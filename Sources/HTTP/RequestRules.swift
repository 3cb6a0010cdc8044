// What a whole request head must satisfy before anything acts on it: one reading of its body's length, one
// Host, a target in a form its method allows (RFC 9112 3.2, 6; istio-semantics.md 22.3 and 29).
public import Base
internal import CLinux

public enum RequestRules {
    /// Settles framing and target; an error refuses the request.
    @inline(__always)
    static func frame(_ head: inout RequestHead, _ marks: fl_target) -> HeadError? {
        if head.connection.hasTransferEncoding {
            if head.connection.hasContentLength { return .lengthAndChunked }
            // RFC 9112 6.1: HTTP/1.0 has no transfer codings; a sender that uses one is confused or lying.
            if head.minorVersion == 0 { return .badTransferEncoding }
            head.framing = .chunked
        } else if head.connection.hasContentLength {
            head.framing = head.connection.contentLength == 0 ? .none : .length
        }
        if head.connection.hostCount > 1 { return .duplicateHost }
        return readTarget(&head, marks)
    }

    /// The same of a head that came over HTTP/2, whose lines `note` has seen. `authority` is what it is sent
    /// to, as a valid Host or whatever the client wrote; `ended`: no body follows (RFC 9113 8.3.1, RFC 8441).
    public static func frame(
        _ head: inout RequestHead, path: ByteView, authority: ByteView, protocolName: ByteView, ended: Bool
    ) -> HeadError? {
        if head.request.method.count > Limits.methodBytes { return .badRequestLine }
        head.method = MethodKind(head.request.method)
        if head.method == .connect, protocolName.isEmpty {
            if head.connection.contentLength > 0 { return .connectWithBody }
            head.request.isConnect = true
            head.request.authority = authority
            head.request.target = authority
            return hostIsValid(authority) && namesPort(authority) ? nil : .badTarget
        }
        if !protocolName.isEmpty {
            // An extended CONNECT is what HTTP/1.1 asks for by a GET with an upgrade.
            head.connection.hasUpgrade = true
            head.connection.hasConnectionUpgrade = true
            head.connection.upgradesToWebSocket = protocolName.equals("websocket")
            head.request.method = "GET"
            head.method = .get
        } else if !ended {
            let isEmpty = head.connection.hasContentLength && head.connection.contentLength == 0
            head.framing = isEmpty ? .none : (head.connection.hasContentLength ? .length : .stream)
        }
        // The connection says by itself whether it is encrypted.
        if !head.request.scheme.equals("http"), !head.request.scheme.equals("https") { return .badTarget }
        head.request.scheme = .empty
        if path.count > Limits.targetBytes { return .targetTooLong }
        var index = 0
        while index < path.count {
            if path[index] <= 0x20 || path[index] == 0x7F { return .badTarget }
            index &+= 1
        }
        head.request.target = path
        if path.count == 1, path[0] == 0x2A, head.method == .options {
            head.request.path = path
            return nil
        }
        guard !path.isEmpty, path[0] == 0x2F else { return .badTarget }
        splitPath(path, &head)
        return nil
    }

    /// Whether a target has the beginning of any form there is.
    static func isTarget(_ head: RequestHead) -> Bool {
        let target = head.request.target
        return head.method == .connect || target[0] == 0x2F || target[0] == 0x2A
            || target.firstIndex(of: 0x3A) != nil
    }

    /// Splits the target into authority, path and query (RFC 9112 3.2).
    @inline(__always)
    private static func readTarget(_ head: inout RequestHead, _ marks: fl_target) -> HeadError? {
        let target = head.request.target
        if target[0] == 0x2F, head.method != .connect {
            splitPath(target, &head, question: marks.question, hash: marks.hash)
            head.pathIsPlain = marks.is_plain != 0
            return nil
        }
        if head.method == .connect {
            if head.framing != .none { return .connectWithBody }
            head.request.isConnect = true
            head.request.authority = target
            return hostIsValid(target) && namesPort(target) ? nil : .badTarget
        }
        if target.count == 1, target[0] == 0x2A {
            if head.method != .options { return .badTarget }
            head.request.path = target
            return nil
        }
        return readAbsoluteForm(target, &head)
    }

    private static func readAbsoluteForm(_ target: ByteView, _ head: inout RequestHead) -> HeadError? {
        guard let colon = target.firstIndex(of: 0x3A), colon + 3 <= target.count,
            target[colon + 1] == 0x2F, target[colon + 2] == 0x2F
        else { return .badTarget }
        let scheme = target.slice(0, colon)
        if scheme.equalsIgnoringCase("http") {
            head.request.scheme = RequestRules.http
        } else if scheme.equalsIgnoringCase("https") {
            head.request.scheme = RequestRules.https
        } else {
            return .badTarget
        }
        var at = colon + 3
        while at < target.count, target[at] != 0x2F, target[at] != 0x3F, target[at] != 0x23 { at += 1 }
        let authority = target.slice(colon + 3, at)
        if !hostIsValid(authority) { return .badTarget }
        head.isAbsoluteForm = true
        head.request.authority = authority
        let rest = target.slice(at, target.count)
        splitPath(rest, &head)
        head.asksWholeServer = head.method == .options && at == target.count
        return nil
    }

    private static func splitPath(_ target: ByteView, _ head: inout RequestHead) {
        func place(_ byte: UInt8) -> UInt32 {
            target.firstIndex(of: byte).map { UInt32(truncatingIfNeeded: $0) } ?? .max
        }
        splitPath(target, &head, question: place(0x3F), hash: place(0x23))
    }

    /// `question` and `hash` are where the first `?` and `#` are; `.max`: nowhere.
    private static func splitPath(
        _ target: ByteView, _ head: inout RequestHead, question: UInt32, hash: UInt32
    ) {
        // A fragment is none of a server's business; Envoy cuts it off and routes the rest.
        let end = min(target.count, Int(hash))
        var path = target.slice(0, end)
        if question < UInt32(truncatingIfNeeded: end) {
            head.request.query = path.slice(Int(question) + 1, end)
            head.request.hasQuery = true
            path = path.slice(0, Int(question))
        }
        head.request.path = path.isEmpty ? RequestRules.root : path
    }

    /// Host, if the target did not name the authority; checks either (RFC 9110 7.2). The target in absolute
    /// form wins over Host (RFC 9112 3.2.2). `known`, where it is not empty, is an authority that was found
    /// plain before; it takes the place of a Host with the same bytes.
    @inlinable @inline(__always)
    public static func settleAuthority(
        _ head: inout RequestHead, _ headers: inout HeaderList, known: ByteView = .empty
    ) -> HeadError? {
        if !known.isEmpty, !head.isAbsoluteForm, !head.request.isConnect, let host = headers.find(.host),
            host.pointee.value.equals(known)
        {
            head.request.authority = known
            head.request.hasPlainAuthority = true
            return nil
        }
        return settleUnknown(&head, &headers)
    }

    @usableFromInline
    static func settleUnknown(_ head: inout RequestHead, _ headers: inout HeaderList) -> HeadError? {
        guard let host = headers.find(.host) else { return .missingHost }
        let value = host.pointee.value
        if !head.isAbsoluteForm, !head.request.isConnect, fl_is_plain_host(value.start, value.count) != 0 {
            head.request.authority = value
            head.request.hasPlainAuthority = true
            return nil
        }
        if !value.isEmpty, !hostIsValid(value) { return .badHost }
        if head.isAbsoluteForm || head.request.isConnect { return nil }
        if value.isEmpty { return .missingHost }
        head.request.authority = value
        return nil
    }

    /// Whether a valid host ends with a port to connect to: CONNECT must name one (RFC 9112 3.2.3).
    private static func namesPort(_ host: ByteView) -> Bool {
        var at = host.count
        var isZero = true
        while at > 0, host[at - 1] &- 0x30 <= 9 {
            at -= 1
            if host[at] != 0x30 { isZero = false }
        }
        return at > 0 && host[at - 1] == 0x3A && !isZero
    }

    /// `uri-host [":" port]` (RFC 9110 7.2) without userinfo; not empty.
    public static func hostIsValid(_ host: ByteView) -> Bool {
        if host.isEmpty || host.count > 255 + 6 { return false }
        var at = 0
        if host[0] == 0x5B {
            guard let close = host.firstIndex(of: 0x5D), close > 1 else { return false }
            at = 1
            while at < close {
                let byte = host[at]
                let isHex = byte &- 0x30 <= 9 || (byte | 0x20) &- 0x61 < 6
                if !isHex, byte != 0x3A, byte != 0x2E { return false }
                at += 1
            }
            at = close + 1
        } else {
            at = fl_skip_host(host.start, host.end)! - host.start
            if at == 0 { return false }
        }
        if at == host.count { return true }
        if host[at] != 0x3A || host.count - at > 6 { return false }
        at += 1
        var port = 0
        while at < host.count {
            let digit = host[at] &- 0x30
            if digit > 9 { return false }
            port = port * 10 + Int(digit)
            at += 1
        }
        return port <= 65_535
    }

    public static var http: ByteView { "http" }
    public static var https: ByteView { "https" }
    public static var root: ByteView { "/" }
}
