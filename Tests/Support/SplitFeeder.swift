// Drip-feeding: an incremental parser must come to the same result however its input was cut.

/// Feeds `input` to `run` whole, byte by byte, at every single cut and at some random cuts, and throws when a
/// result differs from that of the whole input. Each piece is an array of its own, so that a parser which
/// reads past a piece is seen by the address sanitizer. `run` gets the pieces in order and must start afresh.
package func assertSameAtEverySplit<Result: Equatable>(
    _ input: [UInt8], seed: UInt64 = 1, _ run: ([[UInt8]]) throws -> Result
) throws {
    let whole = try run([input])
    func check(_ pieces: [[UInt8]]) throws {
        let result = try run(pieces)
        if result == whole { return }
        throw TestFailure(
            """
            cut into \(pieces.map(\.count)) the result is \(result)
            but whole it is \(whole)
            input: \(printable(input))
            """)
    }
    try check(input.map { [$0] })
    for cut in 0...input.count {
        try check([Array(input[..<cut]), Array(input[cut...])])
    }
    var random = SeededRandom(seed: seed)
    for _ in 0..<min(64, input.count) {
        try check(pieces(of: input, at: (0..<random.int(2...8)).map { _ in random.int(0...input.count) }))
    }
}

private func pieces(of input: [UInt8], at cuts: [Int]) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var from = 0
    for cut in cuts.sorted() + [input.count] {
        pieces.append(Array(input[from..<cut]))
        from = cut
    }
    return pieces
}
