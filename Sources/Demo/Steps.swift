// The story, step by step: what is asked, what must answer, and why.

extension Tour {
    private static let stable = "frontend stable · auth stable · session stable · info stable"
    private static let lane = "frontend stable · auth auth-refactor · session auth-refactor · info stable"

    static let steps: [Step] = [
        Step(
            title: "No lane: everybody's traffic",
            because: "The feature pods carry the services' labels, yet no stable user lands on them.",
            target: "/", chain: stable,
            also: { _, visit in visit.pins.isEmpty ? nil : "a cookie was set without a lane" }),
        Step(
            title: "First visit, by a link",
            because: "The edge takes the lane from the query and pins the visitor with a cookie.",
            target: "/?x-feat-name=auth-refactor", chain: lane,
            also: { _, visit in pinProblem(visit) }),
        Step(
            title: "Second visit, by the cookie alone",
            because: "frontend drops cookies; the edge has turned this one into every carrier before.",
            target: "/", withCookie: true, chain: lane,
            also: { _, visit in visit.pins.isEmpty ? nil : "a pin that the visitor has was set again" }),
        Step(
            title: "By a preview host",
            because: "A link for people who cannot type a query; frontend sees the usual host.",
            host: "auth-refactor.preview.localhost", target: "/", chain: lane),
        Step(
            title: "An application that forwards nothing, in the lane",
            because: "auth forwards nothing; its pod is the lane's, so its sidecar adds the lane.",
            target: "/login", withCookie: true,
            chain: "frontend stable · auth auth-refactor · session auth-refactor",
            also: { _, visit in forwardingProblem(visit, "auth", "nothing") }),
        Step(
            title: "An application that forwards baggage only, shared by all lanes",
            because: "info is everybody's; its sidecar reads the lane in baggage and restores the header.",
            target: "/report", withCookie: true,
            chain: "frontend stable · info stable · session auth-refactor",
            also: { _, visit in forwardingProblem(visit, "info", "baggage") }),
        Step(
            title: "Where the lane is lost: an application that forwards nothing, shared by all lanes",
            because: "info's old client drops every carrier. Stable answers, and the loss is counted.",
            target: "/old-report", withCookie: true,
            chain: "frontend stable · info stable · session stable",
            also: { tour, _ in lossProblem(tour) }),
        Step(
            title: "Leaving the lane",
            because: "An empty value means out: the edge forgets the pin and the visitor is stable again.",
            target: "/?x-feat-name=", withCookie: true, chain: stable,
            also: { _, visit in
                let isCleared = visit.pins.count == 1 && visit.pins[0].lowercased().contains("max-age=0")
                return isCleared ? nil : "the pin was not removed"
            }),
    ]

    private static func pinProblem(_ visit: Visit) -> String? {
        guard visit.pins.count == 1, let pin = visit.pins.first else {
            return "\(visit.pins.count) pins were set instead of one"
        }
        let parts = pin.lowercased().split(separator: ";").map { $0.drop { $0 == " " } }
        let missing = ["x-feat-name=auth-refactor", "path=/", "max-age=28800", "httponly", "samesite=lax"]
            .filter { !parts.contains(Substring($0)) }
        return missing.isEmpty ? nil : "the pin lacks \(missing.joined(separator: ", "))"
    }

    /// The service must have forwarded just that, and session heard of the lane all the same.
    private static func forwardingProblem(_ visit: Visit, _ service: String, _ forwards: String) -> String? {
        if visit.hop.find(service)?.forwards != forwards { return "\(service) did not forward \(forwards)" }
        let heard = visit.hop.find("session")?.heard ?? []
        return heard.contains("x-feat-name") ? nil : "session did not hear of the lane in the header"
    }

    private static func lossProblem(_ tour: Tour) -> String? {
        guard let now = try? tour.suspectLosses() else { return "info's sidecar shows no metrics" }
        let metric = "fairlead_lane_lost_total{reason=\"suspect\"}"
        tour.say("   \(metric) of info's sidecar: \(tour.lostBefore) before, \(now) now")
        return now > tour.lostBefore ? nil : "the loss was not counted"
    }
}
