// The metrics page, read back by a strict parser.
import Base
import CZlib
import Testing

@testable import Telemetry

private func page(_ meters: [MeterMemory], _ destinations: [DestinationLabels] = []) -> MetricsPage {
    var pod = WorkloadLabels(
        workload: "edge", namespace: "infra", labels: ["app": "edge-app", "version": "v9"])
    pod.principal = "spiffe://cluster.local/ns/infra/sa/edge"
    return MetricsPage(
        meters: meters,
        names: MeterNames(
            destination: { id in
                id > 0 && Int(id) <= destinations.count ? destinations[Int(id) - 1] : DestinationLabels()
            },
            lane: { "lane-\($0)" }, decision: { ["none", "lane", "stable"][Int($0)] },
            carrier: { ["none", "query", "header"][Int($0)] },
            lossReason: { ["suspect", "conflict"][Int($0)] }),
        own: pod, control: ControlMeter(), accessLog: nil, version: "1.2.3")
}

private func auth(_ version: String = "v1") -> DestinationLabels {
    var labels = DestinationLabels()
    labels.workload = WorkloadLabels(
        workload: "auth", namespace: "prod", labels: ["app": "auth", "version": version])
    labels.service = "auth-svc.prod.svc.cluster.local"
    labels.serviceName = "auth-svc"
    labels.serviceNamespace = "prod"
    return labels
}

@Test func istiosMetricsHaveIstiosNamesLabelsAndValues() throws {
    let memory = meterMemory()
    var one = RequestSample()
    one.labelsID = 1
    one.responseCode = 503
    one.flags = [.URX, .UF]
    one.durationNs = 1_500_000
    one.requestBytes = 300
    one.responseBytes = 7
    memory.meter.request(one)
    let parsed = try ParsedMetrics(page([memory], [auth()]).render())
    let expected = [
        "reporter": "source", "source_workload": "edge", "source_canonical_service": "edge-app",
        "source_canonical_revision": "v9", "source_workload_namespace": "infra",
        "source_principal": "spiffe://cluster.local/ns/infra/sa/edge", "source_app": "edge-app",
        "source_version": "v9", "source_cluster": "unknown", "destination_workload": "auth",
        "destination_workload_namespace": "prod", "destination_principal": "unknown",
        "destination_app": "auth", "destination_version": "v1",
        "destination_service": "auth-svc.prod.svc.cluster.local", "destination_canonical_service": "auth",
        "destination_canonical_revision": "v1", "destination_service_name": "auth-svc",
        "destination_service_namespace": "prod", "destination_cluster": "unknown",
        "request_protocol": "http", "response_code": "503", "grpc_response_status": "",
        "response_flags": "UF,URX", "connection_security_policy": "unknown",
    ]
    let requests = try #require(parsed.families["istio_requests_total"])
    #expect(requests.type == "counter")
    #expect(requests.samples.map(\.labels) == [expected])
    #expect(requests.samples.map(\.value) == [1])
    let duration = "istio_request_duration_milliseconds"
    #expect(parsed.families[duration]?.type == "histogram")
    #expect(parsed.value("\(duration)_bucket", ["le": "1"]) == 0)
    #expect(parsed.value("\(duration)_bucket", ["le": "5"]) == 1)
    #expect(parsed.value("\(duration)_sum") == 1.5)
    #expect(parsed.value("istio_request_bytes_sum") == 300)
    #expect(parsed.value("istio_response_bytes_bucket", ["le": "10"]) == 1)
    #expect(parsed.value("istio_build", ["component": "proxy", "tag": "1.2.3"]) == 1)
}

@Test func inboundReportsAsTheDestination() throws {
    let memory = meterMemory()
    var one = RequestSample()
    one.labelsID = 1
    one.reporter = .destination
    one.connectionSecurity = .mutualTLS
    one.isGRPC = true
    one.grpcStatus = 14
    one.responseCode = 200
    memory.meter.request(one)
    let labels = try #require(
        try ParsedMetrics(page([memory], [auth()]).render()).families["istio_requests_total"]?.samples.first?
            .labels)
    #expect(labels["reporter"] == "destination")
    #expect(labels["source_workload"] == "unknown")
    #expect(labels["destination_workload"] == "edge")
    #expect(labels["destination_service_name"] == "auth-svc")
    #expect(labels["connection_security_policy"] == "mutual_tls")
    #expect(labels["request_protocol"] == "grpc")
    #expect(labels["grpc_response_status"] == "14")
}

@Test func workersAndEqualLabelSetsAreSummed() throws {
    let meters = [meterMemory(), meterMemory()]
    for (index, memory) in meters.enumerated() {
        var one = RequestSample()
        one.labelsID = UInt32(index + 1)
        memory.meter.request(one)
        memory.meter.add(.requestsEdge, 5)
        memory.meter.set(.configGeneration, UInt64(3 + index))
        memory.meter.add(.downstreamOpenedEdge, 4)
        memory.meter.add(.downstreamClosedEdge, 1)
        memory.meter.overhead(ns: 12_000)
    }
    let parsed = try ParsedMetrics(page(meters, [auth(), auth()]).render())
    #expect(parsed.families["istio_requests_total"]?.samples.map(\.value) == [2])
    #expect(parsed.value("fairlead_downstream_requests_total", ["listener": "edge"]) == 10)
    #expect(parsed.value("fairlead_downstream_connections_active", ["listener": "edge"]) == 6)
    #expect(parsed.value("fairlead_worker_config_generation") == 3)
    #expect(parsed.value("fairlead_workers") == 2)
    #expect(parsed.value("fairlead_overhead_seconds_bucket", ["le": "1e-05"]) == 0)
    #expect(parsed.value("fairlead_overhead_seconds_bucket", ["le": "1.2e-05"]) == 2)
    #expect(parsed.value("fairlead_overhead_seconds_sum") == 0.000024)
}

@Test func laneFamilies() throws {
    let memory = meterMemory()
    memory.meter.lane(service: 1, lane: 7, decision: 1, carrier: 2)
    memory.meter.laneLost(reason: 1, lane: 7, service: 1)
    memory.meter.laneRestored(carrier: 2, lane: 7, service: 1)
    memory.meter.laneMember(lane: 7, service: 1)
    let parsed = try ParsedMetrics(page([memory], [auth()]).render())
    let service = "auth-svc.prod.svc.cluster.local"
    #expect(
        parsed.families["fairlead_lane_requests_total"]?.samples.map(\.labels) == [
            ["lane": "lane-7", "service": service, "decision": "lane", "carrier": "header"]
        ])
    #expect(
        parsed.families["fairlead_lane_lost_total"]?.samples.map(\.labels) == [
            ["lane": "lane-7", "service": service, "reason": "conflict"]
        ])
    #expect(
        parsed.families["fairlead_lane_restored_total"]?.samples.map(\.labels) == [
            ["lane": "lane-7", "service": service, "carrier": "header"]
        ])
    let receipts = laneReceipts([memory], page([], [auth()]).names)
    #expect(receipts.map(\.lane) == ["lane-7"])
    #expect(receipts.map(\.service) == [service])
    #expect(receipts.map(\.requests) == [1])
}

@Test func hostileLabelValuesStayInsideTheirQuotes() throws {
    let memory = meterMemory()
    memory.meter.request(
        {
            var one = RequestSample()
            one.labelsID = 1
            return one
        }())
    var hostile = auth()
    hostile.serviceName = "a\"} 1\nevil_total{x=\"\\\u{7}é\r"
    let parsed = try ParsedMetrics(page([memory], [hostile]).render())
    #expect(parsed.families["evil_total"] == nil)
    #expect(
        parsed.families["istio_requests_total"]?.samples.first?.labels["destination_service_name"]
            == hostile.serviceName)
}

@Test func overflowIsASeriesThatSaysSo() throws {
    let memory = meterMemory()
    var one = RequestSample()
    one.labelsID = 1
    memory.meter.request(one)
    // As a full table leaves it (MeterTests); a page of a full one takes a debug build minutes to check.
    memory.base[MeterLayout.cells + RequestCell.duration] = 3
    memory.meter.add(.requestSeriesOverflow, 3)
    let parsed = try ParsedMetrics(page([memory], [auth()]).render())
    #expect(parsed.value("istio_requests_total", ["destination_service": "overflow"]) == 3)
    #expect(parsed.value("istio_requests_total", ["destination_service_name": "auth-svc"]) == 1)
    #expect(parsed.value("fairlead_series_overflow_total", ["table": "requests"]) == 3)
}

@Test func reloadsProcessAndExtraFamilies() throws {
    var metrics = page([meterMemory()])
    metrics.control.configurationAccepted(generation: 4)
    metrics.control.configurationRefused()
    metrics.control.configurationRefused()
    metrics.extra = {
        [ExtraFamily("fairlead_x", help: "a\\b\nc", type: .gauge, samples: [([("k", "v")], 1.5)])]
    }
    let parsed = try ParsedMetrics(metrics.render())
    #expect(parsed.value("fairlead_config_reload_total", ["result": "success"]) == 1)
    #expect(parsed.value("fairlead_config_reload_total", ["result": "refused"]) == 2)
    #expect(parsed.value("fairlead_config_generation") == 4)
    #expect(parsed.value("fairlead_x", ["k": "v"]) == 1.5)
    #expect(parsed.families["fairlead_x"]?.help == "a\\\\b\\nc")
    #expect(parsed.value("process_resident_memory_bytes")! > 1_000_000)
    #expect(parsed.value("process_open_fds")! >= 3)
    #expect(parsed.value("process_threads")! >= 1)
    #expect(parsed.value("process_start_time_seconds")! > 1_600_000_000)
    #expect(parsed.value("process_cpu_seconds_total")! >= 0)
}

@Test func decimalsAreExact() {
    #expect(Exposition.decimal(0, per: 1_000_000) == "0")
    #expect(Exposition.decimal(1_500_000, per: 1_000_000) == "1.5")
    #expect(Exposition.decimal(1, per: 1_000_000_000) == "0.000000001")
    #expect(Exposition.decimal(12_000_010, per: 1_000_000) == "12.00001")
    #expect(Exposition.decimal(7, per: 1) == "7")
    #expect(Exposition.number(.infinity) == "+Inf")
    #expect(Exposition.number(12) == "12")
}

@Test func responseFlagsPrintInEnvoysOrder() {
    #expect(ResponseFlags([]).text == "-")
    #expect(ResponseFlags([.OM, .LH, .DC, .URX, .UF]).text == "LH,UF,DC,URX,OM")
    let all = ResponseFlags(rawValue: .max).text
    let expected =
        "LH,UH,UT,LR,UR,UF,UC,UO,NR,DI,FI,RL,UAEX,RLSE,DC,URX,SI,IH,DPE,UMSDR,RFCF,NFCF,DT,UPE,NC,OM,DF"
    #expect(all == expected)
}

@Test(arguments: [0, 1, 100, 300_000]) func gzipRoundTrip(count: Int) throws {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 7) }
    let packed = try #require(gzip(bytes))
    #expect(packed.prefix(2) == [0x1F, 0x8B])
    var stream = z_stream()
    #expect(inflateInit2_(&stream, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK)
    defer { inflateEnd(&stream) }
    var out = [UInt8](repeating: 0, count: count + 1)
    var input = packed
    let result = input.withUnsafeMutableBufferPointer { source in
        out.withUnsafeMutableBufferPointer { target in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = UInt32(target.count)
            return inflate(&stream, Z_FINISH)
        }
    }
    #expect(result == Z_STREAM_END)
    #expect(Array(out.prefix(Int(stream.total_out))) == bytes)
}
