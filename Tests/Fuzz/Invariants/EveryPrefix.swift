// What holds for every reader that is fed piece by piece.

/// Every shorter prefix either asks for more bytes than it has, and for no more than are to come, or is
/// judged as the whole; nil when that holds. `cuts`: about how many prefixes are tried. `isComplete`: the
/// whole was read to its end, so that no reader may have waited for more than it. `read`: the verdict on some
/// bytes, and how many it needs where that is `more`.
func prefixViolation<Verdict: Equatable>(
    _ bytes: [UInt8], cuts: Int, whole: Verdict, more: Verdict, isComplete: Bool,
    _ read: ([UInt8]) -> (Verdict, need: Int)
) -> String? {
    for count in stride(from: 0, to: bytes.count, by: max(1, bytes.count / cuts)) {
        let (verdict, need) = read(Array(bytes[..<count]))
        if verdict == more {
            if need <= count { return "\(count) bytes: asks for \(need)" }
            if isComplete, need > bytes.count { return "\(count) of \(bytes.count) bytes: asks for \(need)" }
        } else if verdict != whole {
            return "\(count) bytes: \(verdict), whole \(whole)"
        }
    }
    return nil
}
