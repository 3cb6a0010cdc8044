// A connection with TLS or HTTP/2 has state on the heap, many kilobytes in pieces of all sizes. When a crowd
// of them has gone, glibc keeps the pages for the next crowd; here they go back to the system.
internal import Base
internal import CLinux

extension Worker {
    /// Called once a second. Each time takes milliseconds, and half of the connections must have gone since
    /// the last: so many connections pay for it, and coming and going at a level costs nothing. A crowd that
    /// takes seconds to go is waited for: what goes after a trim may be too few for another one.
    mutating func trimHeap() {
        noteHeapPeak()
        let now = heapUsers
        let isFalling = now < heapUsersBefore
        heapUsersBefore = now
        guard !isFalling, now <= heapPeak / 2, heapPeak &- now >= Limits.trimConnections else { return }
        heapPeak = now
        fl_trim_heap()
    }

    /// Called also where a connection gets its TLS: crowds may come and go within a second.
    mutating func noteHeapPeak() {
        if heapUsers > heapPeak { heapPeak = heapUsers }
    }

    private var heapUsers: Int { tlsCount &+ (engine?.sessionCount ?? 0) }
}
