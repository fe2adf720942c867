//! An evaluation as a table of everything that it states (`--wide`); [`super::narrow`] is the
//! short one.

use super::stats::Estimate;
use super::{Comparison, Evaluation, Parameters, PolicyResult};
use comfy_table::{CellAlignment, Table, presets};

/// Which episodes were played.
pub fn episodes(evaluation: &Evaluation) -> String {
    let Evaluation { scenario, episodes, first_seed, .. } = evaluation;
    if evaluation.single_start {
        return format!("{scenario}: 1 episode, since every episode of it starts and runs alike");
    }
    let kind = if evaluation.validation { "validation" } else { "held-out" };
    let last = first_seed.wrapping_add(*episodes as u64 - 1);
    format!(
        "{scenario}: {episodes} {kind} episodes (seeds {first_seed} to {last}), the same for all"
    )
}

/// What the options of the command say about the figures.
pub fn asked_for(evaluation: &Evaluation) -> Vec<String> {
    let mut lines = Vec::new();
    if evaluation.limits.is_some() {
        lines.push("every policy keeps to the operator's limits".to_owned());
    }
    if let Some(seconds) = evaluation.time_limit_s {
        lines.push(format!(
            "searches had {seconds} s for each decision: on another machine they return something else"
        ));
    }
    if let Some(bound) = evaluation.bound {
        let bound = figure(bound);
        lines.push(format!("no policy can return more than {bound}; `gap` is the missing share"));
    }
    if let Some(found) = &evaluation.hindsight {
        let (most, stay) = (figure(found.mean_return.value), figure(found.stay));
        lines.push(format!("`share`: of what {most} gains over never moving anything ({stay}):"));
        let seconds = found.seconds;
        lines.push(format!(
            "the best plans that {seconds} s of search per episode found with hindsight; no bound"
        ));
    }
    lines
}

/// The lines above the table: what was compared, and what all policies started from.
pub fn heading(evaluation: &Evaluation) -> String {
    let mut lines = vec![episodes(evaluation)];
    let start = &evaluation.start;
    let terms = evaluation.own_terms().into_iter();
    let mut found: Vec<String> =
        terms.map(|term| format!("{term} {}", figure(start.terms[term]))).collect();
    found.extend(start.slots.map(|slots| format!("slots {}", count(slots))));
    if !found.is_empty() {
        lines.push(format!("at the start: {}", found.join(", ")));
    }
    lines.push(format!(
        "terms are {}; brackets hold 95 % bootstrap intervals over the episodes; IQM is the inter-quartile mean",
        if evaluation.online { "means over the ticks" } else { "those at the end" }
    ));
    if let Some(reference) = &evaluation.reference {
        lines.push(format!(
            "`ahead` is the mean paired difference in return, {reference} minus the row's policy; `better` is the share of episodes in which it returns more"
        ));
    }
    if changed(evaluation) {
        lines.push("`change` is the mean paired difference in return, the row's policy minus the same one before".into());
    }
    let ticks = if evaluation.online { "ticks" } else { "moves" };
    lines.push(format!(
        "`oscillations` counts moves back to a node that the workload left at most {} {ticks} before",
        evaluation.oscillation_window
    ));
    lines.extend(asked_for(evaluation));
    lines.join("\n")
}

fn changed(evaluation: &Evaluation) -> bool {
    evaluation.policies.iter().any(|policy| policy.change.is_some())
}

/// The table, best return first.
pub fn table(evaluation: &Evaluation) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let intervals = evaluation.episodes > 1;
    let compared = evaluation.reference.is_some();
    let changed = changed(evaluation);
    let terms = evaluation.own_terms();
    let baselines = evaluation.policies.iter().any(|policy| policy.parameters.is_some());
    let mut header = vec!["policy"];
    header.extend(baselines.then_some("parameters"));
    header.push("return");
    header.extend(intervals.then_some("95 %"));
    header.extend(intervals.then_some("IQM"));
    header.extend(evaluation.bound.map(|_| "gap"));
    header.extend(evaluation.hindsight.as_ref().map(|_| "share"));
    if compared {
        header.push("ahead");
        header.extend(intervals.then_some("95 %"));
        header.extend(intervals.then_some("better"));
    }
    if changed {
        header.push("change");
        header.extend(intervals.then_some("95 %"));
    }
    header.extend(&terms);
    header.extend(evaluation.start.slots.map(|_| "slots"));
    let restarts = evaluation.any_restarts();
    header.extend(["moves", "oscillations", "of moves", "GiB moved"]);
    header.extend(restarts.then_some("restarts"));
    header.extend(["downtime s", "decisions/s", "p50 us", "p99 us"]);
    table.set_header(header);
    let (bounded, known) = (evaluation.bound.is_some(), evaluation.hindsight.is_some());
    let shown = Shown { baselines, intervals, bounded, known, compared, changed, restarts };
    for policy in &evaluation.policies {
        table.add_row(row(policy, shown, &terms));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Which groups of columns the table has.
#[derive(Debug, Clone, Copy)]
struct Shown {
    baselines: bool,
    intervals: bool,
    bounded: bool,
    known: bool,
    compared: bool,
    changed: bool,
    restarts: bool,
}

fn row(policy: &PolicyResult, shown: Shown, terms: &[&str]) -> Vec<String> {
    let Shown { baselines, intervals, bounded, known, compared, changed, restarts } = shown;
    let mut row = vec![policy.name.clone()];
    row.extend(baselines.then(|| match policy.parameters {
        Some(Parameters::Tuned) => "tuned".to_owned(),
        Some(Parameters::Default) => "default".to_owned(),
        None => "-".to_owned(),
    }));
    row.push(figure(policy.mean_return.value));
    row.extend(intervals.then(|| interval(&policy.mean_return)));
    row.extend(intervals.then(|| figure(policy.interquartile_mean.value)));
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    row.extend(bounded.then(|| policy.gap.map_or("-".into(), percent)));
    row.extend(known.then(|| policy.share.map_or("-".into(), percent)));
    let difference = |comparison: Option<Comparison>| {
        let difference = comparison.map(|comparison| comparison.difference);
        let value = difference.map_or("-".into(), |difference| signed(difference.value));
        let spread = |Estimate { low, high, .. }| format!("[{}, {}]", signed(low), signed(high));
        [Some(value), intervals.then(|| difference.map_or("-".into(), spread))]
    };
    if compared {
        row.extend(difference(policy.comparison).into_iter().flatten());
        let better = policy.comparison.map(|comparison| comparison.probability_of_improvement);
        row.extend(intervals.then(|| better.map_or("-".into(), |share| percent(share.value))));
    }
    if changed {
        row.extend(difference(policy.change).into_iter().flatten());
    }
    row.extend(terms.iter().map(|&term| figure(policy.state.terms[term])));
    row.extend(policy.state.slots.map(count));
    row.extend([
        count(policy.moves),
        count(policy.oscillations),
        policy.oscillation_share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share)),
        format!("{:.1}", policy.moved_gib),
    ]);
    row.extend(restarts.then(|| count(policy.restarts)));
    row.extend([
        format!("{:.2}", policy.downtime_s),
        format!("{:.0}", policy.decisions_per_s),
        format!("{:.1}", policy.decision_us_p50),
        format!("{:.1}", policy.decision_us_p99),
    ]);
    row
}

fn interval(Estimate { low, high, .. }: &Estimate) -> String {
    format!("[{}, {}]", figure(*low), figure(*high))
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    format!("{sign}{}", figure(value))
}

/// Four decimals, or none where they would be noise behind six digits.
fn figure(value: f64) -> String {
    let decimals = if value.abs() < 1e6 { 4 } else { 0 };
    format!("{value:.decimals$}")
}

/// A mean count: whole where it is whole.
fn count(x: f64) -> String {
    if x.fract() == 0.0 { format!("{x:.0}") } else { format!("{x:.2}") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::State;
    use super::*;

    /// Two policies with round figures.
    pub(in super::super) fn evaluation() -> Evaluation {
        let state = |load, slots| State {
            terms: [("max_load", load), ("fragmentation", 0.5)].into(),
            slots: Some(slots),
        };
        let result = |name: &str, trained, value: f64, comparison| PolicyResult {
            name: name.into(),
            trained,
            parameters: (!trained).then_some(Parameters::Tuned),
            mean_return: Estimate { value, low: value - 0.25, high: value + 0.25 },
            interquartile_mean: Estimate { value, low: value, high: value },
            gap: None,
            share: None,
            comparison,
            ahead_of: Vec::new(),
            change: None,
            state: state(1.5 - value / 2.0, 2.0 + value),
            moves: value * 2.5,
            oscillations: value * 0.5,
            oscillation_share: (value > 0.0).then_some(0.2),
            moved_gib: value * 40.0,
            restarts: 0.0,
            downtime_s: value,
            decisions_per_s: 12_345.6,
            decision_us_p50: 75.25,
            decision_us_p99: 210.0,
            returns: vec![value; 4],
            episodes: Vec::new(),
        };
        let comparison = Some(Comparison {
            difference: Estimate { value: 1.0, low: 0.5, high: 1.5 },
            probability_of_improvement: Estimate { value: 0.875, low: 0.5, high: 1.0 },
        });
        Evaluation {
            scenario: "example".into(),
            online: false,
            episodes: 4,
            first_seed: 7,
            validation: false,
            single_start: false,
            weights: [("max_load", 1.0), ("moved_gib", 0.01)].into(),
            start: state(2.0, 2.0),
            oscillation_window: 12,
            limits: None,
            bound: None,
            hindsight: None,
            best_plans: Vec::new(),
            reference: Some("trained".into()),
            time_limit_s: None,
            unfinished: Vec::new(),
            policies: vec![
                result("trained", true, 1.0, None),
                result("stay", false, 0.0, comparison),
            ],
        }
    }

    #[test]
    fn fixed_numbers_give_a_fixed_table() {
        let evaluation = evaluation();
        insta::assert_snapshot!(format!("{}\n\n{}", heading(&evaluation), table(&evaluation)));
    }

    #[test]
    fn terms_without_a_weight_have_no_column() {
        let mut evaluation = evaluation();
        let text =
            |evaluation: &Evaluation| format!("{}\n{}", heading(evaluation), table(evaluation));
        assert!(!text(&evaluation).contains("fragmentation"));
        evaluation.weights.insert("fragmentation", 0.5);
        assert_eq!(text(&evaluation).matches("fragmentation").count(), 2);
    }

    #[test]
    fn a_bound_adds_a_column() {
        let evaluation = evaluation().with_bound(Some(1.25));
        let (heading, table) = (heading(&evaluation), table(&evaluation));
        assert!(heading.contains("more than 1.2500"), "{heading}");
        assert!(table.contains("gap") && table.contains("20.0 %"), "{table}");
    }

    #[test]
    fn one_episode_has_no_intervals() {
        let mut evaluation = evaluation();
        evaluation.episodes = 1;
        evaluation.single_start = true;
        let text = format!("{}\n{}", heading(&evaluation), table(&evaluation));
        assert!(text.starts_with("example: 1 episode, since"), "{text}");
        assert!(!text.contains("0.7500"), "{text}");
    }
}
