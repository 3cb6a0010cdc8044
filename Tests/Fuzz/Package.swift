// swift-tools-version: 6.2
// libFuzzer targets for whatever reads bytes of peers. A package of its own, because coverage instrumentation
// goes into every module, and built from the same sources (`Modules` links to them). How to run and what to
// do with a crash: README.md.
import PackageDescription

let language: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

func library(_ name: String, _ dependencies: [Target.Dependency], path: String) -> Target {
    .target(
        name: name, dependencies: dependencies, path: path,
        swiftSettings: language + [.unsafeFlags(["-sanitize=fuzzer,address"])])
}

func fuzzer(_ name: String, _ invariants: Target.Dependency = "FuzzInvariants") -> Target {
    .executableTarget(
        name: "Fuzz\(name)", dependencies: [invariants, "CFuzzer"], path: "Targets/\(name)",
        swiftSettings: language + [.unsafeFlags(["-sanitize=address"])],
        linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])])
}

let package = Package(
    name: "fuzz",
    targets: [
        .target(name: "CLinux", path: "Modules/CLinux"),
        .systemLibrary(name: "CFuzzer", path: "Driver"),
        library("Base", ["CLinux"], path: "Modules/Base"),
        library("HTTP", ["Base", "CLinux"], path: "Modules/HTTP"),
        library("Sniff", ["Base", "CLinux"], path: "Modules/Sniff"),
        .systemLibrary(name: "COpenSSL", path: "Modules/COpenSSL", pkgConfig: "openssl"),
        library("TLS", ["Base", "CLinux", "COpenSSL"], path: "Modules/TLS"),
        .target(name: "CRE2", path: "Modules/CRE2", linkerSettings: [.linkedLibrary("re2")]),
        .target(
            name: "CLuaJIT", path: "Modules/CLuaJIT", linkerSettings: [.linkedLibrary("luajit-5.1")]),
        library("Lua", ["Base", "HTTP", "CLuaJIT", "COpenSSL"], path: "Modules/Lua"),
        .target(
            name: "Lanes", dependencies: ["Base", "CLinux", "HTTP", "Lua", "TLS", "CRE2", "COpenSSL"],
            path: "Modules/Lanes",
            swiftSettings: language + [.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])]),
        library("FuzzInvariants", ["Base", "HTTP", "Sniff"], path: "Invariants"),
        .target(
            name: "FuzzLanes", dependencies: ["Base", "HTTP", "Lanes"], path: "Lanes",
            exclude: ["ListReplayTests.swift"],
            swiftSettings: language + [.unsafeFlags(["-sanitize=fuzzer,address"])]),
        fuzzer("RequestHead"),
        fuzzer("ResponseHead"),
        fuzzer("ChunkedBody"),
        fuzzer("ClientHello"),
        fuzzer("ProxyHeader"),
        fuzzer("Lists", "FuzzLanes"),
        fuzzer("Query", "FuzzLanes"),
    ],
    cxxLanguageStandard: .cxx17
)
