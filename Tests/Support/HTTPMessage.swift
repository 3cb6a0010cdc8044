// HTTP/1.1 as a test reads it: strict about framing, and written without the product's parser, so that both
// cannot be wrong in the same way.

/// A head and its body as they came.
package struct HTTPMessage: Sendable, CustomStringConvertible {
    /// Request or status line without CRLF.
    package let startLine: String
    /// Field lines in order, names as sent, values trimmed.
    package let fields: [(name: String, value: String)]
    /// Start line, field lines and the blank line, byte for byte.
    package let rawHead: [UInt8]
    /// With the transfer coding taken off.
    package var body: [UInt8] = []
    /// Trailer lines of a chunked body.
    package var trailers: [String] = []

    /// Reads a head that ends in CRLF CRLF.
    package init(rawHead: [UInt8]) throws {
        self.rawHead = rawHead
        let lines = splitLines(rawHead)
        guard lines.count >= 3, let first = lines.first else {
            throw TestFailure("not a head: \(printable(rawHead))")
        }
        startLine = first
        var fields: [(name: String, value: String)] = []
        for line in lines.dropFirst().dropLast(2) {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else {
                throw TestFailure("not a field line: \(line)")
            }
            let value = line[line.index(after: colon)...]
            fields.append((String(line[..<colon]), trimBlanks(value)))
        }
        self.fields = fields
    }

    /// Values of all lines with this name, whatever its case, in order.
    package func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The value of the first line with this name.
    package func value(_ name: String) -> String? { values(name).first }

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// Of a response; 0 when the start line is no status line.
    package var status: Int {
        let parts = startLine.split(separator: " ", maxSplits: 2)
        return parts.count >= 2 && startLine.hasPrefix("HTTP/1.") ? Int(parts[1]) ?? 0 : 0
    }

    /// Of a request: the second word of the start line.
    package var target: String {
        let parts = startLine.split(separator: " ")
        return parts.count == 3 ? String(parts[1]) : ""
    }

    package var method: String { startLine.split(separator: " ").first.map(String.init) ?? "" }

    package var description: String { printable(rawHead) + printable(body) }
}

extension RawConnection {
    /// Sends a GET with the usual lines and the given ones (`"name: value"`) and reads the response.
    package func get(
        _ target: String, host: String = "fairlead.test", _ lines: [String] = []
    ) throws -> HTTPMessage {
        let head = ["GET \(target) HTTP/1.1", "Host: \(host)"] + lines
        try send(head.joined(separator: "\r\n") + "\r\n\r\n")
        return try response()
    }

    /// A head up to its blank line; nil when the peer closed instead.
    package func head(_ deadline: Deadline = .usual) throws -> HTTPMessage? {
        guard let raw = try receive(through: Array("\r\n\r\n".utf8), deadline) else { return nil }
        return try HTTPMessage(rawHead: raw)
    }

    /// The next final response, 1xx heads skipped, with its body. `toHead`: it answers a HEAD request.
    package func response(toHead: Bool = false, _ deadline: Deadline = .usual) throws -> HTTPMessage {
        while true {
            guard var message = try head(deadline) else { throw TestFailure("closed instead of a response") }
            guard message.status >= 100 else { throw TestFailure("not a response: \(message)") }
            if message.status == 101 { return message }
            if message.status < 200 { continue }
            if toHead || message.status == 204 || message.status == 304 { return message }
            if try !readFramedBody(&message, deadline) { message.body = try receiveToEnd(deadline) }
            return message
        }
    }

    /// The next request with its body; nil when the peer closed instead.
    package func request(_ deadline: Deadline = .usual) throws -> HTTPMessage? {
        guard var message = try head(deadline) else { return nil }
        _ = try readFramedBody(&message, deadline)
        return message
    }

    /// Reads a chunked or counted body; false when the head announces neither.
    private func readFramedBody(_ message: inout HTTPMessage, _ deadline: Deadline) throws -> Bool {
        let codings = message.values("transfer-encoding")
        let lengths = message.values("content-length")
        if !codings.isEmpty {
            guard codings.map({ $0.lowercased() }) == ["chunked"], lengths.isEmpty else {
                throw TestFailure("ambiguous framing: \(message)")
            }
            try readChunks(&message, deadline)
            return true
        }
        guard let length = lengths.first else { return false }
        guard lengths.count == 1, let count = Int(length), count >= 0 else {
            throw TestFailure("bad content-length: \(message)")
        }
        message.body = try receive(exactly: count, deadline)
        return true
    }

    private func readChunks(_ message: inout HTTPMessage, _ deadline: Deadline) throws {
        while true {
            let line = try line(deadline)
            guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size >= 0 else {
                throw TestFailure("bad chunk size: \(line)")
            }
            if size == 0 { break }
            message.body += try receive(exactly: size, deadline)
            guard try receive(exactly: 2, deadline) == [0x0D, 0x0A] else {
                throw TestFailure("chunk of \(size) does not end in CRLF")
            }
        }
        while case let trailer = try line(deadline), !trailer.isEmpty { message.trailers.append(trailer) }
    }

    /// A line without its CRLF.
    private func line(_ deadline: Deadline) throws -> String {
        guard let raw = try receive(through: [0x0D, 0x0A], deadline) else {
            throw TestFailure("closed instead of a line")
        }
        return String(decoding: raw.dropLast(2), as: UTF8.self)
    }
}

/// Cuts at CRLF; a bare CR or LF stays where it is.
private func splitLines(_ bytes: [UInt8]) -> [String] {
    var lines: [String] = []
    var from = 0
    while let end = endOfFirst([0x0D, 0x0A], in: bytes, from: from) {
        lines.append(String(decoding: bytes[from..<end - 2], as: UTF8.self))
        from = end
    }
    lines.append(String(decoding: bytes[from...], as: UTF8.self))
    return lines
}

func trimBlanks(_ text: Substring) -> String {
    var text = text
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return String(text)
}
