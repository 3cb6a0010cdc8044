// Each system call of the data path once: interrupted calls are repeated, would-block is a value, every other
// error closes the connection it happened on. The one seam where a test can put a scripted kernel.
public import CLinux
internal import Glibc

/// What a read or write came to.
public enum IOResult {
    case bytes(Int)
    case wouldBlock
    /// Reads only: the peer sent all it will.
    case end
    /// errno.
    case failed(Int32)
}

public enum Syscalls {
    @inlinable @inline(__always)
    public static func receive(_ fd: Int32, _ buffer: UnsafeMutablePointer<UInt8>, _ count: Int) -> IOResult {
        let result = fl_receive(fd, buffer, count)
        return result > 0 ? .bytes(result) : received(result, fd, buffer, count)
    }

    /// What a read came to that gave no bytes.
    @usableFromInline @inline(never)
    static func received(
        _ first: Int, _ fd: Int32, _ buffer: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> IOResult {
        var result = first
        while result < 0 {
            let code = errno
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { return .failed(code) }
            result = fl_receive(fd, buffer, count)
        }
        return result > 0 ? .bytes(result) : .end
    }

    @inlinable @inline(__always)
    public static func send(_ fd: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> IOResult {
        let result = fl_send(fd, bytes, count)
        return result >= 0 ? .bytes(result) : sendAgain(fd, bytes, count)
    }

    /// What to make of a send that failed.
    @usableFromInline @inline(never)
    static func sendAgain(_ fd: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> IOResult {
        while true {
            let code = errno
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { return .failed(code) }
            let result = fl_send(fd, bytes, count)
            if result >= 0 { return .bytes(result) }
        }
    }

    /// Sends two pieces in one call.
    public static func send(
        _ fd: Int32, _ first: UnsafePointer<UInt8>, _ firstCount: Int, _ second: UnsafePointer<UInt8>,
        _ secondCount: Int
    ) -> IOResult {
        while true {
            let result = fl_send2(fd, first, firstCount, second, secondCount)
            if result >= 0 { return .bytes(result) }
            let code = errno
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { return .failed(code) }
        }
    }

    /// The descriptor is gone afterwards whatever close(2) says, so it is called once.
    public static func close(_ fd: Int32) { _ = Glibc.close(fd) }

    /// Tells the peer that no more will come; reading goes on.
    public static func shutdownWrite(_ fd: Int32) { _ = fl_shutdown_write(fd) }

    /// Makes close(2) send a reset: the peer must not take what it has for a whole message.
    public static func resetOnClose(_ fd: Int32) { _ = fl_linger_zero(fd) }

    /// Nanoseconds of the monotonic clock.
    @inlinable
    public static func monotonicNs() -> UInt64 { fl_monotonic_ns() }
    /// Milliseconds of the same.
    public static func monotonicMs() -> UInt64 { fl_monotonic_ns() / 1_000_000 }
    /// Nanoseconds since 1970.
    public static func realtimeNs() -> UInt64 { fl_realtime_ns() }
}
