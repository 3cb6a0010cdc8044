// Who may import whom. The order is written once, in the comment on top of Package.swift; the manifest, the
// imports and ARCHITECTURE.md must all agree with it.
import TestSupport
import Testing

/// The order of the modules, lowest first; modules of one step do not know each other.
struct Layers {
    private(set) var level: [String: Int] = [:]

    /// Reads `C* < Base < {Loop, HTTP} < … < fairlead`.
    init?(_ line: Substring) {
        for (index, step) in line.split(separator: "<").enumerated() {
            let names = step.split { !$0.isLetter && !$0.isNumber && $0 != "*" }
            guard !names.isEmpty else { return nil }
            for name in names { level[String(name)] = index }
        }
        guard level.count > 2, level["C*"] == 0 else { return nil }
    }

    func level(of module: String) -> Int? {
        let letters = module.prefix(2)
        let isC = letters.count == 2 && letters.first == "C" && letters.last?.isUppercase == true
        return level[isC ? "C*" : module]
    }

    static func find(in file: SourceFile) -> Layers? {
        file.lines.lazy.compactMap { line in
            line.contains("C*") && line.contains("<") ? Layers(line.drop { $0 != "C" }) : nil
        }.first
    }
}

/// The modules that a Swift file imports, from its code without comments.
func imports(of code: String) -> [(module: String, line: Int)] {
    code.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap {
        index, line in
        let words = line.split { $0 == " " || $0 == "." }
        guard let at = words.prefix(3).firstIndex(of: "import"), at + 1 < words.count else { return nil }
        let kinds: Set<Substring> = [
            "struct", "class", "enum", "func", "typealias", "protocol", "var", "let",
        ]
        let name = kinds.contains(words[at + 1]) && at + 2 < words.count ? words[at + 2] : words[at + 1]
        return (String(name), index + 1)
    }
}

/// What the targets of the manifest depend on: `library("Name", ["A", "B"])` and
/// `name: "Name", dependencies: ["A", "B"]`.
func manifestDependencies(_ manifest: String) -> [String: [String]] {
    let text = manifest.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    var found: [String: [String]] = [:]
    for (opening, between) in [("library(\"", "\", ["), ("name: \"", "\", dependencies: [")] {
        var rest = text[...]
        while let hit = rest.firstRange(of: opening) {
            rest = rest[hit.upperBound...]
            let name = rest.prefix { $0 != "\"" }
            let after = rest[name.endIndex...]
            guard after.hasPrefix(between) else { continue }
            let list = after.dropFirst(between.count).prefix { $0 != "]" }
            let quoted = list.split(separator: "\"", omittingEmptySubsequences: false)
            found[String(name)] = quoted.enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
        }
    }
    return found
}

@Suite struct LayeringTests {
    /// Modules that are not ours and who may use them.
    private static let outside: [String: [String]] = [
        "Glibc": ["*"], "Synchronization": ["*"], "ArgumentParser": ["fairlead"],
    ]

    /// Targets that exist for tests and may use whatever they test.
    private static let testOnly: Set<String> = ["TestSupport", "FuzzInvariants", "FuzzLanesTests"]

    private func manifest() throws -> SourceFile { try #require(SourceTree.file("Package.swift")) }
    private func layers() throws -> Layers { try #require(Layers.find(in: manifest())) }

    @Test func architectureStatesTheOrderOfTheManifest() throws {
        let architecture = try #require(SourceTree.file("ARCHITECTURE.md"))
        let stated = try #require(Layers.find(in: architecture))
        #expect(try stated.level == layers().level)
    }

    @Test func everyModuleHasItsPlace() throws {
        let layers = try layers()
        for folder in listFolder("\(SourceTree.root)/Sources") {
            #expect(layers.level(of: folder) != nil, "\(folder) is missing from the order in Package.swift")
        }
    }

    @Test func manifestPointsDownwards() throws {
        let layers = try layers()
        let dependencies = try manifestDependencies(manifest().text)
        #expect(dependencies.count > 8)
        for (module, names) in dependencies where !Self.testOnly.contains(module) {
            let own = try #require(layers.level(of: module), "\(module)")
            for name in names where Self.outside[name] == nil && name != "swift-argument-parser" {
                let other = try #require(layers.level(of: name), "\(name)")
                #expect(other < own, "\(module) depends on \(name), which is not below it")
            }
        }
    }

    /// The fuzz targets build the modules anew, from a manifest of their own.
    @Test func theFuzzManifestAgrees() throws {
        let layers = try layers()
        let own = try manifestDependencies(manifest().text)
        let fuzz = try manifestDependencies(#require(SourceTree.file("Tests/Fuzz/Package.swift")).text)
        #expect(fuzz.keys.contains("Lanes"))
        for (module, names) in fuzz where layers.level(of: module) != nil {
            #expect(names == own[module], "\(module) in Tests/Fuzz/Package.swift")
        }
    }

    @Test func importsPointDownwards() throws {
        let layers = try layers()
        for file in SourceTree.files where file.isSwift && file.path.hasPrefix("Sources/") {
            let module = String(file.path.split(separator: "/")[1])
            let own = try #require(layers.level(of: module))
            for (name, line) in imports(of: file.code) {
                if let users = Self.outside[name] {
                    #expect(users.contains("*") || users.contains(module), "\(file.path):\(line): \(name)")
                    continue
                }
                let other = layers.level(of: name)
                #expect(
                    other.map { $0 < own } == true,
                    "\(file.path):\(line): \(module) must not import \(name)")
            }
        }
    }

    @Test func readersOfTheOrderBite() throws {
        let layers = try #require(Layers("C* < Base < {Loop, HTTP} < fairlead"))
        #expect(layers.level == ["C*": 0, "Base": 1, "Loop": 2, "HTTP": 2, "fairlead": 3])
        #expect(layers.level(of: "CLinux") == 0)
        #expect(layers.level(of: "Config") == nil)
        #expect(Layers("a < b") == nil)
        let text = "package import Base\n// import No\n@testable import HTTP\nimport struct Loop.Timer\n"
        #expect(imports(of: CodeText(text).text).map(\.module) == ["Base", "HTTP", "Loop"])
        let manifest = """
            library("Loop", ["Base", "CLinux"]),
            .target(
                name: "Demo",
                dependencies: ["Loop"]),
            .target(name: "CLinux"),
            """
        #expect(manifestDependencies(manifest) == ["Loop": ["Base", "CLinux"], "Demo": ["Loop"]])
    }
}
