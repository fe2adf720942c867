//! What a report shows beyond the table: more episodes, played for its charts, and the logs of
//! training runs.

use super::rows::ranked;
use anyhow::Context;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_evaluate::progress::Progress;
use godwit_evaluate::stats::{Estimate, bootstrap, mean};
use godwit_evaluate::{Contender, Evaluation, returns};
use godwit_models::baselines::greedy::stay::Stay;
use godwit_models::policy::Policy;
use godwit_models::recording::{Recording, record};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Policies that a chart with a line for each can show.
const CURVES: usize = 6;

/// Episodes behind each point of the budget chart, at most: a point needs less than the table.
const BUDGET_EPISODES: usize = 20;

/// Budgets tried at most, 0 and the scenario's own included.
const BUDGETS: usize = 6;

/// What the page is made of.
#[derive(Debug)]
pub struct Report<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The comparison.
    pub evaluation: &'a Evaluation,
    /// The command that makes this report again, without this machine's paths.
    pub command: String,
    /// Return against move budget.
    pub budget: BudgetSweep,
    /// Training runs among the policies.
    pub runs: Vec<Run>,
    /// One episode, played by the user's policy and by nobody.
    pub episode: Recorded,
}

/// The user's policy and the best others at several move budgets.
#[derive(Debug)]
pub struct BudgetSweep {
    /// Budget of the scenario itself.
    pub own: u32,
    /// Episodes behind each point.
    pub episodes: usize,
    /// In the order of the page's table.
    pub curves: Vec<BudgetCurve>,
}

/// One policy at several move budgets.
#[derive(Debug)]
pub struct BudgetCurve {
    /// Its name.
    pub policy: String,
    /// Budget and mean return.
    pub points: Vec<(u32, Estimate)>,
}

/// A training run's evaluations.
#[derive(Debug, PartialEq)]
pub struct Run {
    /// The policy's name in the table.
    pub policy: String,
    /// In the order of training.
    pub points: Vec<RunPoint>,
}

/// One evaluation in the course of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunPoint {
    /// Env steps made by then.
    pub env_steps: f64,
    /// Mean return on the run's validation episodes.
    pub mean_return: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// One episode under two policies.
#[derive(Debug)]
pub struct Recorded {
    /// Its seed.
    pub seed: u64,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Name of who played: the first `--policy`, else the best baseline; none where that is to stay.
    pub name: Option<String>,
    /// That policy's episode, or that of `stay`.
    pub played: Recording,
    /// The episode in which nothing is moved.
    pub stay: Recording,
}

/// Where the logs of training runs may be: the policy's name and the path that it was given by.
pub type Sources = Vec<(String, PathBuf)>;

impl<'a> Report<'a> {
    /// Plays what the charts need.
    ///
    /// # Errors
    /// When an episode cannot be played or a log cannot be read.
    pub fn gather(
        scenario: &'a Scenario,
        evaluation: &'a Evaluation,
        contenders: &[Contender],
        sources: &Sources,
        command: String,
        progress: bool,
    ) -> anyhow::Result<Self> {
        let budget = sweep(scenario, evaluation, contenders, progress)?;
        let episode = recorded(scenario, evaluation, contenders)?;
        let mut runs = Vec::new();
        for (policy, path) in sources {
            runs.extend(read_run(policy, path)?);
        }
        Ok(Self { scenario, evaluation, command, budget, runs, episode })
    }

    /// The baseline with the highest mean return, and that return.
    pub fn best_baseline(&self) -> Option<(&str, f64)> {
        let best = self.evaluation.policies.iter().find(|policy| !policy.trained)?;
        Some((&best.name, best.mean_return.value))
    }
}

/// Budgets from 0 to the scenario's own, the small ones closer together: that is where returns
/// change. Where the own budget is one or two, a few beyond it show what more would give.
fn budgets(own: u32) -> Vec<u32> {
    if own < BUDGETS as u32 {
        return (0..=own.max(3)).collect();
    }
    let last = (BUDGETS - 1) as f64;
    let share = |i: usize| (i as f64 / last).powf(1.6);
    let mut budgets: Vec<u32> =
        (0..BUDGETS).map(|i| (f64::from(own) * share(i)).round() as u32).collect();
    budgets.dedup();
    budgets
}

fn own_budget(scenario: &Scenario) -> u32 {
    let episode = &scenario.rules.episode;
    match episode.mode {
        Mode::Rebalance => episode.move_budget,
        Mode::Online => episode.moves_per_tick,
    }
}

fn sweep(
    scenario: &Scenario,
    evaluation: &Evaluation,
    contenders: &[Contender],
    progress: bool,
) -> anyhow::Result<BudgetSweep> {
    // Trained policies are always shown, the rest is filled up with the best.
    let mut ranked = ranked(evaluation);
    ranked.retain(|(_, policy)| policy.name != "stay");
    ranked.sort_by_key(|(_, policy)| !policy.trained);
    ranked.truncate(CURVES);
    let shown: Vec<&str> = ranked.iter().map(|(_, policy)| policy.name.as_str()).collect();
    let own = own_budget(scenario);
    let budgets = budgets(own);
    let episodes = evaluation.episodes.min(BUDGET_EPISODES);
    let seeds: Vec<u64> =
        (0..episodes as u64).map(|i| evaluation.first_seed.wrapping_add(i)).collect();
    let bar =
        Progress::new(progress, (budgets.len() * shown.len()) as u64, "points of the budget chart");
    // With no moves to make, every policy does what `stay` does.
    let stay = Contender {
        name: "stay".into(),
        trained: false,
        parameters: None,
        factory: Box::new(|| Box::new(Stay)),
    };
    let nothing = returns(scenario, &stay, &seeds)?;
    let mut curves = Vec::new();
    for contender in contenders.iter().filter(|contender| shown.contains(&contender.name.as_str()))
    {
        let mut points = Vec::new();
        for &budget in &budgets {
            let found = if budget == 0 {
                nothing.clone()
            } else {
                let mut changed = scenario.clone();
                changed.rules.episode.move_budget = budget;
                changed.rules.episode.moves_per_tick = budget;
                returns(&changed, contender, &seeds)
                    .with_context(|| format!("with a budget of {budget} moves"))?
            };
            points.push((budget, bootstrap(&found, mean, evaluation.first_seed)));
            bar.inc(1);
        }
        curves.push(BudgetCurve { policy: contender.name.clone(), points });
    }
    bar.finish();
    curves.sort_by_key(|curve| shown.iter().position(|name| *name == curve.policy));
    Ok(BudgetSweep { own, episodes, curves })
}

fn recorded(
    scenario: &Scenario,
    evaluation: &Evaluation,
    contenders: &[Contender],
) -> anyhow::Result<Recorded> {
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate)?;
    let seed = evaluation.first_seed;
    let name = ranked(evaluation).first().map(|(_, policy)| policy.name.clone());
    let name = name.filter(|name| name != "stay");
    let player: Option<Box<dyn Policy>> = contenders
        .iter()
        .find(|contender| Some(&contender.name) == name.as_ref())
        .map(|contender| (contender.factory)());
    let stay = record(&mut env, &mut Stay, seed)?;
    let played = match player {
        Some(mut policy) => record(&mut env, policy.as_mut(), seed)?,
        None => stay.clone(),
    };
    let nodes = env.state().spec.node_names.clone();
    Ok(Recorded { seed, nodes, name, played, stay })
}

/// The evaluations that a run has logged; none where the path is no run's folder, nor a checkpoint
/// in one.
fn read_run(policy: &str, path: &Path) -> anyhow::Result<Option<Run>> {
    let inside = |folder: &Path| Some(folder.join("metrics.jsonl")).filter(|log| log.is_file());
    if !path.is_dir() {
        return Ok(None);
    }
    let Some(log) = inside(path).or_else(|| inside(path.parent()?)) else { return Ok(None) };
    let text = std::fs::read(&log).with_context(|| format!("{}: cannot read", log.display()))?;
    let points = points(&String::from_utf8_lossy(&text));
    Ok((!points.is_empty()).then(|| Run { policy: policy.to_owned(), points }))
}

fn points(log: &str) -> Vec<RunPoint> {
    log.lines()
        // A line that a kill cut short is no JSON.
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["kind"] == "evaluation")
        .filter_map(|line| {
            Some(RunPoint {
                env_steps: line["env_steps"].as_f64()?,
                mean_return: line["return"].as_f64()?,
                standard_error: line["return_standard_error"].as_f64().unwrap_or(0.0),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[test]
    fn budgets_go_from_nothing_to_the_scenarios_own() {
        assert_eq!(budgets(1), [0, 1, 2, 3]);
        assert_eq!(budgets(4), [0, 1, 2, 3, 4]);
        assert_eq!(budgets(10), [0, 1, 2, 4, 7, 10]);
        let large = budgets(50);
        assert_eq!((large[0], *large.last().unwrap()), (0, 50));
        assert!(large.is_sorted_by(|a, b| a < b), "{large:?}");
    }

    #[test]
    fn a_log_gives_its_evaluations_and_survives_a_torn_line() {
        let log = "{\"kind\":\"round\",\"env_steps\":5,\"return\":1}\n\
            {\"kind\":\"evaluation\",\"env_steps\":10,\"return\":-2.5,\"return_standard_error\":0.5}\n\
            {\"kind\":\"evaluation\",\"env_steps\":20,\"ret";
        let point = RunPoint { env_steps: 10.0, mean_return: -2.5, standard_error: 0.5 };
        assert_eq!(points(log), [point]);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_run("p", folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("metrics.jsonl"), log).unwrap();
        std::fs::create_dir(folder.path().join("best")).unwrap();
        let run = Some(Run { policy: "p".into(), points: vec![point] });
        assert_eq!(read_run("p", folder.path()).unwrap(), run);
        assert_eq!(read_run("p", &folder.path().join("best")).unwrap(), run);
    }
}
