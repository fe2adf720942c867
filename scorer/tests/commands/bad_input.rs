//! Whatever is wrong with the input is one line on standard error, and exit code 2.

use std::path::Path;

use godwit_envs::scenario::Scenario;
use godwit_models::net::Architecture;

use crate::support::{Fixture, scorer, write_artifact, write_snapshot};

/// Runs `decide`, which must refuse; gives the message behind `error: `.
fn refusal(fixture: &Fixture, model: &Path, snapshot: &Path) -> String {
    let assert = fixture.decide(model, snapshot).assert().code(2).stdout("");
    let text = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "more than a line: {text}");
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("no error: {text}")).to_owned()
}

/// The refusal of a snapshot that is this text, without the file's name.
fn snapshot_refusal(fixture: &Fixture, text: &str) -> String {
    let path = fixture.path("bad.json");
    std::fs::write(&path, text).unwrap();
    let message = refusal(fixture, &fixture.model(), &path);
    let file = format!("{}: ", path.display());
    message.strip_prefix(&file).unwrap_or_else(|| panic!("names no file: {message}")).to_owned()
}

#[test]
fn bad_snapshots() {
    let fixture = Fixture::new("quickstart");
    let good = std::fs::read_to_string(fixture.snapshot()).unwrap();

    let truncated = snapshot_refusal(&fixture, &good[..good.len() / 2]);
    assert!(truncated.ends_with("got the end of the input"), "{truncated}");

    let at = good.find("\"demand\":[").unwrap() + "\"demand\":[".len();
    let end = at + good[at..].find([',', ']']).unwrap();
    let with = |number: &str| format!("{}{number}{}", &good[..at], &good[end..]);
    let nan = snapshot_refusal(&fixture, &with("NaN"));
    assert!(nan.starts_with("workloads[0].demand") && nan.ends_with("got NaN"), "{nan}");
    let infinite = snapshot_refusal(&fixture, &with("1e999"));
    assert!(infinite.contains("expected") && infinite.contains("demand"), "{infinite}");
    let negative = snapshot_refusal(&fixture, &with("-1"));
    assert_eq!(negative, "workloads[0].demand[0]: expected a finite number, 0 or more, got -1");

    let unknown = snapshot_refusal(&fixture, &good.replacen("\"supply\"", "\"capacity\"", 1));
    assert!(unknown.starts_with("nodes[0].capacity: expected a known field"), "{unknown}");
    let other = snapshot_refusal(&fixture, &good.replacen("\"memory\"", "\"disk\"", 1));
    assert!(other.starts_with("resources: expected [") && other.contains("got ["), "{other}");
    let empty = snapshot_refusal(&fixture, "");
    assert!(empty.contains("expected valid JSON"), "{empty}");
}

#[test]
fn a_missing_snapshot() {
    let fixture = Fixture::new("founding-3x3");
    let message = refusal(&fixture, &fixture.model(), &fixture.path("none.json"));
    assert!(message.contains("none.json: expected a readable file"), "{message}");
    assert_eq!(message.matches("os error").count(), 1, "{message}");
}

#[test]
fn damaged_artifacts() {
    let fixture = Fixture::new("founding-3x3");
    let good = std::fs::read(fixture.model()).unwrap();
    let bad = fixture.path("bad.pt");
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&bad, bytes).unwrap();
        let message = refusal(&fixture, &bad, &fixture.snapshot());
        assert!(message.starts_with(&format!("artifact {}: ", bad.display())), "{message}");
    }
    std::fs::write(&bad, &good[..good.len() - 1]).unwrap();
    refusal(&fixture, &bad, &fixture.snapshot());
    scorer().arg("inspect").arg(&bad).assert().code(2);
    let missing = refusal(&fixture, &fixture.path("none.pt"), &fixture.snapshot());
    assert!(missing.contains("none.pt: expected a file or the name of"), "{missing}");
}

#[test]
fn artifacts_for_another_world() {
    let fixture = Fixture::new("quickstart");
    let bad = fixture.path("bad.pt");
    let small = Scenario::embedded("founding-3x3").unwrap();

    // Other features than the rules lead to: what an older version would have observed.
    write_artifact(&bad, &fixture.scenario, Architecture::Relational, |manifest| {
        manifest.schema.node[0].name = "usage[cpu]".to_owned();
    });
    let message = refusal(&fixture, &bad, &fixture.snapshot());
    assert!(message.contains("schema: expected features of this version, got "), "{message}");

    write_artifact(&bad, &fixture.scenario, Architecture::Relational, |manifest| {
        manifest.network.hidden += 1;
    });
    let message = refusal(&fixture, &bad, &fixture.snapshot());
    assert!(message.contains("tensors: ") && message.contains(", got F32 ["), "{message}");

    write_artifact(&bad, &fixture.scenario, Architecture::Relational, |manifest| {
        manifest.rules["objectives"] = 1.into();
    });
    let message = refusal(&fixture, &bad, &fixture.snapshot());
    assert!(message.contains("rules: unknown field `objectives`"), "{message}");

    // A network of one size, and a cluster of another.
    write_artifact(&bad, &small, Architecture::Mlp, |_| {});
    let more = fixture.path("more.json");
    write_snapshot(&more, &small, |json| {
        let mut node = json["nodes"][0].clone();
        node["name"] = "another".into();
        json["nodes"].as_array_mut().unwrap().push(node);
    });
    let message = refusal(&fixture, &bad, &more);
    assert!(
        message.ends_with("nodes: expected 3 nodes, the only size that the network serves, got 4"),
        "{message}"
    );
}

#[test]
fn bad_usage() {
    for arguments in [&["decide"][..], &["schema", "picture"], &["decide", "--modle", "x"], &[]] {
        scorer().args(arguments).assert().code(2).stdout("");
    }
}
