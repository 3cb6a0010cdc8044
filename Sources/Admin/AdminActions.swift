// What the admin server can ask of the rest of the program: values and closures that the control side
// supplies, so that this module knows no worker. All are called on the admin thread, one at a time.
package import Lanes
package import Loop
package import Telemetry

/// A request that somebody wants explained.
package struct ExplainQuery: Sendable, Equatable {
    package struct Header: Sendable, Equatable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package var method: String
    package var url: String
    /// In the order given; names as written.
    package var headers: [Header]
    /// For people instead of programs.
    package var asText = false

    package init(method: String, url: String, headers: [Header]) {
        self.method = method
        self.url = url
        self.headers = headers
    }
}

/// What became of an action that can fail.
package enum AdminOutcome: Sendable {
    /// 200 with this JSON.
    case done([UInt8])
    /// 400 with this JSON: findings, or what is wrong with the question.
    case refused([UInt8])
    /// 400 with `{"error": ...}`.
    case invalid(String)
}

package struct AdminActions: Sendable {
    /// A configuration is loaded and listeners accept. False while draining.
    package var isReady: @Sendable () -> Bool
    package var isDraining: @Sendable () -> Bool
    /// The configuration in force; nil before the first.
    package var model: @Sendable () -> RoutingModel?
    /// Prometheus text.
    package var metrics: @Sendable () -> [UInt8]
    /// Loads the configuration anew; `{"findings": [...]}` either way.
    package var reload: @Sendable () -> AdminOutcome
    /// Starts draining; returns at once.
    package var drain: @Sendable () -> Void
    /// The decision for one request, as JSON or as text.
    package var explain: @Sendable (ExplainQuery) -> AdminOutcome
    /// Requests that lane members were handed.
    package var laneReceipts: @Sendable () -> [LaneReceipt] = { [] }
    /// What is known of a name that clusters have.
    package var nameState: @Sendable (String) -> NameState = { _ in NameState() }
    /// What is open at the moment.
    package var connections: @Sendable () -> ConnectionStats = { ConnectionStats() }
    /// The JSON object of `/audit`; nil: nothing correlates inbound with outbound yet, and `/audit` says so.
    package var audit: @Sendable () -> [UInt8]? = { nil }

    package init(
        isReady: @escaping @Sendable () -> Bool, isDraining: @escaping @Sendable () -> Bool,
        model: @escaping @Sendable () -> RoutingModel?, metrics: @escaping @Sendable () -> [UInt8],
        reload: @escaping @Sendable () -> AdminOutcome, drain: @escaping @Sendable () -> Void,
        explain: @escaping @Sendable (ExplainQuery) -> AdminOutcome
    ) {
        self.isReady = isReady
        self.isDraining = isDraining
        self.model = model
        self.metrics = metrics
        self.reload = reload
        self.drain = drain
        self.explain = explain
    }
}
