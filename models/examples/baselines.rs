//! Prints what the baselines earn on the embedded scenarios.
//!
//! `cargo run --release -p godwit-models --example baselines [SCENARIO [EPISODES]]`: a table per
//! scenario over evaluation seeds. With `sweep-single`, `sweep-swap`, `sweep-rules`, `sweep-plans`
//! or `sweep-queueing` in front: parameters of a baseline over training seeds, which is how the defaults were chosen.

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::term::LEVEL_TERMS;
use godwit_models::baselines::greedy::best_move_or_swap::{BestMoveOrSwap, BestMoveOrSwapRules};
use godwit_models::baselines::greedy::best_single_move::{BestSingleMove, BestSingleMoveRules};
use godwit_models::baselines::greedy::load_balancer::LoadBalancer;
use godwit_models::baselines::greedy::queueing::{Queueing, QueueingRules};
use godwit_models::baselines::greedy::threshold_rules::{Marks, ThresholdRules};
use godwit_models::baselines::scan::Persistence;
use godwit_models::baselines::search::annealing::{Annealing, AnnealingRules};
use godwit_models::baselines::{NAMES, baseline};
use godwit_models::policy::Policy;
use godwit_models::rollout::{Outcome, rollout};
use std::error::Error;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    let sweep = args.next_if(|arg| arg.starts_with("sweep"));
    let names: Vec<String> = match args.next() {
        Some(name) => vec![name],
        None => ["quickstart", "founding-10x50"].map(String::from).to_vec(),
    };
    let episodes = args.next().map_or(Ok(100), |text| text.parse())?;
    for name in names {
        let phase = if sweep.is_some() { Phase::Train } else { Phase::Evaluate };
        let template = Arc::new(WorldTemplate::new(&Scenario::resolve(&name)?));
        let mut env = ClusterEnv::new(template, phase)?;
        println!("{name}, {episodes} episodes of {phase:?}");
        println!(
            "{:<44} {:>10} {:>7} {:>7} {:>9} {:>8} {:>9}  max_load imbalance overload fragmentation",
            "policy", "return", "+-", "moves", "GiB", "down s", "us/decide"
        );
        match sweep.as_deref() {
            None => {
                for name in NAMES {
                    let mut policy = baseline(name).ok_or("expected a known baseline")?;
                    report(name, &mut env, &mut *policy, episodes)?;
                }
            }
            Some("sweep-single") => sweep_single(&mut env, episodes)?,
            Some("sweep-swap") => sweep_swap(&mut env, episodes)?,
            Some("sweep-rules") => sweep_rules(&mut env, episodes)?,
            Some("sweep-plans") => sweep_plans(&mut env, episodes)?,
            Some("sweep-queueing") => sweep_queueing(&mut env, episodes)?,
            Some(other) => return Err(format!("expected a known sweep, got {other}").into()),
        }
    }
    Ok(())
}

fn sweep_single(env: &mut ClusterEnv, episodes: u64) -> Result<()> {
    for forecast_share in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        for min_gain in [0.0, 0.1, 0.2, 0.4] {
            for ticks in [6, 9, 12, 18, 24] {
                let persistence = Persistence { ticks, forecast_share };
                let rules = BestSingleMoveRules { persistence, min_gain };
                let label = format!("forecast {forecast_share}, {ticks} ticks, least {min_gain}");
                report(&label, env, &mut BestSingleMove::new(rules), episodes)?;
            }
        }
    }
    Ok(())
}

fn sweep_swap(env: &mut ClusterEnv, episodes: u64) -> Result<()> {
    for swap_factor in [1.0, 1.25, 1.5, 2.0, 3.0] {
        let rules = BestMoveOrSwapRules { swap_factor, ..BestMoveOrSwapRules::default() };
        let label = format!("swap factor {swap_factor}");
        report(&label, env, &mut BestMoveOrSwap::new(rules), episodes)?;
    }
    Ok(())
}

fn sweep_rules(env: &mut ClusterEnv, episodes: u64) -> Result<()> {
    for min_improvement in [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8] {
        let label = format!("load-balancer, least improvement {min_improvement}");
        report(&label, env, &mut LoadBalancer::new(min_improvement), episodes)?;
    }
    for high in [0.8, 0.85, 0.9] {
        for release in [0.75, 0.8, 0.85] {
            for low in [0.75, 0.8, 0.85] {
                if low <= release && release <= high {
                    let label = format!("threshold-rules, {high} / {release} / {low}");
                    let mut policy = ThresholdRules::new(Marks { high, release, low });
                    report(&label, env, &mut policy, episodes)?;
                }
            }
        }
    }
    Ok(())
}

/// Parameters of plans, and of annealing, which is the quickest of those that use them.
fn sweep_plans(env: &mut ClusterEnv, episodes: u64) -> Result<()> {
    for (ahead_ticks, min_gain, forecast_share) in [
        (0, 0.1, 0.3),
        (1, 0.1, 0.3),
        (2, 0.1, 0.3),
        (4, 0.1, 0.3),
        (1, 0.3, 0.3),
        (2, 0.3, 0.3),
        (2, 0.6, 0.3),
        (4, 0.6, 0.3),
        (2, 0.3, 0.6),
        (4, 0.6, 0.6),
    ] {
        let mut rules = AnnealingRules::default();
        rules.plan.ahead_ticks = ahead_ticks;
        rules.plan.single.min_gain = min_gain;
        rules.plan.single.persistence.forecast_share = forecast_share;
        let label = format!("ahead {ahead_ticks}, least {min_gain}, forecast {forecast_share}");
        report(&label, env, &mut Annealing::new(rules, 0), episodes)?;
    }
    for hot in [0.003, 0.01, 0.03] {
        for steps_per_workload in [100, 200, 800] {
            let rules = AnnealingRules { hot, steps_per_workload, ..AnnealingRules::default() };
            let label = format!("annealing, hot {hot}, {steps_per_workload} steps per workload");
            report(&label, env, &mut Annealing::new(rules, 0), episodes)?;
        }
    }
    Ok(())
}

fn sweep_queueing(env: &mut ClusterEnv, episodes: u64) -> Result<()> {
    for most_servers in [1, 4, 16, 64] {
        for min_improvement in [0.0003, 0.001, 0.003, 0.01] {
            let rules = QueueingRules { most_servers, min_improvement, ..QueueingRules::default() };
            let label = format!("{most_servers} servers, least improvement {min_improvement}");
            report(&label, env, &mut Queueing::new(rules), episodes)?;
        }
    }
    Ok(())
}

fn report(label: &str, env: &mut ClusterEnv, policy: &mut dyn Policy, episodes: u64) -> Result<()> {
    let outcomes: Vec<Outcome> = (0..episodes)
        .map(|seed| rollout(env, policy, seed))
        .collect::<std::result::Result<_, _>>()?;
    let mean = |value: &dyn Fn(&Outcome) -> f64| {
        outcomes.iter().map(value).sum::<f64>() / outcomes.len() as f64
    };
    let episode_return = mean(&|o| o.episode_return);
    let variance = mean(&|o| (o.episode_return - episode_return).powi(2));
    let levels: Vec<String> = (0..LEVEL_TERMS)
        .map(|term| format!("{:.3}", mean(&|o| f64::from(o.level_terms_mean[term]))))
        .collect();
    let seconds = mean(&|o| f64::from(o.decision_seconds.iter().sum::<f32>()));
    let decisions = mean(&|o| o.decision_seconds.len() as f64);
    println!(
        "{label:<44} {episode_return:>10.3} {:>7.3} {:>7.1} {:>9.1} {:>8.1} {:>9.1}  {}",
        (variance / episodes as f64).sqrt(),
        mean(&|o| f64::from(o.moves)),
        mean(&|o| o.moved_gib),
        mean(&|o| o.downtime_s),
        1e6 * seconds / decisions,
        levels.join(" ")
    );
    Ok(())
}
