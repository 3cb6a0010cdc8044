// What a client's certificate says, as one stretch of bytes: for `x-forwarded-client-cert`, the access log
// and the formatters of header operations. Read once when the handshake is over, never per request.
public import Base
internal import COpenSSL

public struct ClientCertificate: Sendable {
    /// Parts of the text.
    public enum Part: Int, Sendable, BitwiseCopyable, CaseIterable {
        /// `x-forwarded-client-cert` as Envoy writes it.
        case forwarded
        /// RFC 2253.
        case subject, issuer
        /// Alternative names, joined with commas.
        case uris, names
        /// SHA-256 of the DER form and the serial number, lower-case hex.
        case fingerprint, serial
    }

    /// Where each part ends; it starts where the one before ends.
    public struct Ends: BitwiseCopyable, Sendable {
        fileprivate var values = SIMD8<UInt32>()

        public init() {}

        /// A part out of the certificate's text.
        public func part(_ part: Part, of text: ByteView) -> ByteView {
            let start = part == .forwarded ? 0 : Int(values[part.rawValue - 1])
            return text.slice(start, Int(values[part.rawValue]))
        }
    }

    /// All parts, one behind the other.
    public private(set) var text: [UInt8] = []
    public private(set) var ends = Ends()

    /// `own`: the alternative names of the certificate that we showed.
    init(_ certificate: OpaquePointer, own: [AlternativeName]) {
        let information = CertificateInfo(certificate)
        let names = AlternativeNames.read(certificate)
        func joined(_ kind: AlternativeName.Kind) -> String {
            names.filter { $0.kind == kind }.map(\.value).joined(separator: ",")
        }
        for part in Part.allCases {
            let value =
                switch part {
                case .forwarded: ForwardedCertificate.text(certificate, own: own)
                case .subject: information.subject
                case .issuer: information.issuer
                case .uris: joined(.uri)
                case .names: joined(.dns)
                case .fingerprint: information.fingerprint
                case .serial: information.serial
                }
            text += Array(value.utf8)
            ends.values[part.rawValue] = UInt32(truncatingIfNeeded: text.count)
        }
    }
}
