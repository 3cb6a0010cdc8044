// Accepting connections, taking a new configuration, draining.
internal import Base
internal import Glibc
internal import Lanes
internal import Loop
internal import Lua
internal import Telemetry

extension Worker {
    mutating func accept(_ index: Int) {
        guard index < listenerCount else { return }
        let listener = listeners + index
        if listener.pointee.fd < 0 { return }
        var taken = 0
        while taken < Limits.acceptsPerTurn {
            // Full of clients there would be no descriptor left to serve them with.
            if downstreamCount >= setup.acceptMax {
                acceptFailed(EMFILE)
                return
            }
            var peer = SocketAddress.unspecified
            switch Sockets.accept(listener.pointee.fd, peer: &peer) {
            case .socket(let fd):
                taken += 1
                admit(fd, peer, UInt8(truncatingIfNeeded: index), listener.pointee.role)
            case .failed(let code):
                if code != EAGAIN { acceptFailed(code) }
                return
            }
        }
    }

    private mutating func admit(_ fd: Int32, _ peer: SocketAddress, _ listener: UInt8, _ role: UInt8) {
        let limit = settings.connections
        if limit > 0, fleet.downstreamConnections >= Int(limit) {
            meter.add(.acceptOverload)
            Syscalls.close(fd)
            return
        }
        guard let slot = adopt(fd, .downstream, peer) else {
            meter.add(.acceptOverload)
            return
        }
        downstreamCount += 1
        listeners[Int(listener)].connections &+= 1
        connection(slot).pointee.listener = listener
        connection(slot).writePeerText()
        meter.add(Counter.downstreamOpened(role: role))
        setTimeout(slot, settings.requestHeaderTimeoutMs)
        let opening = listeners[Int(listener)].listener
        if opening.pointee.hasOpening { open(slot, opening) }
    }

    /// Out of descriptors or memory: those who wait in the queue are served as soon as there is room again;
    /// asking in a circle would only burn the processor.
    private mutating func acceptFailed(_ code: Int32) {
        meter.add(.acceptErrors)
        guard code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM else { return }
        if acceptPausedUntilMs == 0 {
            meter.add(.acceptPauses)
            meter.set(.acceptPaused, 1)
            if !acceptPauseLogged {
                acceptPauseLogged = true
                Log.error(
                    "worker \(setup.index): cannot accept, \(String(cString: strerror(code))): "
                        + "pausing for \(Limits.acceptPauseMs) ms at a time; raise the limit of open files")
            }
            for index in 0..<listenerCount where listeners[index].fd >= 0 {
                poller.remove(listeners[index].fd)
            }
        }
        acceptPausedUntilMs = nowMs + Limits.acceptPauseMs
    }

    mutating func resumeAccepting() {
        acceptPausedUntilMs = 0
        meter.set(.acceptPaused, 0)
        for index in 0..<listenerCount where listeners[index].fd >= 0 {
            _ = poller.add(
                reader: listeners[index].fd, data: SpecialEvent.firstListener + UInt64(index))
        }
    }

    // MARK: mail

    mutating func readMail() {
        for letter in setup.mailbox.take() {
            switch letter {
            case .configuration(let snapshot, let sockets, let interpreter, let resolved):
                take(snapshot, sockets, interpreter, resolved)
            case .endpoints(let cluster): take(cluster)
            case .drain(let deadlineMs): drain(deadlineMs)
            case .resolved(let slot, let serial, let addresses): resolved(slot, serial, addresses)
            }
        }
    }

    private mutating func take(
        _ snapshot: Snapshot, _ sockets: [ListenerSocket], _ interpreter: Interpreter?,
        _ resolved: [ResolvedCluster]
    ) {
        if isDraining {
            for socket in sockets { if let fd = socket.descriptor { Syscalls.close(fd) } }
            return
        }
        // Under the configuration they belong to: what a removed listener points to goes with it.
        for index in 0..<listenerCount where listeners[index].fd >= 0 {
            if !sockets.contains(where: { $0.address == listeners[index].address }) { closeListener(index) }
        }
        let free = held.firstIndex { $0.snapshot == nil }
        let next = HeldSnapshot(
            snapshot: snapshot, interpreter: interpreter, exchanges: 0, resolved: resolvedView(resolved))
        let previous = current
        if !held.isEmpty { held[Int(previous)].exchanges = currentExchanges }
        currentExchanges = 0
        if let free { held[free] = next } else { held.append(next) }
        current = UInt32(free ?? held.count - 1)
        table = snapshot.table
        resolvedClusters = UnsafePointer(held[Int(current)].resolved.pointers)
        configurationSerial &+= 1
        rules.settle(snapshot.table.pointee.proxy.clientCertificates)
        if previous != current { dropIfUnused(previous) }
        replaceListeners(sockets, snapshot.table)
        settleServers()
        meter.set(.configGeneration, snapshot.generation)
    }

    /// Lets go of a configuration that no exchange needs any more.
    mutating func dropIfUnused(_ index: UInt32) {
        guard index != current, Int(index) < held.count, held[Int(index)].exchanges == 0 else { return }
        dropClusters(of: index)
        held[Int(index)].snapshot = nil
        held[Int(index)].interpreter = nil
    }

    private mutating func replaceListeners(_ sockets: [ListenerSocket], _ table: UnsafePointer<Table>) {
        for socket in sockets {
            let listener = table.pointee.listeners[socket.index]
            if let open = openListener(socket.address) {
                listeners[open].listener = listener
                listeners[open].role = listener.pointee.role.rawValue
                if let extra = socket.descriptor { Syscalls.close(extra) }
                continue
            }
            guard let fd = socket.descriptor else { continue }
            guard let place = freeListener() else {
                Log.error("worker \(setup.index): more than \(SpecialEvent.listenersMax) listeners")
                Syscalls.close(fd)
                continue
            }
            (listeners + place).initialize(
                to: OpenListener(
                    fd: fd, address: socket.address, listener: listener,
                    role: listener.pointee.role.rawValue))
            if !poller.add(reader: fd, data: SpecialEvent.firstListener + UInt64(place)) {
                Log.error("worker \(setup.index): cannot watch listener \(socket.address.text)")
            }
        }
    }

    private func openListener(_ address: SocketAddress) -> Int? {
        (0..<listenerCount).first { listeners[$0].fd >= 0 && listeners[$0].address == address }
    }

    /// A place whose connections are told by number stays reserved while any of them lives.
    private mutating func freeListener() -> Int? {
        for index in 0..<listenerCount where listeners[index].fd < 0 && listeners[index].connections == 0 {
            return index
        }
        if listenerCount < SpecialEvent.listenersMax {
            listenerCount += 1
            return listenerCount - 1
        }
        return nil
    }

    /// Takes what already waits in the queue first: closing would reset it. Its connections end as soon as
    /// nothing is lost by that.
    private mutating func closeListener(_ index: Int) {
        if listeners[index].fd < 0 { return }
        var before = downstreamCount - 1
        while acceptPausedUntilMs == 0, downstreamCount > before {
            before = downstreamCount
            accept(index)
        }
        Syscalls.close(listeners[index].fd)
        listeners[index].fd = -1
        eachDownstream { worker, slot in
            if Int(worker.connection(slot).pointee.listener) == index {
                worker.retireDownstream(slot, dropPartialHead: !worker.isDraining)
            }
        }
    }

    mutating func eachDownstream(_ body: (inout Worker, UInt32) -> Void) {
        var slot: UInt32 = 0
        while Int(slot) < connections.highWater {
            let own = connection(slot)
            if own.pointee.generation != 0, own.pointee.side == .downstream { body(&self, slot) }
            slot += 1
        }
    }

    // MARK: draining

    private mutating func drain(_ deadlineMs: UInt64) {
        if isDraining { return }
        drainDeadlineMs = max(1, deadlineMs)
        for index in 0..<listenerCount { closeListener(index) }
        var slot: UInt32 = 0
        while Int(slot) < connections.highWater {
            let own = connection(slot)
            if own.pointee.generation != 0, own.pointee.flags.contains(.idle) {
                closeIdleUpstream(slot, .poolClosedGone)
            }
            slot += 1
        }
    }

    mutating func closeEverything() {
        var slot: UInt32 = 0
        while Int(slot) < connections.highWater {
            let own = connection(slot)
            if own.pointee.generation != 0 {
                if own.pointee.side == .downstream {
                    closeDownstream(slot)
                } else if own.pointee.exchange == noSlot {
                    closeUpstream(slot)
                }
            }
            slot += 1
        }
        for index in 0..<listenerCount where listeners[index].fd >= 0 {
            Syscalls.close(listeners[index].fd)
        }
        listenerCount = 0
        for index in held.indices { held[index].resolved.free() }
    }
}
