//! A page of the book from the sections of a schema.

use super::{Field, Section, Unset, toml_value};
use std::fmt::Write as _;

/// A Markdown page: a head, then a heading and a table for each section.
pub(in crate::cli) fn page(title: &str, head: &str, refresh: &str, sections: &[Section]) -> String {
    let mut page = format!(
        "<!-- Generated from doc comments: change those, then run `{refresh}`. -->\n\n# {title}\n\n\
         {head}\n"
    );
    for section in sections {
        heading(&mut page, section);
        if !section.about.is_empty() {
            // Writing to a text cannot fail.
            let _ = writeln!(page, "\n{}", section.about);
        }
        if !section.fields.is_empty() {
            page.push_str("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        }
        for field in &section.fields {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                field.name,
                cell(&kind(section, field)),
                cell(&default(field)),
                cell(&field.meaning)
            );
        }
    }
    page
}

fn heading(page: &mut String, section: &Section) {
    let _ = match (&section.variant, section.path.as_str()) {
        (Some(variant), path) => writeln!(page, "\n### `{path}` with `{variant}`"),
        (None, "") => writeln!(page, "\n## The whole file"),
        (None, path) => writeln!(page, "\n## `{path}`"),
    };
}

fn kind(section: &Section, field: &Field) -> String {
    if !field.is_table {
        return field.kind.clone();
    }
    // As mdBook names the heading of the section.
    let anchor = format!("{}{}", section.path, field.name).replace('.', "");
    format!("[{}](#{anchor})", field.kind)
}

fn default(field: &Field) -> String {
    match &field.default {
        Unset::Required => "required".to_owned(),
        Unset::Value(_) if field.is_table => "see there".to_owned(),
        Unset::Value(value) => format!("`{}`", toml_value(value)),
        Unset::Nothing => "none".to_owned(),
    }
}

/// Text that does not end the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
