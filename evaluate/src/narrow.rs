//! An evaluation as a table that fits a terminal: what most people look for. The rest is in
//! [`super::table`].

use super::figures::Column;
use super::stats::Estimate;
use super::table::{asked_for, episodes};
use super::{Comparison, Evaluation, PolicyResult};
use comfy_table::{CellAlignment, Table, presets};

/// Characters of a name that are shown; of longer ones the end, where paths differ.
const NAME: usize = 42;

/// The lines above the table.
pub fn heading(evaluation: &Evaluation) -> String {
    let mut lines = vec![episodes(evaluation)];
    if evaluation.episodes > 1 {
        lines.push("\u{b1} reaches to the farther end of the 95 % bootstrap interval".to_owned());
    }
    if let Some(reference) = &evaluation.reference {
        let reference = shortened(reference);
        lines.push(format!(
            "ahead: how much more {reference} returns than the row, paired by episode"
        ));
    }
    if evaluation.policies.iter().any(|policy| policy.change.is_some()) {
        lines
            .push("change: by how much the row returns more than before, paired by episode".into());
    }
    lines.extend(asked_for(evaluation));
    lines
        .push("p50: microseconds that half of the decisions take at most; more with --wide".into());
    lines.join("\n")
}

/// The table, best return first.
pub fn table(evaluation: &Evaluation) -> String {
    let policies = &evaluation.policies;
    let many = evaluation.episodes > 1;
    let mut columns = vec![Cells::new("policy", policies.iter().map(|p| shortened(&p.name)))];
    columns.extend(estimates("return", policies, many, false, |policy| Some(policy.mean_return)));
    let percent =
        |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
    if evaluation.bound.is_some() {
        columns.push(Cells::new("gap", policies.iter().map(|policy| percent(policy.gap))));
    }
    if evaluation.hindsight.is_some() {
        columns.push(Cells::new("share", policies.iter().map(|policy| percent(policy.share))));
    }
    let difference = |comparison: Option<Comparison>| comparison.map(|found| found.difference);
    if evaluation.reference.is_some() {
        let ahead = |policy: &PolicyResult| difference(policy.comparison);
        columns.extend(estimates("ahead", policies, many, true, ahead));
    }
    if policies.iter().any(|policy| policy.change.is_some()) {
        let change = |policy: &PolicyResult| difference(policy.change);
        columns.extend(estimates("change", policies, many, true, change));
    }
    let moves = Column::counts(policies.iter().map(|policy| policy.moves));
    columns.push(Cells::new("moves", policies.iter().map(|policy| moves.show(policy.moves))));
    let gib = Column::new(policies.iter().map(|policy| policy.moved_gib), 4, 1);
    columns.push(Cells::new("GiB", policies.iter().map(|policy| gib.show(policy.moved_gib))));
    let p50 = Column::new(policies.iter().map(|policy| policy.decision_us_p50), 6, 1);
    let p50s = policies.iter().map(|policy| p50.show(policy.decision_us_p50));
    columns.push(Cells::new("p50 us", p50s));

    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| column.header));
    for row in 0..policies.len() {
        table.add_row(columns.iter().map(|column| column.cells[row].as_str()));
    }
    for (at, shown) in table.column_iter_mut().enumerate() {
        // A figure and its interval stand close together.
        let pair = columns.get(at + 1).is_some_and(|next| next.header == INTERVAL);
        shown.set_padding((0, if pair { 1 } else { 2 }));
        if at > 0 {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

const INTERVAL: &str = "\u{b1}95 %";

/// A column of text.
struct Cells {
    header: &'static str,
    cells: Vec<String>,
}

impl Cells {
    fn new(header: &'static str, cells: impl Iterator<Item = String>) -> Self {
        Self { header, cells: cells.collect() }
    }
}

/// A column of figures and, where there are several episodes, one of their intervals.
fn estimates(
    header: &'static str,
    policies: &[PolicyResult],
    many: bool,
    signed: bool,
    of: impl Fn(&PolicyResult) -> Option<Estimate>,
) -> Vec<Cells> {
    let found: Vec<Option<Estimate>> = policies.iter().map(of).collect();
    let sizes = found.iter().flatten().flat_map(|found| [found.value, found.reach()]);
    let column = Column::new(sizes, 5, 4);
    let show = |value| if signed { column.signed(value) } else { column.show(value) };
    let value = |estimate: Estimate| show(estimate.value);
    let text = |of: &dyn Fn(Estimate) -> String| -> Vec<String> {
        found.iter().map(|estimate| estimate.map_or("-".into(), of)).collect()
    };
    let mut columns = vec![Cells { header, cells: text(&value) }];
    if many {
        let reach = |estimate: Estimate| format!("\u{b1}{}", column.show(estimate.reach()));
        columns.push(Cells { header: INTERVAL, cells: text(&reach) });
    }
    columns
}

fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(length + 1 - NAME).collect();
    format!("\u{2026}{kept}")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::evaluation;
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn fixed_numbers_give_a_fixed_narrow_table() {
        let evaluation = evaluation();
        insta::assert_snapshot!(format!("{}\n\n{}", heading(&evaluation), table(&evaluation)));
    }

    #[test]
    fn returns_of_any_size_fit_a_terminal_beside_the_longest_baseline_name() {
        for scale in [0.001, 1.0, 12.0, 345.0, 5_500.0, 50_000.0] {
            let mut evaluation = evaluation();
            evaluation.policies[1].name = "watcher-workload-balance".into();
            for policy in &mut evaluation.policies {
                let of = |Estimate { value, low, high }: Estimate| Estimate {
                    value: (value - 1.0) * scale,
                    low: (low - 1.0) * scale,
                    high: (high - 1.0) * scale,
                };
                policy.mean_return = of(policy.mean_return);
                if let Some(comparison) = &mut policy.comparison {
                    comparison.difference = of(comparison.difference);
                }
                (policy.moves, policy.moved_gib) = (policy.moves * 231.7, policy.moved_gib * 251.1);
                policy.decision_us_p50 *= 99.9;
            }
            let (heading, table) = (heading(&evaluation), table(&evaluation));
            assert!(widest(&heading) <= 80 && widest(&table) <= 80, "{heading}\n{table}");
        }
    }

    #[test]
    fn a_long_path_keeps_its_end_and_the_table_its_width() {
        let mut evaluation = evaluation();
        let path = format!("/{}/run-7", "folder/".repeat(20));
        evaluation.policies[0].name = path.clone();
        evaluation.reference = Some(path);
        let table = table(&evaluation);
        assert!(table.contains("folder//run-7") && widest(&table) <= 100, "{table}");
    }

    #[test]
    fn what_was_asked_for_has_its_column() {
        let mut evaluation = evaluation().with_bound(Some(1.25));
        evaluation.policies[1].change = evaluation.policies[1].comparison;
        let (heading, table) = (heading(&evaluation), table(&evaluation));
        assert!(heading.contains("more than 1.2500") && heading.contains("change:"), "{heading}");
        for shown in ["gap", "20.0 %", "change"] {
            assert!(table.contains(shown), "{shown}: {table}");
        }
    }

    #[test]
    fn one_episode_has_no_intervals() {
        let mut evaluation = evaluation();
        (evaluation.episodes, evaluation.single_start) = (1, true);
        let text = format!("{}\n{}", heading(&evaluation), table(&evaluation));
        assert!(text.starts_with("example: 1 episode, since"), "{text}");
        assert!(!text.contains('\u{b1}'), "{text}");
    }
}
