// One end of a TLS connection that does what a test says, also what no library would: end without a goodbye,
// records of one byte. Blocking, over a raw connection.
internal import Base
package import TLS

package final class TLSPeer {
    package let connection: RawConnection
    package let stream: TLSStream
    private let pipe: TLSPipe
    private var ended = false
    /// Bytes decrypted that no call has returned yet.
    private var buffered: [UInt8] = []

    private init(_ connection: RawConnection, _ stream: TLSStream, _ pipe: TLSPipe) throws {
        self.connection = connection
        self.stream = stream
        self.pipe = pipe
        try shakeHands()
    }

    deinit {
        stream.free()
        pipe.free()
    }

    /// A client that trusts anybody, unless its settings say otherwise.
    package static func client(
        _ connection: RawConnection, _ name: String, _ context: TLSClientContext? = nil,
        session: TLSSession? = nil
    ) throws -> TLSPeer {
        var settings = TLSClientContext.Settings()
        settings.skipsVerification = true
        let context = try context ?? TLSClientContext(settings)
        let pipe = TLSPipe()
        let made = name.withView {
            TLSStream(connecting: context.handle, pipe, serverName: $0, host: .empty, session: session)
        }
        guard let made else { throw TestFailure("no TLS") }
        return try TLSPeer(connection, made, pipe)
    }

    /// A server; the acceptor must outlive it.
    package static func server(_ connection: RawConnection, _ acceptor: TLSAcceptor) throws -> TLSPeer {
        let pipe = TLSPipe()
        guard let made = TLSStream(accepting: acceptor.handle, pipe) else { throw TestFailure("no TLS") }
        return try TLSPeer(connection, made, pipe)
    }

    private func shakeHands() throws {
        var input: [UInt8] = []
        while true {
            let step = input.withUnsafeBufferPointer { bytes in
                if let base = bytes.baseAddress { pipe.feed(base, bytes.count) }
                return stream.handshake()
            }
            let isDone = if case .done = step { true } else { false }
            if isDone { keepRest() }
            try flush()
            if isDone { return }
            if case .failed(let why) = step {
                throw TestFailure("handshake: \(why.name): \(pipe.failureText.string)")
            }
            input = try connection.receive()
            if input.isEmpty { throw TestFailure("handshake: the peer closed") }
        }
    }

    /// Decrypts what came with the handshake's last bytes.
    private func keepRest() {
        let rest = pipe.unread.bytes
        rest.withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress { pipe.feed(base, bytes.count) }
            _ = decrypt()
        }
    }

    private func flush() throws {
        let output = pipe.output.bytes
        pipe.clearOutput()
        if !output.isEmpty { try connection.send(output) }
    }

    /// nil: more is needed; else whether the end came as it should.
    private func decrypt() -> Bool? {
        var space = [UInt8](repeating: 0, count: 65_536)
        while true {
            var got = 0
            let end = space.withUnsafeMutableBufferPointer {
                stream.read($0.baseAddress!, $0.count, &got)
            }
            buffered += space[..<got]
            switch end {
            case .full: continue
            case .wantsInput, .wantsRoom: return nil
            case .closed: return true
            case .failed: return false
            }
        }
    }

    /// Sends bytes in records of at most `recordBytes`.
    package func send(_ bytes: [UInt8], recordBytes: Int = 16_384) throws {
        var at = 0
        while at < bytes.count {
            let piece = bytes[at..<min(bytes.count, at + recordBytes)]
            let taken = piece.withUnsafeBufferPointer { stream.write($0.baseAddress!, $0.count) }
            guard taken > 0 else { throw TestFailure("TLS write: \(pipe.failureText.string)") }
            at += taken
            try flush()
        }
    }

    package func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// The ciphertext of `text` without sending it.
    package func encrypt(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBufferPointer { stream.write($0.baseAddress!, $0.count) }
        defer { pipe.clearOutput() }
        return pipe.output.bytes
    }

    /// Reads until `marker` was seen; returns everything up to and with it.
    package func receive(through marker: String, _ deadline: Deadline = .usual) throws -> String {
        let wanted = Array(marker.utf8)
        while true {
            if let end = endOfFirst(wanted, in: buffered, from: 0) {
                defer { buffered.removeFirst(end) }
                return String(decoding: buffered[..<end], as: UTF8.self)
            }
            guard try fill(deadline) else {
                throw TestFailure("ended before \(marker): \(printable(buffered))")
            }
        }
    }

    /// What is there, waiting for at least one byte; throws at the end.
    package func receiveSome(_ deadline: Deadline = .usual) throws -> [UInt8] {
        while buffered.isEmpty {
            guard try fill(deadline) else { throw TestFailure("TLS ended") }
        }
        defer { buffered = [] }
        return buffered
    }

    /// All bytes to the end, and whether the peer said goodbye before it.
    package func receiveToEnd(_ deadline: Deadline = .usual) throws -> (bytes: [UInt8], isWhole: Bool) {
        while try fill(deadline) {}
        defer { buffered = [] }
        return (buffered, saidGoodbye)
    }

    package private(set) var saidGoodbye = false

    /// False: the end, and nothing came before it.
    private func fill(_ deadline: Deadline) throws -> Bool {
        if ended { return false }
        let before = buffered.count
        let input = try connection.receive(deadline)
        if input.isEmpty {
            ended = true
            return false
        }
        let end = input.withUnsafeBufferPointer { bytes in
            pipe.feed(bytes.baseAddress!, bytes.count)
            return decrypt()
        }
        try flush()
        guard let end else { return true }
        saidGoodbye = end
        ended = true
        return buffered.count > before
    }

    /// close_notify, and the connection stays open.
    package func sayGoodbye() throws {
        stream.sayGoodbye()
        try flush()
    }

    /// The session of this connection; the caller frees it.
    package var session: TLSSession? { stream.session }
}
