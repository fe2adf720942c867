//! Several processes under `mpirun`: equal weights, the update of the whole batch, resuming, a lost
//! rank, a shared sweep. Where there is no `mpirun`, the tests say so and do nothing.

#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use godwit::config::TrainConfig;
use godwit::distributed::average::GradientAverage;
use godwit::distributed::join;
use godwit::learn::dqn::Source;
use godwit::train::assemble::new_trainer;
use godwit_envs::scenario::Scenario;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// `mpirun` for this many ranks on one machine, however few cores it has; `None` with a reason on
/// standard error where it is missing.
fn mpirun(ranks: usize) -> Option<Command> {
    if let Err(error) = Command::new("mpirun").arg("--version").output() {
        eprintln!("skipped: mpirun cannot be started: {error}");
        return None;
    }
    let mut command = Command::new("mpirun");
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_hwloc_base_binding_policy", "none")
        .args(["-n", &ranks.to_string()]);
    Some(command)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn train(mut command: Command, run: &Path, env_steps: u64) -> Command {
    command
        .arg(env!("CARGO_BIN_EXE_godwit"))
        .args(["train", "quickstart", "--device", "cpu", "--threads", "1", "--out", text(run)])
        .args(["--env-steps", &env_steps.to_string()])
        .args(["--set", "env_copies=4", "--set", "warm_up_steps=64", "--set", "network.hidden=16"])
        .args(["--set", "evaluate_episodes=5", "--set", "evaluate_every=512"])
        .args(["--set", "checkpoint_every=256", "--set", "learner.batch_size=16"]);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

fn weights(run: &Path, rank: usize) -> Vec<u8> {
    let folder = if rank == 0 { run.to_owned() } else { run.join(format!("rank-{rank}")) };
    fs::read(folder.join("last/weights.safetensors")).unwrap()
}

#[test]
fn ranks_have_equal_weights_and_one_log() {
    let folder = tempfile::tempdir().unwrap();
    for ranks in [2, 4] {
        let Some(command) = mpirun(ranks) else { return };
        let run = folder.path().join(ranks.to_string());
        let output = train(command, &run, 1024).output().unwrap();
        succeeded(&output);
        for rank in 1..ranks {
            assert!(weights(&run, rank) == weights(&run, 0), "rank {rank} of {ranks}");
            assert!(!run.join(format!("rank-{rank}/metrics.jsonl")).exists());
        }
        let said = stderr(&output);
        // Of the ranks, one says what is trained and what came of it.
        for once in [" updates, best validation return ", "network   ", "compare it: "] {
            assert_eq!(said.matches(once).count(), 1, "{once}: {said}");
        }
        let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert!(lines.contains("\"episodes\":5"), "{lines}");
    }
}

/// What a rank of the test below does; it is alone without a launcher.
#[test]
#[ignore = "started by another test under mpirun"]
fn share_of_a_batch() {
    let Ok(out) = std::env::var("GODWIT_TEST_OUT") else { return };
    let launch = join().unwrap();
    let group = launch.as_ref().map(|launch| Arc::clone(&launch.group));
    let (rank, size) = group.as_ref().map_or((0, 1), |group| (group.rank(), group.size()));
    let mut config =
        TrainConfig { env_copies: 4, warm_up_steps: u64::MAX, ..TrainConfig::default() };
    config.learner.batch_size = 32 / size;
    config.network.hidden = 16;
    let scenario = Scenario::embedded("quickstart").unwrap();
    let mut trainer = new_trainer(&scenario.into(), &config, Device::Cpu).unwrap();
    for _ in 0..40 {
        trainer.round(false).unwrap();
    }
    trainer.learner.average = group.map(GradientAverage::new);
    // All ranks have the same experience and draw the same stream; each uses its turn.
    for _ in 0..20 {
        let mut own = None;
        for turn in 0..size {
            let source = Source { beta: 1.0, ..Source::from(&trainer.replay) };
            let batch = trainer.learner.draw(&source);
            own = if turn == rank { Some(batch) } else { own };
        }
        trainer.learner.update(&own.unwrap(), 1e-3, false);
    }
    let weights: Vec<u8> = trainer.weights().iter().flat_map(|w| w.to_le_bytes()).collect();
    fs::write(format!("{out}-{size}-{rank}"), weights).unwrap();
    if let Some(launch) = launch {
        launch.leave();
    }
}

#[test]
fn ranks_that_share_a_batch_make_the_update_of_the_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("weights");
    let test = std::env::current_exe().unwrap();
    let args = ["--exact", "share_of_a_batch", "--ignored"];
    let alone = Command::new(&test).args(args).env("GODWIT_TEST_OUT", &out).output().unwrap();
    succeeded(&alone);
    let read = |size: usize, rank: usize| -> Vec<f32> {
        let bytes = fs::read(format!("{}-{size}-{rank}", text(&out))).unwrap();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    for size in [2, 4] {
        let Some(mut command) = mpirun(size) else { return };
        succeeded(&command.arg(&test).args(args).env("GODWIT_TEST_OUT", &out).output().unwrap());
        for rank in 1..size {
            assert!(read(size, rank) == read(size, 0), "the same bits on rank {rank} of {size}");
        }
        let pairs = read(1, 0).into_iter().zip(read(size, 0));
        let distance = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!("{size} ranks: the largest difference of a weight is {distance:e}");
        assert!(distance < 1e-5, "{size} ranks: {distance}");
    }
}

/// The process of a rank below `mpirun`.
fn process_of(mpirun: &Child, rank: usize) -> i32 {
    let wanted = format!("OMPI_COMM_WORLD_RANK={rank}\0");
    let children = format!("/proc/{0}/task/{0}/children", mpirun.id());
    for pid in fs::read_to_string(children).unwrap().split_whitespace() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        if String::from_utf8_lossy(&environment).contains(&wanted) {
            return pid.parse().unwrap();
        }
    }
    panic!("no process of rank {rank}");
}

fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_lost_rank_ends_the_run_which_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // Killed, or hanging, which no launcher notices.
    for (name, signal) in [("killed", libc::SIGKILL), ("hanging", libc::SIGSTOP)] {
        let Some(command) = mpirun(2) else { return };
        let run = folder.path().join(name);
        let mut child = train(command, &run, 1_000_000).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&run.join("rank-1/previous"));
        // SAFETY: a signal to a process that `mpirun`, which still runs, has not waited for.
        assert_eq!(unsafe { libc::kill(process_of(&child, 1), signal) }, 0);
        let begin = Instant::now();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        let took = begin.elapsed();
        eprintln!("{name}: the run ended after {:.1} s", took.as_secs_f64());
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert!(!status.success());
        assert!(said.contains("error: rank 1 of 2 is lost"), "{said}");
        assert!(said.contains("godwit train --resume"), "{said}");

        let Some(mut command) = mpirun(2) else { return };
        command.arg(env!("CARGO_BIN_EXE_godwit")).args(["train", "--resume", text(&run)]);
        command.args(["--env-steps", "1024", "--device", "cpu", "--threads", "1"]);
        succeeded(&command.output().unwrap());
        assert!(weights(&run, 0) == weights(&run, 1));
    }
}

#[test]
fn resuming_gives_the_same_bits_and_fewer_ranks_may_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(command) = mpirun(2) else { return };
    let whole = folder.path().join("whole");
    succeeded(&train(command, &whole, 3072).output().unwrap());
    let part = folder.path().join("part");
    let Some(command) = mpirun(2) else { return };
    let child = train(command, &part, 3072).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&part.join("rank-1/previous"));
    // SAFETY: as above. One rank is asked to stop, and both do.
    assert_eq!(unsafe { libc::kill(process_of(&child, 1), libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
    let resume = |ranks: usize, steps: &str| {
        let mut command = mpirun(ranks).unwrap();
        command.arg(env!("CARGO_BIN_EXE_godwit")).args(["train", "--resume", text(&part)]);
        command.args(["--env-steps", steps, "--device", "cpu", "--threads", "1"]);
        succeeded(&command.output().unwrap());
    };
    resume(2, "3072");
    assert!(weights(&part, 0) == weights(&whole, 0), "as if it had never stopped");
    resume(1, "3328");
    let metrics = fs::read_to_string(part.join("metrics.jsonl")).unwrap();
    assert!(metrics.lines().last().unwrap().contains("\"env_steps\":3328"), "{metrics}");
}

#[test]
fn ranks_share_out_the_runs_of_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let space = folder.path().join("space.toml");
    fs::write(
        &space,
        "scenarios = [\"founding-3x3\"]\ntrials = 4\nenv_steps = 512\nhalving = 2\nrungs = 2\n\
         [settings]\nwarm_up_steps = 64\nenv_copies = 4\nevaluate_episodes = 2\n\
         [space]\nlearner.gamma = { min = 0.5, max = 1 }\n",
    )
    .unwrap();
    let sweep = |mut command: Command, name: &str| {
        let out = folder.path().join(name);
        command.args(["sweep", text(&space), "--out", text(&out), "--device", "cpu"]);
        succeeded(&command.args(["--threads", "1"]).output().unwrap());
        fs::read_to_string(out.join("results.json")).unwrap()
    };
    let Some(mut several) = mpirun(2) else { return };
    several.arg(env!("CARGO_BIN_EXE_godwit"));
    let alone = sweep(Command::new(env!("CARGO_BIN_EXE_godwit")), "alone");
    assert_eq!(sweep(several, "several"), alone);
}

#[test]
fn a_mistake_is_told_and_ends_all_ranks() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let Some(command) = mpirun(2) else { return };
    let output = train(command, folder.path(), 512).output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("other files"), "{}", stderr(&output));
}
