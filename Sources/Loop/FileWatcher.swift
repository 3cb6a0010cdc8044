// Tells that configuration files may have changed: inotify on the folders that hold them, because editors and
// Kubernetes replace files by renaming (a ConfigMap's `..data` link), which a watch on the file would miss.
internal import Base
internal import Glibc

public struct FileWatcher: ~Copyable {
    /// Watch this for reading.
    public let descriptor: Int32
    private var watches: [Int32] = []

    private static let events =
        UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM) | UInt32(IN_CREATE)
        | UInt32(IN_DELETE) | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ATTRIB)

    /// nil: the system has no inotify instance left.
    public init?() {
        descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        if descriptor < 0 { return nil }
    }

    deinit { Syscalls.close(descriptor) }

    /// Watches what the paths name now, instead of what was watched before: folders with all folders below,
    /// files by the folder they are in, and both again where links lead.
    public mutating func watch(_ paths: [String]) {
        for watch in watches { _ = inotify_rm_watch(descriptor, watch) }
        watches.removeAll()
        var seen: Set<FileIdentity> = []
        for path in paths where path != "-" {
            add(path, &seen)
            if let real = realPath(path), real != path { add(real, &seen) }
        }
    }

    private mutating func add(_ path: String, _ seen: inout Set<FileIdentity>) {
        if FileIdentity(folder: path) == nil {
            addFolder(parent(path), &seen)
        } else {
            addTree(path, &seen, depth: 0)
        }
    }

    private mutating func addTree(_ folder: String, _ seen: inout Set<FileIdentity>, depth: Int) {
        guard depth < Limits.folderDepth, addFolder(folder, &seen) else { return }
        for name in Self.names(folder) { addTree("\(folder)/\(name)", &seen, depth: depth + 1) }
    }

    /// False: no folder, or one that was there already (a second way to it, or a link in a circle).
    @discardableResult
    private mutating func addFolder(_ folder: String, _ seen: inout Set<FileIdentity>) -> Bool {
        guard let identity = FileIdentity(folder: folder), seen.insert(identity).inserted else {
            return false
        }
        let watch = inotify_add_watch(descriptor, folder, Self.events)
        if watch >= 0 { watches.append(watch) }
        return watch >= 0
    }

    private func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// A number that differs when a file behind the paths was changed, replaced, added or removed: folders
    /// are also watched for files that are none of ours, a log beside the configuration among them.
    public static func fingerprint(_ paths: [String]) -> UInt64 {
        var hash: UInt64 = 14_695_981_039_346_656_037
        for path in paths where path != "-" {
            var seen: Set<FileIdentity> = []
            mix(path, isNamed: true, &hash, &seen, depth: 0)
        }
        return hash
    }

    private static func mix(
        _ path: String, isNamed: Bool, _ hash: inout UInt64, _ seen: inout Set<FileIdentity>, depth: Int
    ) {
        func add(_ value: UInt64) { hash = (hash ^ value) &* 1_099_511_628_211 }
        var information = stat()
        let isThere = stat(path, &information) == 0
        let isFolder = isThere && information.st_mode & S_IFMT == S_IFDIR
        guard isFolder || isNamed || path.hasSuffix(".yaml") || path.hasSuffix(".yml") else { return }
        for byte in path.utf8 { add(UInt64(byte)) }
        if isFolder {
            guard depth < Limits.folderDepth, seen.insert(FileIdentity(information)).inserted else { return }
            for name in names(path).sorted() {
                mix("\(path)/\(name)", isNamed: false, &hash, &seen, depth: depth + 1)
            }
        } else if isThere {
            add(UInt64(information.st_ino))
            add(UInt64(bitPattern: Int64(information.st_size)))
            add(UInt64(bitPattern: Int64(information.st_mtim.tv_sec)))
            add(UInt64(bitPattern: Int64(information.st_mtim.tv_nsec)))
        }
    }

    private static func names(_ folder: String) -> [String] {
        guard let list = opendir(folder) else { return [] }
        defer { closedir(list) }
        var names: [String] = []
        while let entry = readdir(list) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Takes what was reported; true if anything was. That a watch ended is no news: we ended it, or its
    /// folder went, which is reported by itself.
    public func drain() -> Bool {
        var any = false
        withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 8) { buffer in
            while true {
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                if count <= 0 { return }
                var at = 0
                while at < count {
                    let event = buffer.load(fromByteOffset: at, as: inotify_event.self)
                    if event.mask & UInt32(IN_IGNORED) == 0 { any = true }
                    at += MemoryLayout<inotify_event>.size + Int(event.len)
                }
            }
        }
        return any
    }
}

/// Which file or folder a path leads to, whatever way it takes.
private struct FileIdentity: Hashable {
    private let device: UInt64
    private let inode: UInt64

    init(_ information: stat) {
        device = UInt64(information.st_dev)
        inode = UInt64(information.st_ino)
    }

    /// nil: not a folder.
    init?(folder: String) {
        var information = stat()
        guard stat(folder, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else { return nil }
        self.init(information)
    }
}
