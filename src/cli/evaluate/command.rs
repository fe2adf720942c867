//! The command line of an evaluation, for its report.

use super::super::output::word;
use super::Args;
use std::path::Path;

/// The command that was given, for others to repeat: paths are cut down to their last part, which
/// says nothing about this machine.
pub(super) fn command(args: &Args) -> String {
    let last = |path: &Path| match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    let mut words = vec!["godwit evaluate".to_owned(), word(last(Path::new(&args.scenario)))];
    for policy in &args.policy {
        words.extend(["--policy".into(), word(last(policy))]);
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
