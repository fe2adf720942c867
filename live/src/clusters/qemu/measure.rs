//! What a guest takes: memory, processor time, and how fast it dirties its memory.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::qmp::{Address, Monitor, QmpError};

/// Bytes of a GiB.
pub const BYTES_PER_GIB: f32 = 1_073_741_824.0;

/// Clock ticks of `/proc` in a second: `USER_HZ`, which Linux keeps at 100 for every program.
const TICKS_PER_S: f32 = 100.0;

/// Pages that QEMU compares per GiB to measure the dirty rate: 1 of 64. Its default, 1 of 512, says
/// little about small guests.
const SAMPLE_PAGES: u32 = 4096;

/// Bytes of a megabyte as `query-dirty-rate` counts them.
const BYTES_PER_MB: f32 = 1_048_576.0;

/// What the last moves copied of each guest in their first round, GiB; shared by whoever moves them
/// and whoever looks at them.
#[derive(Clone, Default)]
pub struct Copied(Arc<Mutex<HashMap<usize, f32>>>);

impl Copied {
    /// Keeps it for a guest.
    pub fn remember(&self, guest: usize, gib: f32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(guest, gib);
    }

    /// What was kept of a guest.
    pub fn of(&self, guest: usize) -> Option<f32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&guest).copied()
    }
}

/// What a monitor says of a guest's appetite.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Memory that it has, GiB.
    pub memory_gib: f32,
    /// Its virtual processors' threads.
    pub threads: Vec<u64>,
    /// Rate at which it dirtied its memory when that was last measured, GiB/s.
    pub dirty_gib_s: Option<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Memory {
    base_memory: f32,
    #[serde(default)]
    plugged_memory: f32,
}

#[derive(Deserialize)]
struct Balloon {
    actual: f32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Processor {
    thread_id: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DirtyRate {
    status: String,
    dirty_rate: Option<f32>,
}

/// Asks a monitor. With `measure_dirty_rate`, QEMU begins to measure that anew, for a second.
///
/// # Errors
/// When it does not answer, or not what is expected.
pub fn read(
    address: &Address,
    time_out: Duration,
    measure_dirty_rate: bool,
) -> Result<Reading, QmpError> {
    let mut monitor = Monitor::connect(address, time_out)?;
    let memory: Memory = monitor.ask("query-memory-size-summary", json!({}))?;
    let processors: Vec<Processor> = monitor.ask("query-cpus-fast", json!({}))?;
    let bytes = match monitor.ask::<Balloon>("query-balloon", json!({})) {
        Ok(balloon) => balloon.actual,
        // Most guests have none.
        Err(QmpError::Refused(..)) => memory.base_memory + memory.plugged_memory,
        Err(error) => return Err(error),
    };
    let dirty: DirtyRate = monitor.ask("query-dirty-rate", json!({}))?;
    if measure_dirty_rate && dirty.status != "measuring" {
        let arguments = json!({ "calc-time": 1, "sample-pages": SAMPLE_PAGES });
        monitor.execute("calc-dirty-rate", arguments)?;
    }
    let measured = dirty.dirty_rate.filter(|rate| dirty.status == "measured" && *rate >= 0.0);
    Ok(Reading {
        memory_gib: bytes / BYTES_PER_GIB,
        threads: processors.iter().map(|processor| processor.thread_id).collect(),
        dirty_gib_s: measured.map(|rate| rate * BYTES_PER_MB / BYTES_PER_GIB),
    })
}

/// Processor time that the process of a thread has taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    thread: u64,
    ticks: u64,
    at: Instant,
}

impl Taken {
    /// Reads it now; nothing where there is no such thread on this machine.
    pub fn now(thread: u64) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
        Some(Self { thread, ticks: ticks(&text)?, at: Instant::now() })
    }

    /// Cores taken on average since an earlier reading of the same process.
    pub fn cores_since(&self, earlier: &Self) -> Option<f32> {
        let seconds = self.at.saturating_duration_since(earlier.at).as_secs_f32();
        if self.thread != earlier.thread || seconds <= 0.0 {
            return None;
        }
        Some(self.ticks.checked_sub(earlier.ticks)? as f32 / TICKS_PER_S / seconds)
    }
}

/// User and system time of a process, from its `stat`; proc(5).
fn ticks(stat: &str) -> Option<u64> {
    // The second field, a name in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let [user, system] = [fields.next()?, fields.next()?];
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 3 4 20 0 3 0 99 1 2";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(ticks("7 (a) S 1 2"), None);
    }

    #[test]
    fn cores_are_the_ticks_of_one_process_over_the_time_between() {
        let at = Instant::now();
        let earlier = Taken { thread: 5, ticks: 100, at };
        let now = Taken { thread: 5, ticks: 160, at: at + Duration::from_secs(3) };
        assert_eq!(now.cores_since(&earlier), Some(0.2));
        assert_eq!(now.cores_since(&Taken { thread: 6, ..earlier }), None);
        assert_eq!(earlier.cores_since(&now), None);
    }
}
