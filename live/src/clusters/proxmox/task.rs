//! Tasks: their ids, their states, and what the log of a migration says.

use serde::Deserialize;

use crate::cluster::{CallError, Figures};

const KIB: f64 = 1024.0;

/// Id of a task: `UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:`, numbers in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upid {
    /// The whole id.
    pub(super) text: String,
    /// Node that the task runs on.
    pub(super) node: String,
    /// When it began, seconds since 1970 by that node's clock.
    pub(super) start_s: u64,
    /// When it began, in ticks since that node was started: tells apart what began in one second.
    pub(super) start_ticks: u64,
    /// For example `qmigrate`.
    pub(super) kind: String,
}

impl Upid {
    /// # Errors
    /// When the text is no such id.
    pub(super) fn parse(text: &str) -> Result<Self, CallError> {
        let refuse =
            || CallError::Refused(format!("expected the id of a task (UPID:...), got {text:?}"));
        let parts: Vec<&str> = text.split(':').collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || "@!._-+:".contains(c);
        if parts.len() < 9 || parts[0] != "UPID" || !text.chars().all(plain) {
            return Err(refuse());
        }
        let [start_ticks, start_s] = [parts[3], parts[4]]
            .map(|digits| u64::from_str_radix(digits, 16).map_err(|_| refuse()));
        let node = super::guest::node(parts[1])?.to_owned();
        Ok(Self {
            text: text.to_owned(),
            node,
            start_s: start_s?,
            start_ticks: start_ticks?,
            kind: parts[5].to_owned(),
        })
    }

    /// Orders the tasks of a node by when they began.
    pub(super) fn began(&self) -> (u64, u64) {
        (self.start_s, self.start_ticks)
    }

    /// The path of what the cluster says about the task.
    pub(super) fn path(&self) -> String {
        format!("/nodes/{}/tasks/{}", self.node, self.text)
    }

    /// Whether the task moves a guest, or asks for it.
    pub(super) fn moves(&self) -> bool {
        self.is_handed_over() || matches!(self.kind.as_str(), "qmigrate" | "vzmigrate")
    }

    /// Whether the task only hands the migration to the HA manager.
    pub(super) fn is_handed_over(&self) -> bool {
        self.kind == "hamigrate"
    }
}

/// State of a task.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    /// `running` or `stopped`.
    pub(super) status: String,
    /// How it ended.
    #[serde(default)]
    pub(super) exitstatus: Option<String>,
}

/// A task in a node's list.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) upid: String,
    /// Present once it has ended.
    #[serde(default)]
    pub(super) endtime: Option<u64>,
    /// How it ended.
    #[serde(default)]
    pub(super) status: Option<String>,
}

/// A line of a task's log.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) t: String,
}

/// Whether an exit status is that of a task that did what it should.
pub(super) fn is_well(exit: &str) -> bool {
    exit == "OK" || exit.starts_with("WARNINGS")
}

/// What the log of a migration says. Lines are as `PVE::QemuMigrate` and `PVE::AbstractMigrate`
/// write them; each begins with date and time.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    /// GiB that were transferred, and GiB of the state they are of.
    pub(super) transferred: Option<(f64, f64)>,
    /// What was measured at the end.
    pub(super) figures: Figures,
    /// The migration was broken off by who ended its task.
    pub(super) interrupted: bool,
    /// The first complaint.
    pub(super) complaint: Option<String>,
}

impl Told {
    /// Reads a log, or the end of one.
    pub(super) fn read(lines: &[Line]) -> Self {
        let mut told = Self::default();
        for Line { t } in lines {
            // migration active, transferred 1.2 GiB of 4.0 GiB VM-state, 112.3 MiB/s
            if let Some(rest) = after(t, "migration active, transferred ") {
                let both = rest.split_once(" of ");
                told.transferred =
                    both.and_then(|(done, all)| Some((gib(done)?, gib(all)?))).or(told.transferred);
            }
            // migration completed, transferred 3.2 GiB VM-state
            if let Some(rest) = after(t, "migration completed, transferred ") {
                told.figures.moved_gib = gib(rest).map(|gib| gib as f32);
            }
            // average migration speed: 1.0 GiB/s - downtime 45 ms
            if let Some(rest) = after(t, " - downtime ") {
                let ms: Option<f32> = rest.split(' ').next().and_then(|ms| ms.parse().ok());
                told.figures.downtime_s = ms.map(|ms| ms / 1000.0);
            }
            // migration finished successfully (duration 00:00:12)
            if let Some(rest) = after(t, "(duration ") {
                told.figures.transfer_s = seconds(rest);
            }
            told.interrupted |=
                ["interrupted by signal", "received interrupt"].iter().any(|sign| t.contains(sign));
            if let Some(rest) = after(t, "ERROR: ") {
                told.complaint.get_or_insert_with(|| rest.to_owned());
            }
        }
        told
    }
}

fn after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// `4.0 GiB ...`
fn gib(text: &str) -> Option<f64> {
    let mut words = text.split([' ', ',']);
    let amount: f64 = words.next()?.parse().ok()?;
    let bytes = match words.next()? {
        "B" => 1.0,
        "KiB" => KIB,
        "MiB" => KIB.powi(2),
        "GiB" => KIB.powi(3),
        "TiB" => KIB.powi(4),
        _ => return None,
    };
    Some(amount * bytes / KIB.powi(3))
}

/// `00:01:12)`
fn seconds(text: &str) -> Option<f32> {
    let clock = text.split(')').next()?;
    let parts: Option<Vec<u16>> = clock.split(':').map(|part| part.parse().ok()).collect();
    match parts?.as_slice() {
        &[h, m, s] => Some(f32::from(h) * 3600.0 + f32::from(m) * 60.0 + f32::from(s)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPID: &str = "UPID:pve1:000003E8:00001B58:692D8F00:qmigrate:100:godwit@pve!loop:";

    #[test]
    fn an_id_says_node_start_and_kind_and_nothing_else_goes_into_a_path() {
        let upid = Upid::parse(UPID).unwrap();
        assert_eq!(
            (upid.node.as_str(), upid.start_s, upid.kind.as_str()),
            ("pve1", 0x692d_8f00, "qmigrate")
        );
        assert!(upid.moves() && !upid.is_handed_over());
        for wrong in ["", "UPID:pve1", &UPID.replace("pve1", "../x"), &UPID.replace("100", "1/0")] {
            assert!(matches!(Upid::parse(wrong), Err(CallError::Refused(_))), "{wrong}");
        }
    }

    #[test]
    fn a_live_migrations_log_says_progress_traffic_downtime_and_duration() {
        // The form of the log that qemu-server 8 writes.
        let text = "\
2024-05-02 10:00:00 starting migration of VM 100 to node 'pve2' (192.0.2.12)
2024-05-02 10:00:03 migration active, transferred 512.0 MiB of 4.0 GiB VM-state, 112.3 MiB/s
2024-05-02 10:00:04 migration active, transferred 1.5 GiB of 4.0 GiB VM-state, 112.3 MiB/s
2024-05-02 10:00:40 average migration speed: 114.5 MiB/s - downtime 45 ms
2024-05-02 10:00:40 migration completed, transferred 4.25 GiB VM-state
2024-05-02 10:01:12 migration finished successfully (duration 00:01:12)
TASK OK";
        let lines: Vec<Line> = text.lines().map(|t| Line { t: t.to_owned() }).collect();
        let half = Told::read(&lines[..3]);
        assert_eq!(half, Told { transferred: Some((1.5, 4.0)), ..Told::default() });
        let figures =
            Figures { transfer_s: Some(72.0), moved_gib: Some(4.25), downtime_s: Some(0.045) };
        assert_eq!(Told::read(&lines).figures, figures);
    }

    #[test]
    fn a_log_that_says_nothing_usable_is_no_error() {
        let lines =
            ["migration active, transferred lots of things", "- downtime x ms", "(duration 1:2)"]
                .map(|t| Line { t: t.to_owned() });
        assert_eq!(Told::read(&lines), Told::default());
    }
}
