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
            return .failure(Problem(text: "it holds a control character"))
        }
        return parse(value)
    }

    struct Problem: Error {
        var text: String
    }

    enum Part: Equatable {
        case literal(String)
        case requestHeader(name: String, other: String?, limit: Int?)
        case responseHeader(name: String, other: String?, limit: Int?)
        case query(String)
        case fact(ValuePiece.Kind)
    }

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
                return .failure(Problem(text: "a % without its partner; write %% for a percent sign"))
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = ""
            switch part(String(rest[..<end])) {
            case .success(let part): parts.append(part)
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

    private static func part(_ text: String) -> Result<Part, Problem> {
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
        switch name {
        case "REQ", "RESP":
            guard let argument, !argument.isEmpty else {
                return .failure(Problem(text: "%\(text)%: a header name is missing"))
            }
            let names = argument.split(separator: "?", maxSplits: 1).map { $0.lowercased() }
            let other = names.count > 1 ? names[1] : nil
            return .success(
                name == "REQ"
                    ? .requestHeader(name: names[0], other: other, limit: limit)
                    : .responseHeader(name: names[0], other: other, limit: limit))
        case "QUERY_PARAM":
            guard let argument, !argument.isEmpty else {
                return .failure(Problem(text: "%\(text)%: a parameter name is missing"))
            }
            return .success(.query(argument))
        default:
            guard let kind = facts[name] else {
                return .failure(Problem(text: "%\(text)% is not an operator known here"))
            }
            if argument != nil {
                return .failure(Problem(text: "%\(text)%: \(name) takes no argument here"))
            }
            return .success(.fact(kind))
        }
    }

    /// Operators without arguments. Those that are known to Envoy but have no value here come out empty.
    private static let facts: [String: ValuePiece.Kind] = [
        "START_TIME": .startTime, "PROTOCOL": .networkProtocol, "HOSTNAME": .hostname,
        "RESPONSE_CODE": .responseCode,
        "DOWNSTREAM_REMOTE_ADDRESS": .downstreamAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamIP,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": .downstreamAddress,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamIP,
        "DOWNSTREAM_LOCAL_ADDRESS": .downstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamLocalIP,
        "DOWNSTREAM_LOCAL_PORT": .downstreamLocalPort,
        "UPSTREAM_HOST": .upstreamHost, "UPSTREAM_REMOTE_ADDRESS": .upstreamHost,
        "UPSTREAM_CLUSTER": .upstreamCluster, "UPSTREAM_CLUSTER_RAW": .upstreamCluster,
        "ROUTE_NAME": .routeName,
        "REQUESTED_SERVER_NAME": .serverName, "DOWNSTREAM_TLS_VERSION": .tlsVersion,
        "DOWNSTREAM_TLS_CIPHER": .tlsCipher, "DOWNSTREAM_PEER_SUBJECT": .peerSubject,
        "DOWNSTREAM_PEER_ISSUER": .peerIssuer, "DOWNSTREAM_PEER_URI_SAN": .peerURIs,
        "DOWNSTREAM_PEER_DNS_SAN": .peerNames, "DOWNSTREAM_PEER_FINGERPRINT_256": .peerFingerprint,
        "DOWNSTREAM_PEER_SERIAL": .peerSerial,
        "RESPONSE_FLAGS": .nothing, "RESPONSE_CODE_DETAILS": .nothing,
        "UPSTREAM_LOCAL_ADDRESS": .nothing, "UPSTREAM_TRANSPORT_FAILURE_REASON": .nothing,
    ]
}
