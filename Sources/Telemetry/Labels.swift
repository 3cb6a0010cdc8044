// What the numbers in a meter's cells stand for. They never change their meaning, because a counter outlives
// the configuration that it was counted under.
public import Base

/// Names for the numbers in a meter, asked while a page is rendered.
public struct MeterNames: Sendable {
    /// `RequestSample.labelsID`, and the service of lane events.
    public var destination: @Sendable (UInt32) -> DestinationLabels
    public var lane: @Sendable (UInt32) -> String
    /// Raw values of the decision, carrier and loss reason that lane events were counted with.
    public var decision: @Sendable (UInt8) -> String
    public var carrier: @Sendable (UInt8) -> String
    public var lossReason: @Sendable (UInt8) -> String

    public init(
        destination: @escaping @Sendable (UInt32) -> DestinationLabels,
        lane: @escaping @Sendable (UInt32) -> String,
        decision: @escaping @Sendable (UInt8) -> String,
        carrier: @escaping @Sendable (UInt8) -> String,
        lossReason: @escaping @Sendable (UInt8) -> String
    ) {
        self.destination = destination
        self.lane = lane
        self.decision = decision
        self.carrier = carrier
        self.lossReason = lossReason
    }
}
