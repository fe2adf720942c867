//! What a sweep came to: trials in order of merit.

use super::plan::Plan;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a trial stands at the end of the last rung that it reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Index of the trial.
    pub trial: usize,
    /// Index of the rung.
    pub rung: usize,
    /// Best mean validation return of each run, in the order of [`Plan::runs`].
    pub returns: Vec<f64>,
    /// Mean over the scenarios of its rank among the trials of that rung, from 1.
    pub rank: f64,
}

/// Orders trials that have reached a rung, the best first; a tie is the earlier trial's. Returns
/// of different scenarios have different units, so that ranks are averaged and not returns.
pub fn standing(plan: &Plan, rung: usize, trials: &[usize], returns: &[Vec<f64>]) -> Vec<Standing> {
    let mean = |at: usize, scenario: usize| {
        let runs = &returns[at][scenario * plan.seeds.len()..][..plan.seeds.len()];
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        // What is no number is behind everything else.
        if mean.is_nan() { f64::NEG_INFINITY } else { mean }
    };
    let scenarios = plan.scenarios.len();
    let rank = |at: usize| {
        let ranks = (0..scenarios).map(|scenario| {
            let own = mean(at, scenario);
            let others = (0..trials.len()).filter(|&other| other != at);
            // Those that tie share their ranks.
            let ahead = others.map(|other| match mean(other, scenario).total_cmp(&own) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            });
            1.0 + ahead.sum::<f64>()
        });
        ranks.sum::<f64>() / scenarios as f64
    };
    let mut standings: Vec<Standing> = trials
        .iter()
        .enumerate()
        .map(|(at, &trial)| Standing { trial, rung, returns: returns[at].clone(), rank: rank(at) })
        .collect();
    standings.sort_by(|a, b| a.rank.total_cmp(&b.rank).then(a.trial.cmp(&b.trial)));
    standings
}

/// What `results.json` holds and `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Env steps and trials of each rung.
    pub rungs: Vec<RungReport>,
    /// Seeds of training.
    pub seeds: Vec<u64>,
    /// The trials, the best first: by the rung reached, then by mean rank.
    pub trials: Vec<TrialReport>,
}

/// A rung.
#[derive(Debug, Serialize)]
pub struct RungReport {
    /// Trials that reached it.
    pub trials: usize,
    /// Env steps of each run at its end.
    pub env_steps: u64,
}

/// A trial.
#[derive(Debug, Serialize)]
pub struct TrialReport {
    /// Its number.
    pub trial: usize,
    /// Env steps that each of its runs has made.
    pub env_steps: u64,
    /// Mean over the scenarios of its rank among the trials of its last rung.
    pub rank: f64,
    /// The settings that were drawn for it.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Its figures, by scenario.
    pub scenarios: BTreeMap<String, ScenarioReport>,
}

/// A trial on one scenario.
#[derive(Debug, Serialize)]
pub struct ScenarioReport {
    /// Mean over the seeds of the best mean validation return.
    pub mean_return: f64,
    /// Its standard error; none for a single seed.
    pub standard_error: Option<f64>,
    /// Best mean validation return with each seed.
    pub returns: Vec<f64>,
    /// Run directory of each seed.
    pub runs: Vec<String>,
}

/// The report on these standings.
pub fn report(plan: &Plan, standings: &[Standing]) -> anyhow::Result<Report> {
    let rungs = plan.rungs.iter();
    let rungs = rungs.map(|r| RungReport { trials: r.trials, env_steps: r.env_steps }).collect();
    let trials = standings.iter().map(|standing| {
        let settings = plan.trials[standing.trial].iter();
        let settings = settings
            .map(|(key, value)| Ok((key.clone(), serde_json::to_value(value)?)))
            .collect::<anyhow::Result<_>>()?;
        let mut scenarios: BTreeMap<String, ScenarioReport> = BTreeMap::new();
        for (run, value) in plan.runs(standing.trial).zip(&standing.returns) {
            let name = plan.scenarios[run.scenario].name.clone();
            let entry = scenarios.entry(name).or_insert_with(|| ScenarioReport {
                mean_return: 0.0,
                standard_error: None,
                returns: Vec::new(),
                runs: Vec::new(),
            });
            entry.returns.push(*value);
            entry.runs.push(plan.folder(run));
        }
        for entry in scenarios.values_mut() {
            let n = entry.returns.len() as f64;
            entry.mean_return = entry.returns.iter().sum::<f64>() / n;
            let square = |value: &f64| (value - entry.mean_return).powi(2);
            let variance = entry.returns.iter().map(square).sum::<f64>() / (n - 1.0);
            entry.standard_error = (n > 1.0).then(|| (variance / n).sqrt());
        }
        Ok(TrialReport {
            trial: standing.trial,
            env_steps: plan.rungs[standing.rung].env_steps,
            rank: standing.rank,
            settings,
            scenarios,
        })
    });
    let trials = trials.collect::<anyhow::Result<_>>()?;
    Ok(Report { rungs, seeds: plan.seeds.clone(), trials })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::super::plan::rungs;
    use super::*;
    use godwit_envs::scenario::Scenario;

    fn plan(scenarios: &[&str], seeds: &[u64]) -> Plan {
        Plan {
            scenarios: scenarios.iter().map(|name| Scenario::embedded(name).unwrap()).collect(),
            seeds: seeds.to_vec(),
            dimensions: Vec::new(),
            trials: vec![BTreeMap::new(); 3],
            configs: Vec::new(),
            rungs: rungs(3, 3, None, 300).unwrap(),
        }
    }

    fn order(standings: &[Standing]) -> Vec<(usize, f64)> {
        standings.iter().map(|standing| (standing.trial, standing.rank)).collect()
    }

    #[test]
    fn the_mean_over_seeds_decides_and_ties_go_to_the_earlier_trial() {
        let plan = plan(&["quickstart"], &[0, 1]);
        let returns = [vec![1.0, 2.0], vec![3.0, 1.0], vec![0.0, 3.0]];
        let found = standing(&plan, 0, &[0, 1, 2], &returns);
        assert_eq!(order(&found), [(1, 1.0), (0, 2.5), (2, 2.5)]);
        let report = report(&plan, &found).unwrap();
        let best = &report.trials[0].scenarios["quickstart"];
        // Mean of 3 and 1; their standard deviation is sqrt(2), over sqrt(2) runs.
        assert_eq!((best.mean_return, best.standard_error), (2.0, Some(1.0)));
        assert_eq!(best.runs, ["trial-001-quickstart-seed-0", "trial-001-quickstart-seed-1"]);
        assert_eq!(report.trials[0].env_steps, 100);
    }

    #[test]
    fn scenarios_count_alike_whatever_their_units() {
        let plan = plan(&["quickstart", "founding-3x3"], &[0]);
        // Ahead by a thousand in one, behind by a hair in the other: level.
        let returns = [vec![1000.0, 0.10], vec![1.0, 0.11]];
        assert_eq!(order(&standing(&plan, 0, &[4, 7], &returns)), [(4, 1.5), (7, 1.5)]);
    }

    #[test]
    fn a_return_that_is_no_number_is_last() {
        let plan = plan(&["quickstart"], &[0]);
        let found = standing(&plan, 0, &[0, 1], &[vec![f64::NAN], vec![-1e9]]);
        assert_eq!(order(&found)[0].0, 1);
    }
}
