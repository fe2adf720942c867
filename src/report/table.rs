//! The table of the page: a row per policy, as `godwit evaluate` prints it.

use super::svg::escape;
use crate::evaluate::stats::Estimate;
use crate::evaluate::table::restarts_shown;
use crate::evaluate::{Evaluation, PolicyResult};
use godwit_envs::state::objective::Term;
use std::fmt::Write as _;

/// A column: its name, its unit and what a row shows in it.
struct Column<'a> {
    name: &'a str,
    unit: &'a str,
    cell: Box<dyn Fn(&PolicyResult) -> String + 'a>,
}

/// The table and what its columns mean.
pub fn section(evaluation: &Evaluation) -> String {
    let columns = columns(evaluation);
    let mut text = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of policies\"><table>\n<thead><tr><th>#</th><th class=\"policy\">policy</th>",
    );
    for Column { name, unit, .. } in &columns {
        // Writing to a string cannot fail.
        let _ = write!(text, "<th>{}<small>{unit}</small></th>", escape(name));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for (rank, policy) in evaluation.policies.iter().enumerate() {
        let class = if policy.trained { " class=\"trained\"" } else { "" };
        let _ = write!(
            text,
            "<tr{class}><td>{}</td><th scope=\"row\" class=\"policy\">{}</th>",
            rank + 1,
            escape(&policy.name)
        );
        for Column { cell, .. } in &columns {
            let _ = write!(text, "<td>{}</td>", escape(&cell(policy)));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
    text + &notes(evaluation)
}

fn columns(evaluation: &Evaluation) -> Vec<Column<'_>> {
    let many = evaluation.episodes > 1;
    let mut columns: Vec<Column> = Vec::new();
    let mut add = |name, unit, cell: Box<dyn Fn(&PolicyResult) -> String>| {
        columns.push(Column { name, unit, cell });
    };
    if evaluation.policies.iter().any(|policy| super::parameters(policy).is_some()) {
        let parameters = |policy: &PolicyResult| super::parameters(policy).unwrap_or_default();
        add("parameters", "", Box::new(parameters));
    }
    add("return", "mean", Box::new(|policy| fixed(policy.mean_return.value)));
    if many {
        add("return", "95 %", Box::new(|policy| interval(&policy.mean_return)));
        let middle = |policy: &PolicyResult| fixed(policy.interquartile_mean.value);
        add("return", "IQM", Box::new(middle));
    }
    if evaluation.bound.is_some() {
        add("gap", "%", Box::new(|policy| percent(policy.gap)));
    }
    if evaluation.reference.is_some() {
        let ahead =
            |policy: &PolicyResult| policy.comparison.map(|comparison| comparison.difference);
        let value = move |policy: &PolicyResult| {
            ahead(policy).map_or(String::new(), |difference| fixed(difference.value))
        };
        add("ahead", "mean", Box::new(value));
        if many {
            let spread = move |policy: &PolicyResult| {
                ahead(policy).map_or(String::new(), |difference| interval(&difference))
            };
            add("ahead", "95 %", Box::new(spread));
            let better = |policy: &PolicyResult| {
                percent(policy.comparison.map(|found| found.probability_of_improvement.value))
            };
            add("better in", "% of episodes", Box::new(better));
        }
    }
    let terms = Term::ALL.map(Term::name);
    for term in terms.into_iter().filter(|term| evaluation.start.terms.contains_key(term)) {
        let cell = move |policy: &PolicyResult| {
            policy.state.terms.get(term).map_or(String::new(), |value| fixed(*value))
        };
        add(term, if evaluation.online { "mean" } else { "at the end" }, Box::new(cell));
    }
    if evaluation.start.slots.is_some() {
        let slots = |policy: &PolicyResult| policy.state.slots.map_or(String::new(), count);
        add("slots", "at the end", Box::new(slots));
    }
    add("moves", "per episode", Box::new(|policy| count(policy.moves)));
    add("oscillations", "per episode", Box::new(|policy| count(policy.oscillations)));
    add("moved", "GiB", Box::new(|policy| format!("{:.1}", policy.moved_gib)));
    if restarts_shown(evaluation) {
        add("restarts", "per episode", Box::new(|policy| count(policy.restarts)));
    }
    add("downtime", "s", Box::new(|policy| format!("{:.2}", policy.downtime_s)));
    add("decision p50", "\u{b5}s", Box::new(|policy| micros(policy.decision_us_p50)));
    add("decision p99", "\u{b5}s", Box::new(|policy| micros(policy.decision_us_p99)));
    columns
}

fn notes(evaluation: &Evaluation) -> String {
    let unit = if evaluation.online { "ticks" } else { "moves" };
    let mut notes = vec![
        "<dt>return</dt><dd>undiscounted sum of rewards, in units of the weighted objective; higher is better</dd>".to_owned(),
    ];
    if evaluation.episodes > 1 {
        notes.push("<dt>95 %</dt><dd>percentile bootstrap interval over the episodes; the strata of the bootstrap are scenarios, so that one page is one stratum</dd>".into());
        notes.push(
            "<dt>IQM</dt><dd>inter-quartile mean: the mean of the middle half of the episodes</dd>"
                .into(),
        );
    }
    if let Some(bound) = evaluation.bound {
        notes.push(format!(
            "<dt>gap</dt><dd>share that is missing to the most that any policy can return, {}</dd>",
            fixed(bound)
        ));
    }
    if let Some(reference) = &evaluation.reference {
        notes.push(format!("<dt>ahead</dt><dd>{} minus the row's policy, paired over episodes; <em>better in</em> is the share of episodes in which it returns more, ties counting half</dd>", escape(reference)));
    }
    notes.push(format!("<dt>oscillations</dt><dd>moves back to a node that the workload left at most {} {unit} before</dd>", evaluation.oscillation_window));
    if evaluation.limits.is_some() {
        notes.push("<dt>limits</dt><dd>every policy keeps to the operator's limits</dd>".into());
    }
    format!(
        "<details open><summary>What the columns mean</summary><dl class=\"notes\">{}</dl></details>",
        notes.concat()
    )
}

/// A figure with four decimals, or two where it is large, and a true minus.
pub fn fixed(value: f64) -> String {
    let digits = if value.abs() < 100.0 { 4 } else { 2 };
    // No minus before a zero.
    let text = format!("{:.digits$}", if value.abs() < 5e-5 { 0.0 } else { value });
    text.replace('-', "\u{2212}")
}

fn interval(Estimate { low, high, .. }: &Estimate) -> String {
    format!("{} to {}", fixed(*low), fixed(*high))
}

fn percent(share: Option<f64>) -> String {
    share.map_or(String::new(), |share| format!("{:.1}", 100.0 * share))
}

/// Microseconds: the fast ones need decimals.
pub fn micros(us: f64) -> String {
    format!("{us:.*}", if us < 10.0 { 2 } else { 0 })
}

/// A mean count: whole where it is whole.
pub fn count(x: f64) -> String {
    if x.fract() == 0.0 { format!("{x:.0}") } else { format!("{x:.2}") }
}
