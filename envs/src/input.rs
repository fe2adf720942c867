//! Refused input: one error shape for every file that people or other programs write, so that all
//! of them read `{file}: {field}: expected {expected}, got {got}`, on one line.

use serde_path_to_error::{Path, Segment};
use std::io;

/// Why an input file was refused. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file could not be read.
    #[error("{file}: expected a readable file, got {source}")]
    Unreadable {
        /// Name of the file, as given.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{file}: expected to write it, got {source}")]
    Unwritable {
        /// Name of the file, as given.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The text is not of the file's format at all.
    #[error("{file}: line {line}: expected valid {format}, got {message}")]
    Syntax {
        /// Name of the file, as given.
        file: String,
        /// Line of the first offence, from 1.
        line: usize,
        /// For example `TOML`.
        format: &'static str,
        /// What the parser said.
        message: String,
    },
    /// A field holds something that it must not.
    #[error("{file}: {field}: expected {expected}, got {got}")]
    Field {
        /// Name of the file, as given.
        file: String,
        /// Path of the field, for example `workloads[3].demand.cpu`.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What was found.
        got: String,
    },
}

impl InputError {
    /// A [`InputError::Field`].
    pub fn field(
        file: impl Into<String>,
        field: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Field {
            file: file.into(),
            field: on_one_line(field.into()),
            expected: on_one_line(expected.into()),
            got: on_one_line(got.into()),
        }
    }
}

/// Most characters of each part of a message.
const LONGEST: usize = 500;

/// The text with control characters escaped, and its end cut off where it is long: names in a file
/// may hold anything.
fn on_one_line(text: String) -> String {
    if text.len() <= LONGEST && !text.contains(char::is_control) {
        return text;
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    let line: String = text.chars().take(LONGEST).map(escape).collect();
    if text.chars().nth(LONGEST).is_some() { line + "..." } else { line }
}

/// Reads a text file; not UTF-8 is refused as any other unreadable file.
///
/// # Errors
/// When it cannot be read.
pub fn read_text(path: &std::path::Path) -> Result<String, InputError> {
    std::fs::read_to_string(path)
        .map_err(|source| InputError::Unreadable { file: path.display().to_string(), source })
}

/// Reads JSON with errors that name the field and what was found. `label` is what they call the
/// text.
///
/// # Errors
/// When the text is no JSON, or says something that `T` does not take.
pub fn parse_json<T: serde::de::DeserializeOwned>(
    text: &str,
    label: &str,
) -> Result<T, InputError> {
    // Keeping track of the path costs time, and only errors need it.
    if let Ok(parsed) = serde_json::from_str(text) {
        return Ok(parsed);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.inner();
        if inner.classify() == serde_json::error::Category::Data {
            return explain(label, error.path(), &inner.to_string(), None);
        }
        let (field, got) = (path_text(error.path()), found_at(text, inner));
        match field.as_str() {
            "" => syntax_error(text, label, inner),
            field => InputError::field(label, field, format!("JSON (line {})", inner.line()), got),
        }
    })?;
    deserializer.end().map_err(|error| syntax_error(text, label, &error))?;
    Ok(parsed)
}

/// Reads TOML with errors that name the field and what was found. `label` is what they call the
/// file.
///
/// # Errors
/// When the text is no TOML, or says something that `T` does not take.
pub fn parse_toml<T: serde::de::DeserializeOwned>(
    text: &str,
    label: &str,
) -> Result<T, InputError> {
    // Twice on purpose: the first pass separates syntax from content, and its table shows errors
    // of the second the value that was found.
    let table: toml::Table = text.parse().map_err(|error| toml_error(text, label, &error))?;
    let deserializer =
        toml::Deserializer::parse(text).map_err(|error| toml_error(text, label, &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let found = value_at(&table, error.path()).map(|value| shorten(&value.to_string()));
        explain(label, error.path(), error.inner().message(), found)
    })
}

fn toml_error(text: &str, file: &str, error: &toml::de::Error) -> InputError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    InputError::Syntax {
        file: file.to_owned(),
        line: 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count(),
        format: "TOML",
        message: shorten(error.message()),
    }
}

/// The value that a path leads to, as far as the table goes.
fn value_at<'a>(table: &'a toml::Table, path: &Path) -> Option<&'a toml::Value> {
    let mut segments = path.iter();
    let mut value = match segments.next()? {
        Segment::Map { key } => table.get(key)?,
        _ => return None,
    };
    for segment in segments {
        value = match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => value.get(key)?,
            Segment::Seq { index } => value.get(index)?,
            Segment::Unknown => return None,
        };
    }
    Some(value)
}

fn syntax_error(text: &str, label: &str, error: &serde_json::Error) -> InputError {
    InputError::Syntax {
        file: label.to_owned(),
        line: error.line(),
        format: "JSON",
        message: found_at(text, error),
    }
}

/// What stands where the parser stopped: JSON has no `NaN`, and whoever sent one wants to see it.
fn found_at(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the end of the input".to_owned();
    }
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    // The parser stops within a word or just behind its first letter: take the whole word.
    let column = error.column().saturating_sub(1).min(line.len());
    let start =
        column - line.as_bytes()[..column].iter().rev().take_while(|byte| is_word(byte)).count();
    let length = line.as_bytes()[start..].iter().take_while(|byte| is_word(byte)).count();
    match line.get(start..start + length).filter(|word| !word.is_empty()) {
        Some(word) => shorten(word),
        None => match line.get(column..).and_then(|rest| rest.chars().next()) {
            Some(character) => format!("{character:?}"),
            None => "the end of the line".to_owned(),
        },
    }
}

/// Turns a serde message into field, expected and got.
///
/// serde only hands out prose; its phrases are stable, and a phrase that is not known here still
/// ends up whole in `got`. `found` is the offending value as text, where the caller can look it up.
pub(crate) fn explain(file: &str, path: &Path, message: &str, found: Option<String>) -> InputError {
    // Parsers like to add position and source lines; the path says where.
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or(message);
    let last = path.iter().next_back().map(ToString::to_string).unwrap_or_default();
    let at = path_text(path);
    let child = |name: &str| match at.as_str() {
        "" => name.to_owned(),
        at => format!("{at}.{name}"),
    };
    let ticked = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();

    if message.starts_with("unknown field") {
        let name = ticked(message);
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        // A name with a line break in it is cut off in the message, but whole in the path.
        let field = if last == name || name.is_empty() { at } else { child(&name) };
        let expected = match nearest(&name, &known).as_slice() {
            [] => "no field here".to_owned(),
            names => format!("a known field (nearest: {})", names.join(", ")),
        };
        return InputError::field(file, field, expected, format!("unknown field `{name}`"));
    }
    if message.starts_with("missing field") {
        return InputError::field(file, child(&ticked(message)), "a value", "none");
    }
    if message.starts_with("duplicate field") {
        let name = ticked(message);
        let field = if last == name { at } else { child(&name) };
        return InputError::field(file, field, "it once", format!("`{name}` twice"));
    }
    let field = if at.is_empty() { "the whole document".to_owned() } else { at };
    if message.starts_with("unknown variant") {
        let expected = message.split_once(", expected ").map_or("a known name", |(_, names)| names);
        let name = ticked(message);
        let hint = nearest_hint(&name, message.split('`').skip(3).step_by(2));
        let expected = format!("{}{hint}", expected.replace('`', ""));
        return InputError::field(file, field, expected, format!("`{name}`"));
    }
    if message.contains("untagged enum Amount") {
        return InputError::field(
            file,
            field,
            "a number or a range [least, most]",
            found.unwrap_or_else(|| "something else".to_owned()),
        );
    }
    if let Some((got, expected)) = message.rsplit_once(", expected ") {
        let got = ["invalid type: ", "invalid value: ", "invalid "]
            .iter()
            .find_map(|prefix| got.strip_prefix(prefix))
            .unwrap_or(got);
        return InputError::field(file, field, plain_type(expected), got.replace('`', ""));
    }
    InputError::field(file, field, "a valid value", message)
}

/// A path as people write it; empty at the root.
fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Unknown => {}
        }
    }
    text
}

/// serde names Rust types; whoever wrote the file does not know them.
fn plain_type(expected: &str) -> String {
    match expected {
        "f32" | "f64" => "a number".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => {
            "a table of fields".to_owned()
        }
        other => other.replace('`', ""),
    }
}

/// Up to three of `known`: those that `name` begins first, then the most similar.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let mut ranked = known.to_vec();
    ranked.sort_by_key(|k| (name.is_empty() || !k.starts_with(name), edit_distance(name, k), *k));
    ranked.truncate(3);
    ranked
}

/// ` (nearest: NAME)`, to follow what was expected: the known name that is most like the one that
/// was given, or nothing where none is alike. Alike are names of which, but for case, fewer than one
/// letter in three differs (by edit distance): `quickstrat` is like `quickstart`, but `gpu` is not
/// like `cpu`. Of equally near ones the first in the alphabet counts.
pub fn nearest_hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let lower = name.to_lowercase();
    let alike = known.into_iter().filter_map(|known| {
        let distance = edit_distance(&lower, &known.to_lowercase());
        let longest = name.chars().count().max(known.chars().count());
        (3 * distance < longest).then_some((distance, known))
    });
    alike.min().map_or_else(String::new, |(_, known)| format!(" (nearest: {known})"))
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let [a, b]: [Vec<char>; 2] = [a, b].map(|text| text.chars().collect());
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let replaced = row[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// A value as one short line.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_come_first() {
        assert_eq!(
            nearest("tick", &["ticks", "mode", "tick_s", "move_budget"]),
            ["ticks", "tick_s", "mode"]
        );
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("strat", "start"), 1);
        assert_eq!(edit_distance("", "ab"), 2);
    }

    #[test]
    fn a_hint_names_the_nearest_of_names_that_are_alike_and_no_other() {
        let known = ["quickstart", "churn", "stay", "cpu", "gpu", "memory"];
        for (name, expected) in [
            ("quickstrat", " (nearest: quickstart)"),
            ("Chrun", " (nearest: churn)"),
            ("stya", " (nearest: stay)"),
            // One letter in three: a word of its own.
            ("npu", ""),
            ("disk", ""),
            ("", ""),
        ] {
            assert_eq!(nearest_hint(name, known), expected, "{name}");
        }
    }

    #[test]
    fn messages_are_one_line_of_bounded_length() {
        let long = "\n\u{e4}".repeat(10_000);
        let message = InputError::field("f", long.clone(), long.clone(), long).to_string();
        assert!(!message.contains(char::is_control) && message.len() < 6_000, "{message}");
        assert!(message.ends_with("\\n\u{e4}..."), "{message}");
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        assert_eq!(shorten("a\n  b"), "a b");
        assert_eq!(shorten(&"ü".repeat(100)).chars().count(), 83);
    }
}
