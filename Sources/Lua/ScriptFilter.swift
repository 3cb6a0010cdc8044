// A Lua HTTP filter as a configuration holds it (istio-semantics.md 20), frozen: trivial, its texts in the
// snapshot's arena.
public import Base

public struct ScriptFilter: BitwiseCopyable {
    /// `value.name`, as patches next to it name it.
    public var name: ByteView
    /// `EnvoyFilter ns/name`: for logs and explain.
    public var document: ByteView
    /// The file it stands in, and how many of its lines come before the code.
    public var file: ByteView
    public var linesBefore: UInt32
    public var code: ByteView
    /// Only requests to this port; 0: any. Set on outbound listeners, where the Host names the port.
    public var port: UInt16
    /// Changed request headers are routed anew.
    public var clearsRouteCache: Bool

    public init(
        name: ByteView, document: ByteView, file: ByteView, linesBefore: UInt32, code: ByteView,
        port: UInt16, clearsRouteCache: Bool
    ) {
        self.name = name
        self.document = document
        self.file = file
        self.linesBefore = linesBefore
        self.code = code
        self.port = port
        self.clearsRouteCache = clearsRouteCache
    }
}

/// Which of a script's functions runs.
public enum ScriptPhase: Int32, Sendable, BitwiseCopyable {
    /// `envoy_on_request`.
    case request
    /// `envoy_on_response`.
    case response
}

/// What a run came to.
public enum ScriptOutcome: Int32, Sendable, BitwiseCopyable {
    /// The message goes on.
    case done
    /// The script failed; the message goes on as it is by now.
    case failed
    /// The script answers itself: `ScriptMessage.answer`.
    case responded
    case waitsForBody
    case waitsForChunk
    case waitsForCall

    public var waits: Bool { rawValue >= ScriptOutcome.waitsForBody.rawValue }
}
