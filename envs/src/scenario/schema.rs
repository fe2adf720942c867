//! The JSON Schema of scenario files, for editors and for the reference pages.

use super::Scenario;
use serde_json::{Value, json};

impl Scenario {
    /// The JSON Schema of the format, with meaning, unit, range and default of every field. A TOML
    /// file is checked as the JSON document that it stands for.
    pub fn json_schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        shorten(&mut schema, false);
        schema
    }
}

/// Defaults as a person would write them: 0.3, not the double nearest to the `f32` nearest to 0.3.
fn shorten(value: &mut Value, is_default: bool) {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(key, value)| shorten(value, is_default || key == "default")),
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, is_default)),
        Value::Number(number) if is_default && number.is_f64() => {
            let single = number.as_f64().map(|number| number as f32);
            // The shortest text of an `f32`, read again: always a number.
            if let Some(short) = single.and_then(|single| single.to_string().parse::<f64>().ok()) {
                *value = json!(short);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::scenario::EMBEDDED;

    /// A small reader of schemas: as much of them as that of scenarios uses.
    struct Reader(Value);

    impl Reader {
        fn resolve<'a>(&'a self, node: &'a Value) -> &'a Value {
            match node["$ref"].as_str() {
                Some(name) => self.0.pointer(name.trim_start_matches('#')).unwrap(),
                None => node,
            }
        }

        /// What a value must be: of several forms, the one that it has.
        fn node<'a>(&'a self, node: &'a Value, value: &Value) -> &'a Value {
            let node = self.resolve(node);
            let forms = node["anyOf"].as_array().or(node["oneOf"].as_array());
            let Some(forms) = forms else { return node };
            let fits = |form: &&Value| self.offence(form, value).is_none();
            forms.iter().find(fits).map_or(node, |form| self.node(form, value))
        }

        /// The first thing that is wrong with a value.
        fn offence(&self, node: &Value, value: &Value) -> Option<String> {
            let node = self.resolve(node);
            if let Some(forms) = node["anyOf"].as_array().or(node["oneOf"].as_array()) {
                let wrong: Option<Vec<String>> =
                    forms.iter().map(|form| self.offence(form, value)).collect();
                return wrong.map(|wrong| wrong.join(" and "));
            }
            let is = |kind: &str| match kind {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_u64() || value.is_i64(),
                "number" => value.is_number(),
                "null" => value.is_null(),
                other => panic!("a new type: {other}"),
            };
            let typed = match &node["type"] {
                Value::String(kind) => is(kind),
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
                _ => true,
            };
            let constant = node.get("const").is_none_or(|constant| constant == value);
            if !typed || !constant || !self.within(node, value) {
                return Some(format!("{value} is not {node}"));
            }
            let item = |item: &Value| self.offence(&node["items"], item);
            if let Some(wrong) = value.as_array().and_then(|items| items.iter().find_map(item)) {
                return Some(wrong);
            }
            let fields = value.as_object()?;
            let required = node["required"].as_array().into_iter().flatten();
            let missing = required.map(|name| name.as_str().unwrap());
            if let Some(name) = missing.into_iter().find(|name| !fields.contains_key(*name)) {
                return Some(format!("{name} is missing in {value}"));
            }
            fields.iter().find_map(|(name, value)| {
                if let Some(names) = node.get("propertyNames")
                    && let Some(wrong) = self.offence(names, &json!(name))
                {
                    return Some(wrong);
                }
                match (node["properties"].get(name), &node["additionalProperties"]) {
                    (Some(field), _) => self.offence(field, value),
                    (None, Value::Bool(false)) => Some(format!("unknown field {name}")),
                    (None, Value::Object(_)) => self.offence(&node["additionalProperties"], value),
                    (None, _) => None,
                }
                .map(|wrong| format!("{name}: {wrong}"))
            })
        }

        fn within(&self, node: &Value, value: &Value) -> bool {
            let bound = |name: &str| node[name].as_f64();
            value.as_f64().is_none_or(|x| {
                bound("minimum").is_none_or(|least| x >= least)
                    && bound("maximum").is_none_or(|most| x <= most)
                    && bound("exclusiveMinimum").is_none_or(|least| x > least)
                    && bound("exclusiveMaximum").is_none_or(|most| x < most)
            })
        }

        /// Places of numbers, each with a number that the schema forbids there.
        fn forbidden(
            &self,
            node: &Value,
            value: &Value,
            path: &str,
            out: &mut Vec<(String, Value)>,
        ) {
            let node = self.node(node, value);
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                    let field = node["properties"].get(name);
                    let field = field.unwrap_or(&node["additionalProperties"]);
                    self.forbidden(field, value, &format!("{path}/{name}"), out);
                }),
                Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| {
                    self.forbidden(&node["items"], item, &format!("{path}/{at}"), out);
                }),
                Value::Number(_) => {
                    let bound = |name: &str| node[name].as_f64();
                    let whole = node["type"] == "integer";
                    let beyond = [
                        bound("minimum").map(|least| least - 1.0),
                        bound("maximum").map(|most| most + 1.0),
                        bound("exclusiveMinimum"),
                        bound("exclusiveMaximum"),
                    ];
                    out.extend(beyond.into_iter().flatten().map(|x| match whole {
                        true => (path.to_owned(), json!(x as i64)),
                        false => (path.to_owned(), json!(x)),
                    }));
                }
                _ => {}
            }
        }
    }

    /// Appended to `faults`: events of every kind, which no embedded scenario has.
    const EVENTS: &str = r#"
[[workloads]]
name = "jobs"
count = 2
demand = { cpu = 1 }
arrivals = { kind = "events" }

[[events]]
kind = "drain"
tick = 9
node = "node-1"
notice = 3
ticks = 4

[[events]]
kind = "fail"
tick = 20
node = "node-1"

[[events]]
kind = "recover"
tick = 30
node = "node-1"

[[events]]
kind = "burst"
tick = 5
ticks = 2
factor = 1.5
workloads = ["batch"]

[[events]]
kind = "arrive"
tick = 7
group = "jobs"
ticks = 3
"#;

    #[test]
    fn scenarios_keep_to_the_schema_and_what_it_forbids_is_refused() {
        let reader = Reader(Scenario::json_schema());
        let mut refused = 0;
        let faults = Scenario::embedded("faults").unwrap().to_toml();
        let events = Scenario::parse(&format!("{faults}{EVENTS}"), "events").unwrap();
        let embedded = EMBEDDED.iter().map(|e| Scenario::embedded(e.name).unwrap());
        for scenario in embedded.chain([events]) {
            let value = serde_json::to_value(&scenario).unwrap();
            assert_eq!(reader.offence(&reader.0, &value), None, "{}", scenario.name);
            let mut forbidden = Vec::new();
            reader.forbidden(&reader.0, &value, "", &mut forbidden);
            for (path, bad) in forbidden {
                let mut changed = value.clone();
                *changed.pointer_mut(&path).unwrap() = bad.clone();
                let read = serde_json::from_value::<Scenario>(changed);
                let accepted = read.is_ok_and(|scenario| scenario.validate("changed").is_ok());
                assert!(!accepted, "{}: {path} = {bad} was accepted", scenario.name);
                refused += 1;
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn defaults_are_written_as_a_person_would() {
        let schema = Scenario::json_schema();
        let rules = &schema["$defs"]["MigrationRules"]["properties"];
        assert_eq!(rules["downtime_target_s"]["default"].to_string(), "0.3");
        let limits = &schema["$defs"]["Limits"]["properties"];
        assert_eq!(limits["payback_ticks"]["default"], 36);
    }
}
