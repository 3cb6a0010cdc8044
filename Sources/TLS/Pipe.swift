// Between OpenSSL and our buffers: a BIO that reads ciphertext where a recv(2) left it and writes ciphertext
// where a send(2) will take it. One for each worker: OpenSSL works on one connection at a time.
internal import COpenSSL

/// The memory that a call into OpenSSL works with.
struct Pipe: BitwiseCopyable {
    /// Ciphertext not yet taken.
    var input: UnsafePointer<UInt8>
    var inputCount = 0
    /// Ciphertext made.
    let output: UnsafeMutablePointer<UInt8>
    var outputCount = 0
    let outputCapacity: Int
    /// Why the last handshake failed, as far as OpenSSL's own words do not say.
    let note: UnsafeMutablePointer<UInt8>
    var noteCount = 0
    /// The client's server name has no server here.
    var isNameRefused = false

    static let noteCapacity = 512

    mutating func note(_ text: String) {
        noteCount = min(text.utf8.count, Self.noteCapacity)
        for (index, byte) in text.utf8.prefix(noteCount).enumerated() { note[index] = byte }
    }

    mutating func refuseName(_ name: String) {
        isNameRefused = true
        note(name.isEmpty ? "no server name was sent" : "no server for \(name)")
    }

    static func of(_ ssl: OpaquePointer) -> UnsafeMutablePointer<Pipe>? {
        guard let bio = SSL_get_rbio(ssl), let data = BIO_get_data(bio) else { return nil }
        return data.assumingMemoryBound(to: Pipe.self)
    }

    /// Made once for the process; never freed.
    nonisolated(unsafe) static let method: OpaquePointer? = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fairlead") else {
            return nil
        }
        BIO_meth_set_read(method, readCallback)
        BIO_meth_set_write(method, writeCallback)
        BIO_meth_set_ctrl(method, controlCallback)
        BIO_meth_set_create(method, createCallback)
        return method
    }()
}

private func createCallback(_ bio: OpaquePointer?) -> Int32 {
    BIO_set_init(bio, 1)
    return 1
}

private func readCallback(
    _ bio: OpaquePointer?, _ out: UnsafeMutablePointer<CChar>?, _ count: Int32
) -> Int32 {
    fl_bio_clear_retry(bio)
    guard let out, count > 0, let data = BIO_get_data(bio) else { return 0 }
    let pipe = data.assumingMemoryBound(to: Pipe.self)
    let taken = min(Int(count), pipe.pointee.inputCount)
    if taken == 0 {
        fl_bio_retry_read(bio)
        return -1
    }
    memcpy(out, pipe.pointee.input, taken)
    pipe.pointee.input += taken
    pipe.pointee.inputCount &-= taken
    return Int32(truncatingIfNeeded: taken)
}

private func writeCallback(_ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
    fl_bio_clear_retry(bio)
    guard let bytes, count > 0, let data = BIO_get_data(bio) else { return 0 }
    let pipe = data.assumingMemoryBound(to: Pipe.self)
    let taken = min(Int(count), pipe.pointee.outputCapacity &- pipe.pointee.outputCount)
    if taken == 0 {
        fl_bio_retry_write(bio)
        return -1
    }
    memcpy(pipe.pointee.output + pipe.pointee.outputCount, bytes, taken)
    pipe.pointee.outputCount &+= taken
    return Int32(truncatingIfNeeded: taken)
}

private func controlCallback(
    _ bio: OpaquePointer?, _ command: Int32, _ number: Int, _ pointer: UnsafeMutableRawPointer?
) -> Int {
    command == BIO_CTRL_FLUSH ? 1 : 0
}
