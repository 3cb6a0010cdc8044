// Bytes that end where memory ends: whoever reads past them faults.
import CLinux

/// Two pages, the second of which must not be touched.
final class GuardedBytes {
    private static let pageBytes = 4_096
    private let pages: UnsafeMutableRawPointer

    init() {
        let place = mmap(
            nil, 2 * Self.pageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let place, Int(bitPattern: place) != -1,
            mprotect(place + Self.pageBytes, Self.pageBytes, PROT_NONE) == 0
        else { fatalError("no memory for a test") }
        pages = place
    }

    deinit { munmap(pages, 2 * Self.pageBytes) }

    /// `bytes`, at most a page of them, flush with the end or `before` it.
    func place(_ bytes: [UInt8], before end: Int = 0) -> UnsafeMutablePointer<UInt8> {
        precondition(bytes.count + end <= Self.pageBytes)
        let start = (pages + (Self.pageBytes - end - bytes.count)).assumingMemoryBound(to: UInt8.self)
        start.update(from: bytes, count: bytes.count)
        return start
    }
}
