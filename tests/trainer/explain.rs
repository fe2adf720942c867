//! `godwit explain` as its users meet it.

use crate::godwit;

#[test]
fn a_policy_and_a_baseline_are_asked_in_each_others_states() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let run = run.to_str().unwrap();
    let small = ["--env-steps", "256", "--set", "warm_up_steps=64", "--out", run];
    godwit(&[&["train", "founding-3x3"][..], &small].concat()).assert().success();

    let explain = ["explain", "founding-3x3", "--policy", run, "--episodes", "3"];
    let with = |more: &[&str]| godwit(&[&explain[..], more].concat()).output().unwrap();
    let json = with(&["--against", "best-single-move", "--json"]).stdout;
    let both: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for (explained, [policy, asked]) in both
        .as_array()
        .unwrap()
        .iter()
        .zip([["run", "best-single-move"], ["best-single-move", "run"]])
    {
        assert_eq!((&explained["policy"], &explained["asked"]), (&policy.into(), &asked.into()));
        assert!(explained["decisions"]["decisions"].as_u64().unwrap() >= 3, "{explained}");
    }
    let table = String::from_utf8(with(&["--against", "best-single-move"]).stdout).unwrap();
    assert!(table.contains("founding-3x3: moves of best-single-move per episode"), "{table}");
    // Best single moves lower the objective at once, whatever the policy has learnt.
    let moves = table.lines().filter(|line| line.starts_with("relieves now")).count();
    assert!(moves >= 1 && table.lines().filter(|line| line.starts_with("all")).count() == 2);

    let refused = with(&["--against", "bestest"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(
        text.contains("--against: expected a baseline (stay, ") && text.lines().count() == 1,
        "{text}"
    );
}
