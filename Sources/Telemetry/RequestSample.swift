// What a finished request leaves in the metrics, packed so that equal labels are equal numbers.
internal import Base

/// Envoy's response flags (istio-semantics.md 23) as bits, in the order in which they are printed.
@frozen
public struct ResponseFlags: OptionSet, BitwiseCopyable, Sendable, Hashable {
    public var rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable public static var LH: ResponseFlags { ResponseFlags(rawValue: 1 << 0) }
    @inlinable public static var UH: ResponseFlags { ResponseFlags(rawValue: 1 << 1) }
    @inlinable public static var UT: ResponseFlags { ResponseFlags(rawValue: 1 << 2) }
    @inlinable public static var LR: ResponseFlags { ResponseFlags(rawValue: 1 << 3) }
    @inlinable public static var UR: ResponseFlags { ResponseFlags(rawValue: 1 << 4) }
    @inlinable public static var UF: ResponseFlags { ResponseFlags(rawValue: 1 << 5) }
    @inlinable public static var UC: ResponseFlags { ResponseFlags(rawValue: 1 << 6) }
    @inlinable public static var UO: ResponseFlags { ResponseFlags(rawValue: 1 << 7) }
    @inlinable public static var NR: ResponseFlags { ResponseFlags(rawValue: 1 << 8) }
    @inlinable public static var DI: ResponseFlags { ResponseFlags(rawValue: 1 << 9) }
    @inlinable public static var FI: ResponseFlags { ResponseFlags(rawValue: 1 << 10) }
    @inlinable public static var RL: ResponseFlags { ResponseFlags(rawValue: 1 << 11) }
    @inlinable public static var UAEX: ResponseFlags { ResponseFlags(rawValue: 1 << 12) }
    @inlinable public static var RLSE: ResponseFlags { ResponseFlags(rawValue: 1 << 13) }
    @inlinable public static var DC: ResponseFlags { ResponseFlags(rawValue: 1 << 14) }
    @inlinable public static var URX: ResponseFlags { ResponseFlags(rawValue: 1 << 15) }
    @inlinable public static var SI: ResponseFlags { ResponseFlags(rawValue: 1 << 16) }
    @inlinable public static var IH: ResponseFlags { ResponseFlags(rawValue: 1 << 17) }
    @inlinable public static var DPE: ResponseFlags { ResponseFlags(rawValue: 1 << 18) }
    @inlinable public static var UMSDR: ResponseFlags { ResponseFlags(rawValue: 1 << 19) }
    @inlinable public static var RFCF: ResponseFlags { ResponseFlags(rawValue: 1 << 20) }
    @inlinable public static var NFCF: ResponseFlags { ResponseFlags(rawValue: 1 << 21) }
    @inlinable public static var DT: ResponseFlags { ResponseFlags(rawValue: 1 << 22) }
    @inlinable public static var UPE: ResponseFlags { ResponseFlags(rawValue: 1 << 23) }
    @inlinable public static var NC: ResponseFlags { ResponseFlags(rawValue: 1 << 24) }
    @inlinable public static var OM: ResponseFlags { ResponseFlags(rawValue: 1 << 25) }
    @inlinable public static var DF: ResponseFlags { ResponseFlags(rawValue: 1 << 26) }

    /// Names by bit.
    public static let names: [String] = [
        "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX",
        "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF",
    ]

    /// `UF,URX`; `-` if no flag is set. Bits without a name are left out.
    public var text: String {
        var out = ""
        for (bit, name) in Self.names.enumerated() where rawValue & (1 << UInt32(bit)) != 0 {
            if !out.isEmpty { out += "," }
            out += name
        }
        return out.isEmpty ? "-" : out
    }
}

extension ResponseFlags {
    /// Room that `write(to:)` needs.
    public static var textBytesMax: Int { 128 }

    /// What `text` says, without making a String; returns the number of bytes.
    public func write(to out: UnsafeMutablePointer<UInt8>) -> Int {
        let names: StaticString =
            "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF"
        let text = ByteView(names.utf8Start, names.utf8CodeUnitCount)
        var count = 0
        var bit: UInt32 = 0
        var from = 0
        while from < text.count {
            let to = text.firstIndex(of: 0x20, from: from) ?? text.count
            if rawValue & (1 << bit) != 0 {
                if count > 0 {
                    out[count] = 0x2C
                    count &+= 1
                }
                (out + count).update(from: text.start + from, count: to &- from)
                count &+= to &- from
            }
            bit &+= 1
            from = to &+ 1
        }
        if count > 0 { return count }
        out[0] = 0x2D
        return 1
    }
}

/// Which side of a request this proxy stands on.
public enum Reporter: UInt8, Sendable, BitwiseCopyable {
    /// Edge and outbound.
    case source = 0
    /// Inbound.
    case destination = 1
}

/// Istio's `connection_security_policy`.
public enum ConnectionSecurity: UInt8, Sendable, BitwiseCopyable {
    /// What the source side always says.
    case unknown = 0
    case none = 1
    case mutualTLS = 2
}

/// One finished downstream request: one per client request, locally made answers included, mirrors and tries
/// not (istio-semantics.md 24).
public struct RequestSample: BitwiseCopyable {
    /// The destination's label set; what it stands for is asked when metrics are rendered.
    public var labelsID: UInt32 = 0
    public var reporter = Reporter.source
    public var connectionSecurity = ConnectionSecurity.unknown
    /// 0: the client left before there was a status.
    public var responseCode: UInt16 = 0
    public var flags = ResponseFlags(rawValue: 0)
    public var isGRPC = false
    /// gRPC only: 0...16; anything else is none.
    public var grpcStatus: UInt8 = 255
    /// First byte in to last byte out.
    public var durationNs: UInt64 = 0
    /// Downstream wire bytes, heads included.
    public var requestBytes: UInt64 = 0
    public var responseBytes: UInt64 = 0

    public init() {}

    /// Labels as one number: bit 63 marks a used cell.
    @inline(__always)
    var key: UInt64 {
        let grpc: UInt64 = isGRPC ? 32 | UInt64(min(grpcStatus, 31)) : 0
        return 1 << 63 | UInt64(labelsID) | UInt64(responseCode) << 32 | UInt64(reporter.rawValue) << 48
            | UInt64(connectionSecurity.rawValue) << 50 | grpc << 52
    }
}
