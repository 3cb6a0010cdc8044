// Seeds and crashes of the fuzz targets for the first bytes of a connection, without libFuzzer.
import FuzzInvariants
import TestSupport
import Testing

@Suite struct SniffReplay {
    private func replay(_ target: String, _ violation: ([UInt8]) -> String?) throws {
        let tests = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        var count = 0
        for folder in ["\(tests)/Fuzz/corpus/\(target)", "\(tests)/Fuzz/crashes/\(target)"] {
            for name in listFolder(folder) where name != ".gitkeep" {
                guard let bytes = readFile("\(folder)/\(name)") else {
                    throw TestFailure("\(folder)/\(name)")
                }
                let wrong = violation(bytes)
                #expect(wrong == nil, "\(folder)/\(name)")
                count += 1
            }
        }
        #expect(count >= 6)
    }

    @Test func clientHellos() throws { try replay("ClientHello") { ClientHelloInvariants.violation($0) } }
    @Test func proxyHeaders() throws { try replay("ProxyHeader") { ProxyHeaderInvariants.violation($0) } }
}
