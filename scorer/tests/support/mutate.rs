//! Damaged JSON: a seeded mutator that knows what documents are made of.

use godwit_envs::rng::{Rng, stream};
use rand::RngExt;
use serde_json::{Map, Value, json};

/// Numbers at the ends of what some type holds, or beyond.
const NUMBERS: &[&str] = &[
    "0",
    "-0.0",
    "-1",
    "1",
    "0.5",
    "1e-45",
    "1e-38",
    "1e-7",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "1e9",
    "1e15",
    "1e30",
    "3.4e38",
    "-3.4e38",
    "1e39",
    "1.7e308",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
];

/// Numbers that most fields may hold.
const MILD: &[&str] = &["0", "1", "2", "3", "7", "0.5", "12.25"];

/// What is no JSON number, but looks like one to somebody.
const NO_NUMBERS: &[&str] = &[
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "0x10",
    "+1",
    "01",
    ".5",
    "1.",
    "nan",
];

/// Words that some field or other of some document knows, or nobody.
const WORDS: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "line\nbreak",
    "name",
    "node",
    "nodes",
    "standard",
    "draining",
    "failed",
    "healthy",
    "cpu",
    "memory",
    "godwit-snapshot/1",
    "godwit-snapshot/2",
    "FP32",
    "INT64",
    "BOOL",
    "\u{202e}\u{1f980}",
    "q",
    "policy",
    "..",
    "%s%n",
    "0",
];

/// Longest list that is made of a short one.
const LONGEST: usize = 3000;

/// Most bytes that a list grows by.
const LARGEST: usize = 1 << 20;

/// A stream of damaged documents.
pub struct Mutator {
    rng: Rng,
}

impl Mutator {
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self { rng: stream(seed, purpose) }
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    /// A damaged copy: one to four changes of the document, mostly one, and in one case of six of
    /// its text.
    pub fn document(&mut self, sound: &Value) -> Vec<u8> {
        let mut document = sound.clone();
        for _ in 0..1 + self.below(2) * self.below(4) {
            self.change(&mut document, sound);
        }
        let mut text = document.to_string().into_bytes();
        if self.below(6) == 0 {
            self.damage(&mut text);
        }
        text
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// Changes something somewhere in the document: mostly deep inside, where the fields are.
    fn change(&mut self, document: &mut Value, sound: &Value) {
        let inside = self.below(6) > 0;
        match document {
            Value::Object(fields) if inside && !fields.is_empty() => {
                let at = self.below(fields.len());
                self.change(fields.values_mut().nth(at).unwrap(), sound);
            }
            Value::Array(values) if inside && !values.is_empty() => {
                let at = self.below(values.len());
                self.change(&mut values[at], sound);
            }
            Value::Object(fields) => self.change_object(fields, sound),
            Value::Array(values) => self.change_array(values, sound),
            scalar => self.change_scalar(scalar, sound),
        }
    }

    fn change_object(&mut self, fields: &mut Map<String, Value>, sound: &Value) {
        let names: Vec<String> = fields.keys().cloned().collect();
        let name = (!names.is_empty()).then(|| names[self.below(names.len())].clone());
        match (self.below(5), name) {
            (0, Some(name)) => drop(fields.remove(&name)),
            (1, Some(name)) => {
                let value = fields.remove(&name).unwrap();
                fields.insert(name + "s", value);
            }
            (2, Some(name)) => drop(fields.insert(name, self.other(sound))),
            (3, Some(name)) => self.change(fields.get_mut(&name).unwrap(), sound),
            _ => drop(fields.insert(self.one_of(WORDS).to_owned(), self.other(sound))),
        }
    }

    fn change_array(&mut self, values: &mut Vec<Value>, sound: &Value) {
        if values.is_empty() {
            return values.push(self.other(sound));
        }
        let at = self.below(values.len());
        match self.below(6) {
            0 => drop(values.remove(at)),
            1 => values.insert(at, values[at].clone()),
            2 => values[at] = self.other(sound),
            3 => values.truncate(at),
            4 => {
                // Long, and with names of their own, so that it is more than a duplicate.
                let pattern = values[at].clone();
                let room = LARGEST / pattern.to_string().len();
                let length = self.below(LONGEST).min(room);
                values.extend((0..length).map(|n| {
                    let mut copy = pattern.clone();
                    if let Some(name) = copy.get_mut("name") {
                        *name = format!("copy {n}").into();
                    }
                    copy
                }));
            }
            _ => values.reverse(),
        }
    }

    fn change_scalar(&mut self, scalar: &mut Value, sound: &Value) {
        *scalar = match (self.below(4), &*scalar) {
            // Numbers in a text.
            (0 | 1, Value::String(text)) if text.trim().contains(' ') => {
                let mut words: Vec<&str> = text.split_whitespace().collect();
                let at = self.below(words.len());
                match self.below(3) {
                    0 => drop(words.remove(at)),
                    1 => words.insert(at, words[at]),
                    _ => words[at] = self.one_of(NUMBERS),
                }
                words.join(" ").into()
            }
            (0, Value::Number(_)) => number(self.one_of(NUMBERS)),
            (1 | 2, Value::Number(_)) => number(self.one_of(MILD)),
            (0 | 1, Value::Bool(value)) => (!value).into(),
            (0, Value::String(_)) => self.one_of(WORDS).into(),
            _ => self.other(sound),
        };
    }

    /// Some value: mostly of another type than whatever it takes the place of.
    fn other(&mut self, sound: &Value) -> Value {
        match self.below(10) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 | 3 => number(self.one_of(NUMBERS)),
            4 => self.one_of(WORDS).into(),
            5 => "long ".repeat(self.below(5000)).into(),
            6 => json!([]),
            7 => json!({}),
            8 => {
                let depth = self.below(300);
                (0..depth).fold(Value::Null, |inside, n| match n % 3 {
                    0 => json!({"nodes": inside}),
                    _ => json!([inside]),
                })
            }
            _ => {
                let mut part = sound;
                while self.below(3) > 0 {
                    let inside: Vec<&Value> = match part {
                        Value::Object(fields) => fields.values().collect(),
                        Value::Array(values) => values.iter().collect(),
                        _ => break,
                    };
                    if inside.is_empty() {
                        break;
                    }
                    part = inside[self.below(inside.len())];
                }
                part.clone()
            }
        }
    }

    /// Changes a text without a thought of what it means.
    fn damage(&mut self, text: &mut Vec<u8>) {
        let at = self.below(text.len());
        let end = (at + 1 + self.below(64)).min(text.len());
        match self.below(7) {
            0 => text.truncate(at),
            1 => text[at] ^= 1 << self.below(8),
            2 => drop(text.drain(at..end)),
            3 => {
                let again = text[at..end].to_vec();
                text.splice(at..at, again);
            }
            // What UTF-8 never holds, overlong, or a half of a character.
            4 => drop(
                text.splice(at..at, [&[0xff][..], b"\xc0\x80", b"\xed\xa0\x80"][at % 3].to_vec()),
            ),
            5 => {
                let brackets = [&b"["[..], b"{\"a\":", b"]", b"}"][self.below(4)];
                let many = brackets.repeat(self.below(4000));
                text.splice(at..at, many);
            }
            _ => {
                let digit = text[at..].iter().position(u8::is_ascii_digit);
                let start = at + digit.unwrap_or(0);
                let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
                let length = text[start..].iter().take_while(|byte| is_digit(byte)).count();
                let word = self.one_of(NO_NUMBERS).bytes();
                text.splice(start..start + length, word);
            }
        }
    }
}

/// The number of this text, or the nearest that a document can hold.
fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
