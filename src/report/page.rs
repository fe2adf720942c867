//! Sets the page: head, table, and a section per chart with what is needed to read it.

use super::axis::top_without_spikes;
use super::charts::{
    MOST_ROWS, both, budget, decision_time, heat_map, learning, rows, terms, tick_name, timeline,
};
use super::data::Report;
use super::rows::ranked;
use super::svg::{escape, marker_swatch, square_swatch};
use super::table;
use godwit_envs::state::term::Term;
use godwit_evaluate::figures::Column;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// Sections of every page: identifier and title.
pub const SECTIONS: [(&str, &str); 7] = [
    ("policies", "Policies"),
    ("budget", "Quality against move budget"),
    ("decision-time", "Quality against decision time"),
    ("learning", "Learning curves"),
    ("loads", "Load of every node over time"),
    ("timeline", "Migrations and faults"),
    ("terms", "What the objective is made of"),
];

/// The page. It needs no network, no script and no file beside it.
pub fn page(report: &Report) -> String {
    let name = escape(&report.evaluation.scenario);
    let contents = [
        table::section(report.evaluation),
        budget_section(report),
        decision_time_section(report),
        learning_section(report),
        loads_section(report),
        timeline_section(report),
        terms_section(report),
    ];
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n\
        <title>{name}: evaluation of migration policies</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    page.push_str(&header(report));
    page.push_str("<main>\n");
    for ((id, title), content) in SECTIONS.iter().zip(contents) {
        // Writing to a string cannot fail.
        let _ = write!(page, "<section id=\"{id}\">\n<h2>{title}</h2>\n{content}\n</section>\n");
    }
    let _ = write!(
        page,
        "</main>\n<footer><p>godwit {}. The same figures: <a href=\"results.json\">results.json</a>, \
        <a href=\"results.csv\">results.csv</a> (a row per policy), \
        <a href=\"episodes.csv\">episodes.csv</a> (a row per policy and episode).</p></footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    page
}

fn header(report: &Report) -> String {
    let evaluation = report.evaluation;
    let last = evaluation.first_seed.wrapping_add(evaluation.episodes as u64 - 1);
    let seeds = if evaluation.episodes == 1 {
        evaluation.first_seed.to_string()
    } else {
        format!("{} to {last}", evaluation.first_seed)
    };
    let episodes = if evaluation.single_start {
        "1: every episode of this scenario runs alike".to_owned()
    } else {
        format!("{}, held out, the same for every policy", evaluation.episodes)
    };
    let mode = if evaluation.online {
        "online: the clock runs, and every tick costs the weighted terms held over it"
    } else {
        "rebalance: each move pays what it lowers the weighted objective by, less its cost"
    };
    let start: Vec<String> = evaluation
        .own_terms()
        .into_iter()
        .map(|name| format!("{name} {:.4}", evaluation.start.terms[name]))
        .chain(
            evaluation
                .start
                .slots
                .map(|slots| format!("slots {}", Column::counts([slots]).show(slots))),
        )
        .collect();
    let rows = [
        ("Mode", mode.to_owned()),
        ("Episodes", episodes),
        ("Seeds", seeds),
        ("At the start", start.join(", ")),
    ];
    let mut text = format!(
        "<header>\n<p class=\"kicker\">Evaluation of migration policies</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<dl>\n",
        escape(&evaluation.scenario),
        escape(&report.scenario.description)
    );
    for (name, value) in rows {
        let _ = writeln!(text, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    let _ =
        writeln!(text, "<dt>Command</dt><dd><code>{}</code></dd>\n</dl>", escape(&report.command));
    text.push_str("<nav aria-label=\"Sections\"><ul>");
    for (id, title) in SECTIONS {
        let _ = write!(text, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    text + "</ul></nav>\n</header>\n"
}

/// A chart with what stands above and below it.
fn figure(chart: &str, legend: &str, caption: &str) -> String {
    format!(
        "<figure>\n<div class=\"chart\">{chart}</div>\n{legend}\n<figcaption>{caption}</figcaption>\n</figure>"
    )
}

/// Where an axis is cut, the drawing says so; this says how to read it.
const CUT: &str =
    "A triangle at the lower edge stands for a return that is lower than the axis shows.";

fn any_trained(report: &Report) -> bool {
    report.evaluation.policies.iter().any(|policy| policy.trained)
}

/// What vertical bars are; one episode has none.
fn bars(report: &Report) -> &'static str {
    if report.evaluation.episodes > 1 { "; vertical bars are 95 % bootstrap intervals" } else { "" }
}

fn legend(items: impl IntoIterator<Item = (String, String)>) -> String {
    let mut list = String::from("<ul class=\"legend\">");
    for (swatch, text) in items {
        let _ = write!(list, "<li>{swatch}{}</li>", escape(&text));
    }
    list + "</ul>"
}

fn dashed() -> String {
    "<svg class=\"swatch\" viewBox=\"0 0 22 14\" width=\"22\" height=\"14\" aria-hidden=\"true\">\
    <line class=\"reference\" x1=\"0\" y1=\"7\" x2=\"22\" y2=\"7\"/></svg>"
        .into()
}

fn budget_section(report: &Report) -> String {
    let sweep = &report.budget;
    if sweep.curves.is_empty() {
        return "<p class=\"skipped\">Left out: no policy but <em>stay</em> took part, and it makes no moves.</p>".into();
    }
    let (online, bars) = (report.evaluation.online, bars(report));
    let curves = sweep.curves.iter().enumerate();
    let mut items: Vec<(String, String)> =
        curves.map(|(i, curve)| (marker_swatch(i), curve.policy.clone())).collect();
    items.push((dashed(), format!("budget of the scenario: {}", sweep.own)));
    let unit = if online { "moves per tick" } else { "moves per episode" };
    let episodes = if sweep.episodes == 1 {
        "the episode".into()
    } else {
        format!("the first {} episodes", sweep.episodes)
    };
    let which = if sweep.curves.len() + 1 < report.evaluation.policies.len() {
        let first = if any_trained(report) { " trained ones and the" } else { "" };
        format!(" Shown are the{first} best, {} in all.", sweep.curves.len())
    } else {
        String::new()
    };
    let trained = if any_trained(report) {
        " Trained policies learnt with the scenario's own budget."
    } else {
        ""
    };
    let caption = format!(
        "Mean return on {episodes} when the budget is overridden to so many {unit}{bars}. With no moves, every policy returns what <em>stay</em> does.{which}{trained} {CUT}"
    );
    figure(&both(|size| budget::draw(sweep, online, size)), &legend(items), &caption)
}

fn decision_time_section(report: &Report) -> String {
    let (ranked, bars) = (ranked(report.evaluation), bars(report));
    let returns = table::returns(report.evaluation);
    let mut list = String::from("<ol class=\"numbered\">");
    for (rank, policy) in &ranked {
        let marker = if policy.trained { decision_time::TRAINED } else { decision_time::BASELINE };
        let _ = write!(
            list,
            "<li><span class=\"rank\">{rank}</span>{}{} <span class=\"figures\">{}, {:.1} \u{b5}s</span></li>",
            marker_swatch(marker),
            escape(&policy.name),
            table::minus(returns.show(policy.mean_return.value)),
            policy.decision_us_p50
        );
    }
    list.push_str("</ol>");
    let trained =
        if any_trained(report) { "Squares are trained policies, circles baselines. " } else { "" };
    let caption = format!(
        "{trained}Points stand at the time that half of the decisions do not exceed; the thin line leads on to the 99th percentile{bars}. {CUT} The list, in the order of the table, has all figures (mean return, p50)."
    );
    figure(&both(|size| decision_time::draw(&ranked, size)), &list, &caption)
}

fn learning_section(report: &Report) -> String {
    if report.runs.is_empty() {
        return "<p class=\"skipped\">Left out: no <code>--policy</code> was given as a run's folder with evaluations in its <code>metrics.jsonl</code>. Give the folder that <code>godwit train --out</code> wrote to see how the policy learnt.</p>".into();
    }
    let baseline = report.best_baseline();
    let runs = report.runs.iter().enumerate();
    let mut items: Vec<(String, String)> =
        runs.map(|(i, run)| (marker_swatch(i), run.policy.clone())).collect();
    let level = match baseline {
        Some((name, value)) => {
            let shown = table::minus(table::returns(report.evaluation).show(value));
            items.push((dashed(), format!("best baseline: {name}, {shown}")));
            " The dashed line is the best baseline's mean return in the table above."
        }
        None => " No baseline took part, so that there is no level to compare with.",
    };
    let caption = format!(
        "Mean return on the run's validation episodes, which are others than those of the table; the band is 1.96 standard errors wide on each side. {CUT}{level}"
    );
    let chart =
        both(|size| learning::draw(&report.runs, baseline.map(|baseline| baseline.1), size));
    figure(&chart, &legend(items), &caption)
}

/// Rows that the charts of the episode share.
fn episode_rows(report: &Report) -> Vec<usize> {
    let episode = &report.episode;
    let mut peak = vec![0.0_f32; episode.nodes.len()];
    for frame in episode.played.frames.iter().chain(&episode.stay.frames) {
        for (peak, load) in peak.iter_mut().zip(&frame.loads) {
            *peak = peak.max(*load);
        }
    }
    let moves = &episode.played.outcome.moves_made;
    let busy: Vec<u32> = moves.iter().flat_map(|made| [made.source, made.destination]).collect();
    rows(&peak, &busy, MOST_ROWS)
}

fn left_out(report: &Report, rows: &[usize]) -> String {
    let all = report.episode.nodes.len();
    if rows.len() == all {
        return String::new();
    }
    format!(
        " Shown are {} of {all} nodes: those in most migrations, then those with the highest load.",
        rows.len()
    )
}

fn episode_name(report: &Report) -> String {
    let seed = report.episode.seed;
    match &report.episode.name {
        Some(name) => format!("Episode of seed {seed}, played by {}", escape(name)),
        None => format!("Episode of seed {seed}; no policy returns more than to stay"),
    }
}

fn ticks(report: &Report) -> String {
    tick_name(report.evaluation.online, report.scenario.rules.episode.tick_s)
}

fn loads_section(report: &Report) -> String {
    let (episode, rows, ticks) = (&report.episode, episode_rows(report), ticks(report));
    let colours = heat_map::Colours::new(episode);
    let digits = if colours.step < 0.0999 { 2 } else { 1 } + usize::from(colours.step < 0.00999);
    let mut scale = String::from("<ul class=\"scale\" aria-label=\"Colours of load\">");
    for level in 0..heat_map::STEPS {
        let from = colours.low + level as f64 * colours.step;
        // Every second number is enough to read the others.
        let text = if level % 2 == 0 { format!("{from:.digits$}") } else { String::new() };
        let _ = write!(scale, "<li><i class=\"h{level}\"></i><span>{text}</span></li>");
    }
    scale.push_str("</ul>");
    let beyond = colours.beyond.map_or(String::new(), |highest| {
        format!(" The last colour also stands for higher loads, up to {highest:.digits$}.")
    });
    let resources: Vec<String> =
        report.scenario.rules.resources.iter().map(|kind| escape(&kind.name)).collect();
    let caption = format!(
        "{}. Colour is the load of a node: the sum of its utilisations over {} (a ratio; each number is where its colour begins). Both panels share the colours; rest the pointer on a cell for its value.{beyond}{}",
        episode_name(report),
        resources.join(", "),
        left_out(report, &rows)
    );
    figure(&both(|size| heat_map::draw(episode, &rows, &ticks, size)), &scale, &caption)
}

fn timeline_section(report: &Report) -> String {
    let (episode, rows, ticks) = (&report.episode, episode_rows(report), ticks(report));
    let window = report.evaluation.oscillation_window;
    let timeline = timeline::Timeline {
        events: &episode.played.events,
        online: report.evaluation.online,
        frames: episode.played.frames.len().max(episode.stay.frames.len()),
        tick_s: report.scenario.rules.episode.tick_s,
        nodes: &episode.nodes,
        rows: &rows,
        window,
        tick_name: &ticks,
    };
    let seen = timeline::Seen::new(timeline.events, window);
    let swatch = |class: &str| {
        format!(
            "<svg class=\"swatch\" viewBox=\"0 0 14 14\" width=\"14\" height=\"14\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M7 1L7 13M4 9L7 13L10 9\"/></svg>"
        )
    };
    let unit = if report.evaluation.online { "ticks" } else { "moves" };
    let mut items =
        vec![(swatch("move"), format!("migration, from the dot to the head ({})", seen.moves))];
    if seen.returns > 0 {
        items.push((
            swatch("move back"),
            format!("back to a node left at most {window} {unit} before ({})", seen.returns),
        ));
    }
    if seen.health > 0 {
        let bands = [("degraded", "degraded"), ("draining", "draining"), ("failed", "failed")];
        items.extend(bands.map(|(class, name)| (square_swatch(class), format!("node {name}"))));
    }
    let cross = |class: &str| {
        format!(
            "<svg class=\"swatch\" viewBox=\"0 0 14 14\" width=\"14\" height=\"14\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M3 3l8 8m0 -8l-8 8\"/></svg>"
        )
    };
    if seen.displaced > 0 {
        items.push((cross("cross"), format!("workload displaced by a fault ({})", seen.displaced)));
    }
    if seen.rolled_back > 0 {
        items.push((cross("cross undone"), format!("migration undone ({})", seen.rolled_back)));
    }
    if seen.population > 0 {
        items.push((square_swatch("placed"), "workload starts on a node".into()));
        items.push((square_swatch("arrived"), "arrival (triangle up)".into()));
        items.push((square_swatch("departed"), "departure (triangle down)".into()));
    }
    let faults = if seen.health + seen.displaced + seen.rolled_back == 0 {
        " No node failed, drained or degraded in this episode."
    } else {
        ""
    };
    let caption = format!("{}.{faults}{}", episode_name(report), left_out(report, &rows));
    figure(&both(|size| timeline.draw(size)), &legend(items), &caption)
}

fn terms_section(report: &Report) -> String {
    let (episode, online, ticks) = (&report.episode, report.evaluation.online, ticks(report));
    let frames = episode.played.frames.len().max(episode.stay.frames.len());
    let played = terms::Stack::new(&episode.played, frames, online);
    let stay = terms::Stack::new(&episode.stay, frames, online);
    let top = top_without_spikes(played.heights().chain(stay.heights()));
    let shared = (top, played.columns.len().max(stay.columns.len()));
    let mut items = Vec::new();
    let used = [played.used(), stay.used()].concat();
    for term in Term::ALL.into_iter().filter(|term| used.contains(term)) {
        let weight = episode.played.weights[term as usize];
        items.push((
            square_swatch(&terms::class(term)),
            format!("{} (weight {weight})", term.name()),
        ));
    }
    let mut charts = String::new();
    let name = episode.name.as_deref();
    for (who, stack) in name.map(|name| (name, &played)).into_iter().chain([("stay", &stay)]) {
        let _ = write!(charts, "<h3>{}</h3>", escape(who));
        charts.push_str(&both(|size| terms::draw(stack, shared, (online, &ticks, who), size)));
    }
    let meaning = if online {
        "The height is what a tick costs: its weighted terms, one on the other. The return is minus the whole area."
    } else {
        "The height is the weighted objective after so many decisions (moves, or to stay), on top of what the moves cost so far: it falls by exactly the return."
    };
    let cut = "Where the axis is cut, triangles at the upper edge mark what is higher.";
    let caption = format!("{}. {meaning} {cut}", episode_name(report));
    figure(&charts, &legend(items), &caption)
}
