//! `godwit train --list-settings`: every setting of a run, from the doc comments of its type.

use super::reference::{self, Section, Unset, toml_value};
use crate::config::TrainConfig;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Longest line of the list.
const COLUMNS: usize = 80;

/// A setting.
#[derive(Serialize)]
pub(super) struct Setting {
    /// Its dotted key.
    key: String,
    /// What it takes.
    r#type: String,
    /// Which values, where the type does not say it.
    range: Option<String>,
    default: Value,
    /// What it means, and the paper that it comes from.
    meaning: String,
}

/// All settings, table by table.
pub(super) fn list() -> Vec<Setting> {
    let mut list = Vec::new();
    for Section { path, fields, .. } in ranged_sections() {
        let dot = if path.is_empty() { "" } else { "." };
        for field in fields.into_iter().filter(|field| !field.is_table) {
            let (r#type, range) = match field.kind.split_once(RANGE) {
                Some((kind, range)) => (kind.to_owned(), Some(range.to_owned())),
                None => (field.kind, None),
            };
            list.push(Setting {
                key: format!("{path}{dot}{}", field.name),
                r#type,
                range,
                default: match field.default {
                    Unset::Value(value) => value,
                    Unset::Required | Unset::Nothing => Value::Null,
                },
                meaning: field.meaning,
            });
        }
    }
    list
}

/// Between a type and its range.
const RANGE: &str = ": ";

/// The tables of the settings; types state the ranges that settings are checked for.
fn ranged_sections() -> Vec<Section> {
    let mut sections = reference::sections(&TrainConfig::json_schema());
    let ranges = TrainConfig::ranges();
    for Section { path, fields, .. } in &mut sections {
        let dot = if path.is_empty() { "" } else { "." };
        for field in fields {
            let key = format!("{path}{dot}{}", field.name);
            let own = ranges.iter().filter(|(of, _)| *of == key).map(|(_, range)| *range);
            let range = own.collect::<Vec<_>>().join("; ");
            if field.kind.starts_with("number or table") {
                field.kind = "schedule".to_owned();
            }
            if !range.is_empty() {
                field.kind = format!("{}{RANGE}{range}", field.kind);
            }
        }
    }
    sections
}

/// The list as a file of settings, all at their defaults.
pub(super) fn as_toml(list: &[Setting]) -> String {
    let mut text = String::from(
        "# Every setting of `godwit train`, at its default. Keep the lines that you\n\
         # change in a file for --config, or give them as --set KEY=VALUE. A schedule is\n\
         # a number, or a table of from, to and share: linear from `from` to `to` over\n\
         # the first `share` of the run.\n",
    );
    for Setting { key, r#type, range, default, meaning } in list {
        text.push('\n');
        let range = range.as_ref().map_or(String::new(), |range| format!("{RANGE}{range}"));
        for line in wrapped(&format!("{meaning} [{}{range}]", r#type), COLUMNS - 2) {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{key} = {}", toml_value(default));
    }
    text
}

/// Text in lines of so many characters, but for longer words.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The page of the book about the settings.
pub(super) fn page() -> String {
    let head = "Settings are given in a file for `--config`, in the `[train]` table of a scenario, or one by one as `--set KEY=VALUE`. A key is the path of its table and its name: `gamma` in the table `learner` is `learner.gamma`. Within a table, keys are in alphabetical order.\n\nA *schedule* is a number, or a table of `from`, `to` and `share`: the value goes linearly from `from` to `to` over the first `share` of the run, and stays there. Its parts have keys of their own, such as `exploration.epsilon.to`.\n\n`godwit train --list-settings` prints this list as a settings file, with `--json` as JSON.";
    reference::page("Training settings", head, "make reference", &ranged_sections())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[test]
    fn the_list_is_a_settings_file_of_all_defaults() {
        let text = as_toml(&list());
        let table: toml::Table = text.parse().unwrap();
        let defaults = toml::Table::try_from(TrainConfig::default()).unwrap();
        assert_eq!(table, defaults, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }

    #[test]
    fn a_setting_says_its_type_range_default_and_paper() {
        let list = list();
        let setting = |key: &str| list.iter().find(|setting| setting.key == key).unwrap();
        let gamma = setting("learner.gamma");
        assert_eq!((gamma.r#type.as_str(), gamma.range.as_deref()), ("number", Some("0 to 1")));
        assert_eq!(gamma.default, 0.99);
        assert!(setting("learner.double").meaning.contains("van Hasselt et al., AAAI 2016"));
        assert_eq!(setting("exploration.epsilon").r#type, "schedule");
        assert!(setting("network.architecture").r#type.contains("`relational`"));
    }
}
