//! What a JSON Schema says about the keys of a TOML file, in sections: the source of the reference
//! pages and of `--list-settings`.

mod page;
#[cfg(test)]
mod tests;

pub(super) use page::page;

use serde_json::{Map, Value};

/// A table of the file, with its keys in alphabetical order.
pub(super) struct Section {
    /// Dotted key of the table; empty for the whole file.
    pub path: String,
    /// The variant of the table that this section is about, as `kind = "..."`.
    pub variant: Option<String>,
    /// What the table is for.
    pub about: String,
    /// Its keys.
    pub fields: Vec<Field>,
}

/// A key.
pub(super) struct Field {
    /// Its own name, without the table's.
    pub name: String,
    /// What it takes, with its range.
    pub kind: String,
    /// The value where the file says nothing.
    pub default: Unset,
    /// What it means, with its unit.
    pub meaning: String,
    /// Whether it is a table that has a section of its own.
    pub is_table: bool,
}

/// What holds where a file does not have a key.
pub(super) enum Unset {
    /// The file is refused.
    Required,
    /// Nothing of the kind.
    Nothing,
    /// This value.
    Value(Value),
}

/// All tables of the file that a schema describes: the whole, then those below it.
pub(super) fn sections(schema: &Value) -> Vec<Section> {
    let mut walk = Walk { root: schema, sections: Vec::new() };
    walk.table("", None, text(schema), schema);
    walk.sections
}

struct Walk<'a> {
    root: &'a Value,
    sections: Vec<Section>,
}

impl<'a> Walk<'a> {
    /// What a node refers to, or itself; of an optional value, that value.
    fn resolve(&self, node: &'a Value) -> &'a Value {
        if let Some(name) = node["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return &self.root["$defs"][name];
        }
        match node["anyOf"].as_array().map(Vec::as_slice) {
            Some([value, none]) if none["type"] == "null" => self.resolve(value),
            _ => node,
        }
    }

    fn table(&mut self, path: &str, variant: Option<String>, about: String, node: &'a Value) {
        let (mut fields, mut below) = (Vec::new(), Vec::new());
        let required = node["required"].as_array();
        for (name, field) in node["properties"].as_object().into_iter().flatten() {
            if field.get("const").is_some() {
                continue; // The variant's own name.
            }
            let found = self.resolve(field);
            let inner = match found["type"].as_str() {
                Some("array") => self.resolve(&found["items"]),
                _ => found,
            };
            let is_table = is_table(inner);
            let is_list = is_table && !std::ptr::eq(inner, found);
            let own = text(field);
            let meaning = match is_table {
                true => own.clone(),
                false => sentences([own.clone(), choices(found)]),
            };
            let mandatory =
                required.is_some_and(|names| names.iter().any(|known| known == name.as_str()));
            fields.push(Field {
                name: name.clone(),
                kind: match (is_table, is_list) {
                    (true, true) => "list of tables".to_owned(),
                    (true, false) => "table".to_owned(),
                    _ => self.kind(field),
                },
                default: match field.get("default") {
                    _ if mandatory => Unset::Required,
                    None | Some(Value::Null) => Unset::Nothing,
                    Some(value) => Unset::Value(value.clone()),
                },
                meaning,
                is_table,
            });
            if is_table {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let head = match is_list {
                    true => format!("Each entry is written as `[[{path}]]`."),
                    false => String::new(),
                };
                // What the field says is told in its row.
                let about = if text(inner).is_empty() { own } else { text(inner) };
                below.push((path, sentences([head, about]), inner));
            }
        }
        if let Some(keys) = key_names(node, self) {
            fields.extend(keys.into_iter().map(|(name, meaning)| Field {
                name,
                kind: self.kind(&node["additionalProperties"]),
                default: Unset::Nothing,
                meaning,
                is_table: false,
            }));
        }
        self.sections.push(Section { path: path.to_owned(), variant, about, fields });
        for variant in node["oneOf"].as_array().into_iter().flatten() {
            let properties = variant["properties"].as_object().into_iter().flatten();
            let named = properties.filter_map(|(key, value)| Some((key, value.get("const")?)));
            let name = named.map(|(key, value)| format!("{key} = {value}")).next();
            self.table(path, name, text(variant), variant);
        }
        for (path, about, node) in below {
            self.table(&path, None, about, node);
        }
    }

    /// The type of a value, with its range.
    fn kind(&self, node: &'a Value) -> String {
        let found = self.resolve(node);
        let kind = self.plain_kind(found);
        match range(node).or_else(|| range(found)) {
            Some(range) if range.starts_with("above") => format!("{kind} {range}"),
            Some(range) => format!("{kind}, {range}"),
            None => kind,
        }
    }

    fn plain_kind(&self, node: &'a Value) -> String {
        if let Some(several) = node["anyOf"].as_array() {
            let kinds: Vec<String> = several.iter().map(|node| self.kind(node)).collect();
            return kinds.join(" or ");
        }
        let names = choice_names(node);
        if !names.is_empty() {
            return format!("one of {}", names.join(", "));
        }
        let kind = match &node["type"] {
            Value::Array(kinds) => kinds.iter().find_map(Value::as_str).unwrap_or_default(),
            kind => kind.as_str().unwrap_or_default(),
        };
        match (kind, node["minItems"].as_u64(), node["maxItems"].as_u64()) {
            ("array", Some(least), Some(most)) if least == most => {
                let item = self.resolve(&node["items"]);
                let each = range(item).map_or(String::new(), |range| format!(", each {range}"));
                let kinds = vec![self.plain_kind(item); least as usize];
                format!("[{}]{each}", kinds.join(", "))
            }
            ("array", ..) => format!("list of: {}", self.kind(&node["items"])),
            ("object", ..) => match node["properties"].as_object() {
                Some(parts) => {
                    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
                    format!("table of {}", names.join(", "))
                }
                None if node["additionalProperties"].is_object() => {
                    format!("table of names, each a {}", self.kind(&node["additionalProperties"]))
                }
                None => "table".to_owned(),
            },
            ("integer", ..) => "whole number".to_owned(),
            ("number", ..) => "number".to_owned(),
            ("boolean", ..) => "true or false".to_owned(),
            ("string", ..) => "text".to_owned(),
            _ => "any value".to_owned(),
        }
    }
}

/// Whether a value is a table of known keys, or one of several such tables.
fn is_table(node: &Value) -> bool {
    let variants = node["oneOf"].as_array().into_iter().flatten();
    node["properties"].is_object()
        || node["propertyNames"].is_object()
        || variants.into_iter().any(|variant| variant["properties"].is_object())
}

/// The keys that a table of names may have, where they are known.
fn key_names(node: &Value, walk: &Walk) -> Option<Vec<(String, String)>> {
    let names = walk.resolve(node.get("propertyNames")?);
    let names = names["oneOf"].as_array()?;
    let entry = |name: &Value| Some((name["const"].as_str()?.to_owned(), text(name)));
    Some(names.iter().filter_map(entry).collect())
}

/// The words that a value is one of.
fn choice_names(node: &Value) -> Vec<String> {
    let several = node["oneOf"].as_array().into_iter().flatten();
    several.filter_map(|choice| Some(format!("`{}`", choice["const"].as_str()?))).collect()
}

/// What each of these words stands for.
fn choices(node: &Value) -> String {
    let several = node["oneOf"].as_array().into_iter().flatten();
    let told = several.filter_map(|choice| {
        let (name, told) = (choice["const"].as_str()?, text(choice));
        (!told.is_empty()).then(|| format!("`{name}`: {}", told.trim_end_matches('.')))
    });
    told.collect::<Vec<_>>().join("; ")
}

fn range(node: &Value) -> Option<String> {
    let bound = |name: &str| node[name].as_f64();
    let (least, most) = (bound("minimum"), bound("maximum"));
    match (least, bound("exclusiveMinimum"), most, bound("exclusiveMaximum")) {
        // What every unsigned number is.
        (Some(0.0), None, None, None) if node["type"] == "integer" => None,
        (_, Some(above), Some(most), _) => Some(format!("above {above}, up to {most}")),
        (_, Some(above), None, _) => Some(format!("above {above}")),
        (Some(least), _, _, Some(below)) => Some(format!("{least} to below {below}")),
        (Some(least), _, Some(most), _) => Some(format!("{least} to {most}")),
        (Some(least), ..) => Some(format!("{least} or more")),
        (None, _, Some(most), _) => Some(format!("at most {most}")),
        _ => None,
    }
}

/// The description of a node, on one line.
fn text(node: &Value) -> String {
    let text = node["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Sentences after each other, each said once.
fn sentences<const N: usize>(parts: [String; N]) -> String {
    let mut whole = String::new();
    for part in parts {
        if part.is_empty() || whole.contains(&part) {
            continue;
        }
        if !whole.is_empty() {
            whole.push(' ');
        }
        whole.push_str(&part);
        if !whole.ends_with(['.', ':']) {
            whole.push('.');
        }
    }
    whole
}

/// A value as a TOML file has it.
pub(super) fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => format!("{{ {} }}", inline(fields)),
        // Numbers, truth values and texts without control characters are written alike.
        plain => plain.to_string(),
    }
}

fn inline(fields: &Map<String, Value>) -> String {
    let mut fields: Vec<_> = fields.iter().collect();
    // Of a schedule, the share comes last: JSON keeps no order.
    fields.sort_by_key(|(name, _)| {
        ["from", "to"].iter().position(|first| first == name).unwrap_or(2)
    });
    let fields = fields.iter().map(|(name, value)| format!("{name} = {}", toml_value(value)));
    fields.collect::<Vec<_>>().join(", ")
}
