// What the table knows of addresses: whose forwarded fields are believed, and who may ask for explanations.
package import Base

extension ProxySettings {
    /// A proxy in front that `trust.cidrs` names.
    package func trusts(_ peer: SocketAddress) -> Bool { contains(trustedCIDRs, peer) }

    /// An address that `debug.allow` names.
    package func mayDebug(_ peer: SocketAddress) -> Bool { contains(debugCIDRs, peer) }

    private func contains(_ ranges: Frozen<CIDR>, _ address: SocketAddress) -> Bool {
        var index = 0
        while index < ranges.count {
            if ranges[index].pointee.contains(address) { return true }
            index &+= 1
        }
        return false
    }
}

extension CIDR {
    /// Whether the first `prefixLength` bits are the same.
    package func contains(_ address: SocketAddress) -> Bool {
        let highBits = min(prefixLength, 64)
        let highMask: UInt64 = highBits == 0 ? 0 : ~0 << UInt64(64 - highBits)
        let lowBits = max(0, prefixLength - 64)
        let lowMask: UInt64 = lowBits == 0 ? 0 : ~0 << UInt64(64 - lowBits)
        return (address.high ^ high) & highMask == 0 && (address.low ^ low) & lowMask == 0
    }
}

extension Decision {
    /// Some header operation of this decision speaks of the connection or the other side's head, so that the worker
    /// has to fill a `FormatContext`.
    package var needsFormatting: Bool {
        if let injected, injected.pointee.isFormatted { return true }
        if anyFormatted(response.levels) { return true }
        guard let route else { return false }
        return anyFormatted(target?.pointee.requestLevels ?? route.pointee.requestLevels)
    }

    private func anyFormatted(_ levels: Frozen<HeaderLevel>) -> Bool {
        var index = 0
        while index < levels.count {
            if levels[index].pointee.isFormatted { return true }
            index &+= 1
        }
        return false
    }
}
