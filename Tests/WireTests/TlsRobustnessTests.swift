// TLS under hardship: handshakes that drip, stop or make no sense, records of one byte and in halves, ends
// with and without a goodbye, reloads under load, many idle connections.
import Glibc
import Synchronization
import TLS
import TestSupport
import Testing

/// Passes bytes between a client and a port one at a time, both ways.
private func drippingRelay(to port: UInt16) throws -> RawUpstream {
    try RawUpstream { client, _ in
        guard let server = try? RawConnection(port: port) else { return }
        let ends = (client.fd, server.fd)
        try? startThread {
            let back = RawConnection(borrowing: ends.1)
            let front = RawConnection(borrowing: ends.0)
            while let bytes = try? back.receive(atMost: 1), !bytes.isEmpty {
                if (try? front.send(bytes)) == nil { return }
            }
            front.halfClose()
        }
        while let bytes = try? client.receive(atMost: 1), !bytes.isEmpty {
            if (try? server.send(bytes)) == nil { return }
        }
        server.halfClose()
        sleepMs(200)
    }
}

@Suite(.serialized, .timeLimit(.minutes(15)))
struct TlsRobustnessTests {
    private static let server = """
        hosts: ["*"]
        tls: {mode: SIMPLE, serverCertificate: ../edge.crt, privateKey: ../edge.key}
        """

    private static func site(
        _ upstream: UInt16, spec: [String] = [], arguments: [String] = []
    ) throws -> TlsSite {
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:edge.test"])
        return try TlsSite(
            upstream: upstream, servers: [server], spec: spec, arguments: arguments,
            certificates: certificates)
    }

    private static let request = "GET /direct HTTP/1.1\r\nhost: edge.test\r\n\r\n"

    private static func client(_ site: TlsSite) throws -> TLSPeer {
        try TLSPeer.client(RawConnection(port: site.port), "edge.test")
    }

    @Test func aHandshakeThatDrips() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        let relay = try drippingRelay(to: site.port)
        let peer = try TLSPeer.client(RawConnection(port: relay.port), "edge.test")
        try peer.send(Self.request)
        #expect(try peer.receive(through: "direct").hasPrefix("HTTP/1.1 200"))
    }

    @Test func recordsOfOneByteAndInHalves() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        let peer = try Self.client(site)
        try peer.send(Array(Self.request.utf8), recordBytes: 1)
        _ = try peer.receive(through: "direct")
        let record = peer.encrypt(Self.request)
        for byte in record { try peer.connection.send([byte]) }
        _ = try peer.receive(through: "direct")
        // Two requests in one record, and one over two.
        try peer.send(Self.request + Self.request)
        _ = try peer.receive(through: "direct")
        _ = try peer.receive(through: "direct")
        let both =
            peer.encrypt(String(Self.request.prefix(30))) + peer.encrypt(String(Self.request.dropFirst(30)))
        try peer.connection.send(Array(both.prefix(40)))
        sleepMs(20)
        try peer.connection.send(Array(both.dropFirst(40)))
        _ = try peer.receive(through: "direct")
    }

    @Test func aBrokenRecordEndsTheConnection() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        let peer = try Self.client(site)
        var record = peer.encrypt(Self.request)
        record[record.count - 1] ^= 1
        try peer.connection.send(record)
        do {
            let end = try peer.receiveToEnd()
            #expect(end.bytes.isEmpty && !end.isWhole)
        } catch is ConnectionReset {}
        #expect(upstream.requests.isEmpty)
    }

    @Test func goodbyes() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        // Ours, when the connection ends after its response.
        let closing = try Self.client(site)
        try closing.send("GET /direct HTTP/1.1\r\nhost: edge.test\r\nconnection: close\r\n\r\n")
        let end = try closing.receiveToEnd()
        #expect(end.isWhole)
        #expect(String(decoding: end.bytes, as: UTF8.self).hasSuffix("direct"))
        // A client that says goodbye behind its request still gets the response.
        let leaving = try Self.client(site)
        try leaving.send("GET /x HTTP/1.1\r\nhost: edge.test\r\n\r\n")
        try leaving.sayGoodbye()
        #expect(String(decoding: try leaving.receiveToEnd().bytes, as: UTF8.self).hasPrefix("HTTP/1.1 200"))
        // So does one that only shuts its socket.
        let rude = try Self.client(site)
        try rude.send("GET /x HTTP/1.1\r\nhost: edge.test\r\n\r\n")
        rude.connection.halfClose()
        #expect(String(decoding: try rude.receiveToEnd().bytes, as: UTF8.self).hasPrefix("HTTP/1.1 200"))
    }

    @Test func slowHandshakesEndAtTheDeadline() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port, spec: ["timeouts: {requestHeader: 300ms}"])
        let silent = try RawConnection(port: site.port)
        let half = try RawConnection(port: site.port)
        try half.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
        for client in [silent, half] {
            do { #expect(try client.receiveToEnd().isEmpty) } catch is ConnectionReset {}
        }
        try site.expectMetric("fairlead_tls_failures_total{reason=\"timeout\"}", atLeast: 2)
        #expect(try site.curl("edge.test", "/direct") == "direct")
    }

    @Test func sessionsResumeAtAnyWorkerAndAfterReloads() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port, arguments: ["--workers", "2"])
        let first = try Self.client(site)
        try first.send(Self.request)
        _ = try first.receive(through: "direct")
        let session = try #require(first.session)
        defer { session.free() }
        site.process.signal(1)
        try site.waitForReloads(2)
        for _ in 0..<8 {
            var settings = TLSClientContext.Settings()
            settings.skipsVerification = true
            let peer = try TLSPeer.client(
                RawConnection(port: site.port), "edge.test", TLSClientContext(settings), session: session)
            #expect(peer.stream.isResumed)
            try peer.send(Self.request)
            _ = try peer.receive(through: "direct")
            let next = try #require(peer.session)
            defer { next.free() }
            #expect(next != session, "a ticket of TLS 1.3 is for one use: there is another")
        }
    }

    /// New certificates are for new handshakes; nobody who is connected notices.
    @Test func certificatesChangeUnderLoad() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        let kept = try Self.client(site)
        let failures = Mutex<[String]>([])
        let isOver = Gate()
        let running = Mutex(2)
        for number in 0..<2 {
            try startThread {
                defer { running.withLock { $0 -= 1 } }
                do {
                    while !isOver.isOpen {
                        let peer = try Self.client(site)
                        for _ in 0..<5 {
                            try peer.send("GET /\(number) HTTP/1.1\r\nhost: edge.test\r\n\r\n")
                            _ = try peer.receive(through: "GET /\(number) HTTP/1.1")
                        }
                    }
                } catch {
                    failures.withLock { $0.append("\(error)") }
                }
            }
        }
        func serial() throws -> String { try Self.serial(site) }
        var seen: Set<String> = [try serial()]
        for reload in 2...4 {
            try site.certificates.make("edge", ["DNS:edge.test"])
            try site.waitForReloads(reload)
            try waitUntil("another certificate") { seen.insert(try serial()).inserted }
        }
        isOver.open()
        try waitUntil("clients") { running.withLock { $0 == 0 } }
        #expect(failures.withLock { $0 } == [])
        try kept.send(Self.request)
        _ = try kept.receive(through: "direct")
        // A file that holds no certificate is refused, and the last good one goes on.
        try site.folder.replace("edge.crt", "nothing\n")
        try waitUntil("the finding") {
            site.process.stderr.contains(
                "conf/edge.yaml:20: error [FL0050] Gateway shop/public: certificate: no PEM certificate")
        }
        #expect(try !seen.insert(serial()).inserted)
        try kept.send(Self.request)
        _ = try kept.receive(through: "direct")
    }

    /// Of the certificate that a site shows.
    private static func serial(_ site: TlsSite) throws -> String {
        let path = try site.folder.write("seen.pem", try site.client("edge.test"))
        return try serial(path)
    }

    private static func serial(_ path: String) throws -> String {
        try TestCertificates.openssl(["x509", "-in", path, "-noout", "-serial"])
    }

    /// A certificate that is named for the first time, and changes when it has just been read. Beside it lies
    /// a pipe for a staple, which is opened behind it.
    @Test func certificatesChangeWhileTheyAreReadFirst() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        let next = try site.certificates.make("next", ["DNS:edge.test"])
        let later = site.folder.file("later.crt")
        try TestCertificates.openssl([
            "x509", "-req", "-in", site.folder.file("next.csr"), "-CA", site.certificates.authority, "-CAkey",
            site.folder.file("ca.key"), "-CAcreateserial", "-extfile", site.folder.file("next.ext"), "-out",
            later,
        ])
        let pipe = next.certificate + ".ocsp"
        #expect(mkfifo(pipe, 0o600) == 0)
        let isRead = Gate()
        try startThread {
            let end = open(pipe, O_WRONLY | O_CLOEXEC)
            try? site.folder.replace("next.crt", bytes: readFile(later) ?? [])
            close(end)
            isRead.open()
        }
        try site.folder.replace(
            "conf/edge.yaml",
            TlsSite.documents(upstream.port, 1, [Self.server.replacing("edge.", with: "next.")]))
        try waitUntil("the certificate to be read") { isRead.isOpen }
        let expected = try Self.serial(later)
        try waitUntil("the certificate that came later") { try Self.serial(site) == expected }
    }

    /// A server that asks other things of clients than before lets its connections go.
    @Test func stricterServersKeepNoConnections() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        let peer = try Self.client(site)
        try peer.send(Self.request)
        _ = try peer.receive(through: "direct")
        let mutual = """
            hosts: ["*"]
            tls:
              mode: MUTUAL
              serverCertificate: ../edge.crt
              privateKey: ../edge.key
              caCertificates: ../ca.crt
            """
        try site.folder.replace("conf/edge.yaml", TlsSite.documents(upstream.port, 1, [mutual]))
        #expect(try peer.receiveToEnd().isWhole)
        let (code, _) = try site.curlFailure("edge.test", "/direct")
        #expect(code != 0)
    }

    /// What an idle connection costs us, sockets aside: 20 KiB at most.
    @Test func idleConnectionsAreSmall() throws {
        let upstream = try EchoUpstream("app")
        let site = try Self.site(upstream.port)
        // Without the program's own pages, which come in as they are first used.
        func resident() throws -> Int {
            let status = String(decoding: readFile("/proc/\(site.process.pid)/status") ?? [], as: UTF8.self)
            for line in status.split(separator: "\n") where line.hasPrefix("RssAnon:") {
                return Int(line.split(separator: " ").dropLast().last ?? "") ?? 0
            }
            throw TestFailure("no RssAnon")
        }
        var idle: [TLSPeer] = []
        func open(_ count: Int) throws {
            for _ in 0..<count {
                let peer = try Self.client(site)
                try peer.send(Self.request)
                _ = try peer.receive(through: "direct")
                idle.append(peer)
            }
        }
        try open(50)
        let before = try resident()
        try open(400)
        let grown = try resident() - before
        #expect(grown <= 400 * 20, "\(grown) KiB for 400 idle TLS connections")
        try waitUntil("no buffers") { try site.metric("fairlead_memory_buffer_used_bytes") == 0 }
        // What they had goes back to the system when they are gone, also the last of a crowd that takes
        // seconds to go.
        for left in [190, 0] {
            idle.removeLast(idle.count - left)
            try waitUntil("connections to end") {
                try site.metric("fairlead_downstream_connections_active{listener=\"edge\"}") == left
            }
            sleepMs(2_200)
        }
        try waitUntil("memory to be given back") { try resident() - before < grown / 4 }
    }
}
