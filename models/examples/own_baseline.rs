//! Enters a heuristic of one's own into a comparison with two baselines that come with godwit.
//!
//! `cargo run --release -p godwit-models --example own_baseline [SCENARIO]` plays the same episodes
//! under all three and says by how much the own one is ahead of each of the others. Episodes differ
//! more than policies do, so what counts is the difference within each episode: its mean over the
//! episodes, give or take a 95 % interval (1.96 standard errors).

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::{Action, ClusterState};
use godwit_models::{Policy, baseline, rollout};
use std::error::Error;
use std::sync::Arc;

/// Episodes of each policy; seed and scenario say what happens in one.
const EPISODES: u64 = 50;

/// From the most loaded node, its first workload that may go to the least loaded one, while that
/// would still be the less loaded of the two.
struct LevelExtremes;

impl Policy for LevelExtremes {
    fn name(&self) -> &str {
        "level-extremes"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        let load = |node: &usize| state.now.load[*node];
        let by_load = |a: &usize, b: &usize| load(a).total_cmp(&load(b));
        let Some(fullest) = (0..state.spec.nodes()).max_by(by_load) else { return Action::Stay };
        let Some(emptiest) = (0..state.spec.nodes()).min_by(by_load) else { return Action::Stay };
        let helps = |&workload: &usize| {
            let demand = state.demand_of(workload)[0];
            let share = |node| demand / state.spec.supply_of(node, 0);
            state.node_of(workload) == Some(fullest)
                && load(&emptiest) + share(emptiest) < load(&fullest)
                && state.check(workload, emptiest).is_ok()
        };
        let found = (0..state.spec.workloads()).find(helps);
        found.map_or(Action::Stay, |workload| Action::Migrate { workload, destination: emptiest })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "quickstart".to_owned());
    let template = Arc::new(WorldTemplate::new(&Scenario::resolve(&name)?));
    let mut env = ClusterEnv::new(template, Phase::Evaluate)?;
    let shipped = |name| baseline(name).ok_or("expected a known baseline");
    let mut policies: [Box<dyn Policy>; 3] =
        [Box::new(LevelExtremes), shipped("load-balancer")?, shipped("best-single-move")?];
    let mut returns = Vec::new();
    for policy in &mut policies {
        let play = |seed| rollout(&mut env, policy.as_mut(), seed).map(|o| o.episode_return);
        returns.push((0..EPISODES).map(play).collect::<Result<Vec<f64>, _>>()?);
    }
    println!("{name}, the same {EPISODES} episodes for all");
    println!("{:<18} {:>9} {:>20}", "policy", "return", "own one ahead by");
    println!("{:<18} {:>9.3}", policies[0].name(), mean_and_interval(&returns[0]).0);
    for (policy, earned) in policies.iter().zip(&returns).skip(1) {
        let ahead: Vec<f64> = returns[0].iter().zip(earned).map(|(own, it)| own - it).collect();
        let (mean, interval) = mean_and_interval(&ahead);
        let earned = mean_and_interval(earned).0;
        println!("{:<18} {earned:>9.3} {mean:>+12.3} +- {interval:.3}", policy.name());
    }
    Ok(())
}

/// The mean, and half of its 95 % interval.
fn mean_and_interval(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, 1.96 * (variance / count).sqrt())
}
