//! What Linux says of the process, under the names that every program has them: `process_...`. Other
//! systems have no `/proc`, and these metrics are absent there.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks in a second as `/proc` states times: a constant of Linux's interface to programs,
/// whatever the kernel's own clock does.
const TICKS_PER_S: f64 = 100.0;

/// Reads `/proc/self` whenever metrics are asked for.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let [of_process, of_system] = ["self/stat", "stat"].map(read);
        let status = read("self/status");
        let times = of_process.as_deref().and_then(times);
        if let Some(Times { cpu_s, .. }) = times {
            let cpu = ConstCounter::new(cpu_s);
            let help = "Time of all cores that the process has used, in seconds";
            let kind = cpu.metric_type();
            cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, kind)?)?;
        }
        let kib = |name| status.as_deref().and_then(|text| kib(text, name));
        let started = times.zip(of_system.as_deref().and_then(booted_s));
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory of the process that is in RAM",
                kib("VmRSS:").map(|kib| kib * 1024.0),
            ),
            (
                "process_virtual_memory_bytes",
                "Addresses that the process has asked for",
                kib("VmSize:").map(|kib| kib * 1024.0),
            ),
            ("process_open_fds", "Open files and connections", open_files()),
            ("process_max_fds", "Most open files and connections", most_open_files()),
            (
                "process_start_time_seconds",
                "When the process began, since 1970",
                started.map(|(times, booted_s)| booted_s + times.started_s),
            ),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{file}")).ok()
}

/// How many files and connections the process may have open, where the system says and there is a
/// limit.
pub fn most_open_files() -> Option<f64> {
    read("self/limits").as_deref().and_then(most_files)
}

/// Times of a process, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Times {
    cpu_s: f64,
    /// After the system's start.
    started_s: f64,
}

/// Of `/proc/PID/stat`: fields 14, 15 and 22, counted from 1. The second is the program's name in
/// brackets and may hold anything.
fn times(stat: &str) -> Option<Times> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let cpu = ticks(14)? + ticks(15)?;
    Some(Times { cpu_s: cpu / TICKS_PER_S, started_s: ticks(22)? / TICKS_PER_S })
}

/// Of `/proc/stat`: when the system began, seconds since 1970.
fn booted_s(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Of `/proc/PID/status`: a size in KiB.
fn kib(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Of `/proc/PID/limits`: the limit that holds now; none where it is unlimited.
fn most_files(limits: &str) -> Option<f64> {
    let values = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    values.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<f64> {
    // One of them is the folder that is being read.
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 1234 99 5 0";
        assert_eq!(times(stat), Some(Times { cpu_s: 3.0, started_s: 12.34 }));
        assert_eq!(times("7 (name) S 1"), None);
        assert_eq!(booted_s("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1.7e9));
    }

    #[test]
    fn sizes_and_limits_are_read_as_linux_writes_them() {
        let status = "Name:\tgodwit\nVmSize:\t  200 kB\nVmRSS:\t   34816 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(34_816.0));
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(most_files(limits), Some(1024.0));
        assert_eq!(most_files("Max open files unlimited unlimited files"), None);
    }
}
