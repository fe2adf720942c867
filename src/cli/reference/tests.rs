#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::cli::{scenarios, settings_list};
use crate::config::TrainConfig;
use std::collections::BTreeSet;
use std::path::Path;

fn assert_fresh(file: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/reference").join(file);
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed.trim_end() == page.trim_end(),
        "{}: expected what the doc comments say, got an older page; run `make reference`",
        path.display()
    );
}

#[test]
fn the_page_of_scenario_fields_says_what_the_types_say() {
    assert_fresh("scenario-fields.md", &scenarios::reference_page());
}

#[test]
fn the_page_of_training_settings_says_what_the_types_say() {
    assert_fresh("training-settings.md", &settings_list::page());
}

#[test]
fn every_key_of_both_files_has_a_meaning_and_a_type() {
    for schema in [godwit_envs::scenario::Scenario::json_schema(), TrainConfig::json_schema()] {
        let sections = sections(&schema);
        assert!(sections.len() > 4);
        for Section { path, fields, .. } in &sections {
            for field in fields {
                assert!(field.meaning.len() > 3, "{path}.{}: no meaning", field.name);
                assert!(field.kind != "any value", "{path}.{}: no type", field.name);
                let linked = field.meaning.contains("[`") || field.meaning.contains("::");
                assert!(!linked, "{path}.{}: {}", field.name, field.meaning);
            }
        }
    }
}

#[test]
fn ranges_belong_to_settings_that_exist() {
    let mut keys = BTreeSet::new();
    for Section { path, fields, .. } in sections(&TrainConfig::json_schema()) {
        let dot = if path.is_empty() { "" } else { "." };
        keys.extend(fields.iter().map(|field| format!("{path}{dot}{}", field.name)));
    }
    for (key, _) in TrainConfig::ranges() {
        assert!(keys.contains(key), "{key}");
    }
}

#[test]
fn a_schema_becomes_sections_with_ranges_and_defaults() {
    let schema = serde_json::json!({
        "description": "A file.",
        "properties": {
            "share": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.5,
                       "description": "Share\nof it." },
            "rate": { "type": "number", "exclusiveMinimum": 0, "description": "A rate." },
            "pair": { "type": "array", "minItems": 2, "maxItems": 2, "description": "Two.",
                      "items": { "type": "integer", "minimum": 1 } },
            "part": { "$ref": "#/$defs/Part", "description": "A part." },
            "maybe": { "anyOf": [{ "$ref": "#/$defs/Word" }, { "type": "null" }],
                       "default": null, "description": "A word." },
        },
        "required": ["rate"],
        "$defs": {
            "Part": { "description": "What parts are.", "properties": {
                "on": { "type": "boolean", "default": false, "description": "Whether." } } },
            "Word": { "oneOf": [{ "const": "a", "description": "First." }, { "const": "b" }] },
        },
    });
    let sections = sections(&schema);
    let [whole, part] = sections.as_slice() else { panic!("{} sections", sections.len()) };
    let kinds: Vec<&str> = whole.fields.iter().map(|field| field.kind.as_str()).collect();
    let words = "one of `a`, `b`";
    let pair = "[whole number, whole number], each 1 or more";
    assert_eq!(kinds, [words, pair, "table", "number above 0", "number, 0 to 1"]);
    assert_eq!(whole.fields[0].meaning, "A word. `a`: First.");
    assert!(matches!(whole.fields[3].default, Unset::Required));
    assert!(matches!(&whole.fields[4].default, Unset::Value(value) if *value == 0.5));
    assert_eq!((part.path.as_str(), part.about.as_str()), ("part", "What parts are."));
}
