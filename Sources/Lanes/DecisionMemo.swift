// What the last request of a connection came to: the next one is most often for the same host, and in the
// same lane. Finding out costs a comparison of bytes; not so, and everything is looked up as ever.
public import Base

/// One connection's; zeroed where its `serial` is not that of the configuration in force.
public struct DecisionMemo: BitwiseCopyable {
    /// Which of a worker's configurations it speaks of; none has 0.
    public let serial: UInt32
    /// The entry of a virtual host's name, which an authority in plain form was equal to.
    @usableFromInline var host: UnsafePointer<ByteTable.Slot>?
    var lane: UnsafePointer<Lane>?

    public init(serial: UInt32) { self.serial = serial }

    /// An authority that needs no check; empty: there is none.
    @inlinable public var authority: ByteView { host?.pointee.key ?? .empty }
}

extension UnsafePointer {
    /// Where a part of a frozen struct lies.
    @inline(__always)
    func place<Part>(of path: KeyPath<Pointee, Part>) -> UnsafePointer<Part> {
        let offset = MemoryLayout<Pointee>.offset(of: path).unsafelyUnwrapped
        return (UnsafeRawPointer(self) + offset).assumingMemoryBound(to: Part.self)
    }
}
