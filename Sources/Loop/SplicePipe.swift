// A pipe through which bytes go from one socket to another without leaving the kernel, splice(2). Between two
// calls it is empty: what the second socket does not take comes back as plain bytes.
internal import CLinux
internal import Glibc

public struct SplicePipe: ~Copyable {
    private let readEnd: Int32
    private let writeEnd: Int32

    /// nil: the system has no descriptors to spare. `bytes` is how much may be in it at a time, as far as the
    /// system allows.
    public init?(bytes: Int) {
        var ends: [Int32] = [-1, -1]
        guard fl_pipe(&ends) == 0 else { return nil }
        readEnd = ends[0]
        writeEnd = ends[1]
        fl_pipe_size(writeEnd, Int32(clamping: bytes))
    }

    deinit {
        Syscalls.close(readEnd)
        Syscalls.close(writeEnd)
    }

    /// Takes at most `count` bytes out of a socket. Fewer do not mean that no more are at hand.
    public func fill(from socket: Int32, _ count: Int) -> IOResult {
        while true {
            let result = fl_splice(socket, writeEnd, count)
            if result > 0 { return .bytes(result) }
            if result == 0 { return .end }
            let code = errno
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { return .failed(code) }
        }
    }

    /// Gives `count` bytes, which are in it, to a socket. Fewer mean that a writable event will follow.
    public func drain(to socket: Int32, _ count: Int) -> IOResult {
        while true {
            let result = fl_splice(readEnd, socket, count)
            if result >= 0 { return .bytes(result) }
            let code = errno
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { return .failed(code) }
        }
    }

    /// Copies out the `count` bytes that are left in it. False: they are lost, and the pipe is of no use.
    public func copyOut(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> Bool {
        var done = 0
        while done < count {
            let result = read(readEnd, bytes + done, count - done)
            if result > 0 { done += result } else if result == 0 || errno != EINTR { return false }
        }
        return true
    }
}
