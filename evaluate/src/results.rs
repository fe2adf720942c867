//! What an evaluation came to. `godwit evaluate --json` prints it as it stands here: these comments
//! say what its fields mean.

use super::stats::Estimate;
use godwit_envs::state::term::Term;
use godwit_models::rollout::Move;
use godwit_models::shell::ShellRules;
use serde::Serialize;
use std::collections::BTreeMap;

/// What all policies came to on the same episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the scenario.
    pub scenario: String,
    /// Whether the clock runs (terms are means over ticks) or not (terms are those at the end).
    pub online: bool,
    /// Episodes that each policy played.
    pub episodes: usize,
    /// Seed of the first episode; the others follow it.
    pub first_seed: u64,
    /// Whether these are validation episodes rather than held-out ones.
    pub validation: bool,
    /// Whether the scenario has one start only, so that one episode says all.
    pub single_start: bool,
    /// Weights of the objective, by term; terms without one are left out.
    pub weights: BTreeMap<&'static str, f32>,
    /// What every policy found at the start, mean over the episodes.
    pub start: State,
    /// A return counts as an oscillation within this many ticks (rebalance: moves).
    pub oscillation_window: u32,
    /// An operator's limits that every policy kept to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ShellRules>,
    /// The most that any policy can return here, from exact optimisation, mean over the episodes;
    /// only where the scenario is static and a solver looked at it.
    pub bound: Option<f64>,
    /// What who knew the episodes beforehand returns at least; only where the scenario is online and
    /// a search looked at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hindsight: Option<Hindsight>,
    /// Moves of the policy that returned most, episode by episode.
    #[serde(skip)]
    pub best_plans: Vec<Vec<Move>>,
    /// Name of the policy that the others are compared with: the first trained one.
    pub reference: Option<String>,
    /// Seconds that each decision of a search was given, where there was a limit: what searches
    /// return then depends on the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit_s: Option<f64>,
    /// Policies that have no row, since the evaluation was stopped before they had played all
    /// episodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<String>,
    /// Highest mean return first.
    pub policies: Vec<PolicyResult>,
}

/// Level terms of a state, or their mean over several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// Each level term that the scenario defines, by name.
    pub terms: BTreeMap<&'static str, f64>,
    /// Deployable slots, where the scenario says what a slot is.
    pub slots: Option<f64>,
}

/// What a search found who knew the episodes beforehand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hindsight {
    /// Seconds of search for each episode.
    pub seconds: u32,
    /// Mean undiscounted return of the best plans that were found.
    pub mean_return: Estimate,
    /// Mean undiscounted return of never moving anything.
    pub stay: f64,
    /// Plans that were tried for an episode, mean.
    pub plans: f64,
    /// Return of the best plan of each episode, in the order of their seeds.
    pub returns: Vec<f64>,
}

/// What one policy came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyResult {
    /// Its name.
    pub name: String,
    /// Whether it is a trained policy, and no baseline.
    pub trained: bool,
    /// Where a baseline's parameters come from; none for a trained policy.
    pub parameters: Option<Parameters>,
    /// Mean undiscounted return.
    pub mean_return: Estimate,
    /// Inter-quartile mean of the returns.
    pub interquartile_mean: Estimate,
    /// Optimality gap: the share of [`Evaluation::bound`] that the mean return misses.
    pub gap: Option<f64>,
    /// Share that it takes of what [`Evaluation::hindsight`] gains over never moving anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The reference policy against this one; none for the reference itself.
    pub comparison: Option<Comparison>,
    /// This policy against each other row, in the order of the rows; for trained policies only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ahead_of: Vec<AheadOf>,
    /// This policy against the row of its name in an earlier evaluation of the same episodes, where
    /// one was given (`--before`) and has such a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Comparison>,
    /// Terms and slots: at the end (rebalance), or terms as mean over ticks (online).
    pub state: State,
    /// Migrations per episode.
    pub moves: f64,
    /// Moves per episode that bring a workload back to a node which it left within the window.
    pub oscillations: f64,
    /// Their share of all moves of all episodes; none where nothing moved.
    pub oscillation_share: Option<f64>,
    /// Migration traffic per episode, GiB.
    pub moved_gib: f64,
    /// Cold restarts of displaced workloads per episode.
    pub restarts: f64,
    /// Seconds in which workloads did not run because of migrations and cold restarts, per episode;
    /// not weighted by priority.
    pub downtime_s: f64,
    /// Decisions per second of one core.
    pub decisions_per_s: f64,
    /// Time of a decision that half of them do not exceed, microseconds.
    pub decision_us_p50: f64,
    /// Time of a decision that 99 % of them do not exceed, microseconds.
    pub decision_us_p99: f64,
    /// Return of each episode, in the order of their seeds.
    pub returns: Vec<f64>,
    /// The same episodes in more detail.
    #[serde(skip)]
    pub episodes: Vec<EpisodeFigures>,
}

/// What one policy came to in one episode.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EpisodeFigures {
    /// Undiscounted return.
    pub episode_return: f64,
    /// Migrations.
    pub moves: u32,
    /// Moves that bring a workload back to a node which it left within the window.
    pub oscillations: u32,
    /// Migration traffic, GiB.
    pub moved_gib: f64,
    /// Seconds in which workloads did not run.
    pub downtime_s: f64,
}

/// One policy against another in the same episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Mean paired difference in return, the one minus the other.
    pub difference: Estimate,
    /// Share of the episodes in which the one returns more; ties count half.
    pub probability_of_improvement: Estimate,
}

/// A trained policy against one other row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AheadOf {
    /// Name of the other row.
    pub policy: String,
    /// The trained policy against that row.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl Evaluation {
    /// States the most that any policy can return, and with it every policy's optimality gap: the
    /// missing share of the bound. A bound of zero leaves nothing to miss a share of.
    #[must_use]
    pub fn with_bound(mut self, bound: Option<f64>) -> Self {
        self.bound = bound;
        for policy in &mut self.policies {
            let share = |bound: f64| (bound - policy.mean_return.value) / bound.abs();
            policy.gap = bound.filter(|bound| *bound != 0.0).map(share);
        }
        self
    }

    /// States what is possible with hindsight, and with it every policy's share of that.
    #[must_use]
    pub fn with_hindsight(mut self, hindsight: Option<Hindsight>) -> Self {
        for policy in &mut self.policies {
            policy.share =
                hindsight.as_ref().and_then(|found| found.share(policy.mean_return.value));
        }
        self.hindsight = hindsight;
        self
    }

    /// Level terms that have a weight, in the order of [`Term::ALL`].
    pub fn own_terms(&self) -> Vec<&'static str> {
        let names = Term::ALL.map(Term::name).into_iter();
        let own =
            |name: &&str| self.weights.contains_key(name) && self.start.terms.contains_key(name);
        names.filter(own).collect()
    }

    /// Whether anything restarted cold under any policy.
    pub fn any_restarts(&self) -> bool {
        self.policies.iter().any(|policy| policy.restarts > 0.0)
    }
}

impl Hindsight {
    /// Share of the gain over never moving anything that a mean return is; none where there is no
    /// gain.
    pub fn share(&self, mean_return: f64) -> Option<f64> {
        let gain = self.mean_return.value - self.stay;
        (gain > 0.0).then(|| (mean_return - self.stay) / gain)
    }
}

/// Where a baseline's parameters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parameters {
    /// Its defaults.
    Default,
    /// The scenario's training episodes.
    Tuned,
}
