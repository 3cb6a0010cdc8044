// What is known of the names behind a cluster's endpoints, as a part of /clusters.
internal import Base
internal import Lanes
internal import Loop

enum NamesJSON {
    static func names(
        _ cluster: ClusterModel, _ nameState: (String) -> NameState, _ json: inout JSONWriter
    ) {
        json.array("names") { list in
            for name in cluster.sources {
                let state = nameState(name)
                list.object {
                    $0.member("name", name)
                    $0.member("state", state.status.rawValue)
                    $0.member("addresses", state.addresses.map(Self.text))
                    $0.member("ttlSeconds", state.ttlMs / 1_000)
                    if state.failures > 0 { $0.member("failures", state.failures) }
                    if let failure = state.failure { $0.member("failure", failure.rawValue) }
                }
            }
        }
    }

    private static func text(_ address: SocketAddress) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: SocketAddress.textBytesMax) { room in
            let start = room.baseAddress!
            return ByteView(start, address.writeAddress(to: start)).string
        }
    }
}
