// The whole access log: threads, files, rotation, and targets that fail.
import Base
import CLinux
import Glibc
import Loop
import Testing

@testable import Telemetry

private struct Folder: ~Copyable {
    let path: String

    init() {
        var template = Array("/tmp/fairlead-access-XXXXXX".utf8CString)
        mkdtemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    deinit {
        for name in ["a.log", "b.log", "fifo"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}

private func lines(_ path: String) -> [Substring] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        if count == 0 { break }
        bytes.append(contentsOf: chunk[..<count])
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
}

private func push(_ ring: AccessRing, _ number: Int) {
    var record = AccessRecord()
    record.bytesSent = UInt64(number)
    while !ring.push(&record) { usleep(1_000) }
}

@Test func allWorkersLinesArriveEachInItsOrder() throws {
    let folder = Folder()
    let path = folder.file("a.log")
    let log = try AccessLog(target: .file(path), format: .text, workers: 3)
    let each = 5_000
    let threads = (0..<3).map { worker in
        let ring = log.ring(worker: worker)
        nonisolated(unsafe) let sent = ring
        return Thread(name: "worker") {
            for number in 0..<each { push(sent, worker * each + number) }
        }
    }
    for thread in threads { thread?.join() }
    log.close()
    let numbers = lines(path).map { Int($0.split(separator: " ")[10])! }
    #expect(numbers.count == 3 * each)
    for worker in 0..<3 {
        let range = worker * each..<(worker + 1) * each
        let inOrder = numbers.filter { range.contains($0) } == Array(range)
        #expect(inOrder)
    }
    #expect(log.stats.written == UInt64(3 * each))
    #expect(log.stats.failed == 0)
}

@Test func anIdleWriterWakesForOneRecord() throws {
    let folder = Folder()
    let path = folder.file("a.log")
    let log = try AccessLog(target: .file(path), format: .json, workers: 1)
    for number in 0..<3 {
        push(log.ring(worker: 0), number)
        while log.stats.written < UInt64(number + 1) { usleep(1_000) }
        // Long enough for the writer to find nothing and sleep.
        usleep(120_000)
    }
    #expect(lines(path).count == 3)
    log.close()
}

@Test func rotationLosesNoLine() throws {
    let folder = Folder()
    let log = try AccessLog(target: .file(folder.file("a.log")), format: .text, workers: 1)
    push(log.ring(worker: 0), 1)
    while log.stats.written < 1 { usleep(1_000) }
    rename(folder.file("a.log"), folder.file("b.log"))
    log.reopen()
    while access(folder.file("a.log"), F_OK) != 0 { usleep(1_000) }
    push(log.ring(worker: 0), 2)
    log.close()
    log.close()
    #expect(lines(folder.file("b.log")).count == 1)
    #expect(lines(folder.file("a.log")).count == 1)
}

@Test func aFullDiskLosesLinesAndCountsThem() throws {
    let log = try AccessLog(target: .file("/dev/full"), format: .text, workers: 1)
    Log.set(level: .off)
    for number in 0..<10 { push(log.ring(worker: 0), number) }
    log.close()
    #expect(log.stats.written == 0)
    #expect(log.stats.failed == 10)
}

@Test func aPipeThatNobodyReadsNeitherBlocksWorkersNorTheEnd() throws {
    let folder = Folder()
    let path = folder.file("fifo")
    mkfifo(path, 0o600)
    // Held open and never read.
    let reader = open(path, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    let log = try AccessLog(target: .file(path), format: .text, workers: 1)
    let ring = log.ring(worker: 0)
    var record = AccessRecord()
    var refused = false
    while !refused { refused = !ring.push(&record) }
    log.close()
    #expect(log.stats.dropped == 1)
    #expect(log.stats.failed > 0)
}

@Test func aPathThatCannotBeOpenedIsAnError() {
    #expect(throws: AccessLogError.self) {
        try AccessLog(target: .file("/nonexistent/folder/a.log"), format: .text, workers: 1)
    }
}

@Test func targetsByFlag() {
    #expect(AccessLogTarget(flag: "off") == nil)
    #expect(AccessLogTarget(flag: "-") == .standardOutput)
    #expect(AccessLogTarget(flag: "/var/log/a") == .file("/var/log/a"))
}
