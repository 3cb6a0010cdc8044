// The body of POST /explain: `{"method": "GET", "url": "http://host/path", "headers": {"name": "value" or
// [...]}}`.
internal import Base

enum ExplainBody {
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
        guard !query.method.isEmpty, query.method.utf8.allSatisfy(isToken) else {
            throw JSONProblem(message: "method must be a token")
        }
        guard !query.url.isEmpty else { throw JSONProblem(message: "url missing") }
        guard query.url.utf8.count <= Limits.targetBytes,
            query.url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else { throw JSONProblem(message: "url is too long or has blanks or control characters") }
        return query
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
            guard !member.name.isEmpty, member.name.utf8.allSatisfy(isToken) else {
                throw JSONProblem(message: "header name \"\(member.name)\" is not a token")
            }
            let values: [JSONValue] = if case .array(let list) = member.value { list } else { [member.value] }
            for value in values {
                guard case .string(let text) = value else {
                    throw JSONProblem(message: "header \(member.name) must be a string or a list of strings")
                }
                guard text.utf8.allSatisfy({ ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7F }) else {
                    throw JSONProblem(message: "header \(member.name) has control characters")
                }
                headers.append(ExplainQuery.Header(name: member.name, value: text))
            }
        }
        guard headers.count <= Limits.headFields else {
            throw JSONProblem(message: "more than \(Limits.headFields) header lines")
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
