// The body of POST /explain: `{"method": "GET", "url": "http://host/path", "headers": {"name": "value" or
// [...]}}`.
internal import Base

package enum ExplainBody {
    /// The question, or what is wrong with it.
    static func read(_ body: [UInt8]) -> Result<ExplainQuery, JSONProblem> {
        do throws(JSONProblem) {
            return .success(try query(body))
        } catch {
            return .failure(error)
        }
    }

    private static func query(_ body: [UInt8]) throws(JSONProblem) -> ExplainQuery {
        if body.isEmpty {
            throw JSONProblem(message: #"body missing: {"method": "GET", "url": "...", "headers": {}}"#)
        }
        guard case .object(let members) = try JSONReader.read(body) else {
            throw JSONProblem(message: "the body must be an object")
        }
        var query = ExplainQuery(method: "GET", url: "", headers: [])
        for member in members {
            switch member.name {
            case "method": query.method = try string(member)
            case "url": query.url = try string(member)
            case "headers": query.headers = try headers(member.value)
            default:
                throw JSONProblem(
                    message: "unknown member \"\(member.name)\"; known: method, url, headers")
            }
        }
        if let problem = problem(query) { throw JSONProblem(message: problem) }
        return query
    }

    /// What no request can be made of; nil: nothing is wrong.
    package static func problem(_ query: ExplainQuery) -> String? {
        if query.method.isEmpty || !query.method.utf8.allSatisfy(isToken) { return "method must be a token" }
        if query.url.isEmpty { return "url missing" }
        guard query.url.utf8.count <= Limits.targetBytes,
            query.url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else { return "url is too long or has blanks or control characters" }
        for header in query.headers {
            guard !header.name.isEmpty, header.name.utf8.allSatisfy(isToken) else {
                return "header name \"\(header.name)\" is not a token"
            }
            guard header.value.utf8.allSatisfy({ ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7F }) else {
                return "header \(header.name) has control characters"
            }
        }
        if query.headers.count > Limits.headFields { return "more than \(Limits.headFields) header lines" }
        return nil
    }

    private static func string(_ member: JSONValue.Member) throws(JSONProblem) -> String {
        guard case .string(let text) = member.value else {
            throw JSONProblem(message: "\(member.name) must be a string, not \(member.value.kind)")
        }
        return text
    }

    private static func headers(_ value: JSONValue) throws(JSONProblem) -> [ExplainQuery.Header] {
        if case .null = value { return [] }
        guard case .object(let members) = value else {
            throw JSONProblem(message: "headers must be an object, not \(value.kind)")
        }
        var headers: [ExplainQuery.Header] = []
        for member in members {
            let values: [JSONValue] = if case .array(let list) = member.value { list } else { [member.value] }
            for value in values {
                guard case .string(let text) = value else {
                    throw JSONProblem(message: "header \(member.name) must be a string or a list of strings")
                }
                headers.append(ExplainQuery.Header(name: member.name, value: text))
            }
        }
        return headers
    }

    /// RFC 9110 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
