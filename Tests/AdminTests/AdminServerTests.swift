// The admin server over loopback sockets.
import Base
import CLinux
import Glibc
import HTTP
import Loop
import Testing

@testable import Admin

private func start(
    _ spy: AdminSpy = AdminSpy(), patience: AdminPatience = AdminPatience()
) throws -> AdminServer {
    try AdminServer(
        address: SocketAddress(ipv4: 0x7F00_0001, port: 0), actions: spy.actions(), patience: patience)
}

/// A blocking client.
private final class Client {
    let descriptor: Int32

    init(_ server: AdminServer) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = server.address.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
        }
        #expect(result == 0)
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        var bytes = Array(text.utf8)
        bytes.withUnsafeMutableBufferPointer { _ = fl_send(descriptor, $0.baseAddress!, $0.count) }
    }

    /// Up to the server's end.
    func readAll() -> String {
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count <= 0 { return String(decoding: out, as: UTF8.self) }
            out += chunk[..<count]
        }
    }

    /// One answer with a content-length.
    func readOne() -> String {
        var out: [UInt8] = []
        var byte: UInt8 = 0
        while !out.suffix(4).elementsEqual([13, 10, 13, 10]), recv(descriptor, &byte, 1, 0) == 1 {
            out.append(byte)
        }
        let head = String(decoding: out, as: UTF8.self)
        let length =
            head.split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }
            .flatMap { Int($0.dropFirst(16)) } ?? 0
        for _ in 0..<length where recv(descriptor, &byte, 1, 0) == 1 { out.append(byte) }
        return String(decoding: out, as: UTF8.self)
    }
}

@Test func keepAliveThenClose() throws {
    let server = try start()
    let client = Client(server)
    client.send("GET /ready HTTP/1.1\r\nhost: h\r\n\r\n")
    #expect(client.readOne().hasSuffix("ready\n"))
    client.send("GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n")
    #expect(client.readOne().hasSuffix("ok\n"))
    client.send("GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    #expect(client.readAll().hasSuffix("ok\n"))
}

@Test func aLargePageReachesASlowReaderWhole() throws {
    let spy = AdminSpy()
    let page = String(repeating: "fairlead_something_total{a=\"b\"} 1\n", count: 100_000)
    spy.metrics.withLock { $0 = Array(page.utf8) }
    let server = try start(spy)
    let client = Client(server)
    client.send(
        "GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n"
            + "GET /ready HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    usleep(50_000)
    let answer = client.readAll()
    #expect(answer.contains(page))
    #expect(answer.hasSuffix("ready\n"))
}

@Test func refusalsArriveEvenWhenMoreWasSentThanIsRead() throws {
    let server = try start()
    let client = Client(server)
    client.send(
        "POST /reload HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999\r\n\r\n"
            + String(repeating: "x", count: 200_000))
    #expect(client.readAll().hasPrefix("HTTP/1.1 413 "))
}

@Test func aFullHouseStillAnswersBecauseIdleOnesMakeRoom() throws {
    let server = try start()
    var crowd: [Client] = []
    for _ in 0..<(Limits.adminConnections + 20) {
        let client = Client(server)
        client.send("GET /ready HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(client.readOne().hasSuffix("ready\n"))
        crowd.append(client)
    }
    // The first were closed to let the last in.
    #expect(crowd[0].readAll().isEmpty)
}

@Test func busyConnectionsAreNotEvicted() throws {
    let server = try start()
    var crowd: [Client] = []
    for _ in 0..<Limits.adminConnections {
        let client = Client(server)
        client.send("GET /ready HTTP/1.1\r\n")
        crowd.append(client)
    }
    let late = Client(server)
    late.send("GET /ready HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    #expect(late.readAll().isEmpty)
    let survivors = crowd.filter { client in
        client.send("host: h\r\nconnection: close\r\n\r\n")
        return client.readAll().hasSuffix("ready\n")
    }
    #expect(survivors.count == Limits.adminConnections)
}

@Test func slowAndSilentClientsAreCut() throws {
    let server = try start(patience: AdminPatience(requestMs: 50, idleMs: 50, lingerMs: 50))
    let slow = Client(server)
    slow.send("GET /ready HTTP/1.1\r\n")
    #expect(slow.readAll().hasPrefix("HTTP/1.1 408 "))
    #expect(Client(server).readAll().isEmpty)
    let slowBody = Client(server)
    slowBody.send("POST /reload HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc")
    #expect(slowBody.readAll().hasPrefix("HTTP/1.1 408 "))
    // One that sends a byte now and then is cut all the same: bytes do not buy time.
    let dribbler = Client(server)
    var sent = 0
    while fl_send(dribbler.descriptor, Array("GET ".utf8), 1) == 1, sent < 100_000 {
        sent += 1
        usleep(5_000)
    }
    #expect(sent < 100_000)
}

@Test func anAddressInUseIsAnError() throws {
    let server = try start()
    #expect(throws: AdminServer.StartError.self) {
        try AdminServer(address: server.address, actions: AdminSpy().actions())
    }
    server.stop()
    server.stop()
    let next = try AdminServer(address: server.address, actions: AdminSpy().actions())
    #expect(next.address == server.address)
}
