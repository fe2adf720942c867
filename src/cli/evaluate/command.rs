//! The command line of an evaluation, for its report.

use super::super::output::word;
use super::Args;
use std::path::{Component, Path};

/// The command that was given, for others to repeat. Of a path that begins at the root of this
/// machine, or above the present folder, only the last part is shown: the rest says nothing to them.
pub(super) fn command(args: &Args) -> String {
    let last = |path: &Path| {
        let within =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        match path.file_name() {
            Some(name) if !within => name.to_string_lossy().into_owned(),
            _ => path.display().to_string(),
        }
    };
    let mut words = vec!["godwit evaluate".to_owned(), word(last(Path::new(&args.scenario)))];
    for policy in &args.policy {
        words.extend(["--policy".into(), word(last(policy))]);
    }
    for external in &args.external {
        words.extend(["--external".into(), word(external.clone())]);
    }
    if args.external_candidates {
        words.push("--external-candidates".into());
    }
    if args.baselines != "all" {
        words.extend(["--baselines".into(), word(args.baselines.clone())]);
    }
    match &args.tuned {
        Some(Some(file)) => words.extend(["--tuned".into(), word(last(file))]),
        Some(None) => words.push("--tuned".into()),
        None => {}
    }
    words.push(format!("--episodes {} --seed {}", args.episodes, args.seed));
    if let Some(seconds) = args.time_limit {
        words.push(format!("--time-limit {seconds}"));
    }
    if let Some(limits) = &args.limits {
        words.extend(["--limits".into(), word(last(limits))]);
    }
    if args.unruled {
        words.push("--unruled".into());
    }
    if let Some(window) = args.oscillation_window {
        words.push(format!("--oscillation-window {window}"));
    }
    if let Some(plans) = args.best_of {
        words.push(format!("--best-of {plans}"));
    }
    if let Some(think) = args.think {
        words.push(format!("--think {think}"));
    }
    if let Some(seconds) = args.hindsight {
        words.push(format!("--hindsight {seconds}"));
    }
    if let Some(seconds) = args.bound {
        words.push(format!("--bound {seconds}"));
    }
    if let Some(before) = &args.before {
        words.extend(["--before".into(), word(last(before))]);
    }
    if let Some(folder) = &args.report {
        words.extend(["--report".into(), word(last(folder))]);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn paths_below_the_present_folder_can_be_pasted_and_others_name_no_machine() {
        let words = ["evaluate", "mine.toml", "--policy", "checkpoints/first", "--policy"];
        let given = Given::parse_from([&words[..], &["/home/somebody/other.pt"]].concat());
        assert_eq!(
            command(&given.args),
            "godwit evaluate mine.toml --policy checkpoints/first --policy other.pt --episodes 100 \
             --seed 0"
        );
        let given = Given::parse_from(["evaluate", "mine.toml", "--time-limit", "0.5"]);
        assert!(command(&given.args).ends_with("--seed 0 --time-limit 0.5"));
        let given = Given::parse_from(["evaluate", "../mine.toml"]);
        assert_eq!(command(&given.args), "godwit evaluate mine.toml --episodes 100 --seed 0");
    }
}
