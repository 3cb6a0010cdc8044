// swift-tools-version: 6.2
// The layering of the program, enforced by the compiler: a target can only import what it names here.
//
//  C* < Base < {Loop,HTTP,Sniff,TLS} < {HTTP2,Lua} < Lanes <{Config,Telemetry}< Proxy <{Admin,Demo}< fairlead
//
// ARCHITECTURE.md says why each boundary is where it is.
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

// What tests do need not be fast, and compiling is most of CI's time: in release mode only what is tested is
// optimised. Flags like this one are for root packages, as this is.
let testSettings = swiftSettings + [.unsafeFlags(["-Onone"], .when(configuration: .release))]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
        swiftSettings: testSettings)
}

let package = Package(
    name: "fairlead",
    products: [.executable(name: "fairlead", targets: ["fairlead"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")
    ],
    targets: [
        .target(name: "CLinux"),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CYaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .target(
            name: "CRE2",
            linkerSettings: [.linkedLibrary("re2")]),
        .target(
            name: "CLuaJIT",
            linkerSettings: [.linkedLibrary("luajit-5.1")]),

        library("Base", ["CLinux"]),
        library("Loop", ["Base", "CLinux", "CAres"]),
        library("HTTP", ["Base", "CLinux"]),
        library("Sniff", ["Base", "CLinux"]),
        library("TLS", ["Base", "CLinux", "COpenSSL"]),
        library("HTTP2", ["Base", "CLinux", "CNghttp2", "HTTP"]),
        library("Lua", ["Base", "HTTP", "CLuaJIT", "COpenSSL"]),
        library("Lanes", ["Base", "CLinux", "HTTP", "Lua", "TLS", "CRE2", "COpenSSL"]),
        library("Config", ["Base", "CLinux", "CRE2", "CYaml", "Loop", "HTTP", "Lua", "TLS", "Lanes"]),
        library("Telemetry", ["Base", "CLinux", "CZlib", "Loop"]),
        library(
            "Proxy",
            [
                "Base", "CLinux", "COpenSSL", "CZlib", "Loop", "HTTP", "HTTP2", "Sniff", "TLS", "Lua",
                "Lanes", "Telemetry",
            ]),
        library(
            "Admin", ["Base", "CLinux", "Loop", "HTTP", "TLS", "Lanes", "Config", "Telemetry", "Proxy"]),
        // The demo's documents are compiled in: it runs from anywhere. `Documents` is a link to config/demo.
        .target(
            name: "Demo", dependencies: ["Base", "CLinux", "Loop"],
            resources: [.embedInCode("Documents")], swiftSettings: swiftSettings),
        .executableTarget(
            name: "fairlead",
            dependencies: [
                "Base", "CLinux", "Loop", "HTTP", "Lanes", "Config", "Telemetry", "Proxy", "Admin",
                "Demo", "COpenSSL", "CNghttp2",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),

        .target(
            name: "TestSupport", dependencies: ["Base", "CLinux", "TLS"], path: "Tests/Support",
            swiftSettings: testSettings),
        // What the fuzz targets of Tests/Fuzz check; their seeds are replayed by HTTPTests and SniffTests.
        .target(
            name: "FuzzInvariants", dependencies: ["Base", "HTTP", "Sniff"], path: "Tests/Fuzz/Invariants",
            swiftSettings: testSettings),
        tests("BaseTests", ["Base", "CLinux", "TestSupport"]),
        tests("LoopTests", ["Loop", "Base", "CLinux", "TestSupport"]),
        tests("SniffTests", ["Sniff", "Base", "FuzzInvariants", "TestSupport"]),
        tests("HTTP2Tests", ["HTTP2", "HTTP", "Base", "CLinux", "TestSupport"]),
        tests("TLSTests", ["TLS", "Base", "CLinux", "TestSupport"]),
        tests("HTTPTests", ["HTTP", "Base", "CLinux", "FuzzInvariants", "TestSupport"]),
        .testTarget(
            name: "FuzzLanesTests", dependencies: ["Lanes", "HTTP", "Base", "TestSupport"],
            path: "Tests/Fuzz/Lanes", swiftSettings: testSettings),
        tests("LuaTests", ["Lua", "HTTP", "Base", "TestSupport"]),
        tests("LanesTests", ["Lanes", "HTTP", "Base", "CRE2", "TestSupport"]),
        tests(
            "ConfigTests", ["Config", "Lanes", "HTTP", "Base", "TestSupport"], exclude: ["README.md"]),
        tests("TelemetryTests", ["Telemetry", "Base", "Loop", "CLinux", "CZlib", "TestSupport"]),
        tests(
            "AdminTests",
            ["Admin", "Telemetry", "Lanes", "HTTP", "Loop", "Base", "CLinux", "TestSupport"]),
        tests(
            "ProxyTests",
            ["Proxy", "Config", "Telemetry", "Lanes", "HTTP", "Loop", "Base", "TestSupport"]),
        tests("DemoTests", ["Demo", "Base", "TestSupport"]),
        tests("WireTests", ["Base", "CLinux", "CZlib", "TLS", "TestSupport"]),
        tests("ConformanceTests", ["Config", "TLS", "TestSupport"], exclude: ["README.md"]),
        tests("DifferentialTests", ["Config", "TestSupport"], exclude: ["README.md"]),
        tests("TidyTests", ["Base", "TestSupport"]),
    ],
    cxxLanguageStandard: .cxx17
)
