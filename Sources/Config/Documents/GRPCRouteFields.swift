// The matches of a GRPCRoute (istio-semantics.md 21.7): service and method are the request's path.
internal import Lanes

extension APIRoute {
    static func readGRPCMatch(_ fields: Fields) -> Match {
        var match = Match(line: fields.line)
        match.model.headers = readNamed(fields, "headers")
        var service = ""
        var method = ""
        if let given = fields.object("method") {
            let type = given.word("type", of: ["Exact", "RegularExpression"]) ?? "Exact"
            service = given.string("service") ?? ""
            method = given.string("method") ?? ""
            given.finish()
            if service.isEmpty, method.isEmpty {
                given.context.invalid(given.line, "\(given.path): service or method must be given")
            }
            match.model.uri = path(given, type, service, method)
        }
        match.rank.numbers[0] = Int32(clamping: service.unicodeScalars.count)
        match.rank.numbers[1] = Int32(clamping: method.unicodeScalars.count)
        match.rank.numbers[2] = Int32(clamping: match.model.headers.count)
        fields.finish()
        return match
    }

    private static func path(
        _ given: Fields, _ type: String, _ service: String, _ method: String
    ) -> StringMatch? {
        if type == "Exact" {
            for (key, value) in [("service", service), ("method", method)] where !value.isEmpty {
                if !isProtobufName(value, dots: key == "service") {
                    given.context.invalid(
                        given.line(of: key), "\(given.path).\(key): \"\(value)\" is no gRPC name")
                    return nil
                }
            }
            if method.isEmpty { return service.isEmpty ? nil : .prefix("/\(service)/") }
            if service.isEmpty { return .regex("/[^/]+/\(method)") }
            return .exact("/\(service)/\(method)")
        }
        let anything = "[^/]+"
        let pattern =
            "/(?:\(service.isEmpty ? anything : service))/(?:\(method.isEmpty ? anything : method))"
        if let problem = regexProblem(pattern) {
            given.context.invalid(given.line, "\(given.path): \(problem)")
            return nil
        }
        return .regex(pattern)
    }

    private static func isProtobufName(_ text: String, dots: Bool) -> Bool {
        text.utf8.allSatisfy { byte in
            isDigit(byte) || byte == 0x5F || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
                || (dots && byte == 0x2E)
        }
    }
}
