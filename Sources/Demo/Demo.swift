// `fairlead demo`: stable and feature services, the edge and a sidecar beside each service on loopback, real
// HTTP between them, and a tour that proves the story. This file is the order of events.
internal import Base
internal import CLinux

/// What the command line says.
package struct DemoOptions: Sendable {
    /// End after the tour.
    package var once = false
    /// The fairlead to start proxies with; this very program by default.
    package var program = ownProgram()

    package init() {}
}

/// Runs the demo; returns the exit code: 0 when every step of the tour went as told. Blocks; must be called
/// on a thread that lives as long as the process, since the proxies end with the thread that started them.
package func runDemo(_ options: DemoOptions) -> Int32 {
    let signals = EndSignals()
    guard let site = Site.firstFree() else {
        say("The demo's ports are taken on loopback, and so are their \(Site.shifts) alternatives.")
        return 3
    }
    guard let folder = WorkFolder() else {
        say("No temporary folder can be made.")
        return 1
    }
    do {
        try folder.write(site)
        try Pod.all.forEach { try Application(pod: $0, site: site).start() }
        let proxies = ProxyProcesses(program: options.program, folder: folder, site: site)
        defer { proxies.stop() }
        try proxies.start(signals)
        say(introduction(site, folder))
        var tour = Tour(site: site, say: say)
        let passed = try tour.run(until: signals)
        if signals.cameIn { return 1 }
        if options.once { return passed ? 0 : 1 }
        say(invitation(site, folder))
        return proxies.watch(until: signals) && passed ? 0 : 1
    } catch {
        say("\(error)")
        return 1
    }
}

private func introduction(_ site: Site, _ folder: WorkFolder) -> String {
    """
    Fairlead demo: \(Pod.all.count + 1) proxies, each a process of its own, and \(Pod.all.count) applications.

                         ┌─ auth ───── session
      edge ── frontend ──┤
                         └─ info ───── session

      Lane auth-refactor has its own auth and session; everything else is stable.
      frontend forwards only the header x-feat-name, info only baggage, auth nothing at all.

      edge       http://localhost:\(site.edgePort)
      documents  \(folder.documents)
      logs       \(folder.path)

    """
}

private func invitation(_ site: Site, _ folder: WorkFolder) -> String {
    """
    Still running. Open
      http://localhost:\(site.edgePort)/?x-feat-name=auth-refactor       you are in the lane from now on
      http://auth-refactor.preview.localhost:\(site.edgePort)/           the same by a link without a query
      http://localhost:\(site.edgePort)/?x-feat-name=                    you have left it
      http://\(site.edgeAdmin.text)/                                 the edge's own page
    Try
      curl -i 'http://localhost:\(site.edgePort)/?x-feat-name=auth-refactor'
      curl -H 'x-feat-name: auth-refactor' -H 'accept: application/json' http://localhost:\(site.edgePort)/
      curl -si -H 'x-fairlead-debug: 1' http://localhost:\(site.edgePort)/ | grep x-fairlead-explain
      curl http://\(site.edgeAdmin.text)/lanes
    Edit \(folder.documents)/lanes.yaml and see it take effect. Ctrl-C ends everything.
    """
}

/// The path of this program, so that the proxies carry its name in lists of processes.
private func ownProgram() -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4_096) { path in
        guard let start = path.baseAddress else { return "/proc/self/exe" }
        // One byte less, so that there is room for the terminator that readlink does not write.
        let count = readlink("/proc/self/exe", start, path.count - 1)
        if count <= 0 { return "/proc/self/exe" }
        start[count] = 0
        return String(cString: start)
    }
}

/// A line for the person at the terminal, at once.
func say(_ text: String) {
    let line = Array((text + "\n").utf8)
    var written = 0
    while written < line.count {
        let count = line[written...].withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        if count <= 0 { return }
        written += count
    }
}

/// Why the demo cannot go on, for the person at the terminal.
struct DemoError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
