// The program's own log: one line an event to standard error. Not for requests (the access log is those).
// Levels are checked before the message is built.
internal import CLinux
internal import Synchronization

/// How much is said. `off` says nothing.
public enum LogLevel: Int, Sendable, CaseIterable {
    case trace, debug, info, warning, error, off

    /// Reads Envoy's and Istio's words: `warn` is `warning`, `critical` is `error`.
    public init?(_ word: String) {
        switch word {
        case "trace": self = .trace
        case "debug": self = .debug
        case "info": self = .info
        case "warn", "warning": self = .warning
        case "error", "err", "critical": self = .error
        case "off", "none": self = .off
        default: return nil
        }
    }

    public var name: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        case .off: "off"
        }
    }
}

public enum Log {
    private static let level = Atomic<Int>(LogLevel.info.rawValue)
    private static let json = Atomic<Bool>(false)

    public static var currentLevel: LogLevel {
        LogLevel(rawValue: level.load(ordering: .relaxed)) ?? .info
    }
    public static func set(level new: LogLevel) { level.store(new.rawValue, ordering: .relaxed) }
    public static func set(json on: Bool) { json.store(on, ordering: .relaxed) }

    public static func trace(_ message: @autoclosure () -> String) { write(.trace, message) }
    public static func debug(_ message: @autoclosure () -> String) { write(.debug, message) }
    public static func info(_ message: @autoclosure () -> String) { write(.info, message) }
    public static func warning(_ message: @autoclosure () -> String) { write(.warning, message) }
    public static func error(_ message: @autoclosure () -> String) { write(.error, message) }

    private static func write(_ at: LogLevel, _ message: () -> String) {
        guard at.rawValue >= level.load(ordering: .relaxed) else { return }
        let time = UTCTime(nanoseconds: fl_realtime_ns())
        line(at, time, message(), json: json.load(ordering: .relaxed)).withUnsafeBytes { bytes in
            _ = CLinux.write(2, bytes.baseAddress, bytes.count)
        }
    }

    /// One line with its line feed.
    static func line(_ at: LogLevel, _ time: UTCTime, _ message: String, json: Bool) -> [UInt8] {
        if json {
            var writer = JSONWriter()
            writer.object { fields in
                fields.member("time", time.text)
                fields.member("level", at.name)
                fields.member("message", message)
            }
            return writer.finish() + [0x0A]
        }
        // A message can quote peer bytes: they must not forge lines or steer a terminal.
        var text = ""
        for scalar in message.unicodeScalars {
            text.unicodeScalars.append(endsLineOrControls(scalar) ? " " : scalar)
        }
        return Array("\(time.text) \(at.name) \(text)\n".utf8)
    }

    /// C0 and C1 controls, DEL, and Unicode's line and paragraph separators.
    private static func endsLineOrControls(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: true
        default: false
        }
    }
}
