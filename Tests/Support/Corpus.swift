// Real configurations that stand beside the project and never in it: `../shared/corpus`, or the folder that
// FAIRLEAD_CORPUS names. Tests that read them run wherever they are at hand, and say where they are not.
internal import Glibc

package enum Corpus {
    /// Where they are looked for.
    package static let place: String = {
        if let named = getenv("FAIRLEAD_CORPUS") { return String(cString: named) }
        let parent = "\(#filePath)".split(separator: "/").dropLast(4).map { "/\($0)" }.joined()
        return "\(parent)/shared/corpus"
    }()

    /// The path of one of its folders; nil: it is not there.
    package static func folder(_ name: String) -> String? {
        isFolder("\(place)/\(name)") ? "\(place)/\(name)" : nil
    }

    /// All folders, sorted.
    package static var folders: [String] { listFolder(place).filter { isFolder("\(place)/\($0)") } }

    /// Whether all that is compared with a record is here. Who names a place wants it read: nothing is then
    /// left out in silence.
    package static var isThere: Bool { getenv("FAIRLEAD_CORPUS") != nil || isFolder(place) }

    /// Rows of a Markdown table whose first cell is code, as their cells without back quotes.
    package static func rows(_ text: String) -> [[String]] {
        text.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
            line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false).map { cell in
                String(trimBlanks(cell).filter { $0 != "`" })
            }
        }
    }
}
