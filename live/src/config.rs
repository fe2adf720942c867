//! `live.toml`: which cluster, who decides, and how far it may go.

use std::path::{Path, PathBuf};

use godwit_envs::input::{InputError, parse_toml, read_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clusters::{command, kubernetes, libvirt, proxmox, qemu, simulated};
use crate::prometheus;

/// What is done with decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are made and told; nothing is moved, and nothing is remembered of them.
    #[default]
    DryRun,
    /// They are carried out.
    Active,
}

/// The file. Paths in it are relative to its folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is done with decisions.
    #[serde(default)]
    pub mode: Mode,
    /// The policy: an artifact that `godwit export` wrote, or the name of one that comes with the
    /// program, such as `generalist`.
    #[serde(default = "generalist")]
    pub model: PathBuf,
    /// Limits on every plan, as for the scorer's `--limits`.
    #[serde(default)]
    pub limits: Option<PathBuf>,
    /// Folder of the journal and of what is remembered; made if it is not there.
    pub state: PathBuf,
    /// Seconds between two looks at the cluster.
    #[serde(default = "interval")]
    #[schemars(range(min = 0.1))]
    pub interval_s: f64,
    /// Seconds between two questions about moves under way.
    #[serde(default = "poll")]
    #[schemars(range(min = 0.01))]
    pub poll_s: f64,
    /// Most moves of a plan.
    #[serde(default = "most")]
    pub max_moves: u32,
    /// Milliseconds in which a plan is compared with others, as for the scorer's `--think`.
    #[serde(default = "think")]
    pub think_ms: u32,
    /// Who plans where the policy cannot, or is demoted: a baseline's name.
    #[serde(default = "stay")]
    pub fallback: String,
    /// Plans of the policy that are looked at for a demotion; 0 for never.
    #[serde(default = "window")]
    pub demote_window: u32,
    /// Largest share of them that may miss what they predict, gain nothing or bring workloads back.
    #[serde(default = "half")]
    pub demote_above: f64,
    /// How moves are carried out.
    #[serde(default)]
    pub moves: Moves,
    /// The page to look at.
    #[serde(default)]
    pub web: Web,
    /// Programs of the user's that see and move.
    #[serde(default)]
    pub command: Option<command::Settings>,
    /// A Kubernetes cluster.
    #[serde(default)]
    pub kubernetes: Option<kubernetes::Settings>,
    /// Hosts with libvirt.
    #[serde(default)]
    pub libvirt: Option<libvirt::Settings>,
    /// A Proxmox VE cluster.
    #[serde(default)]
    pub proxmox: Option<proxmox::Settings>,
    /// Guests of QEMU, spoken to directly.
    #[serde(default)]
    pub qemu: Option<qemu::Settings>,
    /// Use that Prometheus has measured, in place of what the cluster says of it.
    #[serde(default)]
    pub prometheus: Option<prometheus::Settings>,
    /// Folder that relative paths begin in: the file's own.
    #[serde(skip)]
    pub folder: PathBuf,
    /// A scenario that is played.
    #[serde(default)]
    pub simulated: Option<simulated::Settings>,
}

/// How moves are carried out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Moves {
    /// Most moves under way at a time; the rules of the artifact hold besides.
    pub in_all: u32,
    /// Most of them that a node takes part in.
    pub per_node: u32,
    /// A move is given up when it takes longer than so many times what was predicted, and
    /// `deadline_least_s`.
    pub deadline_factor: f64,
    /// Seconds that every move is given.
    pub deadline_least_s: f64,
    /// Seconds after which a move that was to be given up, and was not, is an alert.
    pub give_up_s: f64,
    /// How often a move is asked for that the cluster puts off.
    pub tries: u32,
    /// Seconds until it is asked for again; each time twice as long.
    pub back_off_s: f64,
    /// Seconds for which a workload is left alone whose move failed or took too long; twice as long
    /// after each further one in a row, 16 times at most. Workloads of nodes that close are not.
    pub rest_s: f64,
    /// Seconds after which a move is looked for of which it is not known whether it began.
    pub unknown_s: f64,
    /// Moves by another hand that undo ours, within `fight_window_s`, before everything is halted.
    pub fights: usize,
    /// Seconds within which they count.
    pub fight_window_s: f64,
    /// Whether links and workloads are corrected by what moves have measured.
    pub calibrate: bool,
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            in_all: 2,
            per_node: 1,
            deadline_factor: 4.0,
            deadline_least_s: 30.0,
            give_up_s: 60.0,
            tries: 5,
            back_off_s: 2.0,
            rest_s: 300.0,
            unknown_s: 5.0,
            fights: 3,
            fight_window_s: 3600.0,
            calibrate: true,
        }
    }
}

/// The page to look at.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address that it is served on; empty for no page.
    pub listen: String,
    /// File with the token that halting, resuming and aborting ask for. Without one they are refused
    /// on any address but this machine's own.
    pub token_file: Option<PathBuf>,
}

impl Default for Web {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8981".to_owned(), token_file: None }
    }
}

impl Settings {
    /// Reads and checks a file; paths in it become relative to where it lies.
    ///
    /// # Errors
    /// When it cannot be read, or the first thing in it that is wrong.
    pub fn load(path: &Path) -> Result<Self, InputError> {
        let label = path.display().to_string();
        let mut settings = Self::from_toml(&read_text(path)?, &label)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let paths = [Some(&mut settings.state), settings.limits.as_mut()];
        for path in paths.into_iter().chain([settings.web.token_file.as_mut()]).flatten() {
            *path = folder.join(&*path);
        }
        // A bare name may be that of an artifact that comes with the program.
        if settings.model.components().count() > 1 || settings.model.extension().is_some() {
            settings.model = folder.join(&settings.model);
        }
        settings.folder = folder.to_owned();
        if let Some(simulated) = &mut settings.simulated {
            let file = folder.join(&simulated.scenario);
            if file.is_file() {
                simulated.scenario = file.display().to_string();
            }
        }
        Ok(settings)
    }

    /// Reads and checks a text, which errors call `label`.
    ///
    /// # Errors
    /// The first thing in it that is wrong.
    pub fn from_toml(text: &str, label: &str) -> Result<Self, InputError> {
        let settings: Self = parse_toml(text, label)?;
        let Moves { deadline_factor, deadline_least_s, give_up_s, back_off_s, .. } = settings.moves;
        let Moves { rest_s, unknown_s, fight_window_s, .. } = settings.moves;
        for (field, value, least) in [
            ("interval_s", settings.interval_s, 0.1),
            ("poll_s", settings.poll_s, 0.01),
            ("demote_above", settings.demote_above, 0.0),
            ("moves.deadline_factor", deadline_factor, 1.0),
            ("moves.deadline_least_s", deadline_least_s, 0.0),
            ("moves.give_up_s", give_up_s, 0.0),
            ("moves.back_off_s", back_off_s, 0.0),
            ("moves.rest_s", rest_s, 0.0),
            ("moves.unknown_s", unknown_s, 0.0),
            ("moves.fight_window_s", fight_window_s, 0.0),
        ] {
            if !(value.is_finite() && value >= least) {
                let expected = format!("a number of at least {least}");
                return Err(InputError::field(label, field, expected, value.to_string()));
            }
        }
        for (field, value) in [
            ("moves.in_all", settings.moves.in_all),
            ("moves.per_node", settings.moves.per_node),
            ("moves.tries", settings.moves.tries),
        ] {
            if value == 0 {
                return Err(InputError::field(label, field, "a number of at least 1", "0"));
            }
        }
        Ok(settings)
    }
}

fn generalist() -> PathBuf {
    godwit_models::pretrained::GENERALIST.into()
}
fn interval() -> f64 {
    60.0
}
fn poll() -> f64 {
    1.0
}
fn most() -> u32 {
    u32::MAX
}
fn think() -> u32 {
    5
}
fn stay() -> String {
    "stay".to_owned()
}
fn window() -> u32 {
    20
}
fn half() -> f64 {
    0.5
}
