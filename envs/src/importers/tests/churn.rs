//! Churn from the pod list, with hand-worked ticks.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::episode::churn::Arrivals;

const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\nn0,8000,16384,2,T4\nn1,8000,16384,2,P100\n";
const HEADER: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,pod_phase,creation_time,deletion_time,scheduled_time\n";
/// Days 0 to 4, of which the first two train. A tick is 300 s, a day 288 ticks or 86,400 s.
const PODS: &str = "\
a,1000,1024,1,500,,Succeeded,0,600,0\n\
b,1000,1024,1,500,,Succeeded,301,302,301\n\
c,1000,1024,1,500,,Running,172500,173100,172500\n\
d,2000,2048,1,1000,T4,Succeeded,172800,345600,172800\n\
endless,1000,1024,1,500,,Running,10,,10\n\
failed,1000,1024,1,500,,Failed,10,20,10\n\
pending,1000,1024,1,500,,Pending,10,20,\n\
late,1000,1024,1,500,,Succeeded,345600,345700,345600\n\
large,9000,1024,1,500,,Succeeded,10,20,10\n";

fn import(
    nodes: &str,
    pods: &str,
    options: &ChurnOptions,
) -> Result<ImportedOnline<ChurnReport>, String> {
    let folder = tempfile::tempdir().unwrap();
    let (node_file, pod_file) = (folder.path().join("nodes.csv"), folder.path().join("pods.csv"));
    std::fs::write(&node_file, nodes).unwrap();
    std::fs::write(&pod_file, format!("{HEADER}{pods}")).unwrap();
    openb_churn(&node_file, &pod_file, options)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn days(from_day: u32, split_day: u32, to_day: u32) -> ChurnOptions {
    ChurnOptions { from_day, split_day, to_day, fraction: Some(1.0), ..ChurnOptions::default() }
}

#[test]
fn pods_of_a_size_form_a_group_whose_slots_are_the_most_at_a_time() {
    let imported = import(NODES, PODS, &days(0, 2, 4)).unwrap();
    let groups = &imported.scenario.workloads;
    let trace = |at: usize| match &groups[at].arrivals {
        Some(Arrivals::Trace { arrives, departs }) => (arrives.clone(), departs.clone()),
        other => panic!("expected a trace, got {other:?}"),
    };
    // a: 0 to 600 s is ticks 0 and 1; b takes the tick that it touches; c crosses the split.
    assert_eq!(trace(0), (vec![0, 1, 575], vec![2, 2, 577]));
    assert_eq!(trace(1), (vec![576], vec![1152]));
    assert_eq!((groups.len(), groups[0].count, groups[1].count), (2, 2, 1));
    assert_eq!(groups[1].classes, ["T4"]);
    let windows = imported.scenario.start.windows.as_ref().unwrap();
    assert_eq!((windows.train, windows.evaluate), ([0, 576], [576, 1152]));
}

#[test]
fn the_report_counts_what_was_left_out_and_why() {
    let report = import(NODES, PODS, &days(0, 2, 4)).unwrap().report;
    assert_eq!(report.pods, 9);
    let counts: Vec<usize> = report.left_out.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [1, 1, 1, 1]);
    assert_eq!(report.too_large, ["large"]);
    // Training: a, b, c arrive (and `large`, which fits nowhere, does not count). Evaluation: d
    // arrives, c is there.
    assert_eq!(report.windows, [(3, 0), (1, 1)]);
    let text = report.to_string();
    assert!(text.contains("4 of 9 pods kept: 2 sizes, 3 slots"), "{text}");
    assert!(text.contains("left out, never scheduled: 1"), "{text}");
    assert!(text.contains("left out, fit on no kept node: 1 (large)"), "{text}");
}

#[test]
fn the_fewest_nodes_that_carry_the_load_are_kept() {
    let nodes: String = (0..20).map(|n| format!("m{n},8000,16384,2,T4\n")).collect();
    let nodes = format!("sn,cpu_milli,memory_mib,gpu,model\n{nodes}");
    // Three pods with a whole GPU all the time: 3 of 2 n GPUs, at most 60 %, takes 3 nodes.
    let pod = |name: &str| format!("{name},1000,1024,1,1000,,Succeeded,0,345600,0\n");
    let pods = pod("p") + &pod("q") + &pod("r");
    let by_load = ChurnOptions { fraction: None, ..days(0, 2, 4) };
    let imported = import(&nodes, &pods, &by_load).unwrap();
    assert_eq!(imported.scenario.nodes.len(), 3);
    // More than all of them carry: all are kept.
    let scarce = ChurnOptions { load: 0.01, ..by_load };
    assert_eq!(import(&nodes, &pods, &scarce).unwrap().scenario.nodes.len(), 20);
}

#[test]
fn impossible_options_and_damaged_rows_are_refused() {
    let wrong = |options: &ChurnOptions| import(NODES, PODS, options).unwrap_err();
    assert_eq!(
        wrong(&days(0, 1, 4)),
        "import: split_day: expected at least two days after 0, got 1"
    );
    assert_eq!(
        wrong(&days(0, 2, 3)),
        "import: to_day: expected at least two days after 2, up to 36525, got 3"
    );
    assert_eq!(
        wrong(&ChurnOptions { load: f64::NAN, ..days(0, 2, 4) }),
        "import: load: expected a share above 0, up to 1, got NaN"
    );
    assert_eq!(
        wrong(&days(10, 12, 14)),
        "pods.csv: days 10 to 14: expected pods that fit on the kept nodes, got none"
    );
    let row = |row: &str| import(NODES, row, &days(0, 2, 4)).unwrap_err();
    assert_eq!(
        row("a,1000,1024,1,500,,Succeeded,600,0,600\n"),
        "pods.csv: line 2: deletion_time: expected a time from creation_time (600) on, got \"0\""
    );
    assert_eq!(
        row("a,1000,1024,1,500,A100,Succeeded,0,600,0\n"),
        "pods.csv: line 2: gpu_spec: expected models of the node list, got \"A100\""
    );
}

#[test]
fn a_written_scenario_reads_back_and_episodes_play_their_own_days() {
    let imported = import(NODES, PODS, &days(0, 2, 4)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("days.toml");
    imported.write(&out).unwrap();
    let read = Scenario::load(&out).unwrap();
    assert_eq!(read, Scenario { name: "days".into(), ..imported.scenario });
    let template = crate::scenario::WorldTemplate::new(&read);
    for seed in 0..50 {
        // Only the pod of the second group, d, is there in evaluation alone.
        let world = |phase| template.draw(seed, phase).unwrap().passages;
        let comes = |phase| {
            let passages = world(phase);
            passages.present[2] || passages.passages.iter().any(|p| p.workload == 2)
        };
        assert!(comes(crate::scenario::Phase::Evaluate));
        let trained = world(crate::scenario::Phase::Train);
        assert!(!trained.present[2]);
    }
}
