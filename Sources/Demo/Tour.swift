// The tour: eight requests through the edge, each with what must come of it. It sees only what any client
// sees, and the counters that the proxies publish.
internal import Base

/// What an answer at the edge was.
struct Visit {
    let message: Message
    let hop: Hop

    /// Set-Cookie lines of the lane's pin.
    var pins: [String] { message.values("set-cookie").filter { $0.hasPrefix("x-feat-name=") } }
}

/// One request and its expectation.
struct Step: Sendable {
    let title: String
    /// Why it comes out so, for the person who watches.
    let because: String
    var host = "localhost"
    let target: String
    /// Send the cookie that the second step was given.
    var withCookie = false
    /// Services in the order they are asked, with the version that must answer.
    let chain: String
    /// What must hold beside the chain; the text of what does not.
    var also: @Sendable (Tour, Visit) -> String? = { _, _ in nil }
}

struct Tour {
    let site: Site
    /// Tells the person who watches.
    let say: @Sendable (String) -> Void
    /// The pin that the second step was given, as a browser would send it.
    private(set) var cookie: String?
    /// `suspect` losses that info's sidecar had counted before the tour.
    private(set) var lostBefore = 0

    init(site: Site, say: @escaping @Sendable (String) -> Void) {
        self.site = site
        self.say = say
    }

    /// Takes every step; true if all went as told.
    mutating func run(until signals: EndSignals) throws(DemoError) -> Bool {
        lostBefore = try suspectLosses()
        var failed = 0
        for (index, step) in Self.steps.enumerated() {
            if signals.wait(ms: 0) { return false }
            say("\(index + 1). \(step.title)\n   \(step.because)\n   \(curl(step))")
            let problem = take(step)
            say("   \(problem.map { "FAIL: \($0)" } ?? "OK")\n")
            if problem != nil { failed += 1 }
        }
        let all = Self.steps.count
        say(failed == 0 ? "All \(all) steps went as told.\n" : "\(failed) of \(all) steps FAILED.\n")
        return failed == 0
    }

    /// Nil if it went as told.
    private mutating func take(_ step: Step) -> String? {
        var lines = ["accept: application/json"]
        if step.withCookie {
            guard let cookie else { return "there is no cookie to send" }
            lines.append("cookie: \(cookie)")
        }
        let edge = SocketAddress(ipv4: 0x7F00_0001, port: site.edgePort)
        guard let message = Message.get(step.target, from: edge, host: "\(step.host):\(site.edgePort)", lines)
        else { return "the edge does not answer" }
        guard message.status == 200, let hop = Hop(json: message.text) else {
            let reason = message.value("x-fairlead-reason").map { ", \($0)" } ?? ""
            return "the edge answers \(message.startLine)\(reason)"
        }
        let visit = Visit(message: message, hop: hop)
        for pin in visit.pins { say("   Set-Cookie: \(pin)") }
        if cookie == nil { cookie = visit.pins.first.map { String($0.prefix { $0 != ";" }) } }
        say("   expected  \(step.chain)\n   actual    \(hop.chain)")
        for line in hop.drawing { say("             \(line)") }
        if hop.chain != step.chain { return "another chain answered" }
        return step.also(self, visit)
    }

    private func curl(_ step: Step) -> String {
        let cookie = step.withCookie ? " -b '\(cookie ?? "")'" : ""
        return "curl -i\(cookie) 'http://\(step.host):\(site.edgePort)\(step.target)'"
    }

    /// Requests that left info's sidecar without any carrier while its pod served the lane.
    func suspectLosses() throws(DemoError) -> Int {
        guard let pod = Pod.all.first(where: { $0.name == "info-stable" }),
            let page = Message.get("/metrics", from: site.admin(pod), host: site.admin(pod).text),
            page.status == 200
        else { throw DemoError("info's sidecar shows no metrics") }
        return Self.sum(of: "fairlead_lane_lost_total", with: "reason=\"suspect\"", in: page.text)
    }

    /// The sum of a metric's samples that have that label, in Prometheus text.
    static func sum(of metric: String, with label: String, in page: String) -> Int {
        page.split(separator: "\n").filter { $0.hasPrefix(metric + "{") && $0.contains(label) }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
            .reduce(0) { $0 + Int($1) }
    }
}
