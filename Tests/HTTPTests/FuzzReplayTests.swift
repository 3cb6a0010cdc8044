// What the fuzz targets of Tests/Fuzz start from and what once broke them, without libFuzzer.
import FuzzInvariants
import TestSupport
import Testing

@Suite struct FuzzReplay {
    /// Every kept input of a target.
    private func inputs(_ target: String) throws -> [(String, [UInt8])] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        return try ["corpus", "crashes"].flatMap { kind in
            let folder = "/\(tests)/Fuzz/\(kind)/\(target)"
            return try listFolder(folder).filter { $0 != ".gitkeep" }.map { name in
                guard let bytes = readFile("\(folder)/\(name)") else {
                    throw TestFailure("\(folder)/\(name)")
                }
                return ("\(kind)/\(target)/\(name)", bytes)
            }
        }
    }

    @Test(arguments: [("RequestHead", HeadKind.request), ("ResponseHead", HeadKind.response)])
    func heads(_ target: String, _ kind: HeadKind) throws {
        let reader = HeadReader()
        let inputs = try inputs(target)
        #expect(inputs.count >= 6)
        for (name, bytes) in inputs {
            let wrong = HeadInvariants.violation(kind, bytes, reader)
            #expect(wrong == nil, "\(name)")
        }
    }

    @Test func chunkedBodies() throws {
        let inputs = try inputs("ChunkedBody")
        #expect(inputs.count >= 6)
        for (name, bytes) in inputs { #expect(ChunkedInvariants.seeded(bytes) == nil, "\(name)") }
    }
}
