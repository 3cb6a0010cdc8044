// GET /metrics: everything that Prometheus is told, from the workers' meters, the control side's own counters
// and /proc/self. Names and labels are those of istio-semantics.md 24 and interface.md 4.
public import Base

/// What a page of metrics is made from.
public struct MetricsPage: Sendable {
    public var meters: [MeterMemory]
    public var names: MeterNames
    /// This proxy: the source of what it sends, the destination of what comes in.
    public var own: WorkloadLabels
    public var control: ControlMeter
    public var accessLog: AccessLog?
    /// Tag of `istio_build`.
    public var version: String
    /// Families of other modules.
    public var extra: @Sendable () -> [ExtraFamily] = { [] }

    /// The media type of `render`.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public init(
        meters: [MeterMemory], names: MeterNames, own: WorkloadLabels, control: ControlMeter,
        accessLog: AccessLog?, version: String
    ) {
        self.meters = meters
        self.names = names
        self.own = own
        self.control = control
        self.accessLog = accessLog
        self.version = version
    }

    /// The page as it is now.
    public func render() -> [UInt8] {
        var page = Exposition()
        let reading = MeterReading(meters)
        requests(reading, &page)
        streams(reading, &page)
        page.family("istio_build", "Istio component build info", .gauge)
        page.sample(
            "istio_build", labels: Exposition.labelText([("component", "proxy"), ("tag", version)]), 1)
        page.family(
            "fairlead_overhead_seconds", "Latency that the proxy itself added to a request.", .histogram)
        page.histogram(
            "fairlead_overhead_seconds", labels: "", bounds: Ladder.overhead.labels,
            counts: reading.overhead.prefix(Ladder.overhead.bounds.count),
            sum: Exposition.decimal(reading.overhead[Ladder.maxBuckets], per: 1_000_000_000))
        lanes(reading, &page)
        counters(&page)
        control.render(&page)
        accessLogCounters(&page)
        for family in extra() {
            page.family(family.name, family.help, family.type)
            for sample in family.samples {
                page.sample(
                    family.name, labels: Exposition.labelText(sample.labels),
                    Exposition.number(sample.value))
            }
        }
        ProcessStats.read().render(&page)
        return page.out
    }

    // MARK: Istio's metrics

    private func requests(_ reading: MeterReading, _ page: inout Exposition) {
        // Two label ids can mean the same labels (cluster subsets of one service): their series are one.
        var series: [String: [UInt64]] = [:]
        for (key, sums) in reading.requests {
            let labels = Exposition.labelText(labels(of: key))
            if let before = series[labels] {
                series[labels] = zip(before, sums).map { $0 &+ $1 }
            } else {
                series[labels] = sums
            }
        }
        let sorted = series.sorted { $0.key < $1.key }
        let buckets = Ladder.milliseconds.labels.count
        page.family("istio_requests_total", "Requests by source, destination and response.", .counter)
        for (labels, sums) in sorted {
            page.sample("istio_requests_total", labels: labels, sums[..<buckets].reduce(0, &+))
        }
        func histogram(_ name: String, _ help: String, _ offset: Int, per unit: UInt64, _ ladder: Ladder) {
            page.family(name, help, .histogram)
            let from = offset - RequestCell.duration
            for (labels, sums) in sorted {
                page.histogram(
                    name, labels: labels, bounds: ladder.labels, counts: sums[from..<from + buckets],
                    sum: Exposition.decimal(sums[from + RequestCell.bucketWords - 1], per: unit))
            }
        }
        histogram(
            "istio_request_duration_milliseconds", "Duration of requests in milliseconds.",
            RequestCell.duration, per: 1_000_000, .milliseconds)
        histogram(
            "istio_request_bytes", "Bytes of requests, heads included.", RequestCell.requestBytes, per: 1,
            .bytes)
        histogram(
            "istio_response_bytes", "Bytes of responses, heads included.", RequestCell.responseBytes, per: 1,
            .bytes)
    }

    /// TCP: the labels of requests but for those that only HTTP has.
    private func streams(_ reading: MeterReading, _ page: inout Exposition) {
        let http: Set<String> = ["response_code", "grpc_response_status"]
        var series: [String: [UInt64]] = [:]
        for (key, sums) in reading.streams {
            let pairs = labels(of: key).filter { !http.contains($0.0) }
                .map { ($0.0, $0.0 == "request_protocol" ? "tcp" : $0.1) }
            let labels = Exposition.labelText(pairs)
            series[labels] = zip(series[labels] ?? [0, 0, 0, 0], sums).map { $0 &+ $1 }
        }
        let sorted = series.sorted { $0.key < $1.key }
        for (index, (name, help)) in [
            ("connections_opened", "Connections opened."), ("connections_closed", "Connections closed."),
            ("sent_bytes", "Bytes sent to the client."),
            ("received_bytes", "Bytes received from the client."),
        ].enumerated() {
            page.family("istio_tcp_\(name)_total", help, .counter)
            for (labels, sums) in sorted {
                page.sample("istio_tcp_\(name)_total", labels: labels, sums[index])
            }
        }
    }

    private func labels(of key: MeterReading.RequestKey) -> [(String, String)] {
        let overflow = key.key == 0
        var destination = overflow ? DestinationLabels() : names.destination(key.labelsID)
        if overflow { destination.service = "overflow" }
        var source = WorkloadLabels()
        if key.reporter == .source { source = own } else { destination.workload = own }
        let security =
            switch key.security {
            case .unknown: "unknown"
            case .none: "none"
            case .mutualTLS: "mutual_tls"
            }
        let target = destination.workload
        return [
            ("reporter", key.reporter == .source ? "source" : "destination"),
            ("source_workload", source.workload),
            ("source_canonical_service", source.canonicalService),
            ("source_canonical_revision", source.canonicalRevision),
            ("source_workload_namespace", source.namespace), ("source_principal", source.principal),
            ("source_app", source.app), ("source_version", source.version),
            ("source_cluster", source.cluster), ("destination_workload", target.workload),
            ("destination_workload_namespace", target.namespace),
            ("destination_principal", target.principal), ("destination_app", target.app),
            ("destination_version", target.version), ("destination_service", destination.service),
            ("destination_canonical_service", target.canonicalService),
            ("destination_canonical_revision", target.canonicalRevision),
            ("destination_service_name", destination.serviceName),
            ("destination_service_namespace", destination.serviceNamespace),
            ("destination_cluster", target.cluster), ("request_protocol", key.isGRPC ? "grpc" : "http"),
            ("response_code", String(key.responseCode)),
            ("grpc_response_status", key.grpcStatus.map { String($0) } ?? ""),
            ("response_flags", ResponseFlags(rawValue: UInt32(truncatingIfNeeded: key.flags)).text),
            ("connection_security_policy", security),
        ]
    }

    // MARK: our own

    private func lanes(_ reading: MeterReading, _ page: inout Exposition) {
        func family(
            _ name: String, _ help: String, _ event: LaneEvent,
            _ labels: (MeterReading.LaneKey) -> [(String, String)]
        ) {
            var series: [String: UInt64] = [:]
            for (key, count) in reading.lanes where key.event == event {
                let service = [
                    ("lane", names.lane(key.laneID)), ("service", names.destination(key.labelsID).service),
                ]
                series[Exposition.labelText(service + labels(key)), default: 0] &+= count
            }
            page.family(name, help, .counter)
            for (labels, count) in series.sorted(by: { $0.key < $1.key }) {
                page.sample(name, labels: labels, count)
            }
        }
        family("fairlead_lane_requests_total", "Requests by lane and where it led them.", .request) {
            [("decision", names.decision($0.first)), ("carrier", names.carrier($0.second))]
        }
        family("fairlead_lane_lost_total", "Requests that lost their lane, or nearly.", .lost) {
            [("reason", names.lossReason($0.first))]
        }
        family("fairlead_lane_restored_total", "Egress requests whose lane was found again.", .restored) {
            [("carrier", names.carrier($0.first))]
        }
        family("fairlead_lane_member_requests_total", "Lane requests handed to members.", .member) { _ in [] }
    }

    private func counters(_ page: inout Exposition) {
        for family in CounterFamily.all {
            page.family(family.name, family.help, family.isGauge ? .gauge : .counter)
            for member in family.members {
                page.sample(
                    family.name, labels: member.labels,
                    MeterReading.value(member, family.aggregation, meters))
            }
        }
        page.family("fairlead_workers", "Event-loop threads.", .gauge)
        page.sample("fairlead_workers", labels: "", UInt64(meters.count))
    }

    private func accessLogCounters(_ page: inout Exposition) {
        let stats = accessLog?.stats ?? AccessLogStats()
        page.family("fairlead_access_log_lines_total", "Access log lines by what became of them.", .counter)
        for (outcome, count) in [
            ("written", stats.written), ("dropped", stats.dropped), ("failed", stats.failed),
        ] {
            page.sample("fairlead_access_log_lines_total", labels: "outcome=\"\(outcome)\"", count)
        }
    }
}
