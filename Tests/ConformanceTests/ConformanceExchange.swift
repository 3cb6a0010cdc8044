// One exchange of the conformance suite: the request it sends, and what it wants to see in the answer.
import TestSupport

@testable import Config

struct ConformanceExchange {
    let node: YAML
    let isMesh: Bool

    /// What is wrong; nil: nothing.
    func problem(_ site: ConformanceSite, port: UInt16) throws -> String? {
        let request = node["Request"]
        let method = request?["Method"]?.text ?? "GET"
        let path = request?["Path"]?.text ?? "/"
        let host = request?["Host"]?.text ?? (isMesh ? "echo" : "gateway.test")
        var lines = ["\(method) \(path) HTTP/1.1", "Host: \(host)", "Content-Length: 0"]
        for (name, value) in request?["Headers"]?.entries ?? [] {
            lines.append("\(name): \(value.text ?? "")")
        }
        let connection = try RawConnection(port: site.port(port))
        try connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
        let answer = try connection.response(toHead: method == "HEAD")
        let wrong =
            statusProblem(answer) ?? backendProblem(answer) ?? headerProblem(answer)
            ?? redirectProblem(answer, host: host, path: path)
        return wrong.map { "\(lines[0]) for \(host): \($0)\n\(answer)" }
    }

    private func statusProblem(_ answer: HTTPMessage) -> String? {
        let response = node["Response"]
        let wanted = ([response?["StatusCode"]?.text] + (response?["StatusCodes"]?.strings ?? [])).compactMap
        {
            $0.flatMap { Int($0) }
        }
        if wanted.isEmpty { return answer.status == 200 ? nil : "status \(answer.status), not 200" }
        return wanted.contains(answer.status) ? nil : "status \(answer.status), not one of \(wanted)"
    }

    private func backendProblem(_ answer: HTTPMessage) -> String? {
        guard answer.status == 200, let backend = node["Backend"]?.text else { return nil }
        let upstream = answer.value("x-upstream")
        if upstream != backend { return "from \(upstream ?? "the proxy"), not \(backend)" }
        guard let seen = try? HTTPMessage(rawHead: answer.body) else { return "no echo" }
        let expected = node["ExpectedRequest"]
        // The suite compares no path inside the mesh, and one of its lists names another exchange's.
        if !isMesh, let path = expected?["Request"]?["Path"]?.text, !path.isEmpty, seen.target != path {
            return "the backend saw \(seen.target), not \(path)"
        }
        if let host = expected?["Request"]?["Host"]?.text, !host.isEmpty, seen.value("host") != host {
            return "the backend saw the Host \(seen.value("host") ?? ""), not \(host)"
        }
        for (name, value) in expected?["Request"]?["Headers"]?.entries ?? [] {
            let found = seen.values(name).joined(separator: ",")
            if let wanted = value.text, found != wanted {
                return "the backend saw \(name): \(found), not \(wanted)"
            }
        }
        let absent = expected?["AbsentHeaders"]?.strings ?? []
        return absent.first { seen.value($0) != nil }.map { "the backend saw \($0)" }
    }

    private func headerProblem(_ answer: HTTPMessage) -> String? {
        let response = node["Response"]
        let isLoose = response?["IgnoreWhitespace"]?.text == "true"
        func plain(_ text: String) -> String { isLoose ? text.filter { $0 != " " } : text }
        for (name, value) in response?["Headers"]?.entries ?? [] where answer.value(name) != value.text {
            return "\(name) is \(answer.value(name) ?? "missing"), not \(value.text ?? "")"
        }
        for (name, values) in response?["ValidHeaderValues"]?.entries ?? [] {
            let found = plain(answer.values(name).joined(separator: ","))
            if !values.strings.map(plain).contains(found) { return "\(name) is \"\(found)\"" }
        }
        let absent = response?["AbsentHeaders"]?.strings ?? []
        return absent.first { answer.value($0) != nil }.map { "\($0) is there" }
    }

    /// The Location in parts; one that the exchange doesn't name is the request's own.
    private func redirectProblem(_ answer: HTTPMessage, host: String, path: String) -> String? {
        guard let wanted = node["RedirectRequest"] else { return nil }
        let location = answer.value("location") ?? "missing"
        let scheme = wanted["Scheme"]?.text ?? "http"
        let name = wanted["Host"]?.text ?? host
        let usual = scheme == "https" ? "443" : "80"
        let port = wanted["Port"]?.text ?? usual
        let authority = port == usual ? name : "\(name):\(port)"
        let whole = "\(scheme)://\(authority)\(wanted["Path"]?.text ?? path)"
        return location == whole ? nil : "Location \(location), not \(whole)"
    }
}
