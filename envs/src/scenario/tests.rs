//! Arrivals that follow a trace, in windows of their own for training and evaluation.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use proptest::prelude::*;

/// An arrival per tick, gone a tick later.
const WINDOWED: &str = r#"
name = "windowed"

[rules]
resources = [{ name = "cpu" }]

[rules.episode]
mode = "online"
ticks = 4

[rules.objective]
weights = { max_load = 1, unplaced = 1 }

[start]
placement = "random"
windows = { train = [10, 20], evaluate = [20, 25] }

[[nodes]]
name = "a"
supply = { cpu = 10 }

[[workloads]]
name = "w"
count = 4
demand = { cpu = 1 }

[workloads.arrivals]
kind = "trace"
arrives = [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]
departs = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]
"#;

fn error(from: &str, to: &str) -> String {
    assert!(WINDOWED.contains(from), "{from:?} is in the test scenario");
    Scenario::parse(&WINDOWED.replacen(from, to, 1), "s").unwrap_err().to_string()
}

#[test]
fn windows_are_checked() {
    Scenario::parse(WINDOWED, "s").unwrap();
    for (from, to, expected) in [
        (
            "evaluate = [20, 25]",
            "evaluate = [20, 24]",
            "s: start.windows.evaluate: expected [from, to] with to more than 4 ticks above from, got [20, 24]",
        ),
        (
            "train = [10, 20]",
            "train = [20, 10]",
            "s: start.windows.train: expected [from, to] with to more than 4 ticks above from, got [20, 10]",
        ),
        (
            "evaluate = [20, 25]",
            "evaluate = [19, 25]",
            "s: start.windows.evaluate: expected a window apart from that of training, [10, 20], got [19, 25]",
        ),
        (
            "arrives = [9, 10",
            "arrives = [10, 9",
            "s: workloads[0].arrivals.arrives: expected ascending ticks, as there are start.windows, got a tick below its precursor",
        ),
        (
            "departs = [10, 11, 12",
            "departs = [10, 12",
            "s: workloads[0].arrivals.departs: expected as many ticks as arrives has (16), got 15",
        ),
        (
            "kind = \"trace\"\narrives = [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]\ndeparts = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]",
            "kind = \"poisson\"\nper_tick = 1\nlifetime_ticks = 1",
            "s: start.windows: expected none, as no workload group has arrivals or a process of kind \"trace\", got windows",
        ),
    ] {
        assert_eq!(error(from, to), expected);
    }
}

#[test]
fn every_start_of_a_window_is_drawn_and_no_other() {
    // The first arrival that an episode plays tells where it began: lengthen each stay by where it
    // lies, so that the passages of no two starts are the same.
    let mut scenario = Scenario::parse(WINDOWED, "s").unwrap();
    let Some(crate::episode::churn::Arrivals::Trace { departs, .. }) =
        &mut scenario.workloads[0].arrivals
    else {
        unreachable!()
    };
    // Whoever comes at tick 14 or 22 stays on; the others leave a tick later.
    (departs[5], departs[13]) = (99, 99);
    let template = WorldTemplate::new(&scenario);
    let starts = |phase: Phase| {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let passages = template.draw(seed, phase).unwrap().passages;
            seen.insert(format!("{passages:?}"));
        }
        seen.len()
    };
    // Training starts at 10 to 15: the one who stays is met at relative tick 4, 3, 2, 1, 0, or is
    // there from before. Evaluation has the single start 20.
    assert_eq!((starts(Phase::Train), starts(Phase::Validate)), (6, 6));
    assert_eq!(starts(Phase::Evaluate), 1);
}

/// A demand of 1, 2, 3... at the ticks of the trace, and of 30, 29... for every second workload.
fn ramps() -> Scenario {
    let ramp: Vec<String> = (0..25).map(|tick| (1 + tick).to_string()).collect();
    let down: Vec<String> = (0..25).map(|tick| (30 - tick).to_string()).collect();
    let text =
        WINDOWED.split("[workloads.arrivals]").next().unwrap().replace("cpu = 10", "cpu = 100");
    let series = format!("series = [[{}], [{}]]", ramp.join(","), down.join(","));
    Scenario::parse(&format!("{text}\n[workloads.process]\nkind = \"trace\"\n{series}\n"), "s")
        .unwrap()
}

#[test]
fn demand_follows_the_trace_within_the_window_of_the_phase() {
    let template = WorldTemplate::new(&ramps());
    let mut out = [0.0; 4];
    let mut starts = std::collections::BTreeSet::new();
    for seed in 0..100 {
        for (phase, from, to) in [(Phase::Train, 10, 20), (Phase::Evaluate, 20, 25)] {
            let episode = template.draw(seed, phase).unwrap();
            episode.demand.write(episode.demand.drawn(0), &[1.0; 4], 1, &mut out);
            let first = out[0];
            let origin = first as u32 - 1;
            assert!((from..to - 4).contains(&origin), "{phase:?} started at tick {origin}");
            starts.insert(origin);
            for tick in 0..=4 {
                episode.demand.write(episode.demand.drawn(tick), &[1.0; 4], 1, &mut out);
                let (up, down) = (first + tick as f32, 31.0 - first - tick as f32);
                assert_eq!(out, [up, down, up, down]);
            }
        }
    }
    assert_eq!(starts.into_iter().collect::<Vec<_>>(), [10, 11, 12, 13, 14, 15, 20]);
}

#[test]
fn series_must_last_for_every_episode() {
    let mut scenario = ramps();
    let short = |scenario: &mut Scenario, ticks: usize| {
        let DemandProcess::Trace { series, .. } = &mut scenario.workloads[0].process else {
            unreachable!()
        };
        series[1].truncate(ticks);
        scenario.validate("s").unwrap_err().to_string()
    };
    assert_eq!(
        short(&mut scenario, 24),
        "s: workloads[0].process.series[1]: expected at least 25 ticks, which episodes may play, got 24"
    );
    scenario.start.windows = None;
    assert_eq!(
        short(&mut scenario, 4),
        "s: workloads[0].process.series[1]: expected at least 5 ticks, which episodes may play, got 4"
    );
}

proptest! {
    #[test]
    fn a_pool_as_large_as_the_crowd_turns_nobody_away(
        stays in proptest::collection::vec((0_u32..60, 1_u32..20), 1..60),
        origin in 0_u32..50,
        ticks in 1_u32..30,
    ) {
        let mut stays: Vec<(u32, u32)> = stays.iter().map(|(at, length)| (*at, at + length)).collect();
        stays.sort_unstable();
        // A slot is free again one tick after its workload has left.
        let crowd = |tick: u32| stays.iter().filter(|(a, d)| (*a..=*d).contains(&tick)).count();
        let count = (0..=80).map(crowd).max().unwrap_or(0);
        let (arrives, departs) = stays.iter().copied().unzip();
        let trace = crate::episode::churn::Arrivals::Trace { arrives, departs };
        let mut table = crate::episode::churn::PassageTable::constant(count);
        table.draw(&trace, 0, count, ticks, Some(origin), &mut crate::rng::stream(0, "t"));
        table.finish();
        let mut here = table.present.iter().filter(|present| **present).count() as i64;
        let mut at = 0;
        for tick in 0..=ticks {
            while let Some(passage) = table.passages.get(at).filter(|p| p.tick == tick) {
                here += if passage.arrives { 1 } else { -1 };
                at += 1;
            }
            let now = origin + tick;
            let expected = stays.iter().filter(|(a, d)| (*a..*d).contains(&now)).count();
            prop_assert_eq!(here, expected as i64, "tick {}", tick);
        }
        prop_assert_eq!(at, table.passages.len());
    }
}
