// Calls that must not be made, each with the reason and what to use instead. Looked for in code, not in
// comments and strings.
import TestSupport
import Testing

struct Ban {
    /// Exactly this text, with no letter or digit before it.
    let text: String
    /// Path prefixes the ban covers.
    let within: [String]
    /// Path prefixes that are exempt, each for the reason in `why` or beside it.
    var except: [String] = []
    let why: String
}

enum Bans {
    /// Time is read once a turn and passed on; these read it where there is no turn.
    static let clockReaders = [
        "Sources/CLinux/",  // defines the readers
        "Sources/CLuaJIT/",  // a script's processor time, and what its `timestamp` returns
        "Sources/Loop/",  // reads it once a turn
        "Sources/Telemetry/",  // the access log's writer thread has no loop
        "Sources/Base/Log.swift",  // a log line may come from any thread
        "Sources/Proxy/Worker.swift",  // the one place that asks between turns: overhead of a request
        "Sources/TLS/TicketKeys.swift",  // OpenSSL asks for a key in the middle of a handshake
        "Sources/Admin/",  // deadlines of admin connections, on the control thread
        "Sources/Demo/",  // blocking programs without a loop
    ]

    static let all: [Ban] = [
        Ban(
            text: "import Foundation", within: ["Sources/", "Tests/"], except: ["Tests/WireTests/"],
            why: "costs start time, memory and hidden allocations; use Base, Glibc through CLinux"),
        Ban(
            text: "fl_monotonic_ns", within: ["Sources/"], except: clockReaders,
            why: "a clock read costs more than the parser; use the time of this turn of the loop"),
        Ban(
            text: "clock_gettime", within: ["Sources/"], except: clockReaders,
            why: "a clock read costs more than the parser; use the time of this turn of the loop"),
        Ban(
            text: "gettimeofday", within: ["Sources/"], why: "jumps with the calendar; use the loop's time"),
        Ban(
            text: "print(", within: ["Sources/"], except: ["Sources/fairlead/", "Sources/Demo/"],
            why: "standard output belongs to the commands; use Log"),
        Ban(
            text: "try!", within: ["Sources/", "Tests/"],
            why: "a crash on somebody's input; handle the error or let it through"),
        Ban(
            text: "as!", within: ["Sources/", "Tests/"], why: "a crash on a wrong guess; use an enum"),
        Ban(
            text: "fatalError(", within: ["Sources/"],
            except: [
                "Sources/Base/Arena.swift",  // out of memory while configuration loads
                "Sources/Telemetry/MeterMemory.swift",  // out of memory at start
                "Sources/Telemetry/AccessRing.swift",  // out of memory at start
                "Sources/Telemetry/AccessLog.swift",  // no thread at start
            ],
            why: "ends every request in flight; throw, or `precondition` for an invariant of our own"),
        Ban(
            text: "@unchecked Sendable", within: ["Sources/", "Tests/"],
            why: "turns the data-race check off; use a Mutex, an Atomic or keep it on one thread"),
        Ban(
            text: "import Dispatch", within: ["Sources/"], why: "threads of its own; use Loop's threads"),
        Ban(
            text: "await", within: ["Sources/"], why: "the task pool must not run our loops; use Mailbox"),
        Ban(
            text: "sleep(", within: ["Sources/"], except: ["Sources/Demo/"],
            why: "blocks every connection of the loop; use a timer"),
        Ban(
            text: "usleep(", within: ["Sources/"], except: ["Sources/Demo/"],
            why: "blocks every connection of the loop; use a timer"),
        Ban(text: "sprintf(", within: ["Sources/"], why: "no bound; use snprintf"),
        Ban(text: "strcpy(", within: ["Sources/"], why: "no bound; use memcpy with a checked length"),
        Ban(text: "strcat(", within: ["Sources/"], why: "no bound; use memcpy with a checked length"),
    ]

    static func violations(_ file: SourceFile) -> [Violation] {
        guard file.isSwift || file.isC else { return [] }
        let bans = all.filter { ban in
            file.has(ban.text) && ban.within.contains { file.path.hasPrefix($0) }
                && !ban.except.contains { file.path.hasPrefix($0) }
        }
        if bans.isEmpty { return [] }
        let code = file.code.split(separator: "\n", omittingEmptySubsequences: false)
        return code.enumerated().flatMap { index, line in
            bans.filter { occurs($0.text, in: line) }.map {
                Violation(path: file.path, line: index + 1, message: "`\($0.text)`: \($0.why)")
            }
        }
    }

    private static func occurs(_ text: String, in line: Substring) -> Bool {
        var rest = line[...]
        while let hit = rest.firstRange(of: text) {
            let before = hit.lowerBound == line.startIndex ? " " : line[line.index(before: hit.lowerBound)]
            let after = hit.upperBound == line.endIndex ? " " : line[hit.upperBound]
            let endsInWord = text.last.map(isWord) == true
            if !isWord(before), !(endsInWord && isWord(after)) { return true }
            rest = rest[hit.upperBound...]
        }
        return false
    }

    private static func isWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }
}

@Suite struct BannedTests {
    @Test func nobodyCallsWhatIsBanned() { report(SourceTree.files.flatMap(Bans.violations)) }

    @Test func exemptionsAreStillNeeded() {
        for ban in Bans.all {
            for path in ban.except where path.hasSuffix(".swift") {
                #expect(
                    SourceTree.file(path) != nil, "\(path) is exempt from `\(ban.text)` but does not exist")
            }
        }
    }

    @Test func bansBite() {
        func count(_ path: String, _ text: String) -> Int {
            Bans.violations(SourceFile(path: path, text: text)).count
        }
        #expect(count("Sources/Proxy/A.swift", "internal import Foundation\n") == 1)
        #expect(count("Sources/Proxy/A.swift", "// import Foundation\nlet a = \"print(\"\n") == 0)
        #expect(count("Sources/Proxy/A.swift", "let now = fl_monotonic_ns()\n") == 1)
        #expect(count("Sources/Loop/A.swift", "let now = fl_monotonic_ns()\n") == 0)
        #expect(count("Sources/Proxy/A.swift", "print(1); footprint(2); \"\\(try! x())\"\n") == 2)
        #expect(count("Sources/fairlead/A.swift", "print(1)\n") == 0)
        #expect(count("Sources/Proxy/A.swift", "final class A: @unchecked Sendable {}\n") == 1)
        #expect(count("Sources/Proxy/A.swift", "let awaited = 1\n") == 0)
        #expect(count("Sources/CLinux/a.c", "int f(void) { return sprintf(b, \"x\"); }\n") == 1)
    }
}
