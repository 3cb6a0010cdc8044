// Cuts header values with `%OPERATORS%` into pieces when a table is built, and tells Config what is wrong
// with one (istio-semantics.md 6).
internal import HTTP

public enum HeaderValue {
    /// What is wrong with a configured value, in words; nil: nothing.
    public static func problem(_ value: String) -> String? {
        switch read(value) {
        case .success: nil
        case .failure(let problem): problem.text
        }
    }

    /// The pieces of a value that may be written.
    static func read(_ value: String) -> Result<[Part], Problem> {
        if value.utf8.contains(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7F }) {
            return .failure(Problem(text: "control characters cannot stand in a header"))
        }
        return parse(value)
    }

    /// Whether a value is written as it is, as nearly all are.
    static func isLiteral(_ value: String) -> Bool {
        value.withView { value in
            for index in 0..<value.count
            where value[index] < 0x20 || value[index] == 0x7F || value[index] == 0x25 {
                return false
            }
            return true
        }
    }

    struct Problem: Error {
        var text: String
    }

    enum Part: Equatable {
        case literal(String)
        case requestHeader(name: String, other: String?, limit: Int?)
        case responseHeader(name: String, other: String?, limit: Int?)
        case query(String)
        /// A header's value up to its query.
        case bareHeader(name: String, other: String?, limit: Int?)
        /// One conversion of a time's format, without its `%`.
        case time(String)
        case fact(ValuePiece.Kind)
    }

    /// The operators of a value that Envoy knows and that are always empty here, as they are written.
    public static func empty(_ value: String) -> [String] {
        guard value.utf8.contains(0x25), case .success(let parts) = parse(value) else { return [] }
        return parts.contains(.fact(.nothing)) ? operators(value).filter { unknown.contains(word($0)) } : []
    }

    /// What stands between the percent signs of a value that can be read.
    private static func operators(_ value: String) -> [String] {
        var found: [String] = []
        var rest = value[...]
        while let mark = rest.firstIndex(of: "%") {
            rest = rest[rest.index(after: mark)...]
            guard rest.first != "%", let end = operatorEnd(rest) else {
                rest = rest.dropFirst()
                continue
            }
            found.append(String(rest[..<end]))
            rest = rest[rest.index(after: end)...]
        }
        return found
    }

    private static func word(_ text: String) -> String { String(text.prefix { $0 != "(" }) }

    /// Splits a value. `%%` is a percent sign.
    static func parse(_ value: String) -> Result<[Part], Problem> {
        // Nearly all values, and looking for characters in a text is slow.
        guard value.utf8.contains(0x25) else { return .success(value.isEmpty ? [] : [.literal(value)]) }
        var parts: [Part] = []
        var literal = ""
        var rest = value[...]
        while let mark = rest.firstIndex(of: "%") {
            literal += rest[..<mark]
            rest = rest[rest.index(after: mark)...]
            if rest.first == "%" {
                literal += "%"
                rest = rest.dropFirst()
                continue
            }
            guard let end = operatorEnd(rest) else {
                return .failure(Problem(text: "unbalanced %; a percent sign alone is written %%"))
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = ""
            switch read(operator: String(rest[..<end])) {
            case .success(let read): parts += read
            case .failure(let problem): return .failure(problem)
            }
            rest = rest[rest.index(after: end)...]
        }
        literal += rest
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return .success(parts)
    }

    /// The closing `%`: arguments in parentheses may hold others.
    private static func operatorEnd(_ text: Substring) -> Substring.Index? {
        var depth = 0
        for index in text.indices {
            switch text[index] {
            case "(": depth += 1
            case ")": depth -= 1
            case "%" where depth <= 0: return index
            default: break
            }
        }
        return nil
    }

    private static func read(operator text: String) -> Result<[Part], Problem> {
        var name = text
        var argument: String?
        var limit: Int?
        if let open = text.firstIndex(of: "(") {
            guard let close = text.lastIndex(of: ")"), close > open else {
                return .failure(Problem(text: "%\(text)%: a parenthesis is missing"))
            }
            name = String(text[..<open])
            argument = String(text[text.index(after: open)..<close])
            let tail = text[text.index(after: close)...]
            if !tail.isEmpty {
                guard tail.first == ":", let number = Int(tail.dropFirst()), number >= 0 else {
                    return .failure(Problem(text: "%\(text)%: \(tail) is no length"))
                }
                limit = number
            }
        }
        return read(name, argument, limit, text)
    }

    private static func read(
        _ name: String, _ argument: String?, _ limit: Int?, _ text: String
    ) -> Result<[Part], Problem> {
        switch name {
        case "REQ", "RESP", "REQ_WITHOUT_QUERY":
            guard let argument, !argument.isEmpty else {
                return .failure(Problem(text: "%\(text)%: a header name is missing"))
            }
            let names = argument.split(separator: "?", maxSplits: 1).map { $0.lowercased() }
            guard let first = names.first else {
                return .failure(Problem(text: "%\(text)%: a header name is missing"))
            }
            let other = names.count > 1 ? names[1] : nil
            switch name {
            case "REQ": return .success([.requestHeader(name: first, other: other, limit: limit)])
            case "RESP": return .success([.responseHeader(name: first, other: other, limit: limit)])
            default: return .success([.bareHeader(name: first, other: other, limit: limit)])
            }
        case "QUERY_PARAM":
            guard let argument, !argument.isEmpty else {
                return .failure(Problem(text: "%\(text)%: a parameter name is missing"))
            }
            return .success([.query(argument)])
        case "START_TIME":
            guard let argument, !argument.isEmpty else { return .success([.fact(.startTime)]) }
            return TimeFormat.read(argument)
        default:
            if unknown.contains(name) { return .success([.fact(.nothing)]) }
            guard let kind = facts[name] else {
                return .failure(Problem(text: "%\(text)% is not an operator known here"))
            }
            if argument != nil {
                return .failure(Problem(text: "%\(text)%: \(name) takes no argument here"))
            }
            return .success([.fact(kind)])
        }
    }

    /// Operators without arguments.
    private static let facts: [String: ValuePiece.Kind] = [
        "START_TIME": .startTime, "PROTOCOL": .networkProtocol, "HOSTNAME": .hostname,
        "RESPONSE_CODE": .responseCode, "DURATION": .duration,
        "RESPONSE_FLAGS": .responseFlags, "RESPONSE_CODE_DETAILS": .responseDetails,
        "UPSTREAM_TRANSPORT_FAILURE_REASON": .transportFailure,
        "DOWNSTREAM_REMOTE_ADDRESS": .downstreamAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamIP,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": .downstreamAddress,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamIP,
        "DOWNSTREAM_REMOTE_PORT": .downstreamPort, "DOWNSTREAM_DIRECT_REMOTE_PORT": .downstreamPort,
        "DOWNSTREAM_LOCAL_ADDRESS": .downstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamLocalIP,
        "DOWNSTREAM_LOCAL_PORT": .downstreamLocalPort,
        "UPSTREAM_HOST": .upstreamHost, "UPSTREAM_REMOTE_ADDRESS": .upstreamHost,
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .upstreamIP, "UPSTREAM_REMOTE_PORT": .upstreamPort,
        "UPSTREAM_CLUSTER": .upstreamCluster, "UPSTREAM_CLUSTER_RAW": .upstreamCluster,
        "ROUTE_NAME": .routeName,
        "REQUESTED_SERVER_NAME": .serverName, "DOWNSTREAM_TLS_VERSION": .tlsVersion,
        "DOWNSTREAM_TLS_CIPHER": .tlsCipher, "DOWNSTREAM_PEER_SUBJECT": .peerSubject,
        "DOWNSTREAM_PEER_ISSUER": .peerIssuer, "DOWNSTREAM_PEER_URI_SAN": .peerURIs,
        "DOWNSTREAM_PEER_DNS_SAN": .peerNames, "DOWNSTREAM_PEER_FINGERPRINT_256": .peerFingerprint,
        "DOWNSTREAM_PEER_SERIAL": .peerSerial,
    ]

    /// Envoy knows them, with or without arguments; here they come out empty.
    private static let unknown: Set<String> = [
        "BYTES_RECEIVED", "BYTES_SENT", "CLUSTER_METADATA", "CONNECTION_ID",
        "CONNECTION_TERMINATION_DETAILS", "DOWNSTREAM_HANDSHAKE_DURATION", "DOWNSTREAM_LOCAL_SUBJECT",
        "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_END",
        "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_TLS_SESSION_ID",
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DYNAMIC_METADATA", "ENVIRONMENT", "FILTER_CHAIN_NAME",
        "FILTER_STATE", "GRPC_STATUS", "GRPC_STATUS_NUMBER", "METADATA", "PER_REQUEST_STATE",
        "REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION",
        "STREAM_ID", "TRACE_ID", "TRAILER", "UNIQUE_ID", "UPSTREAM_CONNECTION_ID", "UPSTREAM_HOST_NAME",
        "UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_METADATA", "UPSTREAM_PROTOCOL", "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_TLS_CIPHER", "UPSTREAM_TLS_VERSION", "VIRTUAL_CLUSTER_NAME",
    ]
}
