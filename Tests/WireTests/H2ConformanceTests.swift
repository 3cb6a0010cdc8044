// HTTP/2 conformance (RFC 9113, RFC 7541) of an edge that speaks h2c, and proof that each case can fail.
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15)))
struct H2Conformance {
    /// One edge for all cases; each has a connection of its own.
    private struct Edge: Sendable {
        let upstream: EchoUpstream
        let proxy: HttpProxy
        static let shared = Result {
            let upstream = try EchoUpstream("a")
            return Edge(upstream: upstream, proxy: try HttpProxy(to: [upstream.port]))
        }
    }

    @Test(arguments: H2Cases.all)
    func conforms(_ one: H2Case) throws {
        let complaint = one.complaint(port: try Edge.shared.get().proxy.port)
        #expect(complaint == nil)
    }

    @Test func leavesNothingBehind() throws {
        try Edge.shared.get().proxy.waitUntilNothingIsLeft()
    }

    @Test func namesAreTheirOwn() {
        let names = H2Cases.all.map(\.testDescription)
        #expect(Set(names).count == names.count)
    }

    /// Servers that are wrong in every way: one takes no offence at anything, one at everything.
    @Test(arguments: [true, false])
    func everyCaseCanFail(_ isLenient: Bool) throws {
        let server = try RawUpstream { connection, _ in
            try? (isLenient ? Self.takeAll(connection) : Self.refuseAll(connection))
        }
        for one in H2Cases.all {
            let wantsError =
                switch one.outcome {
                case .endsConnection, .endsStream: true
                case .ends, .answer, .goesOn, .goesOnOrEnds: false
                }
            // What both must do: answer, and end.
            if wantsError != isLenient { continue }
            if case .ends = one.outcome { continue }
            let complaint = one.complaint(port: server.port, .seconds(1))
            #expect(complaint != nil, "\(one.testDescription) cannot fail")
        }
    }

    private static let okBlock = HPACK.indexed(8)

    /// Answers every stream and every PING, and is never offended.
    private static func takeAll(_ connection: RawConnection) throws {
        let peer = H2Peer(connection)
        _ = try connection.receive(exactly: H2Peer.preface.count)
        try peer.send(.settings([(3, 10)]))
        while let frame = try peer.next() {
            if frame.type == H2Frame.Kind.settings, !frame.isAck { try peer.send(.settingsAck) }
            if frame.type == H2Frame.Kind.ping, !frame.isAck {
                try peer.send(H2Frame(type: frame.type, flags: H2Frame.Flag.ack, frame.payload))
            }
            if frame.isEnd { try peer.send(.headers(frame.stream, okBlock)) }
        }
    }

    /// Ends the connection with blame at the first frame that is more than the beginning.
    private static func refuseAll(_ connection: RawConnection) throws {
        let peer = H2Peer(connection)
        _ = try connection.receive(exactly: H2Peer.preface.count)
        try peer.send(.ping(), .settings())
        while let frame = try peer.next() {
            if frame.type == H2Frame.Kind.settings {
                if !frame.isAck { try peer.send(.settingsAck) }
                continue
            }
            try peer.send(.goaway(.internalError))
            return
        }
    }
}
