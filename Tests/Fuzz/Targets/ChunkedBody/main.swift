// Any bytes as a chunked body, cut by sizes that the first byte chooses: see ChunkedInvariants.
import CFuzzer
import FuzzInvariants

private var count = CommandLine.argc
private var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv

LLVMFuzzerRunDriver(&count, &arguments) { data, count in
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    if let wrong = ChunkedInvariants.seeded(bytes) { fatalError(wrong) }
    return 0
}
