//! What looks wrong about a snapshot or the limits, or keeps a plan from seeing it: told with every
//! answer, as nothing else would tell of it.

use std::collections::{HashMap, HashSet};

use godwit_envs::observe::ranges::Unfamiliar;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::{Health, NO_GROUP};
use godwit_envs::state::outlook::fits;
use godwit_envs::state::term::{LEVEL_TERMS, Term};
use godwit_models::plan::{Plan, StopReason};
use godwit_models::shell::ShellRules;
use schemars::JsonSchema;
use serde::Serialize;

use super::violations::MOST_LISTED;

/// Factor between two amounts of one kind from which they look like amounts in different units.
const UNITS_APART: f32 = 1e6;

/// Times after this, seconds since 1970 (in the year 5138), are taken for milliseconds.
const LATEST_S: f64 = 1e11;

/// Share of the highest load by which loads that tie may differ.
const TIED: f32 = 1e-5;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Warning {
    /// What it is.
    pub code: WarningCode,
    /// The same in a sentence, with numbers.
    pub message: String,
    /// The workloads, nodes, groups or features that it is about; at most 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Workloads wait for a node. The plan moves others as if these were not there.
    Pending,
    /// A workload demands more than any node supplies. It stays, and the others are planned for.
    FitsNowhere,
    /// Supplies, or demands, of one kind differ so much that their units may.
    UnitsDiffer,
    /// A limit names something that nobody has.
    UnknownName,
    /// `taken_at_s` looks like milliseconds.
    TimeInMilliseconds,
    /// The highest load is shared, and nothing else has a weight: no single move can lower it.
    HighestLoadShared,
    /// Nodes are not healthy, and the policy does not see health.
    HealthNotSeen,
    /// The policy was trained on nothing like it.
    OutsideTraining,
}

impl WarningCode {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::FitsNowhere,
        Self::UnitsDiffer,
        Self::UnknownName,
        Self::TimeInMilliseconds,
        Self::HighestLoadShared,
        Self::HealthNotSeen,
        Self::OutsideTraining,
    ];
}

/// The warnings of a decision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Warnings {
    /// The first of them.
    pub listed: Vec<Warning>,
    /// How many more there are.
    pub omitted: u32,
}

impl Warnings {
    fn add(&mut self, code: WarningCode, warning: impl FnOnce() -> (String, Vec<String>)) {
        if self.listed.len() < MOST_LISTED {
            let (message, names) = warning();
            self.listed.push(Warning { code, message, names });
        } else {
            self.omitted += 1;
        }
    }

    /// `limits` names what nobody in the snapshot has.
    pub fn about_limits(&mut self, snapshot: &Snapshot, limits: &ShellRules) {
        if !limits.disruption_budgets.is_empty() {
            let known: HashSet<&str> =
                snapshot.workloads.iter().filter_map(|w| w.disruption_group.as_deref()).collect();
            let unknown = |group: &&String| !known.contains(group.as_str());
            for group in limits.disruption_budgets.keys().filter(unknown) {
                self.add(WarningCode::UnknownName, || {
                    let message = format!(
                        "disruption_budgets.{group:?}: expected a disruption_group of some \
                         workload, got one that nobody has: the budget limits nothing"
                    );
                    (message, vec![group.clone()])
                });
            }
        }
        let has_tenant = snapshot.workloads.iter().any(|workload| workload.tenant.is_some());
        if let Some(most) = limits.max_moves_per_tenant.filter(|_| !has_tenant) {
            self.add(WarningCode::UnknownName, || {
                let message = format!(
                    "max_moves_per_tenant: expected workloads with a tenant, got none: the limit \
                     of {most} limits nothing"
                );
                (message, Vec::new())
            });
        }
    }

    /// The snapshot's time is in another unit; `now_s` is the time in seconds since 1970, where it
    /// is known.
    pub fn about_time(&mut self, snapshot: &Snapshot, now_s: Option<f64>) {
        let Some(taken_s) = snapshot.taken_at_s.filter(|taken_s| *taken_s >= LATEST_S) else {
            return;
        };
        self.add(WarningCode::TimeInMilliseconds, || {
            let age = now_s.map(|now_s| format!(", an age of {:e} s", now_s - taken_s));
            let message = format!(
                "taken_at_s: expected seconds since 1970, got {taken_s:e}{}: it looks like \
                 milliseconds",
                age.unwrap_or_default()
            );
            (message, Vec::new())
        });
    }

    /// Demands that no node could hold, and amounts whose units seem to differ.
    pub fn about_amounts(&mut self, snapshot: &Snapshot, state: &ClusterState) {
        for (j, resource) in snapshot.resources.iter().enumerate() {
            let supplies = snapshot.nodes.iter().map(|node| (node.supply[j], &node.name));
            self.about_units("supplies", resource, supplies);
            let demands = snapshot.workloads.iter().map(|w| (w.demand[j], &w.name));
            self.about_units("demands", resource, demands);
        }
        let largest: Vec<f32> = (0..snapshot.resources.len())
            .map(|j| snapshot.nodes.iter().map(|node| node.supply[j]).fold(0.0, f32::max))
            .collect();
        // One resource of a workload is enough.
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            if !state.is_misfit(k) {
                continue;
            }
            let mut demands = workload.demand.iter().zip(&largest);
            let too_much = demands.position(|(&demand, &most)| !fits(0.0, demand, most));
            let Some(j) = too_much else { continue };
            self.add(WarningCode::FitsNowhere, || {
                let message = format!(
                    "workload {:?}: expected a demand for {} of at most {}, the largest supply of \
                     a node, got {}: it stays, and the others are planned for",
                    workload.name, snapshot.resources[j], largest[j], workload.demand[j]
                );
                (message, vec![workload.name.clone()])
            });
        }
    }

    /// Workloads that wait for a node, and whether there is room for each by itself.
    pub fn about_pending(&mut self, state: &ClusterState) {
        let mut waiting: Vec<usize> = state.queue.iter().map(|&k| k as usize).collect();
        if waiting.is_empty() {
            return;
        }
        self.add(WarningCode::Pending, || {
            let spec = &*state.spec;
            let mut known: HashMap<(Vec<u32>, u64, u32), bool> = HashMap::new();
            let find = |k: usize| (0..spec.nodes()).any(|node| state.could_hold(k, node));
            let mut has_room = |k: usize| {
                if spec.group[k] != NO_GROUP || spec.has_zone_group(k) {
                    return find(k);
                }
                // Of those that are alike, many may wait.
                let demand = state.demand_of(k).iter().map(|demand| demand.to_bits()).collect();
                let looks = (demand, spec.class_mask[k], spec.set_of(k));
                *known.entry(looks).or_insert_with(|| find(k))
            };
            let with_room = waiting.iter().filter(|&&k| has_room(k)).count();
            let share = |k: usize| {
                let shares = state.demand_of(k).iter().zip(&spec.inverse_largest);
                shares.map(|(demand, inverse)| demand * inverse).fold(0.0, f32::max)
            };
            waiting.sort_by(|&a, &b| share(b).total_cmp(&share(a)).then(a.cmp(&b)));
            let message = format!(
                "{} workloads wait for a node: for {with_room} of them, each by itself, one has room \
                 now; {:?} demands the largest share of a node; none of them is moved",
                waiting.len(),
                spec.workload_names[waiting[0]]
            );
            let names = waiting.iter().take(MOST_LISTED);
            (message, names.map(|&k| spec.workload_names[k].clone()).collect())
        });
    }

    fn about_units<'a>(
        &mut self,
        what: &str,
        resource: &str,
        amounts: impl Iterator<Item = (f32, &'a String)> + Clone,
    ) {
        let some = amounts.filter(|(amount, _)| *amount > 0.0);
        let least = some.clone().min_by(|a, b| a.0.total_cmp(&b.0));
        let most = some.max_by(|a, b| a.0.total_cmp(&b.0));
        let (Some((least, least_name)), Some((most, most_name))) = (least, most) else { return };
        let apart = most / least;
        if apart >= UNITS_APART {
            self.add(WarningCode::UnitsDiffer, || {
                let message = format!(
                    "{what} of {resource}: expected one unit for all, got {most} of {most_name:?} \
                     and {least} of {least_name:?}, which differ by a factor of {apart:e}"
                );
                (message, vec![most_name.clone(), least_name.clone()])
            });
        }
    }

    /// Nodes that are not healthy, where the policy does not see that.
    pub fn about_health(&mut self, state: &ClusterState, sees_health: bool) {
        let ill = |&node: &usize| state.health[node] != Health::Healthy;
        let count = (0..state.spec.nodes()).filter(ill).count();
        if count == 0 || sees_health {
            return;
        }
        self.add(WarningCode::HealthNotSeen, || {
            let message = format!(
                "{count} of {} nodes are degraded, draining or failed, and the policy does not see \
                 health: draining and failed ones are emptied before it is asked, degraded ones \
                 count as healthy",
                state.spec.nodes()
            );
            let names = (0..state.spec.nodes()).filter(ill).take(MOST_LISTED);
            (message, names.map(|node| state.spec.node_names[node].clone()).collect())
        });
    }

    /// Features lie far outside of what the policy was trained on.
    pub fn about_training(&mut self, unfamiliar: &[Unfamiliar]) {
        let Some(Unfamiliar { feature, value, range: [least, most] }) = unfamiliar.first() else {
            return;
        };
        self.add(WarningCode::OutsideTraining, || {
            let message = format!(
                "{} features lie far outside of what the policy was trained on; {feature}: expected \
                 about {least:.3} to {most:.3}, got {value:.3}; train it on clusters like this one, \
                 or hold it against a heuristic",
                unfamiliar.len()
            );
            let names = unfamiliar.iter().take(MOST_LISTED);
            (message, names.map(|unfamiliar| unfamiliar.feature.clone()).collect())
        });
    }

    /// A plan is empty as the objective sees the highest load alone, and several nodes share it.
    pub fn about_plan(&mut self, state: &ClusterState, plan: &Plan) {
        let judged = matches!(
            plan.stop_reason,
            StopReason::PolicyStays | StopReason::NoGain | StopReason::GainBelowThreshold
        );
        let blind = |term: &Term| *term == Term::MaxLoad || !state.objective.uses(*term);
        if !judged || !plan.moves.is_empty() || !state.objective.uses(Term::MaxLoad) {
            return;
        }
        if !Term::ALL[..LEVEL_TERMS].iter().filter(|term| acts_on_loads(**term)).all(blind) {
            return;
        }
        let loads = &state.now.load[..state.spec.nodes()];
        let highest = loads.iter().copied().fold(0.0, f32::max);
        let shares = |load: f32| load >= highest - highest * TIED;
        let tied = loads.iter().filter(|load| shares(**load)).count();
        if highest <= 0.0 || tied < 2 || tied == loads.len() {
            return;
        }
        self.add(WarningCode::HighestLoadShared, || {
            let message = format!(
                "{tied} nodes share the highest load {highest}: no single move lowers it, and \
                 max_load is all that the objective weighs; give imbalance or overload a weight"
            );
            let names = (0..loads.len()).filter(|&i| shares(loads[i])).take(MOST_LISTED);
            (message, names.map(|i| state.spec.node_names[i].clone()).collect())
        });
    }
}

/// Whether moves change the term: the waiting are no business of theirs.
fn acts_on_loads(term: Term) -> bool {
    !matches!(term, Term::Displaced | Term::Unplaced)
}
