// A stand-in for the proxies: just enough of an edge and of sidecars for the tour to go as told, and faults
// to switch on, so that each check of the tour can be seen to fail.
import Base
import Glibc
import Synchronization
import TestSupport

@testable import Demo

/// What the stand-ins do wrong.
enum Fault: Sendable {
    case none, noPin, laneForEverybody, cookieIgnored, previewIgnored, noInjection, headerNotRestored
    case lossNotCounted, pinKept, edgeDown, pinTwice
}

final class PretendMesh: Sendable {
    let site: Site
    private let fault: Fault
    private let losses = Atomic<Int>(3)
    private let listeners = Mutex<[Int32]>([])
    private static let lane = "auth-refactor"

    /// Starts the applications and takes the place of all proxies.
    init(site: Site, fault: Fault) throws {
        self.site = site
        self.fault = fault
        do {
            try start()
        } catch {
            stop()
            throw error
        }
    }

    /// Gives the addresses back.
    func stop() {
        listeners.withLock { all in
            for listener in all { shutdown(listener, Int32(SHUT_RDWR)) }
            all = []
        }
    }

    private func start() throws {
        for pod in Pod.all {
            let application = try Application(pod: pod, site: site).start()
            listeners.withLock { $0.append(application) }
            try serve(site.outbound(pod)) { [self] in outbound($0, from: pod) }
            try serve(site.admin(pod)) { [self] _ in metrics() }
        }
        if fault != .edgeDown { try serve(edge) { [self] in enter($0) } }
    }

    private var edge: SocketAddress { SocketAddress(ipv4: 0x7F00_0001, port: site.edgePort) }

    private func serve(_ address: SocketAddress, _ answer: @escaping @Sendable (Message) -> [UInt8]) throws {
        guard let listener = BlockingSocket.listen(on: address) else { throw DemoError("\(address.text)") }
        listeners.withLock { $0.append(listener) }
        try startThread {
            while let peer = BlockingSocket.accept(on: listener) {
                try? startThread {
                    let connection = BlockingSocket(peer)
                    if let request = Message.request(on: connection) { _ = connection.send(answer(request)) }
                }
            }
            _ = BlockingSocket(listener)
        }
    }

    private func enter(_ request: Message) -> [UInt8] {
        let query = request.startLine.split(separator: " ")[1].split(separator: "?", maxSplits: 1)
        let link = query.count == 2 ? query[1].drop { $0 != "=" }.dropFirst() : nil
        let cookie = request.value("cookie") == "x-feat-name=\(Self.lane)" && fault != .cookieIgnored
        let preview = request.value("host")?.hasPrefix("\(Self.lane).preview.") == true
        let isIn = link == Self.lane[...] || (cookie && link == nil) || (preview && fault != .previewIgnored)
        var extra = ""
        if link == Self.lane[...], fault != .noPin {
            let pin =
                "set-cookie: x-feat-name=\(Self.lane); Path=/; Max-Age=28800; HttpOnly; SameSite=Lax\r\n"
            extra = fault == .pinTwice ? pin + pin : pin
        }
        if link == "", fault != .pinKept { extra = "set-cookie: x-feat-name=; Path=/; Max-Age=0\r\n" }
        let answer = pass(request, to: "frontend", isIn || fault == .laneForEverybody)
        let text = String(decoding: answer, as: UTF8.self)
        let afterStatus = text.drop { $0 != "\r\n" }.dropFirst()
        return Array((text.prefix { $0 != "\r\n" } + "\r\n" + extra + afterStatus).utf8)
    }

    private func outbound(_ request: Message, from pod: Pod) -> [UInt8] {
        let service = String((request.value("host") ?? "").prefix { $0 != "-" })
        let byHeader = request.value("x-feat-name") == Self.lane
        let byBaggage = request.value("baggage") == "x-feat-name=\(Self.lane)" && fault != .headerNotRestored
        let injected = pod.version == Self.lane && fault != .noInjection
        if pod.service == "info", !byHeader, !byBaggage, fault != .lossNotCounted {
            losses.add(1, ordering: .relaxed)
        }
        return pass(request, to: service, byHeader || byBaggage || injected)
    }

    private func pass(_ request: Message, to service: String, _ isInLane: Bool) -> [UInt8] {
        let pods = Pod.all.filter { $0.service == service }
        let member = isInLane ? pods.first { $0.version == Self.lane } : nil
        guard let pod = member ?? pods.first(where: { $0.version == "stable" }) else {
            return Message.response(502, "text/plain", "nobody")
        }
        let carriers = ["x-feat-name: \(Self.lane)", "baggage: x-feat-name=\(Self.lane)"]
        let answer = Message.get(
            request.path, from: site.application(pod), host: service,
            ["accept: application/json"] + (isInLane ? carriers : []))
        return Message.response(answer?.status ?? 502, "application/json", answer?.text ?? "")
    }

    private func metrics() -> [UInt8] {
        let count = losses.load(ordering: .relaxed)
        return Message.response(
            200, "text/plain",
            """
            # TYPE fairlead_lane_lost_total counter
            fairlead_lane_lost_total{reason="suspect",lane="",service="a"} 1
            fairlead_lane_lost_total{reason="suspect",lane="",service="b"} \(count)
            fairlead_lane_lost_total{reason="conflict",lane="",service="b"} 70

            """)
    }
}
