// A folder of a test's own, gone with everything in it when the last reference goes.
internal import Glibc

package final class TemporaryDirectory: Sendable {
    /// Absolute, without a slash at its end.
    package let path: String

    package init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/fairlead-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestFailure("mkdtemp in \(base): errno \(errno)") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { removeTree(path) }

    /// The absolute path of something in the folder.
    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file, making the folders on its way; returns its path.
    @discardableResult
    package func write(_ name: String, _ text: String) throws -> String {
        try writeFile(file(name), Array(text.utf8))
        return file(name)
    }

    /// Writes a file under another name first and renames it, as editors and ConfigMap mounts do.
    package func replace(_ name: String, _ text: String) throws {
        try replace(name, bytes: Array(text.utf8))
    }

    package func replace(_ name: String, bytes: [UInt8]) throws {
        try writeFile(file(name + ".new"), bytes)
        guard rename(file(name + ".new"), file(name)) == 0 else {
            throw TestFailure("rename to \(name): errno \(errno)")
        }
    }

    package func remove(_ name: String) { removeTree(file(name)) }
}

/// The whole content of a file; nil when it cannot be read.
package func readFile(_ path: String) -> [UInt8]? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(fd, &chunk, chunk.count)
        if count < 0 { return nil }
        if count == 0 { return content }
        content += chunk[..<count]
    }
}

func writeFile(_ path: String, _ content: [UInt8]) throws {
    var folder = ""
    for part in path.split(separator: "/").dropLast() {
        folder += "/\(part)"
        mkdir(folder, 0o755)
    }
    let fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard fd >= 0 else { throw TestFailure("open \(path): errno \(errno)") }
    defer { close(fd) }
    var written = 0
    while written < content.count {
        let count = content[written...].withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
        guard count > 0 else { throw TestFailure("write \(path): errno \(errno)") }
        written += count
    }
}

/// Names in a folder, sorted, without `.` and `..`; empty when there is no such folder.
package func listFolder(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Whether the path is a folder itself, not a link to one.
package func isFolder(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// Every file below a folder, as paths relative to it, sorted; links are listed, not followed.
package func filesBelow(_ folder: String, _ prefix: String = "") -> [String] {
    listFolder(folder).flatMap { name in
        isFolder("\(folder)/\(name)")
            ? filesBelow("\(folder)/\(name)", "\(prefix)\(name)/") : ["\(prefix)\(name)"]
    }
}

private func removeTree(_ path: String) {
    if isFolder(path) {
        for name in listFolder(path) { removeTree("\(path)/\(name)") }
        rmdir(path)
    } else {
        unlink(path)
    }
}
