// What helpers throw when the thing under test did not do what was waited for. A test that lets it through
// fails with this text.

/// A failed expectation of a helper, with what was seen instead.
package struct TestFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// The peer reset the connection (ECONNRESET or EPIPE), as opposed to closing it.
package struct ConnectionReset: Error, CustomStringConvertible {
    /// Bytes that arrived before the reset, during the call that threw.
    package let received: [UInt8]

    package var description: String {
        "connection reset after \(received.count) bytes: \(printable(received))"
    }
}

/// Bytes as one line of text for messages: control characters and bytes above ASCII escaped, cut at 2,000.
package func printable(_ bytes: some Collection<UInt8>) -> String {
    var text = ""
    for byte in bytes.prefix(2_000) {
        switch byte {
        case 0x0D: text += "\\r"
        case 0x0A: text += "\\n"
        case 0x20...0x7E: text.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            let digits = String(byte, radix: 16)
            text += "\\x" + (digits.count == 1 ? "0" : "") + digits
        }
    }
    return bytes.count > 2_000 ? text + "… (\(bytes.count) bytes)" : text
}
