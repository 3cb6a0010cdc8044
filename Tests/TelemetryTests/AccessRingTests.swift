// The ring between a worker and the log's writer: order, content, wrapping at every offset, overflow,
// threads.
import Base
import Loop
import Testing

@testable import Telemetry

/// A ring of its own without a writer.
private final class RingFixture {
    let state = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    let ring: AccessRing

    init(capacity: Int) {
        state.initialize(to: WriterState.awake)
        guard let ring = AccessRing(capacity: capacity, writerState: state, wakeDescriptor: -1) else {
            preconditionFailure("no memory for a test")
        }
        self.ring = ring
    }

    deinit {
        ring.unmap()
        state.deallocate()
    }
}

/// A record whose texts, lengths and numbers all follow from `seed`.
@discardableResult
private func push(_ ring: AccessRing, seed: Int, textBytes: Int) -> Bool {
    let path = (0..<textBytes).map { UInt8(truncatingIfNeeded: seed &+ $0) }
    let cluster = Array("cluster-\(seed)".utf8)
    return path.withUnsafeBufferPointer { path in
        cluster.withUnsafeBufferPointer { cluster in
            var record = AccessRecord()
            if textBytes > 0 { record.path = ByteView(path.baseAddress!, path.count) }
            record.cluster = ByteView(cluster.baseAddress!, cluster.count)
            record.bytesSent = UInt64(seed)
            return ring.push(&record)
        }
    }
}

private func check(_ record: AccessRecord, seed: Int, textBytes: Int) -> Bool {
    record.path.bytes == (0..<textBytes).map { UInt8(truncatingIfNeeded: seed &+ $0) }
        && record.cluster.string == "cluster-\(seed)" && record.bytesSent == UInt64(seed)
        && record.method.isEmpty && record.reason.isEmpty
}

private func expectNext(_ ring: AccessRing, seed: Int, textBytes: Int) {
    var whole = false
    let found = ring.pop { whole = check($0, seed: seed, textBytes: textBytes) }
    #expect(found && whole)
}

private let fixedBytes = RingLayout.headerBytes + MemoryLayout<AccessRecord>.stride

@Test func theViewsOfARecordAdjoinAtItsStart() {
    #expect(MemoryLayout<AccessRecord>.offset(of: \.method) == 0)
    #expect(
        MemoryLayout<AccessRecord>.offset(of: \.peerSubject)
            == (AccessRecord.viewsMax - 1) * MemoryLayout<ByteView>.stride)
    #expect(
        MemoryLayout<AccessRecord>.offset(of: \.tlsVersion)
            == AccessRecord.viewsMax * MemoryLayout<ByteView>.stride)
    #expect(MemoryLayout<AccessRecord>.alignment == 8)
}

@Test func recordsComeOutWholeWhereverTheEndCutsIn() {
    // Sizes in steps of eight bytes, so that records meet the end of the ring at every possible offset.
    let capacity = 4_096
    for first in stride(from: 0, to: capacity - fixedBytes - 64, by: 8) {
        let fixture = RingFixture(capacity: capacity)
        #expect(push(fixture.ring, seed: first, textBytes: first))
        expectNext(fixture.ring, seed: first, textBytes: first)
        for round in 0..<12 {
            #expect(push(fixture.ring, seed: round, textBytes: 100 + round))
            #expect(push(fixture.ring, seed: round + 50, textBytes: 0))
            expectNext(fixture.ring, seed: round, textBytes: 100 + round)
            expectNext(fixture.ring, seed: round + 50, textBytes: 0)
            #expect(fixture.ring.isEmpty)
        }
        #expect(!fixture.ring.pop { _ in })
    }
}

@Test func aFullRingDropsCountsAndGoesOn() {
    let fixture = RingFixture(capacity: 8_192)
    var accepted = 0
    while push(fixture.ring, seed: accepted, textBytes: 40) { accepted += 1 }
    #expect(accepted == 8_192 / ((fixedBytes + 40 + 9 + 7) & ~7))
    #expect(!push(fixture.ring, seed: 999, textBytes: 4_000))
    #expect(fixture.ring.dropped == 2)
    for seed in 0..<accepted {
        expectNext(fixture.ring, seed: seed, textBytes: 40)
    }
    #expect(fixture.ring.isEmpty)
    #expect(push(fixture.ring, seed: 7, textBytes: 40))
    expectNext(fixture.ring, seed: 7, textBytes: 40)
}

@Test func longTextsAreCutAtTheBound() {
    let fixture = RingFixture(capacity: 1 << 20)
    #expect(push(fixture.ring, seed: 3, textBytes: 60_000))
    let found = fixture.ring.pop { record in
        #expect(record.path.count == Limits.accessFieldBytes)
        #expect(record.cluster.string == "cluster-3")
    }
    #expect(found)
}

@Test func theLargestRecordFitsAnEmptyRingOfTheRealSizeFromAnyOffset() {
    let fixture = RingFixture(capacity: Limits.accessRingBytes)
    let text = [UInt8](repeating: 0x61, count: Limits.accessFieldBytes)
    text.withUnsafeBufferPointer { text in
        var record = AccessRecord()
        withUnsafeMutableBytes(of: &record) { bytes in
            let views = bytes.baseAddress!.assumingMemoryBound(to: ByteView.self)
            for index in 0..<AccessRecord.viewsMax { views[index] = ByteView(text.baseAddress!, text.count) }
        }
        record.tlsVersion = "TLSv1.3"
        for _ in 0..<100 {
            #expect(fixture.ring.push(&record))
            let found = fixture.ring.pop {
                #expect($0.reason.count == Limits.accessFieldBytes)
                #expect($0.peerSubject.count == Limits.accessFieldBytes && $0.tlsVersion.string == "TLSv1.3")
            }
            #expect(found)
        }
    }
}

@Test func aConsumerBesideTheProducerSeesEveryAcceptedRecordInOrder() {
    let fixture = RingFixture(capacity: 16_384)
    nonisolated(unsafe) let ring = fixture.ring
    let finished = Finished()
    let total = 30_000
    let producer = Thread(name: "producer") {
        for seed in 0..<total { push(ring, seed: seed, textBytes: seed % 300) }
        finished.set()
    }
    var last = -1
    var seen = 0
    while true {
        let over = finished.isSet
        var found = false
        while ring.pop({ record in
            found = true
            seen += 1
            let seed = Int(record.bytesSent)
            #expect(seed > last)
            #expect(check(record, seed: seed, textBytes: seed % 300))
            last = seed
        }) {}
        if over && !found { break }
    }
    producer?.join()
    #expect(seen + Int(ring.dropped) == total)
    #expect(seen > 0)
}
