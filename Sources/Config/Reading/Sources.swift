// Paths to texts: files, folders (read recursively, `*.yaml` and `*.yml`) and standard input. Everything is
// bounded; what cannot be read is told apart from what is wrong.
internal import Base
internal import Glibc
internal import Synchronization

/// One file's text.
package struct SourceText: Sendable, Equatable {
    /// As findings name it; `<stdin>` for `-`.
    package var file: String
    package var bytes: [UInt8]

    package init(file: String, bytes: [UInt8]) {
        self.file = file
        self.bytes = bytes
    }
}

/// All texts of one load, in the order of the paths, folders sorted by name.
package struct Sources: Sendable {
    package private(set) var texts: [SourceText] = []
    /// One finding a path that could not be read: exit code 2 of `check`.
    package private(set) var unreadable: [Finding] = []
    /// Folders that were read, so that a link back into one of them ends there.
    private var folders: Set<FolderIdentity> = []
    private var files: Set<String> = []
    private var fileCount = 0

    /// Reads everything. `-` is standard input and is read once.
    package init(paths: [String]) {
        var readInput = false
        for path in paths {
            if path == "-" {
                if !readInput { add(readOnce(path), name: "<stdin>") }
                readInput = true
            } else if isPipe(path) {
                add(readOnce(path), name: path)
            } else if isFolder(path) {
                readFolder(path, depth: 0)
            } else {
                readFile(path, name: path)
            }
        }
    }

    /// Texts that are already in memory: tests, and configuration received otherwise.
    package init(texts: [SourceText]) { self.texts = texts }

    private mutating func fail(_ path: String, _ reason: String) {
        unreadable.append(
            Finding(.error, Code.unreadable, "cannot read: \(reason)", file: path, line: 0, refused: true))
    }

    private mutating func readFolder(_ path: String, depth: Int) {
        guard depth < Limits.folderDepth else {
            fail(path, "folders nested deeper than \(Limits.folderDepth)")
            return
        }
        guard let entries = folderEntries(path) else {
            fail(path, reason(errno))
            return
        }
        guard let identity = FolderIdentity(path), folders.insert(identity).inserted else { return }
        for name in entries.sorted() {
            let full = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
            if isFolder(full) {
                // `..data` and `..2026_01_02` of a ConfigMap hold what the links beside them show already.
                if !name.hasPrefix(".") { readFolder(full, depth: depth + 1) }
            } else if !name.hasPrefix("."), name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
                if fileCount == Limits.configurationFiles {
                    fail(path, "more than \(Limits.configurationFiles) files")
                    return
                }
                readFile(full, name: full)
            }
        }
    }

    private mutating func readFile(_ path: String, name: String) {
        // A file inside a folder that is given too is one file.
        if let real = realPath(path), !files.insert(real).inserted { return }
        add(readBounded(path, limit: Limits.fileBytes), name: name)
    }

    private mutating func add(_ content: Result<[UInt8], FileProblem>, name: String) {
        fileCount += 1
        switch content {
        case .success(let bytes): texts.append(SourceText(file: name, bytes: bytes))
        case .failure(let problem): fail(name, problem.text)
        }
    }
}

/// Why a file could not be read, for people.
struct FileProblem: Error {
    var text: String
}

private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

/// What can be read once, standard input and pipes (a shell's `<(command)`), by path: a reload must find the
/// same text again.
private let readBefore = Mutex<[String: Result<[UInt8], FileProblem>]>([:])

private func readOnce(_ path: String) -> Result<[UInt8], FileProblem> {
    readBefore.withLock { kept in
        if let content = kept[path] { return content }
        let content =
            path == "-"
            ? readAll(0, limit: Limits.fileBytes, patienceMs: -1)
            : readBounded(path, limit: Limits.fileBytes, patienceMs: Limits.pipePatienceMs)
        kept[path] = content
        return content
    }
}

private func isPipe(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
}

/// A whole file of at most `limit` bytes. `patienceMs`: how long the writer of a pipe may be silent.
func readBounded(_ path: String, limit: Int, patienceMs: Int32 = 0) -> Result<[UInt8], FileProblem> {
    // Non-blocking, so that a FIFO without a writer cannot hang the load.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return .failure(FileProblem(text: reason(errno))) }
    defer { close(descriptor) }
    return readAll(descriptor, limit: limit, patienceMs: patienceMs)
}

private func readAll(_ descriptor: Int32, limit: Int, patienceMs: Int32) -> Result<[UInt8], FileProblem> {
    var bytes: [UInt8] = []
    var status = stat()
    // Growing to many megabytes would copy them several times.
    if fstat(descriptor, &status) == 0, status.st_size > 0 {
        bytes.reserveCapacity(min(limit, Int(status.st_size)) + 1)
    }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0 {
            if errno == EINTR { continue }
            if errno == EAGAIN, isReadable(descriptor, within: patienceMs) { continue }
            return .failure(FileProblem(text: reason(errno)))
        }
        if count == 0 { return .success(bytes) }
        bytes.append(contentsOf: chunk[..<count])
        if bytes.count > limit { return .failure(FileProblem(text: "larger than \(limit) bytes")) }
    }
}

/// False with ETIMEDOUT: nothing came in time. Below 0 is for ever.
private func isReadable(_ descriptor: Int32, within patienceMs: Int32) -> Bool {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let count = poll(&wanted, 1, patienceMs)
    if count == 0 { errno = patienceMs == 0 ? EAGAIN : ETIMEDOUT }
    return count > 0 || count < 0 && errno == EINTR
}

private func isFolder(_ path: String) -> Bool { FolderIdentity(path) != nil }

/// Which folder a path leads to, whatever way it takes.
private struct FolderIdentity: Hashable {
    private let device: UInt64
    private let inode: UInt64

    /// nil: not a folder.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

private func realPath(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
}

/// Names in a folder but `.` and `..`; nil if it cannot be read (`errno`).
private func folderEntries(_ path: String) -> [String]? {
    guard let folder = opendir(path) else { return nil }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
        if names.count > Limits.configurationFiles { break }
    }
    return names
}
