//! The log's files, written and read back.

use super::*;
use crate::train::assemble::new_trainer;
use godwit_envs::scenario::Scenario;
use std::fs;
use std::time::Instant;

fn lines(directory: &RunDirectory) -> Vec<Value> {
    let text = fs::read_to_string(directory.path().join("metrics.jsonl")).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn lines_are_json_and_a_resumed_run_drops_the_steps_it_makes_again() {
    let scenario = Scenario::embedded("founding-3x3").expect("an embedded scenario");
    let scenario = Mixture::from(scenario);
    let config = TrainConfig {
        env_steps: 400,
        env_copies: 2,
        round_steps: 40,
        warm_up_steps: 20,
        replay_capacity: 200,
        ..TrainConfig::default()
    };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let directory = RunDirectory::create(folder.path(), &scenario, &config).expect("a run");
    let mut trainer = new_trainer(&scenario, &config, tch::Device::Cpu).expect("a trainer");
    let mut log = RunLog::open(&directory, &scenario, &config, 0, Instant::now()).expect("a log");
    assert!(log.wants_stats(), "the first round is logged");
    let mut first = trainer.round(true).expect("a round");
    let second = trainer.round(true).expect("a round");
    first.finished.extend(second.finished);
    first.stats = second.stats;
    log.round(&trainer, &first, true);
    assert!(!log.wants_stats(), "the next line is not due yet");
    // A round that was not asked for its figures has none to write, however long it took.
    log.round(&trainer, &RoundReport::default(), false);
    let outcome = Outcome {
        episode_return: 0.5,
        moves: 2,
        decision_seconds: vec![1e-6; 3],
        ..Outcome::default()
    };
    let validation = Validation::new(&scenario, &[1.0], vec![vec![outcome.clone(), outcome]]);
    log.evaluation(&trainer, &validation).expect("logged");
    log.warn("something");
    log.finish();

    let written = lines(&directory);
    let kinds: Vec<&str> = written.iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["round", "evaluation", "warning"]);
    let round = &written[0];
    assert_eq!((&round["env_steps"], &round["updates"]), (&json!(160), &json!(20)));
    for name in [
        "return",
        "paid_return",
        "loss",
        "mean_q",
        "gradient_norm",
        "epsilon",
        "learning_rate",
        "replay_fill",
    ] {
        assert!(round[name].is_f64(), "{name}: {}", round[name]);
    }
    assert!(round["terms"]["max_load"].is_f64() && round["td_error"]["q90"].is_f64(), "{round}");
    assert_eq!((&written[1]["return"], &written[1]["moves"]), (&json!(0.5), &json!(2.0)));

    // A kill in the middle of a line, and a resume from an earlier checkpoint.
    let path = directory.path().join("metrics.jsonl");
    let mut text = fs::read_to_string(&path).expect("a file");
    text.push_str(
        "{\"kind\":\"round\",\"env_steps\":170,\"updates\":21,\"seconds\":2.0}\n{\"kind\":\"ro",
    );
    fs::write(&path, text).expect("writable");
    let mut log = RunLog::open(&directory, &scenario, &config, 160, Instant::now()).expect("a log");
    log.note("resumed");
    log.finish();
    let resumed = lines(&directory);
    assert_eq!(resumed.len(), 4);
    assert_eq!(resumed[..3], written[..]);
    assert_eq!((&resumed[3]["env_steps"], &resumed[3]["text"]), (&json!(160), &json!("resumed")));
    assert!(resumed[3]["seconds"].as_f64() >= written[2]["seconds"].as_f64());
}

#[test]
fn tensorboard_records_hold_what_their_headers_say() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut board = TensorBoard::create(folder.path()).expect("an event file");
    board.scalars(300, &[("round/loss".to_owned(), 0.5)]).expect("written");
    let bytes = fs::read(board.path()).expect("a file");
    let mut records = Vec::new();
    let mut rest: &[u8] = &bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        records.push(&tail[4..4 + length]);
        rest = &tail[8 + length..];
    }
    assert_eq!(records.len(), 2);
    assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
    // wall_time (9 bytes), step = 300, summary { value { tag, simple_value = 0.5 } }
    let mut expected = vec![0x10, 0xac, 0x02, 0x2a, 19, 0x0a, 17, 0x0a, 10];
    expected.extend(b"round/loss");
    expected.extend([0x15, 0, 0, 0, 0x3f]);
    assert_eq!(records[1][9..], expected);
}

#[test]
fn a_full_disk_warns_once_and_goes_on() {
    let scenario = Scenario::embedded("founding-3x3").expect("an embedded scenario");
    let scenario = Mixture::from(scenario);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let config = TrainConfig::default();
    let directory = RunDirectory::create(folder.path(), &scenario, &config).expect("a run");
    // `/dev/full` refuses every write the way a full disk does.
    if !Path::new("/dev/full").exists() {
        println!("skipped: there is no /dev/full here");
        return;
    }
    let mut log = RunLog::open(&directory, &scenario, &config, 0, Instant::now()).expect("a log");
    let full = fs::OpenOptions::new().append(true).open("/dev/full").expect("a device");
    log.metrics = Metrics::of("/dev/full".into(), full);
    log.note("one");
    assert!(log.warned_of_disk);
    log.note("two");
    log.finish();
}
