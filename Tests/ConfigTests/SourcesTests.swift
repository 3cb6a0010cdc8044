// Reading files and folders, on a real file system.
import Base
import CLinux
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Config

/// A folder of its own that is removed again.
private struct Folder: ~Copyable {
    let path: String

    init() {
        var template = Array("/tmp/fairlead-config-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                let full = "\(path)/\(name)"
                if unlink(full) != 0 { remove(full) }
            }
            closedir(folder)
        }
        rmdir(path)
    }

    func write(_ name: String, _ text: String) {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = text.withView { Glibc.write(descriptor, $0.start, $0.count) }
        close(descriptor)
    }
}

@Test func foldersAreReadRecursivelyInOrder() {
    let folder = Folder()
    mkdir("\(folder.path)/sub", 0o700)
    mkdir("\(folder.path)/.git", 0o700)
    for name in ["b.yaml", "a.yml", "sub/c.yaml", "readme.md", ".hidden.yaml", ".git/x.yaml", "d.json"] {
        folder.write(name, name)
    }
    let sources = Sources(paths: [folder.path])
    #expect(
        sources.texts.map { String(decoding: $0.bytes, as: UTF8.self) } == ["a.yml", "b.yaml", "sub/c.yaml"])
    #expect(sources.texts[0].file == "\(folder.path)/a.yml")
    #expect(sources.unreadable.isEmpty)
    #expect(Sources(paths: [folder.path, "\(folder.path)/sub/../a.yml", folder.path]).texts.count == 3)
    // A file given by name is read whatever it is called.
    #expect(Sources(paths: ["\(folder.path)/d.json"]).texts.count == 1)
}

@Test func unreadablePathsAreToldApart() {
    let folder = Folder()
    folder.write("a.yaml", "{}")
    mkdir("\(folder.path)/a.d", 0o700)
    symlink("\(folder.path)/nowhere", "\(folder.path)/broken.yaml")
    let sources = Sources(paths: ["\(folder.path)/none.yaml", folder.path])
    #expect(sources.unreadable.map(\.file) == ["\(folder.path)/none.yaml", "\(folder.path)/broken.yaml"])
    #expect(sources.unreadable[0].text.range(of: "error [FL0001] cannot read: No such file") != nil)
    let result = load(sources)
    #expect(result.unreadable && result.model == nil)
    #expect(result.findings.prefix(2).map(\.code) == ["FL0001", "FL0001"])
}

/// A ConfigMap is a folder of links into `..data`, a link that is swapped on an update.
@Test func configMapsAreReadOnce() {
    let folder = Folder()
    mkdir("\(folder.path)/..1", 0o700)
    folder.write("..1/a.yaml", "one")
    symlink("..1", "\(folder.path)/..data")
    symlink("..data/a.yaml", "\(folder.path)/a.yaml")
    #expect(Sources(paths: [folder.path]).texts.map { String(decoding: $0.bytes, as: UTF8.self) } == ["one"])
    mkdir("\(folder.path)/..2", 0o700)
    folder.write("..2/a.yaml", "two")
    symlink("..2", "\(folder.path)/..tmp")
    rename("\(folder.path)/..tmp", "\(folder.path)/..data")
    #expect(Sources(paths: [folder.path]).texts.map { String(decoding: $0.bytes, as: UTF8.self) } == ["two"])
}

private final class ReadTexts: Sendable {
    let texts = Mutex<[String]>([])
}

/// A shell's `<(command)`: its writer may take its time, and a reload finds the same text again.
@Test func pipesAreReadOnceAndToTheirEnd() throws {
    let folder = Folder()
    let path = "\(folder.path)/pipe"
    #expect(mkfifo(path, 0o600) == 0)
    // Another reader: opening for writing waits for one, and what nobody has read yet stays.
    let other = open(path, O_RDONLY | O_NONBLOCK)
    let writer = open(path, O_WRONLY)
    defer { close(other) }
    let read = ReadTexts()
    try startThread {
        let texts = Sources(paths: [path]).texts.map { String(decoding: $0.bytes, as: UTF8.self) }
        read.texts.withLock { $0 = texts }
    }
    _ = "one ".withView { Glibc.write(writer, $0.start, $0.count) }
    // Until it was read, so that the reading goes on to wait for the rest.
    try waitUntil("the first part to be read") {
        var left: Int32 = 1
        return ioctl(other, UInt(FIONREAD), &left) == 0 && left == 0
    }
    _ = "two".withView { Glibc.write(writer, $0.start, $0.count) }
    close(writer)
    try waitUntil("the whole of it") { read.texts.withLock { !$0.isEmpty } }
    #expect(read.texts.withLock { $0 } == ["one two"])
    let again = Sources(paths: [path]).texts.map { String(decoding: $0.bytes, as: UTF8.self) }
    #expect(again == ["one two"])
}

/// A link to a folder above it, or beside it, leads to files that were read already.
@Test func linksInACircleEnd() {
    let folder = Folder()
    mkdir("\(folder.path)/sub", 0o700)
    folder.write("sub/a.yaml", "a")
    symlink("..", "\(folder.path)/sub/back")
    symlink("sub", "\(folder.path)/other")
    symlink(folder.path, "\(folder.path)/self")
    let sources = Sources(paths: [folder.path])
    #expect(sources.texts.count == 1 && sources.unreadable.isEmpty, "\(sources.unreadable.map(\.text))")
}

@Test func secretsAreReadWithoutTheirFinalNewline() throws {
    let folder = Folder()
    folder.write("lane.key", "secret\n\n")
    folder.write("empty.key", "\n")
    func policy(_ file: String) -> String {
        sidecarProxy
            + "apiVersion: fairlead.dev/v1alpha1\nkind: LanePolicy\nmetadata: {name: a, namespace: shop}\n"
            + "spec:\n  signing: {secretFile: \(file), required: true}\n"
    }
    let model = try #require(loadText(policy("\(folder.path)/lane.key")).model)
    #expect(model.policy?.signingSecret == Array("secret\n".utf8))
    #expect(model.policy?.signingRequired == true)
    // A relative file is looked for beside the document.
    folder.write("policy.yaml", policy("lane.key"))
    #expect(load(paths: ["\(folder.path)/policy.yaml"]).model?.policy?.signingSecret != nil)
    for file in ["\(folder.path)/none.key", "\(folder.path)/empty.key"] {
        let run = loadText(policy(file))
        #expect(run.model == nil && run.has("FL0022", line: 10))
        let check = loadText(policy(file), purpose: .check)
        #expect(check.model != nil && !check.hasErrors && check.has("FL0022", line: 10))
    }
}

/// A file beside the documents is looked at before it is read: whoever changes it after that is noticed.
@Test func filesBesideAreLookedAtBeforeTheyAreRead() {
    let folder = Folder()
    folder.write("lane.key", "")
    folder.write(
        "a.yaml",
        edgeProxy + gateway + """
            apiVersion: fairlead.dev/v1alpha1
            kind: LanePolicy
            metadata: {name: default, namespace: shop}
            spec: {key: x-feat-name, signing: {secretFile: lane.key}}
            """)
    let path = folder.path
    var options = LoadOptions()
    options.fingerprint = { file in
        // What is read must be what comes now.
        let descriptor = open(file, O_WRONLY | O_TRUNC)
        _ = write(descriptor, "secret", 6)
        close(descriptor)
        return 7
    }
    let result = load(paths: [path], options: options)
    #expect(result.findings.isEmpty && result.model != nil, "\(result.findings)")
    #expect(result.contexts.files == ["\(path)/lane.key": 7])
}
