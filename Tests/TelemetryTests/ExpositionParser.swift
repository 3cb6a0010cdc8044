// A strict reader of the Prometheus text format, for tests: anything Prometheus could take amiss is an error.

struct ParsedMetrics {
    struct Sample {
        var name: String
        var labels: [String: String]
        var value: Double
    }
    struct Family {
        var type: String
        var help: String
        var samples: [Sample] = []
    }

    var families: [String: Family] = [:]

    struct Malformed: Error, CustomStringConvertible {
        var line: String
        var why: String
        var description: String { "\(why): \(line)" }
    }

    init(_ bytes: [UInt8]) throws {
        guard let text = String(validating: bytes, as: UTF8.self), text.hasSuffix("\n") else {
            throw Malformed(line: "", why: "not UTF-8 or no newline at the end")
        }
        var current = ""
        var seen: Set<String> = []
        let lines = text.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        for line in lines.map(String.init) {
            func fail(_ why: String) -> Malformed { Malformed(line: line, why: why) }
            if line.hasPrefix("# HELP ") {
                let parts = line.dropFirst(7).split(separator: " ", maxSplits: 1).map(String.init)
                guard parts.count == 2, families[parts[0]] == nil else { throw fail("bad HELP") }
                current = parts[0]
                families[current] = Family(type: "", help: parts[1])
            } else if line.hasPrefix("# TYPE ") {
                let parts = line.dropFirst(7).split(separator: " ").map(String.init)
                guard parts.count == 2, parts[0] == current, families[current]?.type == "",
                    ["counter", "gauge", "histogram"].contains(parts[1])
                else { throw fail("bad TYPE") }
                families[current]!.type = parts[1]
            } else {
                let sample = try Self.sample(line)
                let suffixes = families[current]?.type == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
                guard suffixes.contains(where: { current + $0 == sample.name }) else {
                    throw fail("sample outside its family")
                }
                let series = line.split(separator: " ").dropLast().joined(separator: " ")
                guard seen.insert(series).inserted else { throw fail("series twice") }
                families[current]!.samples.append(sample)
            }
        }
        for (name, family) in families where family.type == "histogram" { try Self.check(name, family) }
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        let family = families[name] ?? families.first { name.hasPrefix($0.key + "_") }?.value
        return family?.samples.first { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }?.value
    }

    private static func sample(_ line: String) throws -> Sample {
        func fail(_ why: String) -> Malformed { Malformed(line: line, why: why) }
        var rest = Substring(line)
        let name = String(rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        guard let first = name.first, !first.isNumber else { throw fail("bad name") }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            repeat {
                rest = rest.dropFirst()
                let key = String(rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
                rest = rest.dropFirst(key.count)
                guard !key.isEmpty, rest.hasPrefix("=\"") else { throw fail("bad label") }
                rest = rest.dropFirst(2)
                var value = ""
                while let character = rest.first, character != "\"" {
                    rest = rest.dropFirst()
                    if character != "\\" {
                        value.append(character)
                        continue
                    }
                    switch rest.first {
                    case "\\": value += "\\"
                    case "\"": value += "\""
                    case "n": value += "\n"
                    default: throw fail("bad escape")
                    }
                    rest = rest.dropFirst()
                }
                rest = rest.dropFirst()
                guard labels.updateValue(value, forKey: key) == nil else { throw fail("label twice") }
            } while rest.first == ","
            guard rest.first == "}" else { throw fail("labels not closed") }
            rest = rest.dropFirst()
        }
        guard rest.first == " " else { throw fail("no value") }
        let word = String(rest.dropFirst())
        guard let value = word == "+Inf" ? .infinity : Double(word) else { throw fail("bad value") }
        return Sample(name: name, labels: labels, value: value)
    }

    /// Buckets rise, the last is +Inf and equals the count.
    private static func check(_ name: String, _ family: Family) throws {
        var groups: [[String: String]: [Sample]] = [:]
        for sample in family.samples {
            var labels = sample.labels
            labels["le"] = nil
            groups[labels, default: []].append(sample)
        }
        for samples in groups.values {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let bounds = buckets.map { bucket in
                bucket.labels["le"].flatMap { $0 == "+Inf" ? .infinity : Double($0) } ?? .nan
            }
            let count = samples.first { $0.name == name + "_count" }?.value
            guard bounds == bounds.sorted(), bounds.last == .infinity,
                buckets.map(\.value) == buckets.map(\.value).sorted(), buckets.last?.value == count,
                samples.contains(where: { $0.name == name + "_sum" })
            else { throw Malformed(line: name, why: "bad histogram") }
        }
    }
}
