// Which endpoint of a set serves a request (istio-semantics.md 13). Sets hold healthy endpoints only;
// weights of one everywhere, the usual case, cost nothing.
internal import Base
internal import Lanes

/// Random numbers for balancing and identifiers; not for secrets.
struct RandomSource: BitwiseCopyable {
    private var state: UInt64

    init(seed: UInt64) { state = seed | 1 }

    /// SplitMix64: every bit is good, and one multiplication chain is all it costs.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in 0..<bound; `bound` is not 0.
    mutating func below(_ bound: UInt64) -> UInt64 {
        next().multipliedFullWidth(by: bound).high
    }
}

extension Worker {
    /// Picks an index into `cluster.endpoints` out of `set`; nil when the set is empty.
    @inline(__always)
    mutating func pickEndpoint(_ cluster: UnsafePointer<Cluster>, _ set: Frozen<UInt32>) -> Int? {
        if set.count == 0 { return nil }
        return set.count == 1 ? Int(set[0].pointee) : draw(cluster, set)
    }

    private mutating func draw(_ cluster: UnsafePointer<Cluster>, _ set: Frozen<UInt32>) -> Int {
        if cluster.pointee.hasWeights { return pickWeighted(cluster, set) }
        switch cluster.pointee.loadBalancing {
        case .random:
            return Int(set[Int(random.below(UInt64(set.count)))].pointee)
        case .roundRobin:
            let turn = roundRobinTurns + Int(cluster.pointee.index) & roundRobinMask
            turn.pointee &+= 1
            return Int(set[Int(turn.pointee % UInt32(set.count))].pointee)
        case .leastRequest:
            // Two draws with replacement, fewer active requests wins, the first on a tie.
            let first = Int(set[Int(random.below(UInt64(set.count)))].pointee)
            let second = Int(set[Int(random.below(UInt64(set.count)))].pointee)
            let endpoints = cluster.pointee.endpoints
            let firstActive = pool.state(endpoints[first].pointee.id).pointee.active
            let secondActive = pool.state(endpoints[second].pointee.id).pointee.active
            return secondActive < firstActive ? second : first
        }
    }

    /// For another try: the endpoint behind the one that failed, so that as many tries as there are endpoints
    /// reach each of them.
    func pickOther(_ set: Frozen<UInt32>, than failed: Int32) -> Int? {
        if set.count == 0 { return nil }
        var index = 0
        while index < set.count {
            let isFailed = Int(set[index].pointee) == Int(failed)
            index &+= 1
            if isFailed { return Int(set[index % set.count].pointee) }
        }
        return Int(set[0].pointee)
    }

    /// Unequal weights: drawn in proportion, for least-request divided by the requests at hand.
    private mutating func pickWeighted(_ cluster: UnsafePointer<Cluster>, _ set: Frozen<UInt32>) -> Int {
        let endpoints = cluster.pointee.endpoints
        let leastRequest = cluster.pointee.loadBalancing == .leastRequest
        var total: UInt64 = 0
        var index = 0
        while index < set.count {
            total &+= share(endpoints[Int(set[index].pointee)], leastRequest)
            index &+= 1
        }
        var draw = random.below(max(1, total))
        index = 0
        while index < set.count {
            let share = share(endpoints[Int(set[index].pointee)], leastRequest)
            if draw < share { return Int(set[index].pointee) }
            draw &-= share
            index &+= 1
        }
        return Int(set[set.count - 1].pointee)
    }

    private mutating func share(_ endpoint: UnsafePointer<Endpoint>, _ leastRequest: Bool) -> UInt64 {
        let weight = UInt64(endpoint.pointee.weight) << 16
        if !leastRequest { return weight }
        return max(1, weight / UInt64(pool.state(endpoint.pointee.id).pointee.active &+ 1))
    }
}
