// Which question gets which answer (interface.md 3). Reading is free to whoever reaches the port; actions
// refuse browsers that were sent by another site's page.
internal import Base
internal import Lanes

struct AdminRoutes: Sendable {
    private let actions: AdminActions

    init(_ actions: AdminActions) { self.actions = actions }

    private enum Endpoint {
        case page, ready, healthz, metrics, config, routes, clusters, listeners, lanes, lane(String), audit
        case explain, drain, reload, logging

        init?(path: String) {
            switch path {
            case "/": self = .page
            case "/ready": self = .ready
            case "/healthz": self = .healthz
            case "/metrics", "/stats/prometheus": self = .metrics
            case "/config": self = .config
            case "/routes": self = .routes
            case "/clusters": self = .clusters
            case "/listeners": self = .listeners
            case "/lanes": self = .lanes
            case "/audit": self = .audit
            case "/explain": self = .explain
            case "/drain": self = .drain
            case "/reload": self = .reload
            case "/logging": self = .logging
            default:
                guard path.hasPrefix("/lanes/") else { return nil }
                self = .lane(String(path.dropFirst("/lanes/".count)))
            }
        }

        var allow: String {
            switch self {
            case .explain, .drain, .reload: "POST"
            case .logging: "GET, HEAD, POST"
            default: "GET, HEAD"
            }
        }
    }

    func respond(to request: AdminRequest) -> AdminResponse {
        guard let endpoint = Endpoint(path: request.path) else {
            return .error(404, "no such page: \(request.path); see /")
        }
        let allow = endpoint.allow
        guard allow.split(separator: ", ").contains(Substring(request.method)) else {
            return .notAllowed(allow)
        }
        switch endpoint {
        case .explain, .drain, .reload, .logging:
            // A GET that changes the log level is an action too.
            if request.method == "POST" || !request.query.isEmpty, request.isCrossSite {
                return .error(403, "refused: sent by a page of another site")
            }
            return act(endpoint, request)
        default: return read(endpoint)
        }
    }

    private func read(_ endpoint: Endpoint) -> AdminResponse {
        switch endpoint {
        case .page: return LivePage.response
        case .ready: return ready()
        case .healthz: return .text(200, "ok")
        case .metrics: return AdminResponse(200, metricsType, actions.metrics())
        default: break
        }
        guard let model = actions.model() else { return .error(503, "no configuration yet") }
        switch endpoint {
        case .config: return .json { ModelJSON.config(model, &$0) }
        case .routes: return .json { RouteJSON.tables(model, &$0) }
        case .clusters:
            let stats = actions.connections()
            return .json {
                ModelJSON.clusters(model, actions.nameState, &$0)
                $0.object("connections") { json in
                    json.member("upstream", stats.upstream)
                    json.member("idle", stats.idle)
                }
            }
        case .listeners:
            let stats = actions.connections()
            return .json {
                ModelJSON.listeners(model, &$0)
                $0.object("connections") { json in
                    for (role, count) in zip(["edge", "outbound", "inbound"], stats.downstream) {
                        json.member(role, count)
                    }
                    json.member("tunnels", stats.tunnels)
                    json.member("activeRequests", stats.activeRequests)
                }
            }
        case .lanes:
            let view = lanesView(model)
            return .json { view.list(&$0) }
        case .lane(let name):
            let view = lanesView(model)
            guard let lane = view.index(of: name) else { return .error(404, "no lane is named \(name)") }
            return .json { view.members(of: lane, &$0) }
        default:
            return .json(200, actions.audit() ?? Array(#"{"correlation":false,"services":[]}"#.utf8))
        }
    }

    private var textType: String { "text/plain; charset=utf-8" }

    private var metricsType: String { "text/plain; version=0.0.4; charset=utf-8" }

    private func lanesView(_ model: RoutingModel) -> LanesJSON {
        LanesJSON(model: model, receipts: actions.laneReceipts())
    }

    private func ready() -> AdminResponse {
        if actions.isDraining() { return .text(503, "draining") }
        return actions.isReady() ? .text(200, "ready") : .text(503, "not ready: no configuration yet")
    }

    private func act(_ endpoint: Endpoint, _ request: AdminRequest) -> AdminResponse {
        switch endpoint {
        case .explain:
            switch ExplainBody.read(request.body) {
            case .failure(let problem): return .error(400, problem.message)
            case .success(var query):
                query.asText = request.parameter("format") == "text"
                let outcome = actions.explain(query)
                guard query.asText, case .done(let text) = outcome else { return answer(outcome) }
                return AdminResponse(200, textType, text)
            }
        case .reload: return answer(actions.reload())
        case .drain:
            actions.drain()
            return .json(200) { $0.member("draining", true) }
        default: return logging(request)
        }
    }

    private func answer(_ outcome: AdminOutcome) -> AdminResponse {
        switch outcome {
        case .done(let json): .json(200, json)
        case .refused(let json): .json(400, json)
        case .invalid(let message): .error(400, message)
        }
    }

    private func logging(_ request: AdminRequest) -> AdminResponse {
        if !request.query.isEmpty {
            let word = request.parameter("level") ?? ""
            guard let level = LogLevel(word) else {
                let known = LogLevel.allCases.map(\.name).joined(separator: ", ")
                return .error(400, "level must be one of: \(known)")
            }
            Log.set(level: level)
        }
        return .json { $0.member("level", Log.currentLevel.name) }
    }
}
