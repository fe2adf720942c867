//! Values that change over a run.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Linear from `from` to `to` over the first `share` of the run, then constant. Read from a table of
/// these three, or from a number, which is that value throughout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Schedule {
    /// Value at the start.
    pub from: f64,
    /// Value at the end.
    pub to: f64,
    /// Share of the run (0 to 1) after which `to` is reached.
    pub share: f64,
}

impl Schedule {
    /// The same value throughout.
    pub fn constant(value: f64) -> Self {
        Self { from: value, to: value, share: 1.0 }
    }

    /// The value after `progress` (0 to 1) of the run.
    pub fn at(&self, progress: f64) -> f64 {
        let t = if self.share > 0.0 { (progress / self.share).min(1.0) } else { 1.0 };
        self.from + (self.to - self.from) * t
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTable)
    }
}

impl JsonSchema for Schedule {
    fn schema_name() -> Cow<'static, str> {
        "Schedule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = json_schema!({ "type": "number" });
        json_schema!({
            "anyOf": [number, {
                "type": "object",
                "properties": { "from": number, "to": number, "share": number },
                "required": ["from", "to", "share"],
                "additionalProperties": false,
            }],
        })
    }
}

/// The table that a schedule is written as.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    from: f64,
    to: f64,
    share: f64,
}

struct NumberOrTable;

impl<'de> Visitor<'de> for NumberOrTable {
    type Value = Schedule;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a number, or a table of from, to and share")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Schedule, E> {
        Ok(Schedule::constant(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Schedule, E> {
        Ok(Schedule::constant(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Schedule, E> {
        Ok(Schedule::constant(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Schedule, A::Error> {
        let Table { from, to, share } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Schedule { from, to, share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_constant_schedule() {
        #[derive(Debug, Deserialize)]
        struct File {
            rate: Schedule,
        }
        let read = |text: &str| toml::from_str::<File>(text).map(|file| file.rate);
        for text in ["rate = 2.0", "rate = 2", "rate = { from = 2, to = 2.0, share = 1 }"] {
            let schedule = read(text).expect("a schedule");
            assert_eq!(schedule, Schedule::constant(2.0), "{text}");
            assert_eq!([0.0, 0.3, 1.0].map(|p| schedule.at(p)), [2.0; 3]);
        }
        for (text, message) in [
            ("rate = \"low\"", "expected a number, or a table of from, to and share"),
            ("rate = { from = 1, to = 2 }", "missing field `share`"),
            ("rate = { from = 1, to = 2, share = 1, until = 3 }", "unknown field `until`"),
        ] {
            let error = read(text).expect_err("no schedule").to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        let json = serde_json::to_value(Schedule::constant(2.0)).expect("JSON");
        assert_eq!(json, serde_json::json!({"from": 2.0, "to": 2.0, "share": 1.0}));
    }

    #[test]
    fn a_schedule_is_linear_then_constant() {
        let schedule = Schedule { from: 1.0, to: 0.0, share: 0.5 };
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|p| schedule.at(p)), [1.0, 0.5, 0.0, 0.0]);
    }
}
