// Why the last upstream connection of a worker could not be made, as text: for the answer that says so and
// for the access log's UPSTREAM_TRANSPORT_FAILURE_REASON. Written again by the next failure.
internal import Base
internal import CLinux

struct TransportFailure: BitwiseCopyable {
    private static var prefix: ByteView {
        """
        upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, \
        transport failure reason: \

        """
    }
    private static var detailsPrefix: ByteView {
        "upstream_reset_before_response_started{remote_connection_failure|"
    }
    private static var before: ByteView { "upstream connect error or disconnect/reset before headers. " }
    private static var capacity: Int { 768 }
    private let space: UnsafeMutablePointer<UInt8>
    private var count = 0
    /// Of `details`, behind the sentence.
    private let detailsSpace: UnsafeMutablePointer<UInt8>
    private var detailsCount = 0
    private let retriedSpace: UnsafeMutablePointer<UInt8>

    init() {
        space = .allocate(capacity: 3 * Self.capacity)
        detailsSpace = space + Self.capacity
        retriedSpace = detailsSpace + Self.capacity
        memcpy(detailsSpace, Self.detailsPrefix.start, Self.detailsPrefix.count)
        memcpy(space, Self.prefix.start, Self.prefix.count)
        count = Self.prefix.count
    }

    func free() { space.deallocate() }

    mutating func write(_ text: String) {
        count = Self.prefix.count
        for byte in text.utf8 where count < Self.capacity {
            // It becomes part of lines.
            space[count] = byte < 0x20 ? 0x20 : byte
            count += 1
        }
        detailsCount = Self.detailsPrefix.count
        for index in 0..<reason.count where detailsCount < Self.capacity - 1 {
            detailsSpace[detailsCount] = reason[index] == 0x20 ? 0x5F : reason[index]
            detailsCount += 1
        }
        detailsSpace[detailsCount] = 0x7D
        detailsCount += 1
    }

    /// The whole sentence, as Envoy has it.
    var answer: ByteView { ByteView(space, count) }
    /// RESPONSE_CODE_DETAILS of such an answer, without blanks.
    var details: ByteView { ByteView(detailsSpace, detailsCount) }
    /// The reason alone.
    var reason: ByteView { ByteView(space, count).slice(Self.prefix.count, count) }
    /// UPSTREAM_TRANSPORT_FAILURE_REASON: the reason with `_` for its blanks.
    var logged: ByteView {
        let start = Self.detailsPrefix.count
        return details.slice(start, max(start, detailsCount - 1))
    }

    /// What Envoy says instead of `text` where this was not the first try; until the next such text.
    func retried(_ text: ByteView) -> ByteView {
        let words: ByteView = "retried and the latest "
        let split = Self.before.count
        guard text.hasPrefix(Self.before), text.count + words.count <= Self.capacity
        else { return text }
        memcpy(retriedSpace, text.start, split)
        memcpy(retriedSpace + split, words.start, words.count)
        memcpy(retriedSpace + split + words.count, text.start + split, text.count - split)
        return ByteView(retriedSpace, text.count + words.count)
    }
}
