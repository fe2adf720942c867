#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::scenario::*;
use std::path::{Path, PathBuf};

mod churn;
mod prometheus;
mod real_data;
mod trace;

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The error of a failed import, without the temporary folder.
fn refusal(folder: &tempfile::TempDir, result: Result<Imported, ScenarioError>) -> String {
    let error = result.expect_err("the import is refused").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.replace(&format!("{}/", folder.path().display()), "")
}

/// Two hosts; `b` spans both NUMA nodes of the first, `c` may not be migrated.
const MACHINES: &str = r#"{"cluster_list": [
  {"host_info": [{"node_id": "h0", "status": "ACTIVE", "numa": [
     {"node": 0, "total_cpu": 44, "memory_huge_total_mb": 184388.0, "memory_huge_free_mb": 147524.0},
     {"node": 1, "total_cpu": 44, "memory_huge_total_mb": 184388.0, "memory_huge_free_mb": 9.0}]}],
   "vm_instance": [
     {"instance_id": "a", "host_id": "h0", "numa": [{"node": 0, "cpu": 2, "mem_mb": 4096}], "allow_migration": true},
     {"instance_id": "b", "host_id": "h0", "numa": [{"node": 0, "cpu": 16, "mem_mb": 32768}, {"node": 1, "cpu": 16, "mem_mb": 32768}]}],
   "other_requirement": {"deployment_set": [["a", "b"]]}},
  {"host_info": [{"node_id": "h1", "numa": [
     {"node": 0, "total_cpu": 44, "memory_huge_total_mb": 184388.0, "memory_huge_free_mb": 184388.0}]}],
   "vm_instance": [
     {"instance_id": "c", "host_id": "h1", "numa": [{"node": 0, "cpu": 40, "mem_mb": 0}], "allow_migration": false}]}
]}"#;

const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\nn0,8000,16384,2,T4\nn1,8000,16384,0,\nn2,8000,16384,2,P100\n";
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n\
    p0,4000,1024,0,0,\n\
    p1,1000,1024,1,600,\n\
    p2,1000,1024,1,600,\n\
    p3,1000,1024,1,400,\n\
    p4,1000,1024,1,1000,P100|T4\n\
    p5,1000,1024,2,1000,T4\n\
    p6,4000,1024,0,,\n";

#[test]
fn numa_nodes_become_nodes_and_machines_workloads() {
    let folder = folder(&[("two.json", MACHINES)]);
    let imported = vm_snapshot(&folder.path().join("two.json"), &ImportOptions::default()).unwrap();
    let nodes: Vec<&str> = imported.snapshot.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["h0/numa0", "h0/numa1", "h1/numa0"]);
    assert_eq!(imported.snapshot.nodes[1].zone, "h0");
    let workloads: Vec<(&str, &str, bool)> = imported
        .snapshot
        .workloads
        .iter()
        .map(|workload| {
            (workload.name.as_str(), workload.node.as_deref().unwrap(), workload.movable)
        })
        .collect();
    assert_eq!(
        workloads,
        [
            ("a", "h0/numa0", true),
            ("b/0", "h0/numa0", false),
            ("b/1", "h0/numa1", false),
            ("c", "h1/numa0", false),
        ]
    );
    assert_eq!(imported.snapshot.workloads[1].demand, [16.0, 32.0]);
    assert_eq!(imported.snapshot.workloads[1].state_gib, 32.0);
    // Free cores 26 + 28 + 4: one slot of 16 on each of the first two.
    let slots = imported.report.slots.as_ref().unwrap();
    assert_eq!((slots.slots, slots.free), (2, 58.0));
    assert_eq!(
        imported.report.to_string(),
        "vm-snapshot from two.json\n\
         3 nodes, 4 workloads (3 pinned)\n\
         cpu: 74.0 of 132.0 placed (56.1 %)\n\
         memory: 68.0 of 540.2 placed (12.6 %)\n\
         slots of 16 cpu: 2 in 58.0 free, fragmentation 0.448\n\
         note: recorded free memory disagrees with the machines on 1 NUMA nodes; recomputed\n\
         note: 1 deployment sets are not imported\n"
    );
}

#[test]
fn pods_without_a_column_of_models_may_use_all() {
    let plain: String = PODS.lines().fold(String::new(), |text, line| {
        let (kept, _) = line.rsplit_once(',').unwrap();
        text + kept + "\n"
    });
    let folder = folder(&[("nodes.csv", NODES), ("pods.csv", &plain)]);
    let [nodes, pods] = ["nodes.csv", "pods.csv"].map(|name| folder.path().join(name));
    let imported = openb(&nodes, &pods, &ImportOptions::default()).unwrap();
    assert!(!imported.snapshot.workloads.is_empty());
    assert!(imported.snapshot.workloads.iter().all(|workload| workload.classes.is_empty()));
}

#[test]
fn damaged_machine_files_are_refused() {
    let options = ImportOptions::default();
    for (from, to, expected) in [
        (
            "\"total_cpu\": 44",
            "\"total_cpu\": \"44\"",
            "vm.json: cluster_list[0].host_info[0].numa[0].total_cpu: expected a number, got string \"44\"",
        ),
        (
            "\"total_cpu\": 44",
            "\"total_cpu\": -44",
            "vm.json: cluster_list[0].host_info[0].numa[0].total_cpu: expected a number, 0 or more, got -44",
        ),
        (
            "\"total_cpu\": 44, ",
            "",
            "vm.json: cluster_list[0].host_info[0].numa[0].total_cpu: expected a value, got none",
        ),
        (
            "\"node\": 1, \"total_cpu\"",
            "\"node\": 0, \"total_cpu\"",
            "vm.json: cluster_list[0].host_info[0].numa[1].node: expected a NUMA node of its own, got h0/numa0 again",
        ),
        (
            "\"host_id\": \"h1\"",
            "\"host_id\": \"h2\"",
            "vm.json: cluster_list[1].vm_instance[0].numa[0].node: expected a NUMA node of a listed host, got h2/numa0",
        ),
        (
            "\"instance_id\": \"c\"",
            "\"instance_id\": \"a\"",
            "vm.json: cluster_list[1].vm_instance[0].instance_id: expected a name of its own, got a",
        ),
        (
            "{\"node\": 1, \"cpu\": 16",
            "{\"node\": 0, \"cpu\": 16",
            "vm.json: cluster_list[0].vm_instance[1].numa[1].node: expected another NUMA node than the other part, got 0",
        ),
        (
            "\"mem_mb\": 4096",
            "\"mem_mb\": NaN",
            "vm.json: cluster_list[0].vm_instance[0].numa[0].mem_mb: expected JSON (line 6), got NaN",
        ),
        (MACHINES, "{", "vm.json: line 1: expected valid JSON, got the end of the input"),
        (MACHINES, "{\"cluster_list\": []}", "vm: nodes: expected 1 to 4000000 nodes, got 0"),
    ] {
        assert!(MACHINES.contains(from), "{from}");
        let folder = folder(&[("vm.json", &MACHINES.replacen(from, to, 1))]);
        assert_eq!(
            refusal(&folder, vm_snapshot(&folder.path().join("vm.json"), &options)),
            expected
        );
    }
    let folder = folder(&[("vm.json", MACHINES)]);
    let path = folder.path().join("vm.json");
    let half = ImportOptions { fraction: 0.5, ..options.clone() };
    assert_eq!(
        refusal(&folder, vm_snapshot(&path, &half)),
        "vm.json: fraction: expected 1 (a placed cluster is imported whole), got 0.5"
    );
    let slot = ImportOptions { slot: Some("gpu=1".parse().unwrap()), ..options };
    assert_eq!(
        refusal(&folder, vm_snapshot(&path, &slot)),
        "vm (imported): rules.objective.slot.resource: expected one of the scenario's resources (cpu, memory), got \"gpu\""
    );
}

#[test]
fn pods_are_placed_by_best_fit_and_the_rest_is_reported() {
    let folder = folder(&[("nodes.csv", NODES), ("pods.csv", PODS)]);
    let import = |options: &ImportOptions| {
        openb(&folder.path().join("nodes.csv"), &folder.path().join("pods.csv"), options).unwrap()
    };
    let imported = import(&ImportOptions::default());
    let placed: Vec<(&str, &str, f32)> = imported
        .snapshot
        .workloads
        .iter()
        .map(|pod| (pod.name.as_str(), pod.node.as_deref().unwrap(), pod.demand[2]))
        .collect();
    assert_eq!(
        placed,
        [
            // No GPU is wanted: the node without one is left with the least share of GPUs.
            ("p0", "n1", 0.0),
            ("p1", "n0", 0.6),
            // 0.6 does not fit beside 0.6 on a device, but on the next one.
            ("p2", "n0", 0.6),
            ("p3", "n0", 0.4),
            // A whole device is only left on the other node.
            ("p4", "n2", 1.0),
            ("p6", "n1", 0.0),
        ]
    );
    assert_eq!(imported.report.unplaced, ["p5"]);
    assert!(imported.report.to_string().contains("left out, fit on no node: 1 of 7 (p5)\n"));
    assert_eq!(imported.snapshot.workloads[4].classes, ["P100", "T4"]);
    assert_eq!(imported.snapshot.nodes[1].class, "cpu");

    let weights = |objective: &str| {
        let objective = objective.parse().unwrap();
        import(&ImportOptions { objective, budget: 3, ..ImportOptions::default() }).scenario
    };
    assert_eq!(weights("max-load").rules.objective.weights, [("max_load".to_owned(), 1.0)].into());
    assert_eq!(
        weights("imbalance").rules.objective.weights,
        [("imbalance".to_owned(), 1.0)].into()
    );
    let scenario = weights("fragmentation");
    assert_eq!(scenario.rules.objective.weights, [("fragmentation".to_owned(), 1.0)].into());
    assert_eq!(scenario.rules.episode.move_budget, 3);
    assert_eq!(scenario.start.perturb.unwrap().moves, Some([3, 12]));
}

#[test]
fn damaged_tables_are_refused() {
    for (file, from, to, expected) in [
        (
            "nodes.csv",
            "model\n",
            "kind\n",
            "nodes.csv: line 1: expected a column model, got \"sn,cpu_milli,memory_mib,gpu,kind\"",
        ),
        (
            "nodes.csv",
            "n1,8000,",
            "n1,-8000,",
            "nodes.csv: line 3: cpu_milli: expected a whole number from 0 to 1073741824, got \"-8000\"",
        ),
        (
            "nodes.csv",
            "n1,8000,",
            "n1,,",
            "nodes.csv: line 3: cpu_milli: expected a whole number from 0 to 1073741824, got \"\"",
        ),
        (
            "nodes.csv",
            "n2,",
            "n1,",
            "nodes.csv: line 4: sn: expected a name of its own, got \"n1\"",
        ),
        ("nodes.csv", "2,T4", "2,", "nodes.csv: line 2: model: expected a GPU model, got \"\""),
        (
            "nodes.csv",
            "0,\n",
            "0,T4\n",
            "nodes.csv: line 3: model: expected no GPU model, as there is no GPU, got \"T4\"",
        ),
        (
            "nodes.csv",
            "2,P100\n",
            "2\n",
            "nodes.csv: line 4: expected valid CSV, got 4 columns where the header has 5",
        ),
        (
            "nodes.csv",
            "2,T4",
            "99999,T4",
            "nodes.csv: line 2: gpu: expected a whole number from 0 to 1024, got \"99999\"",
        ),
        (
            "pods.csv",
            "1,600",
            "1,1600",
            "pods.csv: line 3: gpu_milli: expected a whole number from 0 to 1000, got \"1600\"",
        ),
        (
            "pods.csv",
            "1,600",
            "1,",
            "pods.csv: line 3: gpu_milli: expected a whole number from 0 to 1000, got \"\"",
        ),
        (
            "pods.csv",
            "P100|T4",
            "P100|T5",
            "pods.csv: line 6: gpu_spec: expected models of the node list, got \"T5\"",
        ),
        (
            "pods.csv",
            PODS,
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n",
            "pods.csv: line 2: expected a row, got the end of the file",
        ),
    ] {
        let text = |name: &str, base: &str| {
            assert!(file != name || base.contains(from), "{from}");
            if file == name { base.replacen(from, to, 1) } else { base.to_owned() }
        };
        let folder = folder(&[
            ("nodes.csv", &text("nodes.csv", NODES)),
            ("pods.csv", &text("pods.csv", PODS)),
        ]);
        let [nodes, pods] = ["nodes.csv", "pods.csv"].map(|name| folder.path().join(name));
        assert_eq!(refusal(&folder, openb(&nodes, &pods, &ImportOptions::default())), expected);
    }
    let folder = folder(&[("nodes.csv", NODES)]);
    let missing = openb(
        &folder.path().join("nodes.csv"),
        &folder.path().join("no.csv"),
        &ImportOptions::default(),
    );
    assert!(refusal(&folder, missing).starts_with("no.csv: expected a readable file, got "));
    for fraction in [0.0, -1.0, 1.5, f64::NAN] {
        let options = ImportOptions { fraction, ..ImportOptions::default() };
        let error = refusal(&folder, openb(Path::new("n"), Path::new("p"), &options));
        assert_eq!(
            error,
            format!("import: fraction: expected a share above 0, up to 1, got {fraction}")
        );
    }
}

#[test]
fn options_are_read_from_text() {
    assert_eq!("cpu=16".parse(), Ok(SlotRules { resource: "cpu".into(), size: 16.0 }));
    for wrong in ["cpu", "cpu=", "=16", "cpu=-1", "cpu=0", "cpu=nan", "cpu=inf", ""] {
        let error = wrong.parse::<SlotRules>().unwrap_err();
        assert_eq!(error, format!("expected RESOURCE=SIZE such as cpu=16, got {wrong:?}"));
    }
    assert_eq!("max-load".parse(), Ok(ImportObjective::MaxLoad));
    assert_eq!(
        "load".parse::<ImportObjective>().unwrap_err(),
        "expected one of max-load, imbalance, fragmentation, got \"load\""
    );
    for (i, (_, objective, _)) in ImportObjective::ALL.into_iter().enumerate() {
        assert_eq!(objective as usize, i, "`term` indexes by position");
    }
}

#[test]
fn what_is_written_loads_again() {
    let folder = folder(&[("two.json", MACHINES)]);
    let imported = vm_snapshot(&folder.path().join("two.json"), &ImportOptions::default()).unwrap();
    let out = folder.path().join("my-cluster.toml");
    let snapshot = imported.write(&out).unwrap();
    assert_eq!(snapshot, folder.path().join("my-cluster.snapshot.json"));

    let loaded = Scenario::load(&out).unwrap();
    assert_eq!(loaded.name, "my-cluster");
    assert_eq!(loaded.cluster.as_deref(), Some(&imported.snapshot));
    assert_eq!(loaded.rules, imported.scenario.rules);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(
        text.starts_with("# Written by `godwit import`.\n#\n# vm-snapshot from two.json\n"),
        "{text}"
    );

    // Overwriting is fine; nothing temporary stays.
    imported.write(&out).unwrap();
    let mut files: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["my-cluster.snapshot.json", "my-cluster.toml", "two.json"]);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = folder(&[("two.json", MACHINES)]);
    let imported = vm_snapshot(&folder.path().join("two.json"), &ImportOptions::default()).unwrap();
    let error = imported.write(folder.path().join("no/such/out.toml")).unwrap_err().to_string();
    assert!(error.contains("no/such/out.snapshot.json: expected to write it, got "), "{error}");
    // A folder stands where the snapshot has to go.
    std::fs::create_dir_all(folder.path().join("out.snapshot.json/full")).unwrap();
    let error = imported.write(folder.path().join("out.toml")).unwrap_err().to_string();
    assert!(
        error.ends_with("out.snapshot.json: expected to write it, got is a directory"),
        "{error}"
    );
    let mut files: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["out.snapshot.json", "two.json"]);
}
