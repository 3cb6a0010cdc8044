// The keys that session tickets are encrypted with: one ring for the process, so that a session resumes at
// any worker and after any reload. A key makes tickets for an hour and opens them for as long as they are
// good (RFC 8446 4.6.1 allows a week; a day is what a stolen key should be worth).
internal import Base
internal import CLinux
internal import COpenSSL
internal import Synchronization

struct TicketKeys {
    struct Key {
        var name: [UInt8]
        var cipher: [UInt8]
        var mac: [UInt8]
        /// Of the monotonic clock, seconds.
        var madeAt: UInt64
    }

    /// Of the process.
    static let shared = Mutex(TicketKeys())

    /// The newest first.
    private var keys: [Key] = []

    var count: Int { keys.count }

    static func install(in context: OpaquePointer) {
        _ = SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticketCallback)
    }

    /// The key for new tickets; nil: no randomness to be had.
    mutating func current(_ nowSeconds: UInt64) -> Key? {
        if let first = keys.first, nowSeconds - first.madeAt < Limits.ticketKeySeconds { return first }
        var random = [UInt8](repeating: 0, count: 80)
        guard RAND_bytes(&random, 80) == 1 else { return nil }
        let key = Key(
            name: Array(random[0..<16]), cipher: Array(random[16..<48]), mac: Array(random[48..<80]),
            madeAt: nowSeconds)
        keys = keys.filter { !isOver($0, nowSeconds) }
        keys.insert(key, at: 0)
        return key
    }

    /// The key of a ticket, and whether it is the one that makes tickets now.
    func find(_ name: UnsafePointer<UInt8>, _ nowSeconds: UInt64) -> (key: Key, isCurrent: Bool)? {
        for (index, key) in keys.enumerated() where memcmp(key.name, name, 16) == 0 {
            if isOver(key, nowSeconds) { return nil }
            return (key, index == 0 && nowSeconds - key.madeAt < Limits.ticketKeySeconds)
        }
        return nil
    }

    /// No ticket of it can be good any more.
    private func isOver(_ key: Key, _ nowSeconds: UInt64) -> Bool {
        nowSeconds - key.madeAt >= Limits.ticketSeconds + Limits.ticketKeySeconds
    }

    static func seconds() -> UInt64 { fl_monotonic_ns() / 1_000_000_000 }
}

/// 1: done; 2: done, and the client should get a new ticket; 0: unknown key, a full handshake
/// follows; -1: failed.
private func ticketCallback(
    _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ vector: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ isNew: Int32
) -> Int32 {
    guard let name, let vector, let cipher, let mac else { return -1 }
    // Inside the lock, since two workers may ask at once; it is held for a look into a short list.
    if isNew == 1 {
        let key = TicketKeys.shared.withLock { $0.current(TicketKeys.seconds()) }
        guard var key, RAND_bytes(vector, 16) == 1 else { return -1 }
        memcpy(name, key.name, 16)
        guard EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1,
            fl_mac_sha256(mac, &key.mac, 32) == 1
        else { return -1 }
        return 1
    }
    let found = TicketKeys.shared.withLock { $0.find(name, TicketKeys.seconds()) }
    guard case (var key, let isCurrent)? = found else { return 0 }
    guard fl_mac_sha256(mac, &key.mac, 32) == 1,
        EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1
    else { return -1 }
    // Tickets of TLS 1.3 are for one use (RFC 8446 C.4): whoever resumes gets the next.
    return isCurrent && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2
}
