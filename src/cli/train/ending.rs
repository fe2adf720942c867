//! What is decided at the end of a run whose settings were found. The run's folder holds what that
//! takes, so that a run that goes on ends like one that never stopped.

use crate::checkpoint::{self, RunDirectory};
use crate::recipe::contest::Standing;
use crate::recipe::several::Several;
use crate::recipe::verdict::{self, Verdict};
use crate::recipe::{GATE, Rivals, VERDICT, gate};
use crate::train::mixture::{Mixture, Part};
use anyhow::Context;
use godwit_models::network_policy::Base;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The file in the run's folder.
const FILE: &str = "ending.json";
/// The folder in it with the scenarios that were held out.
const HELD_OUT: &str = "held-out";

/// How a run ends, and whether it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ending {
    how: How,
    /// Env steps of the run when that was done; none before.
    done_at: Option<u64>,
}

/// What is decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// On one scenario: gate and verdict.
    Verdict(Rivals),
    /// On several: the gate.
    Gate {
        /// What returns in the scenarios that it plays are divided by.
        units: Vec<f64>,
        /// Whether these were held out of training; else they are those of the run.
        held_out: bool,
    },
}

impl Ending {
    /// How a run on several scenarios ends.
    pub(super) fn of_several(found: &Several) -> Self {
        let (units, held_out) = (found.units.clone(), found.held_out.is_some());
        Self { how: How::Gate { units, held_out }, done_at: None }
    }

    /// How a run on one scenario ends.
    pub(super) fn of_one(rivals: Rivals) -> Self {
        Self { how: How::Verdict(rivals), done_at: None }
    }

    /// Whether it is still to come for a run of so many env steps.
    pub(super) fn is_due(&self, env_steps: u64) -> bool {
        self.done_at != Some(env_steps)
    }

    /// Writes it into the run's folder, with the scenarios that were held out.
    pub(super) fn keep(
        &self,
        directory: &RunDirectory,
        held_out: Option<&Mixture>,
    ) -> anyhow::Result<()> {
        if let Some(held_out) = held_out {
            checkpoint::write_scenarios(&directory.path().join(HELD_OUT), held_out)?;
        }
        self.write(directory)
    }

    fn write(&self, directory: &RunDirectory) -> anyhow::Result<()> {
        directory.replace(FILE, &serde_json::to_string(self)?)?;
        Ok(())
    }

    /// That of the run in this folder, if its settings were found.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let ending = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Some(ending))
    }

    /// Decides whether the network of the run's best policy is followed; on one scenario it is then
    /// played against the best heuristics. The run has made so many env steps.
    pub(super) fn decide(
        mut self,
        mixture: &Mixture,
        directory: &RunDirectory,
        env_steps: u64,
    ) -> anyhow::Result<Option<Verdict>> {
        let verdict = match &self.how {
            How::Verdict(rivals) => Some(verdict(rivals, mixture, directory)?),
            How::Gate { units, held_out: false } => {
                gate_of_several(mixture, units, "all scenarios", directory)?;
                None
            }
            How::Gate { units, held_out: true } => {
                let folder = directory.path().join(HELD_OUT);
                let scenarios = held_out(&folder, units.len())?;
                let which = format!("{} scenarios that were held out", units.len());
                gate_of_several(&scenarios, units, &which, directory)?;
                None
            }
        };
        self.done_at = Some(env_steps);
        self.write(directory)?;
        Ok(verdict)
    }
}

/// The scenarios that were held out.
fn held_out(folder: &Path, count: usize) -> anyhow::Result<Mixture> {
    let read = |at: usize| {
        let path = folder.join(checkpoint::scenario_file(at));
        let scenario = crate::cli::scenario(&path.display().to_string())?;
        anyhow::Ok(Part { scenario, weight: 1.0 })
    };
    Mixture::new((0..count).map(read).collect::<anyhow::Result<_>>()?)
}

fn gate_of_several(
    scenarios: &Mixture,
    units: &[f64],
    which: &str,
    directory: &RunDirectory,
) -> anyhow::Result<()> {
    let loaded = checkpoint::load(directory.path()).context("the best policy of the run")?;
    let policy = loaded.policy("policy")?;
    let Some(base) = &loaded.base else { return Ok(()) };
    eprintln!("playing further validation episodes against {}", base.baseline);
    let gated = gate::gate_several(scenarios, &policy, base, units)?;
    checkpoint::rebase_best(directory, gated.base.as_ref())?;
    eprintln!("in the learner's rewards, mean over {which}: {}", gated.sentence());
    Ok(())
}

fn verdict(
    rivals: &Rivals,
    mixture: &Mixture,
    directory: &RunDirectory,
) -> anyhow::Result<Verdict> {
    let loaded = checkpoint::load(directory.path()).context("the best policy of the run")?;
    let policy = loaded.policy("policy")?;
    let of = |Standing { baseline, parameters, .. }: &Standing| Base {
        baseline: baseline.name.into(),
        parameters: parameters.clone(),
        margin: None,
    };
    let Rivals { seconds, standings, base } = rivals;
    let base = of(standings.get(*base).context("a base policy among the heuristics")?);
    let best = standings.iter().find(|standing| standing.left.is_none());
    let best_s = best.map_or(0.0, |best| best.episode_s(mixture.first()));
    let best = best.map_or_else(|| base.clone(), of);
    let shown = loaded.config.comparisons.baseline.is_empty();
    let against = if shown { &best } else { &base };
    eprintln!("playing further validation episodes against {}", against.baseline);
    let gate_s = GATE * seconds;
    let gated = match shown {
        true => gate::gate_alone(mixture.first(), &policy, &best, best_s, gate_s)?,
        false => gate::gate(mixture.first(), &policy, &base, &best, best_s, gate_s)?,
    };
    checkpoint::rebase_best(directory, gated.base.as_ref())?;
    eprintln!("{}", gated.sentence());
    let policy = policy.on_base(gated.base.as_ref())?;
    eprintln!("playing fresh episodes against the best heuristics");
    let verdict = verdict::verdict(mixture.first(), &policy, standings, VERDICT * seconds)?;
    eprintln!("{}: {}", mixture.first().name, verdict.sentence());
    Ok(verdict)
}
