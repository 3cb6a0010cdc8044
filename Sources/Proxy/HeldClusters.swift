// Clusters with names as a worker has them: the ones to route by, and older ones that exchanges began under.
internal import Lanes

/// Kept until a newer one took its place and the last exchange that was decided by it is over.
struct HeldCluster {
    var cluster: ResolvedCluster?
    var exchanges = 0
    var isCurrent = true
}

/// The clusters with names of one configuration, by `Cluster.resolvedIndex`.
struct ResolvedView {
    /// What `decide` reads; nil: no cluster has names.
    private(set) var pointers: UnsafeMutablePointer<UnsafePointer<Cluster>>?
    /// Where each is held.
    private(set) var places: [UInt32] = []

    init(_ clusters: [ResolvedCluster], _ places: [UInt32]) {
        self.places = places
        guard !clusters.isEmpty else { return }
        let room = UnsafeMutablePointer<UnsafePointer<Cluster>>.allocate(capacity: clusters.count)
        for (index, cluster) in clusters.enumerated() { (room + index).initialize(to: cluster.cluster) }
        pointers = room
    }

    mutating func replace(_ cluster: ResolvedCluster, _ place: UInt32) {
        pointers?[cluster.position] = cluster.cluster
        places[cluster.position] = place
    }

    mutating func free() {
        pointers?.deallocate()
        pointers = nil
        places = []
    }
}

extension Worker {
    /// Takes a new configuration's clusters with names.
    mutating func resolvedView(_ clusters: [ResolvedCluster]) -> ResolvedView {
        var places: [UInt32] = []
        for cluster in clusters { places.append(hold(cluster)) }
        return ResolvedView(clusters, places)
    }

    private mutating func hold(_ cluster: ResolvedCluster) -> UInt32 {
        let value = HeldCluster(cluster: cluster)
        if let free = freeClusterPlaces.popLast() {
            heldClusters[Int(free)] = value
            return free
        }
        heldClusters.append(value)
        return UInt32(heldClusters.count - 1)
    }

    /// A configuration is gone: nobody is routed by its clusters any more.
    mutating func dropClusters(of snapshot: UInt32) {
        for place in held[Int(snapshot)].resolved.places { retire(place) }
        held[Int(snapshot)].resolved.free()
    }

    private mutating func retire(_ place: UInt32) {
        heldClusters[Int(place)].isCurrent = false
        if heldClusters[Int(place)].exchanges == 0 { forget(place) }
    }

    private mutating func forget(_ place: UInt32) {
        heldClusters[Int(place)].cluster = nil
        freeClusterPlaces.append(place)
    }

    /// The addresses of a cluster's names changed. Idle connections to those that are gone are closed, busy
    /// ones when they have done (`keepUpstream`).
    mutating func take(_ cluster: ResolvedCluster) {
        guard !held.isEmpty, cluster.position < held[Int(current)].resolved.places.count else { return }
        let old = held[Int(current)].resolved.places[cluster.position]
        let before = heldClusters[Int(old)].cluster
        let place = hold(cluster)
        held[Int(current)].resolved.replace(cluster, place)
        if let before {
            let endpoints = before.cluster.pointee.endpoints
            for index in 0..<endpoints.count {
                let endpoint = endpoints[index].pointee
                if cluster.cluster.pointee.has(endpoint.id) { continue }
                if pool.state(endpoint.id).pointee.generation == endpoint.idGeneration {
                    closePooled(endpoint.id)
                }
            }
        }
        retire(old)
    }

    /// An exchange was decided: a cluster with names stays until it is over.
    @inline(__always)
    mutating func holdCluster(_ number: UInt32) {
        if let cluster = exchange(number).pointee.decision.pointee.cluster,
            cluster.pointee.resolvedIndex >= 0
        {
            hold(number, cluster)
        }
    }

    private mutating func hold(_ number: UInt32, _ cluster: UnsafePointer<Cluster>) {
        let x = exchange(number)
        releaseCluster(x)
        let place = held[Int(x.pointee.snapshot)].resolved.places[Int(cluster.pointee.resolvedIndex)]
        heldClusters[Int(place)].exchanges += 1
        x.pointee.heldCluster = place
    }

    mutating func releaseCluster(_ x: UnsafeMutablePointer<Exchange>) {
        let place = Int(x.pointee.heldCluster)
        if x.pointee.heldCluster == noSlot { return }
        x.pointee.heldCluster = noSlot
        heldClusters[place].exchanges -= 1
        if heldClusters[place].exchanges == 0, !heldClusters[place].isCurrent {
            forget(UInt32(place))
        }
    }

    /// Whether the endpoint of a connection is none of its cluster's any more.
    func isGone(_ endpoint: UInt32, of cluster: UnsafePointer<Cluster>) -> Bool {
        let index = Int(cluster.pointee.resolvedIndex)
        let view = held[Int(current)].resolved
        guard index < view.places.count, let now = view.pointers?[index] else { return true }
        return now != cluster && !now.pointee.has(endpoint)
    }
}

extension Cluster {
    fileprivate func has(_ id: UInt32) -> Bool {
        for index in 0..<endpoints.count where endpoints[index].pointee.id == id { return true }
        return false
    }
}
