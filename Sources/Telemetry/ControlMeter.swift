// Counters that the control side writes itself: how often configuration was loaded, and when.
internal import CLinux
internal import Synchronization

public final class ControlMeter: Sendable {
    private let accepted = Atomic<UInt64>(0)
    private let refused = Atomic<UInt64>(0)
    private let generation = Atomic<UInt64>(0)
    private let lastSuccessSeconds = Atomic<UInt64>(0)

    public init() {}

    /// A configuration was loaded, the first included: taken as `generation`, or refused with the old one in
    /// force.
    public func configurationAccepted(generation: UInt64) {
        accepted.wrappingAdd(1, ordering: .relaxed)
        self.generation.store(generation, ordering: .relaxed)
        lastSuccessSeconds.store(fl_realtime_ns() / 1_000_000_000, ordering: .relaxed)
    }

    public func configurationRefused() { refused.wrappingAdd(1, ordering: .relaxed) }

    func render(_ page: inout Exposition) {
        page.family("fairlead_config_reload_total", "Configuration loads by result.", .counter)
        page.sample(
            "fairlead_config_reload_total", labels: "result=\"success\"", accepted.load(ordering: .relaxed))
        page.sample(
            "fairlead_config_reload_total", labels: "result=\"refused\"", refused.load(ordering: .relaxed))
        page.family("fairlead_config_generation", "Number of the configuration in force.", .gauge)
        page.sample("fairlead_config_generation", labels: "", generation.load(ordering: .relaxed))
        page.family(
            "fairlead_config_last_success_timestamp_seconds", "When configuration was last taken.", .gauge)
        page.sample(
            "fairlead_config_last_success_timestamp_seconds", labels: "",
            lastSuccessSeconds.load(ordering: .relaxed))
    }
}
