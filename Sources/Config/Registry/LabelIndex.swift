// Which objects have all of some labels, without looking at every object for every selector: ten thousand
// lanes select among ten thousand pods.

/// Items with labels, each in a scope (a namespace, a service).
struct LabelIndex {
    private struct Key: Hashable {
        var scope: String
        var name: String
        var value: String
    }

    private var items: [Key: [Int]] = [:]
    private var inScope: [String: [Int]] = [:]
    private var labels: [[String: String]] = []

    /// Adds an item and returns its number, which counts up from 0.
    @discardableResult
    mutating func add(scope: String, labels new: [String: String]) -> Int {
        let item = labels.count
        labels.append(new)
        inScope[scope, default: []].append(item)
        for (name, value) in new {
            items[Key(scope: scope, name: name, value: value), default: []].append(item)
        }
        return item
    }

    /// Items of the scope whose labels contain the selector, in the order added. An empty one selects all.
    func select(scope: String, _ selector: [String: String]) -> [Int] {
        guard !selector.isEmpty else { return inScope[scope] ?? [] }
        var fewest: [Int]?
        for (name, value) in selector {
            guard let found = items[Key(scope: scope, name: name, value: value)] else { return [] }
            if found.count < (fewest?.count ?? Int.max) { fewest = found }
        }
        return (fewest ?? []).filter { labels[$0].contains(selector) }
    }
}

extension [String: String] {
    /// Whether all pairs of `selector` are here.
    func contains(_ selector: [String: String]) -> Bool {
        selector.allSatisfy { self[$0.key] == $0.value }
    }
}
