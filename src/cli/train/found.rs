//! Settings that are found because nobody gave any, and what the run says of it.

use super::args::Args;
use crate::cli::OrBadInput as _;
use crate::config::TrainConfig;
use crate::recipe::contest::{Left, Standing};
use crate::recipe::several::{self, Several};
use crate::recipe::{self, DEFAULT_MINUTES, Recipe};
use crate::train::mixture::Mixture;
use comfy_table::{CellAlignment, Table, presets};
use godwit_envs::scenario::Scenario;
use tch::Device;

/// Rows of the ranking.
const ROWS: usize = 8;

/// Whether settings are to be found: nobody gave any.
pub(super) fn wanted(args: &Args, mixture: &Mixture) -> bool {
    let Args { config, set, env_steps, .. } = args;
    let given = config.is_some() || !set.is_empty() || env_steps.is_some();
    !given && mixture.first().train.is_none()
}

/// Finds those of a run on several scenarios. `flags` holds what flags say.
pub(super) fn find_for_several(
    args: &Args,
    mixture: &Mixture,
    flags: &TrainConfig,
    device: Device,
) -> anyhow::Result<Several> {
    let told = |text: &str| eprintln!("{text}");
    let (held_out, minutes) = (args.hold_out, minutes(args));
    let mut found =
        several::find(mixture, held_out, minutes, flags.seed, device, &told).or_bad_input()?;
    found.config.keep_replay = flags.keep_replay;
    let comparisons = &found.config.comparisons;
    eprintln!(
        "base policy {}; what it does matters for about {} ticks",
        comparisons.baseline, comparisons.ticks
    );
    Ok(found)
}

/// How long the run may take.
fn minutes(args: &Args) -> f64 {
    args.minutes.filter(|&minutes| minutes > 0.0).unwrap_or(DEFAULT_MINUTES)
}

/// Finds them, and shows the ranking of the heuristics. `flags` holds what flags say.
pub(super) fn find(
    args: &Args,
    scenario: &Scenario,
    flags: &TrainConfig,
    device: Device,
) -> anyhow::Result<Recipe> {
    let told = |text: &str| eprintln!("{text}");
    let mut found =
        recipe::find(scenario, minutes(args), flags.seed, device, &told).or_bad_input()?;
    found.config.keep_replay = flags.keep_replay;
    eprintln!("\n{}", ranking(&found.rivals.standings));
    let base = found.rivals.base();
    let demonstrated = &found.config.demonstrations.baseline;
    if demonstrated.is_empty() {
        eprintln!(
            "base policy {}; what it does matters for about {} ticks",
            named(base),
            found.fading.ticks
        );
    } else {
        eprintln!("demonstrations of {demonstrated}, which is far ahead but too slow for rollouts");
    }
    Ok(found)
}

fn named(standing: &Standing) -> String {
    let tuned = if standing.parameters.is_empty() { "" } else { " (tuned)" };
    format!("{}{tuned}", standing.baseline.name)
}

/// The heuristics, best first.
fn ranking(standings: &[Standing]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["heuristic", "return", "behind", "+-", "us/tick", ""]);
    let best = &standings[0];
    for standing in standings.iter().filter(|standing| standing.left.is_none()).take(ROWS) {
        let behind = best.ahead_of(standing);
        table.add_row([
            standing.baseline.name.to_owned(),
            format!("{:.4}", standing.mean()),
            format!("{:.4}", behind.mean),
            format!("{:.4}", behind.reach),
            format!("{:.0}", 1e6 * standing.seconds_per_tick),
            if standing.parameters.is_empty() { "" } else { "tuned" }.to_owned(),
        ]);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if (1..5).contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!(
        "heuristics on {} training episodes, the best of them tuned:\n{}",
        best.returns.len(),
        table.trim_fmt()
    );
    for (left, why) in [(Left::Behind, "behind for certain"), (Left::Slow, "too slow to race")] {
        let names: Vec<&str> = standings
            .iter()
            .filter(|standing| standing.left == Some(left))
            .map(|standing| standing.baseline.name)
            .collect();
        if !names.is_empty() {
            text.push_str(&format!("\n{why}: {}", names.join(", ")));
        }
    }
    text
}
