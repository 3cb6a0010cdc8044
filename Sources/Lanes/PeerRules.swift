// What the table knows of addresses: whose forwarded fields are believed, and who may ask for explanations.
public import Base

extension ProxySettings {
    /// A proxy in front that `trust.cidrs` names.
    public func trusts(_ peer: SocketAddress) -> Bool { contains(trustedCIDRs, peer) }

    /// An address that `debug.allow` names.
    public func mayDebug(_ peer: SocketAddress) -> Bool { contains(debugCIDRs, peer) }

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
    public func contains(_ address: SocketAddress) -> Bool {
        let highBits = min(prefixLength, 64)
        let highMask: UInt64 = highBits == 0 ? 0 : ~0 << UInt64(64 - highBits)
        let lowBits = max(0, prefixLength - 64)
        let lowMask: UInt64 = lowBits == 0 ? 0 : ~0 << UInt64(64 - lowBits)
        return (address.high ^ high) & highMask == 0 && (address.low ^ low) & lowMask == 0
    }
}
