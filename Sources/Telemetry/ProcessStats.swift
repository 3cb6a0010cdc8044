// The process_* family that every Prometheus client offers, from /proc/self and getrusage(2).
internal import Glibc

/// What the kernel says about this process; a value it does not tell is nil and left out.
struct ProcessStats {
    var cpuSeconds: Double
    var residentBytes: UInt64?
    var virtualBytes: UInt64?
    var openDescriptors: UInt64?
    var maxDescriptors: UInt64?
    var threads: UInt64?
    var startSeconds: Double?

    static func read() -> ProcessStats {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        var stats = ProcessStats(cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
        let pageBytes = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        let memory = file("/proc/self/statm").split(separator: " ").compactMap { UInt64($0) }
        if memory.count > 1 {
            stats.virtualBytes = memory[0] * pageBytes
            stats.residentBytes = memory[1] * pageBytes
        }
        stats.openDescriptors = countDescriptors()
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            stats.maxDescriptors = UInt64(limit.rlim_cur)
        }
        stats.readStat()
        return stats
    }

    /// Fields after the command, which may hold blanks and parentheses itself: 18 is threads, 20 the start.
    private mutating func readStat() {
        let text = Self.file("/proc/self/stat")
        guard let end = text.lastIndex(of: ")") else { return }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19 else { return }
        threads = UInt64(fields[17])
        let boot = Self.file("/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }
        if let ticks = Double(fields[19]), let boot = boot.flatMap({ Double($0.dropFirst(6)) }) {
            startSeconds = boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
    }

    private static func countDescriptors() -> UInt64? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count: UInt64 = 0
        while readdir(folder) != nil { count += 1 }
        // Not `.`, `..` and the descriptor of this very reading.
        return count > 3 ? count - 3 : 0
    }

    /// A small file of /proc; empty if it cannot be read. /proc/stat can be long, its `btime` comes late.
    private static func file(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 1 << 20 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count <= 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func render(_ page: inout Exposition) {
        func one(_ name: String, _ help: String, _ type: MetricType, _ value: Double?) {
            guard let value else { return }
            page.family(name, help, type)
            page.sample(name, labels: "", Exposition.number(value))
        }
        one("process_cpu_seconds_total", "User and system CPU time.", .counter, cpuSeconds)
        one("process_resident_memory_bytes", "Resident memory.", .gauge, residentBytes.map { Double($0) })
        one("process_virtual_memory_bytes", "Virtual memory.", .gauge, virtualBytes.map { Double($0) })
        one("process_open_fds", "Open file descriptors.", .gauge, openDescriptors.map { Double($0) })
        one("process_max_fds", "Limit of open file descriptors.", .gauge, maxDescriptors.map { Double($0) })
        one("process_threads", "Threads.", .gauge, threads.map { Double($0) })
        one("process_start_time_seconds", "Start, seconds since 1970.", .gauge, startSeconds)
    }
}
