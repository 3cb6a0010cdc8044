// From a Host to its virtual host (istio-semantics.md 3): exact name, longest suffix wildcard, longest prefix
// wildcard, `*`. The port plays no part, nor does the case of letters.
internal import Base

struct HostIndex: BitwiseCopyable {
    /// Wildcards of one length: the part without the star.
    struct Wildcards: BitwiseCopyable {
        var length: Int
        var parts: ByteTable
    }

    var virtualHosts: Frozen<VirtualHost>
    var exact: ByteTable
    /// Longest first.
    var suffixes: Frozen<Wildcards>
    var prefixes: Frozen<Wildcards>
    /// Position of the virtual host for `*`; negative: none.
    var any: Int

    /// `host` is lower case and without port.
    func findExact(_ host: ByteView) -> UnsafePointer<VirtualHost>? {
        guard let at = exact.find(host) else { return nil }
        return virtualHosts[Int(at)]
    }

    func findWildcard(_ host: ByteView) -> UnsafePointer<VirtualHost>? {
        var index = 0
        while index < suffixes.count {
            let wildcards = suffixes[index]
            let length = wildcards.pointee.length
            if length < host.count,
                let at = wildcards.pointee.parts.find(host.slice(host.count &- length, host.count))
            {
                return virtualHosts[Int(at)]
            }
            index &+= 1
        }
        index = 0
        while index < prefixes.count {
            let wildcards = prefixes[index]
            let length = wildcards.pointee.length
            if length < host.count, let at = wildcards.pointee.parts.find(host.slice(0, length)) {
                return virtualHosts[Int(at)]
            }
            index &+= 1
        }
        return any < 0 ? nil : virtualHosts[any]
    }

    func find(_ host: ByteView) -> UnsafePointer<VirtualHost>? { findExact(host) ?? findWildcard(host) }
}

/// Bytes of an authority before its port: the last colon that is not inside an IPv6 literal's brackets.
func hostLength(_ authority: ByteView) -> Int {
    guard let first = authority.firstIndex(of: 0x3A) else { return authority.count }
    var at = authority.count &- 1
    while at > first, authority[at] != 0x3A, authority[at] != 0x5D { at &-= 1 }
    return authority[at] == 0x3A ? at : authority.count
}

/// The port that an authority names; nil: none or no number.
func portNumber(_ authority: ByteView) -> UInt16? {
    var at = hostLength(authority) &+ 1
    guard at < authority.count, authority.count &- at <= 5 else { return nil }
    var value: UInt32 = 0
    while at < authority.count {
        guard authority[at] &- 0x30 < 10 else { return nil }
        value = value &* 10 &+ UInt32(authority[at] &- 0x30)
        at &+= 1
    }
    return UInt16(exactly: value)
}

/// The host of an authority in lower case, in `room` only where a letter has to be changed. nil: longer than
/// any domain name (RFC 1035 2.3.4).
func lowerHost(_ authority: ByteView, _ room: UnsafeMutablePointer<UInt8>) -> ByteView? {
    let length = hostLength(authority)
    guard length <= hostBytes else { return nil }
    // Capitals and a few other bytes lack the bit that small letters, digits, `-` and `.` have.
    let mask: UInt64 = 0x2020_2020_2020_2020
    var at = 0
    var lacking: UInt64 = 0
    while length &- at >= 8 {
        lacking |= ~UnsafeRawPointer(authority.start + at).loadUnaligned(as: UInt64.self) & mask
        at &+= 8
    }
    while at < length {
        lacking |= UInt64(~authority[at] & 0x20)
        at &+= 1
    }
    if lacking == 0 { return authority.slice(0, length) }
    at = 0
    while at < length {
        room[at] = asciiLower(authority[at])
        at &+= 1
    }
    return ByteView(UnsafePointer(room), length)
}

/// Bytes of the longest host name that a table can hold.
let hostBytes = 255
