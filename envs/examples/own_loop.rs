//! Plays episodes with a heuristic of one's own: the move that gains most beyond its price, if any.
//!
//! ```text
//! cargo run --release -p godwit-envs --example own_loop -- quickstart
//! ```

use godwit_envs::{ClusterEnv, Env, ObservationBuffer, Phase, Scenario, WorldTemplate};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or("quickstart".into());
    let template = Arc::new(WorldTemplate::new(&Scenario::resolve(&name)?));
    let mut env = ClusterEnv::new(template, Phase::Evaluate)?;
    let feature = |name| env.observation_space().candidate_feature(name).ok_or(name);
    let (change, cost) = (feature("objective_change")?, feature("cost")?);
    let mut seen = ObservationBuffer::new(env.observation_space());
    for seed in 0..10 {
        let (mut episode_return, mut moves) = (0.0, 0);
        env.reset(seed)?;
        loop {
            env.observe(&mut seen);
            let price = |a: usize| seen.candidate(a, change) + seen.candidate(a, cost);
            let best = (1..seen.actions())
                .filter(|&a| seen.mask[a] && price(a) < 0.0)
                .min_by(|&a, &b| price(a).total_cmp(&price(b)))
                .unwrap_or(0);
            moves += u32::from(best > 0);
            let step = env.step(best)?;
            episode_return += f64::from(step.reward);
            if step.end.is_some() {
                break;
            }
        }
        println!("episode {seed}: return {episode_return:.3} with {moves} moves");
    }
    Ok(())
}
