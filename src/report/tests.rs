#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::data::{Report, Run, RunPoint};
use super::{FILES, files, page};
use godwit_envs::scenario::Scenario;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::event::{Event, EventKind};
use godwit_evaluate::{Contender, Evaluation, evaluate};
use godwit_models::baselines::baseline;

fn contenders(names: &[(&'static str, &str)]) -> Vec<Contender> {
    names
        .iter()
        .map(|&(name, shown)| Contender {
            parameters: None,
            name: shown.to_owned(),
            trained: shown != name,
            factory: Box::new(move || baseline(name).unwrap()),
        })
        .collect()
}

/// A report on a scenario, looked at by `check`.
fn with_report(
    change: impl Fn(&mut Scenario),
    (name, episodes): (&str, usize),
    names: &[(&'static str, &str)],
    check: impl Fn(Report, &Evaluation),
) {
    let mut scenario = Scenario::embedded(name).unwrap();
    change(&mut scenario);
    let contenders = contenders(names);
    let evaluation = evaluate(&scenario, &contenders, episodes, 3, false).unwrap();
    let sources = Vec::new();
    let report = Report::gather(
        &scenario,
        &evaluation,
        &contenders,
        &sources,
        format!("godwit evaluate {name}"),
        false,
    );
    check(report.unwrap(), &evaluation);
}

/// Every tag that opens is closed in its order, every attribute is quoted.
fn assert_well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    // The style sheet is no markup.
    let (before, rest) = body.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let text = format!("{before}{after}");
    let mut open: Vec<String> = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "stray >: {}", &rest[..start]);
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        assert!(!tag.contains('<') && tag.matches('"').count() % 2 == 0, "<{tag}>");
        let name: String = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().into();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "</{name}>");
        } else if !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

fn assert_self_contained(page: &str) {
    for outside in ["http:", "https:", "//", "<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for value in ["NaN", "inf\"", "inf ", "-inf"] {
        assert!(!page.contains(value), "{value} in the page");
    }
}

const POLICIES: [(&str, &str); 4] = [
    ("best-single-move", "trained"),
    ("load-balancer", "load-balancer"),
    ("random", "random"),
    ("stay", "stay"),
];

#[test]
fn a_page_is_well_formed_and_whole_in_both_modes() {
    for scenario in [("quickstart", 4), ("founding-3x3", 1), ("founding-10x50", 2)] {
        with_report(
            |_| {},
            scenario,
            &POLICIES,
            |mut report, evaluation| {
                for runs in [false, true] {
                    if runs {
                        let point = |env_steps, mean_return| RunPoint {
                            env_steps,
                            mean_return,
                            standard_error: 0.5,
                        };
                        let points = vec![point(10.0, -3.0), point(20.0, 1.0)];
                        report.runs.push(Run { policy: "trained".into(), points });
                    }
                    let page = page::page(&report);
                    assert_well_formed(&page);
                    assert_self_contained(&page);
                    for (id, title) in page::SECTIONS {
                        let section = format!("<section id=\"{id}\">\n<h2>{title}</h2>");
                        assert!(page.contains(&section), "{id}");
                        assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
                    }
                    assert_eq!(page.contains("Left out"), !runs);
                    // Both sizes of six charts, the terms twice; learning only with a run.
                    let charts = 6 + usize::from(runs);
                    for size in ["wide", "narrow"] {
                        let found = page.matches(&format!("<svg class=\"{size}\"")).count();
                        assert_eq!(found, charts, "{size}, {runs}");
                    }
                    for policy in &evaluation.policies {
                        assert!(page.contains(&policy.name), "{}", policy.name);
                    }
                }
            },
        );
    }
}

#[test]
fn names_that_people_give_are_shown_and_never_taken_for_markup() {
    let change = |scenario: &mut Scenario| {
        scenario.name = "<b>".into();
        scenario.description = "a & b </p><script>alert(1)</script>".into();
        scenario.nodes[0].name = "<i>'\"".into();
    };
    let names = [("best-single-move", "\"><u>"), ("stay", "stay")];
    with_report(change, ("quickstart", 2), &names, |mut report, _| {
        report.command = "godwit evaluate '<s>'".into();
        let page = page::page(&report);
        assert_well_formed(&page);
        for tag in ["<b>", "<script", "<u>", "<s>"] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert!(page.contains("<h1>&lt;b&gt;</h1>"));
        assert!(page.contains("&lt;i&gt;&#39;&quot;") && page.contains("&quot;&gt;&lt;u&gt;"));
    });
}

#[test]
fn faults_and_arrivals_are_drawn_and_nodes_that_do_not_exist_are_not() {
    with_report(
        |_| {},
        ("founding-10x50", 1),
        &POLICIES,
        |mut report, _| {
            let nowhere = u32::MAX;
            let event = |tick, kind| Event { tick, second: 30.0, kind };
            report.episode.played.events.extend([
                event(
                    5,
                    EventKind::HealthChanged { node: 2, health: Health::Degraded, deadline: 0 },
                ),
                event(9, EventKind::HealthChanged { node: 2, health: Health::Failed, deadline: 0 }),
                event(9, EventKind::Displaced { workload: 3, node: 2 }),
                event(9, EventKind::TransferRolledBack { workload: 4, source: 1, destination: 2 }),
                event(12, EventKind::Placed { workload: 3, node: 4, restart: true }),
                event(20, EventKind::Arrived { workload: 5 }),
                event(21, EventKind::Departed { workload: 5 }),
                event(30, EventKind::Displaced { workload: 3, node: nowhere }),
                event(
                    31,
                    EventKind::TransferStarted { workload: 3, source: nowhere, destination: 1 },
                ),
            ]);
            let page = page::page(&report);
            assert_well_formed(&page);
            for shown in [
                "is degraded from tick 5",
                "is failed from tick 9",
                "workload 3 is displaced",
                "the move of workload 4 is undone",
                "workload 3 restarts here",
                "workload 5 arrives",
                "workload 5 departs",
            ] {
                assert!(page.contains(shown), "{shown}");
            }
            assert!(!page.contains("No node failed"));
            assert!(!page.contains("tick 30: workload 3"), "a node that does not exist");
        },
    );
}

#[test]
fn the_users_policy_comes_first_and_plays_the_episode_even_where_others_return_more() {
    let names = [("best-single-move", "best-single-move"), ("random", "mine"), ("stay", "stay")];
    with_report(
        |_| {},
        ("quickstart", 4),
        &names,
        |report, evaluation| {
            assert_eq!(evaluation.policies[1].name, "mine");
            assert_eq!(report.episode.name.as_deref(), Some("mine"));
            assert_eq!(report.budget.curves[0].policy, "mine");
            let page = page::page(&report);
            let at = |text: &str| page.find(text).unwrap();
            assert!(
                at("<span class=\"rank\">2</span>mine")
                    < at("<span class=\"rank\">1</span>best-single-move"),
                "ranks are those by return"
            );
            assert!(page.contains("played by mine"));
        },
    );
}

#[test]
fn a_chart_whose_axis_is_cut_says_so_on_itself() {
    with_report(
        |_| {},
        ("founding-10x50", 1),
        &POLICIES,
        |mut report, _| {
            let (spike, low) = ("axis cut: 1 column is higher:", "axis cut: 1 point is lower:");
            let page = page::page(&report);
            assert!(!page.contains(spike) && !page.contains(low));
            let frame = &mut report.episode.played.frames[50];
            frame.paid[0] *= 100.0;
            frame.loads[0] = 500.0;
            report.budget.curves[0].points[0].1.value = -1e5;
            let page = page::page(&report);
            assert_well_formed(&page);
            // In both sizes of the chart.
            assert_eq!((page.matches(spike).count(), page.matches(low).count()), (2, 2));
            assert!(page.contains("The last colour also stands for higher loads, up to 500"));
        },
    );
}

#[test]
fn a_column_of_the_table_has_one_precision() {
    with_report(
        |_| {},
        ("quickstart", 4),
        &POLICIES,
        |report, _| {
            let page = page::page(&report);
            let (_, body) = page.split_once("<tbody>").unwrap();
            let (body, _) = body.split_once("</tbody>").unwrap();
            let decimals = |cell: &str| -> Vec<usize> {
                let (text, _) = cell.split_once("</td>").unwrap();
                let of = |word: &str| word.split_once('.').map_or(0, |(_, rest)| rest.len());
                let numbers = text.split(' ').filter(|word| word.contains(char::is_numeric));
                numbers.map(of).collect()
            };
            let rows: Vec<Vec<&str>> =
                body.trim().lines().map(|row| row.split("<td>").skip(1).collect()).collect();
            assert_eq!(rows.len(), POLICIES.len());
            for column in 0..rows[0].len() {
                let found: Vec<usize> = rows.iter().flat_map(|row| decimals(row[column])).collect();
                assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{column}: {found:?}");
            }
        },
    );
}

type EpisodeRow = (String, String, u64, f64, u32, u32, f64, f64);

#[test]
fn the_tables_for_programs_hold_what_the_evaluation_holds() {
    with_report(
        |scenario| scenario.name = "quick, \"start\"".into(),
        ("quickstart", 3),
        &POLICIES,
        |report, evaluation| {
            let found = files(&report).unwrap();
            let of = |name: &str| &found[FILES.iter().position(|file| *file == name).unwrap()][..];
            let json = serde_json::to_string_pretty(evaluation).unwrap();
            assert_eq!(std::str::from_utf8(of("results.json")).unwrap(), json + "\n");

            let mut rows = csv::Reader::from_reader(of("results.csv"));
            let header = rows.headers().unwrap().clone();
            let column = |name: &str| header.iter().position(|column| column == name).unwrap();
            let rows: Vec<csv::StringRecord> = rows.records().collect::<Result<_, _>>().unwrap();
            assert_eq!(rows.len(), evaluation.policies.len());
            for (row, policy) in rows.iter().zip(&evaluation.policies) {
                assert_eq!(&row[column("scenario")], "quick, \"start\"");
                assert_eq!(&row[column("policy")], policy.name);
                let number = |name: &str| row[column(name)].parse::<f64>().unwrap();
                assert_eq!(number("return"), policy.mean_return.value);
                assert_eq!(number("return_low"), policy.mean_return.low);
                assert_eq!(number("oscillations"), policy.oscillations);
                assert_eq!(number("max_load"), policy.state.terms["max_load"]);
                assert_eq!(&row[column("gap")], "");
                assert_eq!(row[column("ahead")].is_empty(), policy.comparison.is_none());
            }

            let mut rows = csv::Reader::from_reader(of("episodes.csv"));
            let rows: Vec<EpisodeRow> = rows.deserialize().collect::<Result<_, _>>().unwrap();
            assert_eq!(rows.len(), 3 * evaluation.policies.len());
            for (i, row) in rows.iter().enumerate() {
                let policy = &evaluation.policies[i / 3];
                assert_eq!((&row.1, row.2), (&policy.name, 3 + i as u64 % 3));
                assert_eq!(row.3, policy.returns[i % 3]);
            }
        },
    );
}
