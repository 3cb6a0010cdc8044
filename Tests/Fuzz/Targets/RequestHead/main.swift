// Any bytes as a request head: see HeadInvariants.
import CFuzzer
import FuzzInvariants

private let reader = HeadReader()

private var count = CommandLine.argc
private var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv

LLVMFuzzerRunDriver(&count, &arguments) { data, count in
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    if let wrong = HeadInvariants.violation(.request, bytes, reader) { fatalError(wrong) }
    return 0
}
