// The run's own folder: a copy of the documents that the proxies watch and people may edit, and the logs.
internal import Glibc

/// Removed with its content when the last reference goes.
final class WorkFolder {
    let path: String
    var documents: String { "\(path)/documents" }

    /// The documents of `config/demo`, compiled in, so that the demo runs from anywhere.
    private static let shipped: [(name: String, content: [UInt8])] = [
        ("edge.yaml", PackageResources.edge_yaml),
        ("lanes.yaml", PackageResources.lanes_yaml),
        ("pods.yaml", PackageResources.pods_yaml),
        ("services.yaml", PackageResources.services_yaml),
        ("sidecars.yaml", PackageResources.sidecars_yaml),
    ]

    init?() {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/fairlead-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        Self.removeFiles(in: documents)
        Self.removeFiles(in: path)
    }

    /// Writes the documents with the site's addresses.
    func write(_ site: Site) throws(DemoError) {
        mkdir(documents, 0o755)
        for (name, content) in Self.shipped {
            let text = site.place(String(decoding: content, as: UTF8.self))
            let file = "\(documents)/\(name)"
            let fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
            let bytes = Array(text.utf8)
            let written = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            close(fd)
            if written != bytes.count { throw DemoError("cannot write \(file)") }
        }
    }

    func log(_ proxy: String) -> String { "\(path)/\(proxy).log" }
    func accessLog(_ proxy: String) -> String { "\(path)/\(proxy).access.log" }

    private static func removeFiles(in folder: String) {
        guard let entries = opendir(folder) else { return }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            unlink("\(folder)/\(name)")
        }
        closedir(entries)
        rmdir(folder)
    }
}

/// The content of a small file as text; empty if there is none.
func textOfFile(_ path: String) -> String {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return "" }
    defer { close(fd) }
    var content = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(fd, &content, content.count)
    return String(decoding: content.prefix(max(0, count)), as: UTF8.self)
}
