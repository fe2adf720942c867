//! Proves how many slots a real cluster can free with so many moves.
//!
//! `cargo run --release -p godwit-models --features milp --example milp [FILE [BUDGET...]]`:
//! deployable slots, proven bound and seconds for each budget. FILE is the cluster snapshot that
//! `godwit import vm-snapshot` reads (`docs/src/import.md` says where it is published).

use godwit_envs::importers::{ImportOptions, vm_snapshot};
use godwit_envs::state::ClusterState;
use godwit_models::milp::{Options, solve};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let default =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/vm-snapshot/cluster-279.json");
    let file = args.next().map_or_else(|| PathBuf::from(default), PathBuf::from);
    let mut budgets: Vec<u32> = args.map(|text| text.parse()).collect::<Result<_, _>>()?;
    if budgets.is_empty() {
        budgets = vec![10, 25, 50, 100];
    }
    println!(
        "budget  transient  status     slots  objective  bound     moves  order       seconds"
    );
    for budget in budgets {
        for transient in [false, true] {
            let options = ImportOptions { budget, ..ImportOptions::default() };
            let imported = vm_snapshot(&file, &options)?;
            let (spec, placement) = imported.snapshot.to_spec();
            let rules = Arc::new(imported.scenario.rules);
            let state = ClusterState::new(rules, Arc::new(spec), placement);
            let clock = Instant::now();
            let solution = solve(&state, &Options { transient, ..Options::default() })?;
            println!(
                "{budget:<7} {transient:<10} {:<10} {:<6} {:<10.6} {:<9.6} {:<6} {:<11} {:.2}",
                format!("{:?}", solution.status),
                solution.slots,
                solution.objective,
                solution.bound.unwrap_or(f64::NEG_INFINITY),
                solution.moves.len() + solution.blocked.len(),
                format!("{:?}", solution.ordering),
                clock.elapsed().as_secs_f64()
            );
        }
    }
    Ok(())
}
