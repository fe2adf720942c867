//! `godwit --help`: the commands in groups, which clap itself does not know.

use super::Cli;
use clap::{Command, CommandFactory, FromArgMatches};
use std::fmt::Write as _;

/// The commands by what one wants to do.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Train", &["train", "sweep", "tune-baselines"]),
    ("Compare", &["evaluate", "explain", "baselines"]),
    ("Ship", &["export", "verify", "snapshot"]),
    ("Data", &["scenarios", "import"]),
    ("Machine", &["bench", "doctor"]),
];

/// Reads the command line; ends the process where it asks for help or cannot be read.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The whole command line.
fn command() -> Command {
    let command = Cli::command();
    let template = template(&command);
    command.help_template(template)
}

fn template(command: &Command) -> String {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let longest = command.get_subcommands().map(|command| command.get_name().len()).max();
    let width = longest.unwrap_or(0);
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (title, names) in GROUPS {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "\n{header}{title}:{header:#}");
        for command in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            let _ = writeln!(text, "  {literal}{name:width$}{literal:#}  {about}");
        }
    }
    let _ = writeln!(text, "\n{header}Options:{header:#}");
    text + "{options}{after-help}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_exactly_one_group() {
        let command = Cli::command();
        let mut known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        let mut grouped: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        known.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, known);
    }

    #[test]
    fn the_help_shows_the_groups_and_a_line_for_each_command() {
        let help = command().render_help().to_string();
        for (title, names) in GROUPS {
            assert!(help.contains(&format!("\n{title}:\n")), "{help}");
            for name in names {
                let line = help.lines().find(|line| line.trim_start().starts_with(name));
                assert!(line.is_some_and(|line| line.len() > 24), "{name}: {help}");
            }
        }
        assert!(help.contains("\nOptions:\n") && help.contains("--version"), "{help}");
        assert!(help.contains("Exit codes"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
}
