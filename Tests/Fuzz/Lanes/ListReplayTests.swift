// Seeds and crashes of the list and query targets, and random texts, without libFuzzer.
import TestSupport
import Testing

@Suite struct ListReplay {
    private func check(_ bytes: [UInt8], _ violation: ([UInt8]) -> String?) {
        if let wrong = violation(bytes) { Issue.record("\(printable(bytes)): \(wrong)") }
    }

    private func replay(_ target: String, _ violation: ([UInt8]) -> String?) throws {
        let fuzz = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        var count = 0
        for folder in ["\(fuzz)/corpus/\(target)", "\(fuzz)/crashes/\(target)"] {
            for name in listFolder(folder) where name != ".gitkeep" {
                guard let bytes = readFile("\(folder)/\(name)") else {
                    throw TestFailure("\(folder)/\(name)")
                }
                check(bytes, violation)
                count += 1
            }
        }
        #expect(count >= 4)
    }

    @Test func lists() throws { try replay("Lists", ListInvariants.list) }

    @Test func queries() throws { try replay("Query", ListInvariants.query) }

    @Test func randomLists() {
        var random = SeededRandom()
        let parts = [
            "x-feat-name", "x-feat-nam", "=", "=", ";", ",", " ", "\t", "lane", "a", "\"", "%20", ";p=1",
            "\u{E4}",
        ]
        for _ in 0..<5_000 {
            let line = (0..<random.int(0...12)).map { _ in random.pick(parts) }.joined()
            check([UInt8(random.int(0...2))] + Array(line.utf8), ListInvariants.list)
        }
    }

    @Test func randomQueries() {
        var random = SeededRandom()
        let parts = [
            "x-feat-name", "x%2Dfeat-name", "x-feat%2dname", "%78-feat-name", "x-feat-name%", "&", "&", "=",
            "=", "lane",
            "%", "%2", "%zz", "+", "a", "%00",
        ]
        for _ in 0..<5_000 {
            check(
                Array((0..<random.int(0...12)).map { _ in random.pick(parts) }.joined().utf8),
                ListInvariants.query)
        }
    }
}
