//! What `virsh` prints. Formats as in its manual (`virsh(1)`) and, where that says nothing, in
//! `tools/virsh-*.c` of libvirt.

use std::collections::BTreeMap;

const KIB_PER_GIB: f64 = 1_048_576.0;

/// `Name:   value` lines, as `nodeinfo`, `dominfo` and `domjobinfo` print them.
pub(super) fn fields(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim(), value.trim())).collect()
}

/// `8388608 KiB` in GiB, of any of the units that `virsh` uses.
pub(super) fn gib(text: &str) -> Option<f64> {
    let (amount, unit) = text.split_once(' ')?;
    let amount: f64 = amount.parse().ok()?;
    let kib = match unit.trim() {
        "B" => 1.0 / 1024.0,
        "KiB" => 1.0,
        "MiB" => 1024.0,
        "GiB" => KIB_PER_GIB,
        "TiB" => KIB_PER_GIB * 1024.0,
        _ => return None,
    };
    Some(amount * kib / KIB_PER_GIB)
}

/// Processors and memory, in GiB, of what `nodeinfo` prints.
pub(super) fn node(text: &str) -> Option<(f64, f64)> {
    let fields = fields(text);
    Some((fields.get("CPU(s)")?.parse().ok()?, gib(fields.get("Memory size")?)?))
}

/// States of a domain that matter here (`virDomainState` in `libvirt-domain.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Running, or blocked on something for a moment.
    Running,
    /// Paused; while it is being migrated to a host, it is so there.
    Paused,
    /// Not active: shut off, crashed, or going there.
    Off,
}

/// A domain as `domstats` prints it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) state: State,
    /// Time of processors that it used since it began, nanoseconds.
    pub(super) cpu_ns: Option<u64>,
    pub(super) processors: Option<f64>,
    pub(super) memory_gib: Option<f64>,
}

/// The domains of what `domstats` prints: blocks that begin with `Domain: 'NAME'`, with lines
/// `group.field=value`.
pub(super) fn domains(text: &str) -> Vec<Domain> {
    let mut domains: Vec<Domain> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Domain: '").and_then(|rest| rest.strip_suffix('\''))
        {
            domains.push(Domain {
                name: name.to_owned(),
                state: State::Off,
                cpu_ns: None,
                processors: None,
                memory_gib: None,
            });
            continue;
        }
        let (Some(domain), Some((field, value))) =
            (domains.last_mut(), line.trim().split_once('='))
        else {
            continue;
        };
        match field {
            // 1 running, 2 blocked, 3 paused, 7 suspended by power management.
            "state.state" => {
                domain.state = match value {
                    "1" | "2" => State::Running,
                    "3" | "7" => State::Paused,
                    _ => State::Off,
                }
            }
            "cpu.time" => domain.cpu_ns = value.parse().ok(),
            "vcpu.current" => domain.processors = value.parse().ok(),
            "balloon.current" => {
                domain.memory_gib = value.parse().ok().map(|kib: f64| kib / KIB_PER_GIB);
            }
            _ => {}
        }
    }
    domains
}

/// Puts what `dominfo` prints where `domstats` left something out: not every driver says all.
pub(super) fn complete(domain: &mut Domain, dominfo: &str) {
    let fields = fields(dominfo);
    let number = |name| fields.get(name).and_then(|value| value.parse().ok());
    domain.processors = domain.processors.or_else(|| number("CPU(s)"));
    domain.memory_gib =
        domain.memory_gib.or_else(|| fields.get("Used memory").and_then(|value| gib(value)));
}

/// What `domstate` prints: one word or two, as `domstate` has no numbers.
pub(super) fn state(text: &str) -> State {
    match text.trim() {
        "running" | "idle" => State::Running,
        "paused" | "pmsuspended" => State::Paused,
        _ => State::Off,
    }
}

/// A job of a domain, of what `domjobinfo` prints.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Job {
    /// One is under way.
    pub(super) active: bool,
    /// It moves the domain to another host.
    pub(super) moves: bool,
    /// GiB that were processed, and GiB of all.
    pub(super) processed: Option<(f64, f64)>,
    pub(super) elapsed_s: Option<f64>,
    pub(super) downtime_s: Option<f64>,
}

/// Reads what `domjobinfo` prints, with `--completed` or without.
pub(super) fn job(text: &str) -> Job {
    let fields = fields(text);
    let kind = fields.get("Job type").copied().unwrap_or("None");
    let amount = |name| fields.get(name).and_then(|value| gib(value));
    let ms = |name: &str| -> Option<f64> {
        let value = fields.get(name)?.strip_suffix("ms")?.trim();
        value.parse::<f64>().ok().map(|ms| ms / 1000.0)
    };
    Job {
        active: matches!(kind, "Bounded" | "Unbounded"),
        // Releases before 3.3 do not say what a job is for.
        moves: fields.get("Operation").is_none_or(|what| *what == "Outgoing migration"),
        processed: amount("Data processed").zip(amount("Data total")),
        elapsed_s: ms("Time elapsed"),
        downtime_s: ms("Total downtime"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_node_has_processors_and_memory() {
        // virsh -c test:///default nodeinfo, libvirt 9.0.
        let text = "\
CPU model:           i686
CPU(s):              16
CPU frequency:       1400 MHz
CPU socket(s):       2
Core(s) per socket:  2
Thread(s) per core:  2
NUMA cell(s):        2
Memory size:         3145728 KiB
";
        assert_eq!(node(text), Some((16.0, 3.0)));
        assert_eq!(node("CPU(s): many\nMemory size: 1 KiB"), None);
        assert_eq!(node(""), None);
    }

    #[test]
    fn domains_have_state_processors_memory_and_time() {
        // The form that virsh(1) gives for domstats; fields of the qemu driver.
        let text = "\
Domain: 'web 1'
  state.state=1
  state.reason=5
  cpu.time=7500000000
  cpu.user=6500000000
  balloon.current=2097152
  balloon.maximum=4194304
  vcpu.current=2
  vcpu.maximum=4
  vcpu.0.state=1

Domain: 'incoming'
  state.state=3
  state.reason=11

Domain: 'off'
  state.state=5
  state.reason=1
";
        let off = |name: &str, state| Domain {
            name: name.to_owned(),
            state,
            cpu_ns: None,
            processors: None,
            memory_gib: None,
        };
        let web = Domain {
            cpu_ns: Some(7_500_000_000),
            processors: Some(2.0),
            memory_gib: Some(2.0),
            ..off("web 1", State::Running)
        };
        assert_eq!(domains(text), [web, off("incoming", State::Paused), off("off", State::Off)]);
    }

    #[test]
    fn what_domstats_leaves_out_dominfo_says() {
        // virsh -c test:///default dominfo test, libvirt 9.0.
        let text = "Id:             1\nName:           test\nState:          running\nCPU(s):         2\n\
                    CPU time:       1733.1s\nMax memory:     8388608 KiB\nUsed memory:    2097152 KiB\n";
        let mut domain = domains("Domain: 'test'\n  state.state=1\n").remove(0);
        complete(&mut domain, text);
        assert_eq!((domain.processors, domain.memory_gib), (Some(2.0), Some(2.0)));
    }

    #[test]
    fn a_job_under_way_says_how_far_it_is_and_a_completed_one_what_it_took() {
        // The form of cmdDomjobinfo in tools/virsh-domain.c.
        let under_way = job("\
Job type:         Unbounded
Operation:        Outgoing migration
Time elapsed:     2500         ms
Data processed:   1.500 GiB
Data remaining:   2.500 GiB
Data total:       4.000 GiB
Memory processed: 1.500 GiB
Dirty rate:       12           pages/s
");
        let expected = Job {
            active: true,
            moves: true,
            processed: Some((1.5, 4.0)),
            elapsed_s: Some(2.5),
            downtime_s: None,
        };
        assert_eq!(under_way, expected);
        let completed = job("\
Job type:         Completed
Operation:        Incoming migration
Time elapsed:     9000         ms
Data processed:   4.250 GiB
Data total:       4.000 GiB
Total downtime:   45           ms
");
        assert!(!completed.active && !completed.moves);
        assert_eq!((completed.elapsed_s, completed.downtime_s), (Some(9.0), Some(0.045)));
        assert!(!job("Job type:         None\n").active);
        let dump = job("Job type:         Unbounded\nOperation:        Dump\n");
        assert!(dump.active && !dump.moves);
    }

    #[test]
    fn states_are_those_of_domstate() {
        for (text, expected) in [
            ("running\n", State::Running),
            ("idle\n", State::Running),
            ("paused\n", State::Paused),
            ("shut off\n", State::Off),
            ("crashed\n", State::Off),
        ] {
            assert_eq!(state(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_output_makes_a_parser_panic(text in "[ -~\\n]{0,200}") {
            let _ = (node(&text), domains(&text), state(&text), job(&text));
        }
    }
}
