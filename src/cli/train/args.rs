//! What `godwit train` takes.

use crate::machine::device::DeviceChoice;
use std::path::PathBuf;

/// Train a policy on a scenario, or on several at once.
///
/// Where nobody gives settings (a scenario without a [train] table, no --config, --set or
/// --env-steps), they are found within --minutes [10 unless given]: the heuristics race, the run
/// improves on the best one that is fast enough, and at the end it says whether the policy is ahead
/// of the best heuristic on fresh episodes.
///
/// Several scenarios share one network, which must serve any cluster size; they may differ in
/// everything but their mode. SCENARIO=WEIGHT gives a scenario more or less of the environment copies
/// than another. The first one's [train] table is used; where it has none, settings are found.
///
/// Settings are merged in this order, later ones win: defaults, the scenario's [train] table,
/// --config, --set, the flags below. The run's folder holds the resolved config.toml, the
/// checkpoints last/ and best/, metrics.jsonl and TensorBoard events. Ctrl-C or SIGTERM writes a
/// checkpoint and ends the run; --resume goes on from there, with the same results as if it had
/// never stopped.
///
/// --resume with a larger --env-steps makes a longer run of it: the schedules (exploration, learning
/// rate, shares of demonstrations and comparisons) stretch over the new length, and what that
/// changes is printed. The new settings replace config.toml with the first checkpoint that they lead
/// to; those before are kept as config.until-N.toml, N being the env step up to which they held.
/// Resuming a complete run says so and does nothing.
///
/// Training stops with exit code 1 at the first loss, gradient norm, weight or reward that is not
/// finite. The last good checkpoint is kept, and the message says where it is.
// The text is what clap shows, which is no Markdown.
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  godwit train mine.toml --minutes 10
  godwit train quickstart --minutes 1
  godwit train mine.toml --minutes 10 --seeds 0,1,2
  godwit train quickstart=2 twice-as-large.toml=1 --set network.architecture=candidate
  godwit train founding-10x50 --config checkpoints/first/config.toml --seed 1 --out checkpoints/fleet
  godwit train --resume checkpoints/fleet
  godwit train --resume checkpoints/fleet --env-steps 400000")]
pub struct Args {
    /// Embedded scenario or scenario file; several may be given, each with a weight [without
    /// WEIGHT: 1]
    #[arg(required_unless_present_any = ["resume", "list_settings"], value_name = "SCENARIO[=WEIGHT]")]
    pub(super) scenario: Vec<String>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(super) config: Option<PathBuf>,
    /// A setting by its dotted key, with a TOML value; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(super) set: Vec<String>,
    /// Length of the run in env steps; with --resume at least those that it has made
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) env_steps: Option<i64>,
    /// Stop after this many minutes at the latest; 0 for no limit
    #[arg(long, value_name = "M")]
    pub(super) minutes: Option<f64>,
    /// Whether the checkpoints of the complete run keep the replay, by far the largest part of them;
    /// without it a complete run cannot be made longer [default: true]
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub(super) keep_replay: Option<bool>,
    /// Seed of everything that is drawn
    #[arg(long, conflicts_with = "resume", value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) seed: Option<i64>,
    /// One run for each of these seeds, one after the other, each in a folder of its own under --out;
    /// at the end a table says what came of them
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', conflicts_with_all = ["seed", "resume"],
        value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) seeds: Vec<i64>,
    /// Do not train on the last N of several scenarios: whether the network is followed is decided on
    /// them, so that it holds for clusters that it never saw
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "resume")]
    pub(super) hold_out: usize,
    /// Where to compute updates: auto, cpu, cuda or cuda:INDEX
    #[arg(long, default_value_t)]
    pub(super) device: DeviceChoice,
    /// Folder of the run, new or empty [default: checkpoints/<scenario name>]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(super) out: Option<PathBuf>,
    /// Go on with the run in this folder; only --env-steps, --minutes and --keep-replay may change
    #[arg(long, value_name = "DIR")]
    pub(super) resume: Option<PathBuf>,
    /// Threads that step environments; 0 for one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) threads: usize,
    /// Print every setting with its type, range, default and meaning, as a file for --config, and
    /// train nothing
    #[arg(long, conflicts_with_all = ["scenario", "resume", "config", "set"])]
    pub(super) list_settings: bool,
    /// With --list-settings: print one JSON document
    #[arg(long, requires = "list_settings")]
    pub(super) json: bool,
    /// With --list-settings: print the page of the book
    #[arg(long, requires = "list_settings", conflicts_with = "json", hide = true)]
    pub(super) markdown: bool,
}
