// From paths to a snapshot: loading, the --port mapping, freezing. One door for start, reload and explain.
internal import Config
internal import Lanes
internal import Loop

/// What loading came to.
struct LoadedConfiguration {
    /// nil: refused.
    var snapshot: Snapshot?
    var findings: [Finding]
    var unreadable: Bool
    var notes: [String]
    /// Of `--port`: what is said in the log.
    var warnings: [String] = []
    var firstSeen: [String: Int64]
    var contexts: TLSContexts
    var kept: KeptParts?
}

enum Configuration {
    /// Loads and freezes. Never runs on a worker's thread.
    static func load(
        _ paths: [String], proxy: String?, ports: [PortMapping], generation: UInt64, registry: Lanes.Registry,
        firstSeen: [String: Int64] = [:], contexts: TLSContexts = TLSContexts(), kept: KeptParts? = nil
    ) -> LoadedConfiguration {
        var options = LoadOptions(proxy: proxy)
        options.firstSeen = firstSeen
        options.contexts = contexts
        options.kept = kept
        options.fingerprint = { FileWatcher.fingerprint([$0]) }
        let result = Config.load(paths: paths, options: options)
        var loaded = LoadedConfiguration(
            snapshot: nil, findings: result.findings, unreadable: result.unreadable, notes: result.notes,
            firstSeen: result.firstSeen, contexts: result.contexts, kept: result.kept)
        guard var model = result.model, !result.unreadable else { return loaded }
        loaded.warnings = unmatched(ports, model.listeners.map(\.address.port))
        for index in model.listeners.indices {
            if let mapping = ports.first(where: { $0.from == model.listeners[index].address.port }) {
                model.listeners[index].address.port = mapping.to
            }
        }
        do throws(TableError) {
            loaded.snapshot = try Snapshot(model: model, generation: generation, registry: registry)
        } catch {
            loaded.findings.append(
                Finding(
                    .error, Code.cannotCompile, "the configuration cannot be compiled: \(error)",
                    file: paths.first ?? "-",
                    line: 0, refused: true))
        }
        return loaded
    }

    /// Mappings whose FROM no listener has: a slip of the pen, or a document that is not read.
    private static func unmatched(_ mappings: [PortMapping], _ ports: [UInt16]) -> [String] {
        let known = Set(ports).sorted().map(String.init).joined(separator: ", ")
        return mappings.filter { !ports.contains($0.from) }.map { mapping in
            "--port \(mapping.from)=\(mapping.to): no listener has port \(mapping.from)"
                + (known.isEmpty ? "" : ", there are \(known)")
        }
    }
}
