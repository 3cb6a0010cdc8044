// Bodies much larger than any buffer, up and down, in every pair of protocols, to receivers that stand still
// for a moment: what arrives is what was sent, and the proxy's resident memory stays.
import Glibc
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(60)))
struct LargeBodies {
    /// What a stream may take at most, its share of what the worker makes at its first use included.
    private static let mostKiB = 2_048

    /// `FAIRLEAD_BODY_MIB`: bodies of that size, in every form, with a table of what they took.
    private static let asked = getenv("FAIRLEAD_BODY_MIB").flatMap { Int(String(cString: $0)) }

    /// Every pair of protocols, there and back. In the usual run a pair's upload and download are framed one
    /// way each, pairs in turns.
    private static var passages: [BodyPassage] {
        var all: [BodyPassage] = []
        for (row, downstream) in BodyHop.allCases.enumerated() {
            for (column, upstream) in BodyHop.allCases.enumerated() {
                for isUpload in [false, true] {
                    let isEven = (row + column).isMultiple(of: 2) == isUpload
                    for hasLength in asked == nil ? [isEven] : [true, false] {
                        all.append(
                            BodyPassage(
                                downstream: downstream, upstream: upstream, isUpload: isUpload,
                                hasLength: hasLength))
                    }
                }
            }
        }
        return all
    }

    @Test func passInConstantMemory() throws {
        let large = try LargeBodySite(bytes: (Self.asked ?? 24) << 20)
        // Code that no body went through yet is not resident either.
        for passage in Self.passages { try large.pass(passage, small: true) }
        large.forgetPeak()
        let before = try large.peakKiB()
        for passage in Self.passages {
            large.forgetPeak()
            let took = try ContinuousClock().measure { try large.pass(passage) }
            let growth = try large.peakKiB() - before
            #expect(growth < Self.mostKiB, "\(passage): \(growth) KiB more than at first")
            if Self.asked != nil { print("\(passage): \(growth) KiB, \(took)") }
        }
    }
}
