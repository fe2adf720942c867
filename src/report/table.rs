//! The table of the page: a row per policy, as `godwit evaluate` prints it.

use super::rows::{parameters, ranked};
use super::svg::escape;
use godwit_evaluate::figures::Column;
use godwit_evaluate::stats::Estimate;
use godwit_evaluate::{Evaluation, PolicyResult};

use std::fmt::Write as _;

/// A column: its name, its unit and what each row shows in it.
struct Shown<'a> {
    name: &'a str,
    unit: &'a str,
    cells: Vec<String>,
}

/// The table and what its columns mean.
pub fn section(evaluation: &Evaluation) -> String {
    let rows = ranked(evaluation);
    let policies: Vec<&PolicyResult> = rows.iter().map(|(_, policy)| *policy).collect();
    let columns = columns(evaluation, &policies);
    let mut text = String::from(
        "<p class=\"swipe\">The table is wider than this page: move it sideways.</p>\n\
        <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of policies\"><table>\n\
        <thead><tr><th class=\"policy\"><span class=\"rank\">#</span>policy</th>",
    );
    for Shown { name, unit, .. } in &columns {
        // Writing to a string cannot fail.
        let _ = write!(text, "<th>{}<small>{unit}</small></th>", escape(name));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for (at, (rank, policy)) in rows.iter().enumerate() {
        let class = if policy.trained { " class=\"trained\"" } else { "" };
        let _ = write!(
            text,
            "<tr{class}><th scope=\"row\" class=\"policy\"><span class=\"rank\">{rank}</span>{}</th>",
            escape(&policy.name)
        );
        for Shown { cells, .. } in &columns {
            let _ = write!(text, "<td>{}</td>", escape(&cells[at]));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
    text + &notes(evaluation)
}

fn columns<'a>(evaluation: &Evaluation, policies: &[&PolicyResult]) -> Vec<Shown<'a>> {
    let many = evaluation.episodes > 1;
    let mut columns: Vec<Shown> = Vec::new();
    let mut add = |name, unit, cell: &dyn Fn(&PolicyResult) -> String| {
        columns.push(Shown {
            name,
            unit,
            cells: policies.iter().map(|policy| cell(policy)).collect(),
        });
    };
    let returns = returns(evaluation);
    add("return", "mean", &|policy| minus(returns.show(policy.mean_return.value)));
    if many {
        add("return", "95 %", &|policy| interval(returns, policy.mean_return));
        add("return", "IQM", &|policy| minus(returns.show(policy.interquartile_mean.value)));
    }
    if evaluation.bound.is_some() {
        add("gap", "%", &|policy| percent(policy.gap));
    }
    if evaluation.hindsight.is_some() {
        add("share", "%", &|policy| percent(policy.share));
    }
    let differences = |of: &dyn Fn(&PolicyResult) -> Option<Estimate>| {
        figures(policies.iter().filter_map(|policy| of(policy)).map(|estimate| estimate.value))
    };
    if evaluation.reference.is_some() {
        let ahead =
            |policy: &PolicyResult| policy.comparison.map(|comparison| comparison.difference);
        let column = differences(&ahead);
        add("ahead", "mean", &|policy| {
            ahead(policy).map_or(String::new(), |found| minus(column.show(found.value)))
        });
        if many {
            add("ahead", "95 %", &|policy| {
                ahead(policy).map_or(String::new(), |found| interval(column, found))
            });
            add("better in", "% of episodes", &|policy| {
                percent(policy.comparison.map(|found| found.probability_of_improvement.value))
            });
        }
    }
    let change = |policy: &PolicyResult| policy.change.map(|change| change.difference);
    if policies.iter().any(|policy| policy.change.is_some()) {
        let column = differences(&change);
        add("change", "mean", &|policy| {
            change(policy).map_or(String::new(), |found| minus(column.show(found.value)))
        });
        if many {
            add("change", "95 %", &|policy| {
                change(policy).map_or(String::new(), |found| interval(column, found))
            });
        }
    }
    for term in evaluation.own_terms() {
        let value = |policy: &PolicyResult| policy.state.terms.get(term).copied();
        let column = figures(policies.iter().filter_map(|policy| value(policy)));
        let unit = if evaluation.online { "mean" } else { "at the end" };
        add(term, unit, &|policy| value(policy).map_or(String::new(), |x| minus(column.show(x))));
    }
    if evaluation.start.slots.is_some() {
        let column = Column::counts(policies.iter().filter_map(|policy| policy.state.slots));
        add("slots", "at the end", &|policy| {
            policy.state.slots.map_or(String::new(), |slots| column.show(slots))
        });
    }
    let mut add_count = |name, of: &dyn Fn(&PolicyResult) -> f64| {
        let column = Column::counts(policies.iter().map(|policy| of(policy)));
        add(name, "per episode", &|policy| column.show(of(policy)));
    };
    add_count("moves", &|policy| policy.moves);
    add_count("oscillations", &|policy| policy.oscillations);
    if evaluation.any_restarts() {
        add_count("restarts", &|policy| policy.restarts);
    }
    let gib = Column::new(policies.iter().map(|policy| policy.moved_gib), 4, 1);
    add("moved", "GiB", &|policy| gib.show(policy.moved_gib));
    add("downtime", "s", &|policy| format!("{:.2}", policy.downtime_s));
    add("decision p50", "\u{b5}s", &|policy| format!("{:.1}", policy.decision_us_p50));
    add("decision p99", "\u{b5}s", &|policy| format!("{:.1}", policy.decision_us_p99));
    if policies.iter().any(|policy| parameters(policy).is_some()) {
        add("parameters", "", &|policy| parameters(policy).unwrap_or_default());
    }
    columns
}

/// How the page writes returns and their intervals.
pub fn returns(evaluation: &Evaluation) -> Column {
    figures(evaluation.policies.iter().map(|policy| policy.mean_return.value))
}

fn figures(values: impl Iterator<Item = f64>) -> Column {
    Column::new(values, 6, 4)
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
            minus(returns(evaluation).show(bound))
        ));
    }
    if let Some(found) = &evaluation.hindsight {
        let shown = |value| minus(returns(evaluation).show(value));
        notes.push(format!(
            "<dt>share</dt><dd>of what {} gains over never moving anything ({}): the best plans that {} s of search per episode found, knowing it beforehand; no bound</dd>",
            shown(found.mean_return.value),
            shown(found.stay),
            found.seconds
        ));
    }
    if let Some(reference) = &evaluation.reference {
        notes.push(format!("<dt>ahead</dt><dd>{} minus the row's policy, paired over episodes; <em>better in</em> is the share of episodes in which it returns more, ties counting half</dd>", escape(reference)));
    }
    if evaluation.policies.iter().any(|policy| policy.change.is_some()) {
        notes.push("<dt>change</dt><dd>the row's policy minus the same one in the evaluation given as <code>--before</code>, paired over episodes</dd>".into());
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

/// A figure with a true minus.
pub fn minus(figure: String) -> String {
    figure.replace('-', "\u{2212}")
}

fn interval(column: Column, Estimate { low, high, .. }: Estimate) -> String {
    minus(format!("{} to {}", column.show(low), column.show(high)))
}

fn percent(share: Option<f64>) -> String {
    share.map_or(String::new(), |share| format!("{:.1}", 100.0 * share))
}
