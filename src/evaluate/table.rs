//! An evaluation as a table for people.

use super::stats::Estimate;
use super::{Evaluation, Parameters, PolicyResult};
use comfy_table::{CellAlignment, Table, presets};
use godwit_envs::state::objective::Term;

/// The lines above the table: what was compared, and what all policies started from.
pub fn heading(evaluation: &Evaluation) -> String {
    let Evaluation { scenario, episodes, first_seed, .. } = evaluation;
    let mut lines = vec![if evaluation.single_start {
        format!("{scenario}: 1 episode, since every episode of it starts and runs alike")
    } else {
        let kind = if evaluation.validation { "validation" } else { "held-out" };
        let last = first_seed.wrapping_add(*episodes as u64 - 1);
        format!(
            "{scenario}: {episodes} {kind} episodes (seeds {first_seed} to {last}), the same for every policy"
        )
    }];
    let mut start: Vec<String> = Term::ALL
        .iter()
        .filter_map(|term| Some((term.name(), evaluation.start.terms.get(term.name())?)))
        .map(|(name, value)| format!("{name} {}", figure(*value)))
        .collect();
    start.extend(evaluation.start.slots.map(|slots| format!("slots {}", count(slots))));
    lines.push(format!("at the start: {}", start.join(", ")));
    lines.push(format!(
        "terms are {}; brackets hold 95 % bootstrap intervals over the episodes; IQM is the inter-quartile mean",
        if evaluation.online { "means over the ticks" } else { "those at the end" }
    ));
    if let Some(reference) = &evaluation.reference {
        lines.push(format!(
            "`ahead` is the mean paired difference in return, {reference} minus the row's policy; `better` is the share of episodes in which it returns more"
        ));
    }
    let ticks = if evaluation.online { "ticks" } else { "moves" };
    lines.push(format!(
        "`oscillations` counts moves back to a node that the workload left at most {} {ticks} before",
        evaluation.oscillation_window
    ));
    if evaluation.limits.is_some() {
        lines.push("every policy keeps to the operator's limits".to_owned());
    }
    if let Some(bound) = evaluation.bound {
        lines.push(format!(
            "no policy can return more than {}; `gap` is the missing share",
            figure(bound)
        ));
    }
    lines.join("\n")
}

/// The table, best return first.
pub fn table(evaluation: &Evaluation) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let intervals = evaluation.episodes > 1;
    let compared = evaluation.reference.is_some();
    let terms: Vec<&str> = Term::ALL
        .iter()
        .map(|term| term.name())
        .filter(|name| evaluation.start.terms.contains_key(name))
        .collect();
    let baselines = evaluation.policies.iter().any(|policy| policy.parameters.is_some());
    let mut header = vec!["policy"];
    header.extend(baselines.then_some("parameters"));
    header.push("return");
    header.extend(intervals.then_some("95 %"));
    header.extend(intervals.then_some("IQM"));
    header.extend(evaluation.bound.map(|_| "gap"));
    if compared {
        header.push("ahead");
        header.extend(intervals.then_some("95 %"));
        header.extend(intervals.then_some("better"));
    }
    header.extend(&terms);
    header.extend(evaluation.start.slots.map(|_| "slots"));
    let restarts = restarts_shown(evaluation);
    header.extend(["moves", "oscillations", "of moves", "GiB moved"]);
    header.extend(restarts.then_some("restarts"));
    header.extend(["downtime s", "decisions/s", "p50 us", "p99 us"]);
    table.set_header(header);
    for policy in &evaluation.policies {
        let bounded = evaluation.bound.is_some();
        table.add_row(row(policy, [baselines, intervals, compared, bounded, restarts], &terms));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Whether anything restarted cold under any policy.
pub(crate) fn restarts_shown(evaluation: &Evaluation) -> bool {
    evaluation.policies.iter().any(|policy| policy.restarts > 0.0)
}

fn row(
    policy: &PolicyResult,
    [baselines, intervals, compared, bounded, restarts]: [bool; 5],
    terms: &[&str],
) -> Vec<String> {
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
    if compared {
        let difference = policy.comparison.map(|comparison| comparison.difference);
        row.push(difference.map_or("-".into(), |difference| signed(difference.value)));
        row.extend(intervals.then(|| {
            difference.map_or("-".into(), |Estimate { low, high, .. }| {
                format!("[{}, {}]", signed(low), signed(high))
            })
        }));
        let better = policy.comparison.map(|comparison| comparison.probability_of_improvement);
        row.extend(intervals.then(|| better.map_or("-".into(), |share| percent(share.value))));
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
mod tests {
    use super::super::{Comparison, State};
    use super::*;

    fn evaluation() -> Evaluation {
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
            comparison,
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
            start: state(2.0, 2.0),
            oscillation_window: 12,
            limits: None,
            bound: None,
            reference: Some("trained".into()),
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
