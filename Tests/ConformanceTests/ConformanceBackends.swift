// What stands behind the Services of the conformance suite: each port gets a server that says its Service's
// name and shows what reached it, in the protocol that the port declares.
import TLS
import TestSupport

@testable import Config

/// A server of one port of a Service.
enum Backend {
    case http(EchoUpstream)
    /// HTTP/2 with prior knowledge, bytes as they come, or TLS.
    case raw(RawUpstream)

    var port: UInt16 {
        switch self {
        case .http(let upstream): upstream.port
        case .raw(let upstream): upstream.port
        }
    }

    /// The server for a port as a Service's document declares it; nil: UDP. `app`: what its pods are.
    init?(service name: String, _ port: YAML, app: String) throws {
        let declared = port["name"]?.text ?? ""
        if port["protocol"]?.text == "UDP" { return nil }
        if declared == "btls" || (declared == "https" && app.hasPrefix("tls")) {
            self = .raw(try Self.tls(app))
        } else if port["appProtocol"]?.text == "kubernetes.io/h2c" || declared == "grpc" {
            self = .raw(try Self.http2(name))
        } else if declared == "echo-tcp-tls" {
            self = .raw(try Self.tls(app))
        } else if declared.contains("tcp") {
            self = .raw(try Self.bytes(name))
        } else {
            self = .http(try Self.http1(name))
        }
    }

    /// Answers after `?delay=`, if asked to.
    private static func http1(_ name: String) throws -> EchoUpstream {
        try EchoUpstream(name) { request in
            if request.target.contains("delay=1s") { sleepMs(1_000) }
            return nil
        }
    }

    /// Says its name, then what it is sent.
    private static func bytes(_ name: String) throws -> RawUpstream {
        try RawUpstream { connection, _ in
            guard (try? connection.send("\(name):")) != nil else { return }
            while let bytes = try? connection.receive(), !bytes.isEmpty {
                guard (try? connection.send(bytes)) != nil else { return }
            }
        }
    }

    /// What the pods of an app speak inside TLS: HTTP/1.1, gRPC, or bytes as they come.
    private static func tls(_ app: String) throws -> RawUpstream {
        let isGRPC = app.hasPrefix("grpc")
        let acceptor = try ConformanceCertificates.shared.get().backend(
            isGRPC ? .http2 : .none, asksClients: app.hasSuffix("client-cert-validation"))
        return try RawUpstream { connection, _ in
            guard let peer = try? TLSPeer.server(connection, acceptor) else { return }
            if isGRPC {
                serve(app, H2Peer(peer))
            } else if app.hasPrefix("tls") {
                try? answer(app, peer)
            } else {
                try? echo(app, peer)
            }
        }
    }

    private static func echo(_ app: String, _ peer: TLSPeer) throws {
        try peer.send("\(app):")
        while true { try peer.send(try peer.receiveSome()) }
    }

    private static func answer(_ app: String, _ peer: TLSPeer) throws {
        while true {
            let head = try peer.receive(through: "\r\n\r\n")
            try peer.send(
                EchoUpstream.response(
                    200, ["x-upstream: \(app)", "x-sni: \(peer.stream.serverName.string)"], Array(head.utf8)))
        }
    }

    private static func http2(_ name: String) throws -> RawUpstream {
        try RawUpstream { connection, _ in serve(name, H2Peer(connection)) }
    }

    private static func serve(_ name: String, _ peer: H2Peer) {
        guard (try? peer.welcome()) != nil else { return }
        var heads: [UInt32: [H2Field]] = [:]
        while let frame = try? peer.next() {
            if frame.type == H2Frame.Kind.settings, !frame.isAck { try? peer.send(.settingsAck) }
            if frame.type == H2Frame.Kind.headers, let fields = try? peer.fields(frame) {
                heads[frame.stream] = heads[frame.stream] ?? fields
            }
            guard frame.isEnd, let head = heads.removeValue(forKey: frame.stream) else { continue }
            guard (try? peer.send(answer(name, head, frame.stream))) != nil else { return }
        }
    }

    /// 200 with the head as it would read in HTTP/1.1, and a gRPC status where one was asked for.
    private static func answer(_ name: String, _ head: [H2Field], _ stream: UInt32) -> [H2Frame] {
        func value(_ name: String) -> String { head.first { $0.name == name }?.value ?? "" }
        let isGRPC = value("content-type").hasPrefix("application/grpc")
        var lines = ["\(value(":method")) \(value(":path")) HTTP/1.1", "host: \(value(":authority"))"]
        lines += head.filter { !$0.name.hasPrefix(":") }.map(\.description)
        let body = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        let type = isGRPC ? "application/grpc" : "text/plain"
        let fields = [(":status", "200"), ("x-upstream", name), ("content-type", type)]
        let whole = [H2Frame.headers(stream, HPACK.block(fields), end: false)]
        if !isGRPC { return whole + [.data(stream, body, end: true)] }
        let length = (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (24 - 8 * $0)) }
        return whole + [
            .data(stream, [0] + length + body, end: false),
            .headers(stream, HPACK.block([("grpc-status", "0")]), end: true),
        ]
    }
}
