// Watching configuration: every way in which files are changed in practice is reported, and nothing else.
import Glibc
import TestSupport
import Testing

@testable import Loop

@Suite struct FileWatching {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    private func watcher(_ paths: String...) throws -> TestWatcher { try TestWatcher(paths) }

    /// A ConfigMap mount: `NAME` links to `..data/NAME`, `..data` links to a folder, and a change swaps
    /// `..data`.
    private func mount(_ version: String, _ text: String) throws {
        try folder.write("map/..\(version)/a.yaml", text)
        unlink(folder.file("map/..data_tmp"))
        guard symlink("..\(version)", folder.file("map/..data_tmp")) == 0,
            rename(folder.file("map/..data_tmp"), folder.file("map/..data")) == 0
        else { throw TestFailure("errno \(errno)") }
        symlink("..data/a.yaml", folder.file("map/a.yaml"))
    }

    @Test func everyWayToChangeAFile() throws {
        let path = try folder.write("a.yaml", "1")
        let watcher = try watcher(path)
        let changes: [(String, () throws -> Void)] = [
            ("written", { try folder.write("a.yaml", "2") }),
            ("replaced", { try folder.replace("a.yaml", "3") }),
            ("removed", { folder.remove("a.yaml") }), ("made again", { try folder.write("a.yaml", "4") }),
            ("renamed", { rename(path, folder.file("b.yaml")) }),
            ("renamed back", { rename(folder.file("b.yaml"), path) }),
            ("permissions", { chmod(path, 0o600) }),
        ]
        for (what, change) in changes {
            #expect(!watcher.drain(), "quiet before: \(what)")
            let before = FileWatcher.fingerprint([path])
            try change()
            #expect(watcher.drain(), "\(what)")
            if what != "permissions" { #expect(FileWatcher.fingerprint([path]) != before, "\(what)") }
            watcher.watch([path])
        }
    }

    /// The rename is all that is seen of it.
    @Test func movedInAndOut() throws {
        try folder.write("watched/keep.yaml", "")
        try folder.write("elsewhere/a.yaml", "1")
        let watcher = try watcher(folder.file("watched"))
        rename(folder.file("elsewhere/a.yaml"), folder.file("watched/a.yaml"))
        #expect(watcher.drain(), "in")
        rename(folder.file("watched/a.yaml"), folder.file("elsewhere/a.yaml"))
        #expect(watcher.drain(), "out")
    }

    @Test func readingIsNoChange() throws {
        let path = try folder.write("a.yaml", "1")
        let watcher = try watcher(path, folder.path)
        #expect(readFile(path) != nil)
        #expect(listFolder(folder.path) == ["a.yaml"])
        #expect(!watcher.drain())
    }

    /// Watching anew is what follows a reload: it must not look like the next change.
    @Test func watchingAnewIsNoChange() throws {
        let path = try folder.write("sub/a.yaml", "1")
        let watcher = try watcher(path, folder.path)
        for _ in 0..<3 {
            watcher.watch([path, folder.path])
            #expect(!watcher.drain())
        }
        try folder.write("sub/a.yaml", "2")
        #expect(watcher.drain())
    }

    @Test func aConfigMapSwap() throws {
        try mount("1", "one")
        for watched in ["map/a.yaml", "map"] {
            let watcher = try watcher(folder.file(watched))
            for version in ["2", "3", "4"] {
                #expect(!watcher.drain())
                let before = FileWatcher.fingerprint([folder.file(watched)])
                try mount("\(watched.utf8.count)-\(version)", version)
                #expect(watcher.drain(), "\(watched) \(version)")
                #expect(FileWatcher.fingerprint([folder.file(watched)]) != before)
                watcher.watch([folder.file(watched)])
            }
            #expect(!watcher.drain())
        }
    }

    /// The file that a link names changes in a folder of its own.
    @Test func aLinkToAFileElsewhere() throws {
        try folder.write("real/a.yaml", "1")
        try folder.write("links/x", "")
        symlink("../real/a.yaml", folder.file("links/a.yaml"))
        let watcher = try watcher(folder.file("links/a.yaml"))
        try folder.replace("real/a.yaml", "2")
        #expect(watcher.drain())
    }

    @Test func foldersBelow() throws {
        try folder.write("a/b/c.yaml", "1")
        let watcher = try watcher(folder.path)
        try folder.write("a/b/c.yaml", "2")
        #expect(watcher.drain())
        try folder.write("d/e/f.yaml", "1")
        #expect(watcher.drain(), "a new folder")
        watcher.watch([folder.path])
        #expect(!watcher.drain())
        try folder.write("d/e/f.yaml", "2")
        #expect(watcher.drain(), "a file in the new folder")
        folder.remove("a")
        #expect(watcher.drain())
        watcher.watch([folder.path])
        #expect(!watcher.drain())
    }

    @Test func whatIsNotThereYet() throws {
        let watcher = try watcher(folder.file("later.yaml"), "-", "")
        #expect(!watcher.drain())
        try folder.write("later.yaml", "1")
        #expect(watcher.drain())
    }

    /// Links in circles: each folder is looked at once, not once for every way to it.
    @Test func linksInCircles() throws {
        try folder.write("a.yaml", "1")
        for name in ["p", "q", "r", "s"] { symlink(".", folder.file(name)) }
        let before = FileWatcher.fingerprint([folder.path])
        let watcher = try watcher(folder.path)
        try folder.write("a.yaml", "22")
        #expect(watcher.drain())
        #expect(FileWatcher.fingerprint([folder.path]) != before)
    }

    @Test func fingerprintsLookAtConfigurationOnly() throws {
        try folder.write("a.yaml", "1")
        let before = FileWatcher.fingerprint([folder.path])
        try folder.write("access.log", "1")
        #expect(readFile(folder.file("a.yaml")) != nil)
        #expect(FileWatcher.fingerprint([folder.path]) != FileWatcher.fingerprint([folder.file("a.yaml")]))
        #expect(FileWatcher.fingerprint([folder.path, "-"]) == before)
        let named = FileWatcher.fingerprint([folder.file("access.log")])
        try folder.write("access.log", "22")
        #expect(FileWatcher.fingerprint([folder.file("access.log")]) != named, "a file that is named counts")
        try folder.write("b.yml", "1")
        #expect(FileWatcher.fingerprint([folder.path]) != before)
    }
}
