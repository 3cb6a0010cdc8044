// What a running script can reach: the head of its message, edited in place, and what it wants answered.
public import Base
public import HTTP
internal import CLuaJIT

/// One message under a script. At a stable address while the script runs.
public struct ScriptMessage {
    /// nil: the top level of a script, which has no message.
    public var headers: UnsafeMutablePointer<HeaderList>?
    /// The request's start line; nil: a response.
    public var request: UnsafeMutablePointer<Request>?
    public var filter: ScriptFilter?

    // MARK: of a response

    public var status = 0
    /// Set by the script; empty: as it was.
    public var reasonPhrase: ByteView = .empty

    // MARK: for runs that wait

    /// The whole body, or a piece of it.
    public var body: ByteView = .empty
    public var mayReplaceBody = false
    /// Lines of a call's answer, `:status` first.
    public var answerFields: [(name: [UInt8], value: [UInt8])] = []
    public var answerBody: [UInt8] = []

    // MARK: results

    /// Some header was edited.
    public var isEdited = false
    /// It was edited under a filter that has edits routed anew, or the script asked for that.
    public var clearsRoute = false
    public var newBody: [UInt8]?
    /// What `respond` put together.
    public var answer = ScriptAnswer()
    /// `httpCall`s to make, in order: a run that waits for a call waits for the last.
    public var calls: [ScriptCall] = []
    /// What happened, for explain.
    public var trace: ScriptTrace?

    // MARK: what only the caller knows

    /// Writes what `which` (protocol, addresses, route name) is to `space`; -1: not known.
    public var fact: (@convention(c) (UnsafeRawPointer?, ScriptFact.RawValue, ScriptSpace) -> Int32)?
    public var factContext: UnsafeRawPointer?
    /// Of this turn of the loop; bounds what is logged in a second.
    public var nowNs: UInt64 = 0
    /// 0: the proxy has no cluster of this name.
    public var hasCluster: (@convention(c) (UnsafeRawPointer?, ScriptSpace, Int) -> Int32)?

    var space: UnsafeMutablePointer<UInt8>?
    var logRate: UnsafeMutablePointer<LogRate>?

    public init(headers: UnsafeMutablePointer<HeaderList>?) { self.headers = headers }
}

/// Bytes that are lent for one call.
public typealias ScriptSpace = UnsafeMutablePointer<UInt8>

/// What `streamInfo` tells.
public enum ScriptFact: Int32 {
    case networkProtocol, routeName, localAddress, directRemoteAddress, remoteAddress, serverName
    case tlsVersion, tlsCipher, peerDigest, peerSubject, peerURI, peerDNS

    /// Bytes that an answer may have.
    public static let bytes = 1_024
}

/// An answer that a script put together.
public struct ScriptAnswer {
    public var fields: [(name: [UInt8], value: [UInt8])] = []
    public var body: [UInt8]?

    public init() {}

    /// The first value of a name; nil: none.
    public func value(_ name: String) -> [UInt8]? {
        fields.first { $0.name.elementsEqual(name.utf8) }?.value
    }
}

/// Writes down what a script does.
public final class ScriptTrace {
    public private(set) var lines: [String] = []

    public init() {}

    func note(_ line: @autoclosure () -> String) {
        // Explain tells what happened, not everything a loop can do.
        if lines.count < Limits.scriptTraceLines { lines.append(line()) }
    }
}

/// At most so many lines a second: a script that logs each request must not make the log the bottleneck.
public struct LogRate: BitwiseCopyable {
    private var second: UInt64 = 0
    private var lines = 0

    public init() {}

    public mutating func allows(nowNs: UInt64) -> Bool {
        let now = nowNs / 1_000_000_000
        if now != second {
            second = now
            lines = 0
        }
        lines += 1
        return lines <= Limits.scriptLogLines
    }

    /// The last line that goes out in this second.
    var isLast: Bool { lines == Limits.scriptLogLines }
}
