//! What can be done next with a run, as commands.

use super::args::Args;
use crate::checkpoint;
use crate::cli::output;
use crate::train::mixture::Mixture;
use godwit_envs::scenario::Scenario;
use std::path::Path;

/// How the run goes on.
pub(super) fn resume_command(folder: &Path) -> String {
    format!("godwit train --resume {}", output::word(folder.display().to_string()))
}

/// Says what can be done with the run's policy next, as commands. Scenarios are named as they were
/// given, by their name where they come with the program, or else as the run keeps them.
pub(super) fn advise(args: &Args, mixture: &Mixture, folder: &Path) {
    let run = output::word(folder.display().to_string());
    let names: Vec<String> = (0..mixture.parts().len())
        .map(|at| output::word(scenario_argument(args, mixture, folder, at)))
        .collect();
    // Of many scenarios a few tell how.
    let names = &names[..names.len().min(MOST_ADVISED)];
    for name in names {
        eprintln!("compare it: godwit evaluate {name} --policy {run}");
    }
    for name in names {
        eprintln!("explain it: godwit explain {name} --policy {run} --against {EXPLAIN_AGAINST}");
    }
    let artifact = output::word(folder.join("policy.pt").display().to_string());
    eprintln!("export it: godwit export {run} --out {artifact}");
}

/// Scenarios for which commands are printed.
const MOST_ADVISED: usize = 4;
/// The baseline that decisions are first held against: it plays every scenario.
const EXPLAIN_AGAINST: &str = "best-single-move";

fn scenario_argument(args: &Args, mixture: &Mixture, folder: &Path, at: usize) -> String {
    let scenario = &mixture.parts()[at].scenario;
    let embedded = Scenario::embedded(&scenario.name);
    match args.scenario.get(at) {
        Some(text) => weighted(text).0.to_owned(),
        None if embedded.is_ok_and(|embedded| embedded.same_world(scenario)) => {
            scenario.name.clone()
        }
        None => folder.join(checkpoint::scenario_file(at)).display().to_string(),
    }
}

/// `NAME=WEIGHT`, or a name (which may itself hold a `=`) of weight 1.
pub(super) fn weighted(text: &str) -> (&str, f64) {
    text.rsplit_once('=')
        .and_then(|(name, weight)| Some((name, weight.parse().ok()?)))
        .unwrap_or((text, 1.0))
}
