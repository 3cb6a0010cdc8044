// A worker's meter: counting, tables that fill up, and a reader beside a writer.
import Base
import Loop
import Synchronization
import Testing

@testable import Telemetry

func meterMemory() -> MeterMemory {
    guard let memory = MeterMemory() else { preconditionFailure("no address space for a test") }
    return memory
}

private func sample(labels: UInt32 = 1, code: UInt16 = 200, flags: ResponseFlags = []) -> RequestSample {
    var sample = RequestSample()
    sample.labelsID = labels
    sample.responseCode = code
    sample.flags = flags
    return sample
}

private func total(_ reading: MeterReading) -> UInt64 {
    reading.requests.values.reduce(0) { $0 + $1[..<Ladder.milliseconds.bounds.count].reduce(0, +) }
}

@Test func flagsAreWrittenAsTheyAreTold() {
    let pairs = (0..<32).flatMap { left in (0...left).map { right in UInt32(1) << left | 1 << right } }
    for flags in [0, UInt32.max] + pairs {
        let flags = ResponseFlags(rawValue: flags)
        let written = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: ResponseFlags.textBytesMax) {
            ByteView($0.baseAddress!, flags.write(to: $0.baseAddress!)).string
        }
        #expect(written == flags.text)
    }
}

@Test func countersAndGauges() {
    let memory = meterMemory()
    let meter = memory.meter
    meter.add(.staleRetries)
    meter.add(.staleRetries, 41)
    meter.set(.poolIdle, 7)
    meter.sub(.poolIdle, 2)
    #expect(memory.value(.staleRetries) == 42)
    #expect(memory.value(.poolIdle) == 5)
    #expect(memory.value(.poolHits) == 0)
}

@Test func everyPartOfTheLabelsMakesASeriesOfItsOwn() {
    let memory = meterMemory()
    let base = sample()
    var variants = [base]
    func vary(_ change: (inout RequestSample) -> Void) {
        var copy = base
        change(&copy)
        variants.append(copy)
    }
    vary { $0.labelsID = .max }
    vary { $0.responseCode = 65_535 }
    vary { $0.reporter = .destination }
    vary { $0.connectionSecurity = .mutualTLS }
    vary { $0.isGRPC = true }
    vary {
        $0.isGRPC = true
        $0.grpcStatus = 16
    }
    vary { $0.flags = [.UF, .URX] }
    for (index, variant) in variants.enumerated() {
        for _ in 0...index { memory.meter.request(variant) }
    }
    let reading = MeterReading([memory])
    #expect(reading.requests.count == variants.count)
    for (index, variant) in variants.enumerated() {
        let key = MeterReading.RequestKey(key: variant.key, flags: UInt64(variant.flags.rawValue))
        #expect(reading.requests[key]?[..<20].reduce(0, +) == UInt64(index + 1))
        #expect(key.labelsID == variant.labelsID)
        #expect(key.responseCode == variant.responseCode)
        #expect(key.reporter == variant.reporter)
        #expect(key.security == variant.connectionSecurity)
        #expect(key.isGRPC == variant.isGRPC)
        #expect(key.grpcStatus == (variant.grpcStatus <= 16 ? Int(variant.grpcStatus) : nil))
    }
}

@Test func histogramsHoldWhatWasCounted() {
    let memory = meterMemory()
    var one = sample()
    one.durationNs = 3_000_000
    one.requestBytes = 0
    one.responseBytes = 5_000_000_000
    memory.meter.request(one)
    memory.meter.request(one)
    let cell = MeterReading([memory]).requests.values.first!
    #expect(cell[2] == 2)
    #expect(cell[20] == 6_000_000)
    #expect(cell[21] == 2)
    #expect(cell[41] == 0)
    #expect(cell[42 + 19] == 2)
    #expect(cell[62] == 10_000_000_000)
}

@Test func aFullTableCountsUnderOneSeriesAndLosesNothing() {
    let memory = meterMemory()
    let extra = 100
    for id in 0..<(Limits.meterRequestCells + extra) { memory.meter.request(sample(labels: UInt32(id))) }
    let reading = MeterReading([memory])
    #expect(total(reading) == UInt64(Limits.meterRequestCells + extra))
    #expect(memory.value(.requestSeriesOverflow) == UInt64(extra + 1))
    let overflow = MeterReading.RequestKey(key: 0, flags: 0)
    #expect(reading.requests[overflow]?[..<20].reduce(0, +) == UInt64(extra + 1))
    // A series from before still counts under its own labels.
    memory.meter.request(sample(labels: 5))
    let key = MeterReading.RequestKey(key: sample(labels: 5).key, flags: 0)
    #expect(MeterReading([memory]).requests[key]?[..<20].reduce(0, +) == 2)
}

@Test func laneEventsCountByEventLaneAndService() {
    let memory = meterMemory()
    let other = meterMemory()
    for _ in 0..<3 { memory.meter.lane(service: 1, lane: 2, decision: 1, carrier: 4) }
    other.meter.lane(service: 1, lane: 2, decision: 1, carrier: 4)
    memory.meter.lane(service: 1, lane: 2, decision: 0, carrier: 4)
    memory.meter.laneLost(reason: 5, lane: 2, service: 1)
    memory.meter.laneRestored(carrier: 5, lane: 2, service: 1)
    memory.meter.laneMember(lane: 2, service: 1)
    let lanes = MeterReading([memory, other]).lanes
    #expect(lanes.count == 5)
    let request = MeterReading.LaneKey(event: .request, first: 1, second: 4, laneID: 2, labelsID: 1)
    #expect(lanes[request] == 4)
    #expect(lanes[.init(event: .lost, first: 5, second: 0, laneID: 2, labelsID: 1)] == 1)
    #expect(lanes[.init(event: .restored, first: 5, second: 0, laneID: 2, labelsID: 1)] == 1)
    #expect(lanes[.init(event: .member, first: 0, second: 0, laneID: 2, labelsID: 1)] == 1)
}

@Test func aFullLaneTableCountsWhatItDropped() {
    let memory = meterMemory()
    for lane in 0..<(Limits.meterLaneCells + 9) { memory.meter.laneMember(lane: UInt32(lane), service: 0) }
    #expect(MeterReading([memory]).lanes.count == Limits.meterLaneCells)
    #expect(memory.value(.laneSeriesOverflow) == 9)
}

@Test func aReaderBesideTheWriterSeesOnlyWholeSeriesThatNeverShrink() {
    let memory = meterMemory()
    let rounds = 200_000
    let finished = Finished()
    let writer = Thread(name: "writer") {
        let meter = memory.meter
        for round in 0..<rounds {
            var one = RequestSample()
            one.labelsID = UInt32(round % 1_000)
            // A reader that saw a key without its flags would make a series that is none of these.
            one.flags = ResponseFlags(rawValue: UInt32(round % 1_000))
            meter.request(one)
            meter.lane(service: UInt32(round % 500), lane: UInt32(round % 500), decision: 1, carrier: 2)
        }
        finished.set()
    }
    var last: UInt64 = 0
    while !finished.isSet {
        let reading = MeterReading([memory])
        for key in reading.requests.keys { #expect(UInt64(key.labelsID) == key.flags) }
        for key in reading.lanes.keys { #expect(key.laneID == key.labelsID) }
        let now = total(reading)
        #expect(now >= last)
        last = now
    }
    writer?.join()
    #expect(total(MeterReading([memory])) == UInt64(rounds))
    #expect(MeterReading([memory]).lanes.values.reduce(0, +) == UInt64(rounds))
}

final class Finished: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}
