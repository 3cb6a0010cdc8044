// Counters: the inlined cell number, the groups' arithmetic, and that every cell is shown under one name.
import Testing

@testable import Telemetry

@Test func everyCountersCellIsItsRawValueAndFits() {
    for counter in Counter.allCases { #expect(counter.cell == counter.rawValue) }
    #expect(Counter.allCases.count <= MeterLayout.counterWords)
}

@Test func countersByRoleKeepTheRolesOrderAndNeverLeaveTheirGroup() {
    #expect(Counter.downstreamOpened(role: 0) == .downstreamOpenedEdge)
    #expect(Counter.downstreamOpened(role: 1) == .downstreamOpenedOutbound)
    #expect(Counter.downstreamOpened(role: 2) == .downstreamOpenedInbound)
    #expect(Counter.downstreamOpened(role: 200) == .downstreamOpenedInbound)
    #expect(Counter.downstreamClosed(role: 1) == .downstreamClosedOutbound)
    #expect(Counter.requests(role: 2) == .requestsInbound)
}

@Test func badRequestsCountByStatus() {
    #expect(Counter.badRequest(status: 431) == .badRequest431)
    #expect(Counter.badRequest(status: 400) == .badRequest400)
    #expect(Counter.badRequest(status: 499) == .badRequest400)
}

@Test func everyCounterIsShownExactlyOnceAndEveryNameIsUnique() {
    var shown: [Counter: Int] = [:]
    for family in CounterFamily.all {
        for member in family.members where member.minus == nil { shown[member.counter, default: 0] += 1 }
    }
    // Closings are shown only inside the gauges of what is open.
    let subtracted = CounterFamily.all.flatMap { $0.members.compactMap(\.minus) }
    for counter in Counter.allCases {
        #expect(shown[counter] == 1 || subtracted.contains(counter), "\(counter)")
    }
    let names = CounterFamily.all.map(\.name)
    #expect(Set(names).count == names.count)
    for family in CounterFamily.all {
        #expect(family.isGauge != family.name.hasSuffix("_total"), "\(family.name)")
    }
}
