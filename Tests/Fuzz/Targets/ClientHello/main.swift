// Any bytes as the beginning of a TLS connection: see ClientHelloInvariants.
import CFuzzer
import FuzzInvariants

private var count = CommandLine.argc
private var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv

LLVMFuzzerRunDriver(&count, &arguments) { data, count in
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    if let wrong = ClientHelloInvariants.violation(bytes, cuts: 16) { fatalError(wrong) }
    return 0
}
