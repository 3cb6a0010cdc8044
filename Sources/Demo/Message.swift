// HTTP/1.1 as the demo's programs need it: whole messages, with a length or until the end of the stream.
internal import Base

struct Message {
    /// Of a head and of a body: what these programs say to each other is far smaller.
    private static let headLimit = 65_536
    private static let bodyLimit = 4 << 20

    let startLine: String
    /// Names in lower case.
    let fields: [(name: String, value: String)]
    private(set) var body: [UInt8] = []

    private init?(head: [UInt8]) {
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first else { return nil }
        startLine = String(first)
        fields = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            return (line[..<colon].lowercased(), String(value))
        }
    }

    func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
    func value(_ name: String) -> String? { values(name).first }
    var text: String { String(decoding: body, as: UTF8.self) }

    private var words: [Substring] { startLine.split(separator: " ") }
    /// Of a response; 0 if the status line has none.
    var status: Int { words.count > 1 ? Int(words[1]) ?? 0 : 0 }
    /// Of a request, without the query.
    var path: String { words.count > 1 ? String(words[1].prefix { $0 != "?" }) : "" }

    /// The next request on a connection, its body read and dropped; nil when there is none.
    static func request(on socket: BlockingSocket) -> Message? {
        guard let head = socket.readHead(limit: headLimit), let message = Message(head: head) else {
            return nil
        }
        // The demo's services are asked by GET; a chunked body is none of theirs and ends the connection.
        if message.value("transfer-encoding") != nil { return nil }
        let length = message.value("content-length").flatMap { Int($0) } ?? 0
        guard (0...bodyLimit).contains(length), socket.read(length) != nil else { return nil }
        return message
    }

    /// Asks with GET on a connection of its own; nil if there is no complete answer.
    static func get(
        _ target: String, from address: SocketAddress, host: String, _ lines: [String] = []
    ) -> Message? {
        guard let socket = BlockingSocket.connect(to: address) else { return nil }
        let head = ["GET \(target) HTTP/1.1", "host: \(host)", "connection: close"] + lines
        guard socket.send(Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8)),
            let answer = socket.readHead(limit: headLimit), var message = Message(head: answer)
        else { return nil }
        if message.value("transfer-encoding")?.lowercased() == "chunked" {
            guard let body = readChunks(socket) else { return nil }
            message.body = body
        } else if let length = message.value("content-length").flatMap({ Int($0) }) {
            guard (0...bodyLimit).contains(length), let body = socket.read(length) else { return nil }
            message.body = body
        } else {
            guard let body = socket.readToEnd(limit: bodyLimit) else { return nil }
            message.body = body
        }
        return message
    }

    private static func readChunks(_ socket: BlockingSocket) -> [UInt8]? {
        var body: [UInt8] = []
        while body.count <= bodyLimit {
            var line: [UInt8] = []
            while !line.hasSuffix([0x0D, 0x0A]) {
                guard line.count < 256, let byte = socket.read(1) else { return nil }
                line += byte
            }
            let digits = String(decoding: line.dropLast(2), as: UTF8.self).prefix { $0 != ";" }
            guard let size = Int(digits, radix: 16), (0...bodyLimit).contains(size) else { return nil }
            // The demo's peers send no trailers, so the last chunk is followed by the blank line alone.
            guard let chunk = socket.read(size + 2) else { return nil }
            if size == 0 { return body }
            body += chunk.dropLast(2)
        }
        return nil
    }

    /// The bytes of a response.
    static func response(_ status: Int, _ contentType: String, _ body: String) -> [UInt8] {
        let reason = status == 200 ? "OK" : status == 404 ? "Not Found" : "Bad Gateway"
        return Array(
            """
            HTTP/1.1 \(status) \(reason)\r
            content-type: \(contentType)\r
            content-length: \(body.utf8.count)\r
            \r
            \(body)
            """.utf8)
    }
}

extension [UInt8] {
    func hasSuffix(_ suffix: [UInt8]) -> Bool {
        count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix)
    }
}
