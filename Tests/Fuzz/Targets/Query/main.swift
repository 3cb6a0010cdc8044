// Any bytes as a query string: see ListInvariants.
import CFuzzer
import FuzzLanes

private var count = CommandLine.argc
private var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv

LLVMFuzzerRunDriver(&count, &arguments) { data, count in
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    if let wrong = ListInvariants.query(bytes) { fatalError(wrong) }
    return 0
}
