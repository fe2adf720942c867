//! Several runs that differ in their seed alone, and what came of them.

use super::args::Args;
use super::{Finished, folder, one};
use crate::cli::BadInput;
use comfy_table::{CellAlignment, Table, presets};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Makes the runs. A signal ends the one that is under way, and those after it are left out.
///
/// # Errors
/// When a seed is given twice, or a run cannot begin or fails.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let distinct: BTreeSet<i64> = args.seeds.iter().copied().collect();
    if distinct.len() < args.seeds.len() {
        let message = format!("--seeds: expected each seed once, got {:?}", args.seeds);
        return Err(BadInput(message).into());
    }
    let out = folder(args)?;
    let mut runs = Vec::new();
    for (at, &seed) in args.seeds.iter().enumerate() {
        eprintln!("\nseed {seed}, run {} of {}", at + 1, args.seeds.len());
        let args = Args {
            seed: Some(seed),
            seeds: Vec::new(),
            out: Some(out.join(format!("seed-{seed}"))),
            ..args.clone()
        };
        let finished = one(&args)?;
        if !finished.complete {
            return Ok(finished.code);
        }
        runs.push((seed, finished));
    }
    eprintln!("\n{}", summary(&runs));
    Ok(ExitCode::SUCCESS)
}

/// A row for each run, and how far they lie apart.
fn summary(runs: &[(i64, Finished)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["seed", "best validation return", "ahead of the best heuristic"]);
    let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    for (seed, Finished { best_return, ahead, .. }) in runs {
        let ahead = ahead.map_or("-".to_owned(), |ahead| ahead.text());
        table.add_row([seed.to_string(), text(*best_return), ahead]);
    }
    let returns: Vec<f64> = runs.iter().filter_map(|(_, run)| run.best_return).collect();
    let ahead: Vec<f64> = runs.iter().filter_map(|(_, run)| Some(run.ahead?.mean)).collect();
    let [returns, ahead] = [spread(returns), spread(ahead)];
    for (at, name) in ["median", "least", "most"].into_iter().enumerate() {
        let of = |spread: &Option<[f64; 3]>| text(spread.map(|spread| spread[at]));
        table.add_row([name.to_owned(), of(&returns), of(&ahead)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Median, least and most; none of no values.
fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_unstable_by(f64::total_cmp);
    let (&least, &most) = (values.first()?, values.last()?);
    let (below, above) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some([0.5 * (below + above), least, most])
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_evaluate::side_by_side::Ahead;

    #[test]
    fn the_summary_has_a_row_for_each_seed_and_states_their_spread() {
        let of = |best: f64, ahead: Option<f64>| Finished {
            code: ExitCode::SUCCESS,
            complete: true,
            best_return: Some(best),
            ahead: ahead.map(|mean| Ahead { mean, reach: 0.5 }),
        };
        let runs = [(0, of(-3.0, Some(1.0))), (1, of(-2.0, None)), (7, of(-2.5, Some(2.0)))];
        let text = summary(&runs);
        let words: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["0", "-3.0000", "1.0000", "[0.5000,", "1.5000]"]);
        assert_eq!(words[2], ["1", "-2.0000", "-"]);
        assert_eq!(words[4], ["median", "-2.5000", "1.5000"]);
        assert_eq!(words[5], ["least", "-3.0000", "1.0000"]);
        assert_eq!(words[6], ["most", "-2.0000", "2.0000"]);
    }
}
