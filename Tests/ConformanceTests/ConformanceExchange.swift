// One exchange of the conformance suite: the request it sends, and what it wants to see in the answer.
import TLS
import TestSupport

@testable import Config

struct ConformanceExchange {
    let node: YAML
    let isMesh: Bool
    /// The port of the documents that the client connects to.
    var port: UInt16
    /// Of a client that speaks TLS.
    var serverName: String?
    /// What such a client shows; nil: nothing.
    var context: TLSClientContext?
    /// An error is wanted, of HTTP, gRPC or the connection.
    var mustFail = false

    /// What is wrong; nil: nothing.
    func problem(_ site: ConformanceSite) throws -> String? {
        guard mustFail else { return try ask(site) }
        var found: String?
        do { found = try ask(site) } catch { return nil }
        return found == nil ? "answered, where an error is wanted" : nil
    }

    private func ask(_ site: ConformanceSite) throws -> String? {
        if let method = ["EchoRequest", "EchoTwoRequest", "EchoThreeRequest"].first(where: { node[$0] != nil }
        ) {
            return try grpcProblem(site, "Echo" + method.dropFirst(4).prefix { $0 != "R" })
        }
        let request = node["Request"]
        let method = request?["Method"]?.text ?? "GET"
        let path = request?["Path"]?.text ?? "/"
        let host = request?["Host"]?.text ?? (isMesh ? "echo" : "gateway.test")
        let answer: HTTPMessage
        switch request?["Protocol"]?.text {
        case "H2C_PRIOR_KNOWLEDGE"?:
            answer = try h2Answer(site, H2Peer.request(method, path, authority: host)).message
        case "grpc"?: return try grpcProblem(site, "Echo", host: host)
        default: answer = try h1Answer(site, method, path, host)
        }
        let wrong =
            statusProblem(answer) ?? backendProblem(answer) ?? headerProblem(answer)
            ?? redirectProblem(answer, host: host, path: path) ?? nameProblem(answer)
        return wrong.map { "\(method) \(path) for \(host): \($0)\n\(answer)" }
    }

    // MARK: asking

    private func h1Answer(
        _ site: ConformanceSite, _ method: String, _ path: String, _ host: String
    ) throws -> HTTPMessage {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: \(host)", "Content-Length: 0"]
        for (name, value) in node["Request"]?["Headers"]?.entries ?? [] {
            lines.append("\(name): \(value.text ?? "")")
        }
        let connection = try RawConnection(port: site.port(port))
        guard let serverName else {
            try connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
            return try connection.response(toHead: method == "HEAD")
        }
        let peer = try TLSPeer.client(connection, serverName, context)
        try peer.send((lines + ["Connection: close"]).joined(separator: "\r\n") + "\r\n\r\n")
        var answer = try HTTPMessage(rawHead: Array(peer.receive(through: "\r\n\r\n").utf8))
        answer.body = try peer.receiveToEnd().bytes
        return answer
    }

    /// The answer as it would read in HTTP/1.1, with its gRPC status where it has one.
    private func h2Answer(
        _ site: ConformanceSite, _ fields: [(String, String)], body: [UInt8] = []
    ) throws -> (message: HTTPMessage, grpcStatus: Int?) {
        let peer = try H2Peer.client(port: site.port(port))
        try peer.ask(1, fields, end: body.isEmpty)
        if !body.isEmpty { try peer.send(.data(1, body, end: true)) }
        let response = try peer.response(1)
        let lines = ["HTTP/1.1 \(response.status) h2"] + response.fields.map(\.description)
        var message = try HTTPMessage(rawHead: Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
        message.body = response.body
        let status = (response.trailers + response.fields).first { $0.name == "grpc-status" }
        return (message, status.flatMap { Int($0.value) })
    }

    /// A call of the suite's echo service. Its runner compares code, method and backend, no headers.
    private func grpcProblem(_ site: ConformanceSite, _ method: String, host: String? = nil) throws -> String?
    {
        let path = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/\(method)"
        let metadata = node["RequestMetadata"]
        let authority = host ?? metadata?["Authority"]?.text ?? "gateway.test"
        var fields = H2Peer.request("POST", path, authority: authority)
        fields += [("content-type", "application/grpc"), ("te", "trailers")]
        fields += (metadata?["Metadata"]?.entries ?? []).map { ($0.key.lowercased(), $0.value.text ?? "") }
        let (answer, status) = try h2Answer(site, fields, body: [0, 0, 0, 0, 0])
        let wanted = node["Response"]?["Code"]?.text == "codes.Unimplemented" ? 12 : 0
        if status != wanted { return "\(method): grpc-status \(status ?? -1), not \(wanted): \(answer)" }
        guard wanted == 0 else { return nil }
        let upstream = answer.value("x-upstream") ?? ""
        if let backend = node["Backend"]?.text, upstream != backend { return "\(method): from \(upstream)" }
        guard let seen = try? HTTPMessage(rawHead: Array(answer.body.dropFirst(5))) else { return "no echo" }
        return seen.target == path ? nil : "\(method): the backend saw \(seen.target)"
    }

    // MARK: judging

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

    /// The name that a backend with TLS was asked for.
    private func nameProblem(_ answer: HTTPMessage) -> String? {
        guard let wanted = node["ExpectedRequest"]?["Request"]?["SNI"]?.text else { return nil }
        let seen = answer.value("x-sni") ?? "none"
        return seen == wanted ? nil : "the backend was asked for \(seen), not \(wanted)"
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
