//! Snapshots in, plans out.

use godwit_models::net::Architecture;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Fixture, scorer, write_artifact, write_snapshot};

fn output(command: &mut assert_cmd::Command) -> Value {
    let output = command.assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

#[test]
fn a_plan_improves_the_objective_and_says_who_made_it() {
    let fixture = Fixture::new("quickstart");
    let decision = output(&mut fixture.decide(&fixture.model(), &fixture.snapshot()));
    let plan = &decision["plan"];
    let moves = plan["moves"].as_array().unwrap();
    assert!(!moves.is_empty() && moves.len() <= 10, "{decision}");
    assert!(plan["objective_after"].as_f64() < plan["objective_before"].as_f64(), "{decision}");
    for field in
        ["workload_name", "source_name", "destination_name", "predicted_gain", "transfer_s"]
    {
        assert!(!moves[0][field].is_null(), "{field} in {}", moves[0]);
    }
    assert!(!decision["reason"].as_str().unwrap().is_empty());
    let file = std::fs::read(fixture.model()).unwrap();
    assert_eq!(decision["artifact"]["sha256"], godwit_envs::hex(&Sha256::digest(file)));
    assert_eq!(decision["artifact"]["scenario"], "quickstart");
    let timing = &decision["timing_us"];
    let stage = |name: &str| timing[name].as_u64().unwrap();
    assert!(stage("total") >= stage("artifact") + stage("snapshot") + stage("plan"), "{timing}");
}

#[test]
fn standard_input_gives_the_same_plan_as_a_file() {
    let fixture = Fixture::new("founding-10x50");
    let file = output(&mut fixture.decide(&fixture.model(), &fixture.snapshot()));
    let text = std::fs::read(fixture.snapshot()).unwrap();
    let piped = output(fixture.decide(&fixture.model(), "-".as_ref()).write_stdin(text));
    assert_eq!(file["plan"], piped["plan"]);
}

#[test]
fn an_mlp_decides_for_its_own_size() {
    let fixture = Fixture::new("founding-3x3");
    let model = fixture.path("mlp.pt");
    write_artifact(&model, &fixture.scenario, Architecture::Mlp, |_| {});
    output(&mut fixture.decide(&model, &fixture.snapshot()));
}

#[test]
fn moving_nothing_has_a_reason() {
    let fixture = Fixture::new("quickstart");
    let mut no_moves = fixture.decide(&fixture.model(), &fixture.snapshot());
    let decision = output(no_moves.args(["--max-moves", "0", "--pretty"]));
    assert_eq!(decision["plan"]["stop_reason"], "max_moves");
    assert_eq!(decision["plan"]["moves"], json!([]));

    let mut late = fixture.decide(&fixture.model(), &fixture.snapshot());
    assert_eq!(output(late.args(["--deadline-ms", "0"]))["plan"]["stop_reason"], "deadline");

    let pinned = fixture.path("pinned.json");
    write_snapshot(&pinned, &fixture.scenario, |json| {
        for workload in json["workloads"].as_array_mut().unwrap() {
            workload["movable"] = false.into();
        }
    });
    let decision = output(&mut fixture.decide(&fixture.model(), &pinned));
    assert_eq!(decision["plan"]["stop_reason"], "no_feasible_move");
    assert!(decision["reason"].as_str().unwrap().starts_with("no migration is feasible"));

    let empty = fixture.path("empty.json");
    write_snapshot(&empty, &fixture.scenario, |json| json["workloads"] = json!([]));
    let decision = output(&mut fixture.decide(&fixture.model(), &empty));
    assert_eq!(decision["plan"]["stop_reason"], "no_feasible_move");
}

#[test]
fn what_stays_is_counted_by_reason_and_named_if_that_is_asked_for() {
    let fixture = Fixture::new("quickstart");
    let snapshot = fixture.path("some-pinned.json");
    write_snapshot(&snapshot, &fixture.scenario, |json| {
        for workload in &mut json["workloads"].as_array_mut().unwrap()[..2] {
            workload["movable"] = false.into();
        }
    });
    let workloads = serde_json::from_slice::<Value>(&std::fs::read(&snapshot).unwrap()).unwrap();
    let workloads = workloads["workloads"].as_array().unwrap();
    let counted = output(&mut fixture.decide(&fixture.model(), &snapshot));
    let counts = counted["stays"]["counts"].as_object().unwrap();
    assert_eq!(counts["pinned"], 2);
    let all: u64 = counts.values().map(|count| count.as_u64().unwrap()).sum();
    let moved = counted["plan"]["moves"].as_array().unwrap();
    let mut moved: Vec<&Value> = moved.iter().map(|planned| &planned["workload_name"]).collect();
    moved.sort_by_key(|name| name.as_str());
    moved.dedup();
    assert_eq!(all as usize, workloads.len() - moved.len(), "{counted}");
    assert!(counted["stays"].get("workloads").is_none());

    let listed = output(fixture.decide(&fixture.model(), &snapshot).arg("--stays"));
    assert_eq!(listed["stays"]["counts"], counted["stays"]["counts"]);
    let listed = listed["stays"]["workloads"].as_array().unwrap();
    assert_eq!(listed.len() as u64, all);
    let first = json!({
        "workload": 0, "workload_name": workloads[0]["name"], "reason": "pinned"
    });
    assert_eq!(listed[0], first);
    assert!(listed.iter().all(|stay| !moved.contains(&&stay["workload_name"])));
}

#[test]
fn the_best_of_several_plans_gains_no_less_and_is_the_same_each_time() {
    let fixture = Fixture::new("quickstart");
    // An mlp of arbitrary weights: its own plan leaves much to be gained.
    let model = fixture.path("mlp.pt");
    write_artifact(&model, &fixture.scenario, Architecture::Mlp, |_| {});
    let gain = |decision: &Value| {
        let plan = &decision["plan"];
        let moves = plan["moves"].as_array().unwrap().iter();
        let cost: f64 = moves.map(|planned| planned["cost"].as_f64().unwrap()).sum();
        let level = |at: &str| plan[at].as_f64().unwrap();
        level("objective_before") - level("objective_after") - cost
    };
    let decide = |plans: &str| {
        output(fixture.decide(&model, &fixture.snapshot()).args(["--best-of", plans]))
    };
    let (plain, best) = (decide("1"), decide("12"));
    let default = output(&mut fixture.decide(&model, &fixture.snapshot()));
    assert_eq!(plain["plan"], default["plan"]);
    assert!(gain(&best) > gain(&plain), "{plain} {best}");
    assert_eq!(best["plan"], decide("12")["plan"]);
    fixture.decide(&model, &fixture.snapshot()).args(["--best-of", "0"]).assert().code(2);
}

#[test]
fn online_the_best_of_several_plans_is_the_policys_own() {
    let fixture = Fixture::new("bursty");
    let decide = |plans: &str| {
        output(fixture.decide(&fixture.model(), &fixture.snapshot()).args(["--best-of", plans]))
    };
    let plain = decide("1");
    assert!(plain["plan"]["moves"][0]["expires_s"].as_f64().unwrap() > 0.0, "{plain}");
    assert_eq!(plain["plan"], decide("8")["plan"]);
}

#[test]
fn a_stream_outlives_a_bad_line() {
    let fixture = Fixture::new("founding-10x50");
    let good = std::fs::read_to_string(fixture.snapshot()).unwrap();
    let input = format!("{good}\n{}\n\n{good}\n", &good[..200]);
    let mut command = scorer();
    let command = command
        .args(["stream", "--think", "0"])
        .arg("--model")
        .arg(fixture.model())
        .write_stdin(input);
    let out = command.assert().success().get_output().stdout.clone();
    let lines: Vec<Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["plan"], lines[2]["plan"]);
    assert_eq!(lines[1]["line"], 2);
    // The shape that `serve` answers with.
    assert_eq!(lines[1]["error"]["code"], "malformed_json");
    let error = lines[1]["error"]["message"].as_str().unwrap();
    assert!(error.starts_with("line 2: ") && error.ends_with("the end of the input"), "{error}");
}

#[test]
fn an_artifact_describes_itself() {
    let fixture = Fixture::new("founding-10x50");
    let command = || {
        let mut command = scorer();
        command.arg("inspect").arg(fixture.model());
        command
    };
    let manifest = output(command().arg("--json"));
    assert_eq!(manifest["network"]["architecture"], "relational");
    let text = command().assert().success().get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    for expected in [
        "relational",
        "founding-10x50",
        "objective_change",
        "config.learner.batch",
        "states no results",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    assert!(text.contains(manifest["schema_hash"].as_str().unwrap()));
}

#[test]
fn formats_are_published() {
    let snapshot = output(scorer().arg("schema"));
    assert_eq!(snapshot["title"], "Snapshot");
    assert_eq!(snapshot["additionalProperties"], false);
    let plan = output(scorer().args(["schema", "plan"]));
    assert!(plan["properties"]["plan"].is_object(), "{plan}");
    assert!(plan["$defs"]["PlannedMove"]["properties"]["predicted_gain"].is_object(), "{plan}");
}

#[test]
fn a_line_of_a_stream_that_is_too_long_or_no_text_costs_only_itself() {
    let fixture = Fixture::new("founding-3x3");
    let good = std::fs::read(fixture.snapshot()).unwrap();
    let most = good.len().to_string();
    let too_long = vec![b' '; good.len() + 1];
    let parts = [&good[..], b"\xff\xfe{}", &too_long, b"{}", b"\r", &good];
    let mut command = scorer();
    command.args(["stream", "--max-line-bytes", &most, "--model"]).arg(fixture.model());
    // The last line has no end.
    let output = command.write_stdin(parts.join(&b'\n')).assert().success();
    let lines: Vec<Value> = String::from_utf8(output.get_output().stdout.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&Value, &Value)> =
        lines.iter().map(|line| (&line["line"], &line["error"]["code"])).collect();
    let (none, code) = (Value::Null, |code: &str| json!(code));
    let codes = ["malformed_json", "line_too_large", "invalid_input"].map(code);
    let numbers = [2, 3, 4].map(|number| json!(number));
    let mut expected = vec![(&none, &none)];
    expected.extend(numbers.iter().zip(&codes));
    expected.push((&none, &none));
    assert_eq!(told, expected);
    assert_eq!(lines[0]["plan"], lines[4]["plan"]);
    assert!(lines[0]["plan"].is_object());
    let message = lines[2]["error"]["message"].as_str().unwrap();
    let expected = format!("line 3: expected at most {most} bytes, got {}", too_long.len());
    assert!(message.starts_with(&expected), "{message}");
}

/// What the plan lowers the objective by, costs taken off.
fn worth(decision: &Value) -> f64 {
    decision["plan"]["worth"].as_f64().unwrap()
}

#[test]
fn after_thought_a_bad_policy_follows_a_better_plan_and_the_answer_says_whose() {
    let fixture = Fixture::new("quickstart");
    // An mlp of arbitrary weights.
    let model = fixture.path("mlp.pt");
    write_artifact(&model, &fixture.scenario, Architecture::Mlp, |_| {});
    let decide = |think: &[&str]| {
        let mut command = scorer();
        command.arg("decide").arg("--model").arg(&model).args(think);
        output(command.arg("--snapshot").arg(fixture.snapshot()))
    };
    let plain = decide(&["--think", "0"]);
    assert!(plain.get("thought").is_none(), "{plain}");
    // However slow the machine, that is time for some.
    let best = decide(&["--think", "2000"]);
    let origin = best["thought"]["origin"].as_str().unwrap();
    assert_ne!(origin, "policy");
    assert!(best["thought"]["simulations"].as_u64().unwrap() > 5, "{best}");
    assert!(worth(&best) > worth(&plain) + 0.1, "{plain} {best}");
    // It is on unless it is switched off.
    let usual = decide(&[]);
    assert!(worth(&usual) >= worth(&plain), "{plain} {usual}");
    let mut command = scorer();
    let command = command.args(["decide", "--model", "quickstart", "--snapshot", "x"]);
    command.args(["--think", "soon"]).assert().code(2);
}

#[test]
fn thought_ends_in_time_for_the_plan_before_a_deadline() {
    let fixture = Fixture::new("quickstart");
    let mut command = scorer();
    command.arg("decide").arg("--model").arg(fixture.model());
    command.arg("--snapshot").arg(fixture.snapshot());
    let decision = output(command.args(["--think", "60000", "--deadline-ms", "3000"]));
    assert_ne!(decision["plan"]["stop_reason"], "deadline");
    assert!(decision["timing_us"]["total"].as_u64().unwrap() < 3_000_000, "{decision}");
}

/// Five nodes of seven kinds that nobody trained on, all workloads on the first.
fn unheard_of(kinds: usize) -> Value {
    let names: Vec<String> = (0..kinds).map(|kind| format!("kind-{kind}")).collect();
    let node = |i: usize| json!({"name": format!("n{i}"), "supply": vec![10.0; kinds]});
    let workload = |k: usize| {
        let demand: Vec<f64> = (0..kinds).map(|j| 0.5 + 0.1 * ((k + j) % 3) as f64).collect();
        json!({"name": format!("w{k}"), "node": "n0", "demand": demand, "state_gib": 1.0})
    };
    json!({
        "format": "godwit-snapshot/1",
        "resources": names,
        "nodes": (0..5).map(node).collect::<Vec<_>>(),
        "workloads": (0..14).map(workload).collect::<Vec<_>>(),
    })
}

#[test]
fn without_a_model_clusters_of_any_resource_kinds_are_decided_about() {
    for kinds in [1, 2, 7, 16] {
        let text = unheard_of(kinds).to_string();
        let mut decide = scorer();
        decide.args(["decide", "--snapshot", "-"]).write_stdin(text);
        let decision = output(&mut decide);
        let plan = &decision["plan"];
        assert!(!plan["moves"].as_array().unwrap().is_empty(), "{kinds} kinds: {decision}");
        assert!(plan["objective_after"].as_f64() < plan["objective_before"].as_f64(), "{decision}");
        assert_eq!(decision["artifact"]["scenario"], "generalist");
    }
}

#[test]
fn a_cluster_unlike_those_of_the_training_is_told_of() {
    let warned = |text: String| {
        let mut decide = scorer();
        decide.args(["decide", "--model", "founding-10x50", "--snapshot", "-"]).write_stdin(text);
        let decision = output(&mut decide);
        let warnings = decision["warnings"].as_array().unwrap().clone();
        warnings.into_iter().find(|warning| warning["code"] == "outside_training")
    };
    let fixture = Fixture::new("founding-10x50");
    let usual = std::fs::read_to_string(fixture.snapshot()).unwrap();
    assert_eq!(warned(usual.clone()), None);
    let mut slow: Value = serde_json::from_str(&usual).unwrap();
    for node in slow["nodes"].as_array_mut().unwrap() {
        node["bandwidth_gib_s"] = 1e-4.into();
    }
    let warning = warned(slow.to_string()).expect("a warning");
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("far outside of what the policy was trained on"), "{message}");
    assert!(
        warning["names"].as_array().unwrap().contains(&"transfer of a move".into()),
        "{warning}"
    );
}
