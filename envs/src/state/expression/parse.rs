//! From a text to the steps of an expression, by recursive descent.

use super::{Aggregate, Expression, Quantity, STACK, Step};
use crate::input::nearest_hint;

/// Longest text, in bytes.
const LONGEST: usize = 1_000;

/// Most parentheses, functions and signs within each other: the parser recurses into each.
const DEEPEST: usize = 32;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {at}: expected {expected}, got {got}")]
pub struct ExpressionError {
    /// Position of the first offence, in characters from 1.
    pub at: usize,
    /// What would have been accepted there.
    pub expected: String,
    /// What stands there.
    pub got: String,
}

impl Expression {
    /// Reads a term over nodes with these resource kinds.
    ///
    /// # Errors
    /// The first offence, with its position. Texts above 1,000 bytes and expressions that are nested
    /// more than 32 deep, or in which more than 16 values wait for each other, are refused.
    pub fn parse(text: &str, resources: &[&str]) -> Result<Self, ExpressionError> {
        let mut parser = Parser { text, at: 0, resources, steps: Vec::new(), waiting: 0, depth: 0 };
        if text.len() > LONGEST {
            let got = format!("{}", text.len());
            return Err(parser.error(format!("at most {LONGEST} bytes"), got));
        }
        let aggregate = match parser.word() {
            "sum" => Aggregate::Sum,
            "mean" => Aggregate::Mean,
            "max" => Aggregate::Max,
            word => {
                parser.at -= word.len();
                return parser.fail("sum(...), mean(...) or max(...) over the nodes");
            }
        };
        parser.expect('(', "(")?;
        parser.sum()?;
        parser.expect(')', "an operator or )")?;
        if parser.peek().is_some() {
            return parser.fail("the end");
        }
        Ok(Self { aggregate, steps: parser.steps })
    }
}

type Parsed<T = ()> = Result<T, ExpressionError>;

struct Parser<'a> {
    text: &'a str,
    /// Byte that is read next.
    at: usize,
    resources: &'a [&'a str],
    steps: Vec<Step>,
    /// Values on the stack once these steps are done.
    waiting: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Parsed {
        self.product()?;
        loop {
            let step = match self.peek() {
                Some('+') => Step::Add,
                Some('-') => Step::Subtract,
                _ => return Ok(()),
            };
            self.at += 1;
            self.product()?;
            self.join(step);
        }
    }

    fn product(&mut self) -> Parsed {
        self.factor()?;
        loop {
            let step = match self.peek() {
                Some('*') => Step::Multiply,
                Some('/') => Step::Divide,
                _ => return Ok(()),
            };
            self.at += 1;
            self.factor()?;
            self.join(step);
        }
    }

    fn factor(&mut self) -> Parsed {
        if self.depth == DEEPEST {
            return self.fail(&format!("at most {DEEPEST} levels within each other"));
        }
        self.depth += 1;
        match self.peek() {
            Some('-') => {
                self.at += 1;
                self.factor()?;
                self.steps.push(Step::Negate);
            }
            Some('(') => {
                self.at += 1;
                self.sum()?;
                self.expect(')', "an operator or )")?;
            }
            Some('0'..='9' | '.') => {
                let number = self.number()?;
                self.push(Step::Number(number))?;
            }
            _ => self.named()?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// A quantity or a function.
    fn named(&mut self) -> Parsed {
        let word = self.word();
        let read = match word {
            "max" => return self.function(Step::Max, 2),
            "min" => return self.function(Step::Min, 2),
            "abs" => return self.function(Step::Abs, 1),
            "sqrt" => return self.function(Step::Sqrt, 1),
            "load" => return self.push(Step::Read(Quantity::Load)),
            "utilisation" => Quantity::Utilisation,
            "used" => Quantity::Used,
            "supply" => Quantity::Supply,
            "free" => Quantity::Free,
            _ => {
                self.at -= word.len();
                return self.fail(
                    "a number, load, utilisation.NAME, used.NAME, supply.NAME, free.NAME, max(a, b), \
                     min(a, b), abs(a), sqrt(a), - or (",
                );
            }
        };
        self.expect('.', ". and a resource")?;
        let resource = self.resource()?;
        self.push(Step::Read(read(resource)))
    }

    fn function(&mut self, step: Step, arguments: usize) -> Parsed {
        self.expect('(', "(")?;
        self.sum()?;
        if arguments == 2 {
            self.expect(',', "an operator or ,")?;
            self.sum()?;
        }
        self.expect(')', "an operator or )")?;
        match arguments {
            2 => self.join(step),
            _ => self.steps.push(step),
        }
        Ok(())
    }

    /// Index of a resource kind; names that are no words stand in quotes.
    fn resource(&mut self) -> Parsed<usize> {
        self.skip_spaces();
        let (start, text) = (self.at, self.text);
        let name = match text[start..].strip_prefix('"') {
            Some(rest) => {
                let Some(length) = rest.find('"') else {
                    self.at = text.len();
                    return self.fail("\" at the end of a name");
                };
                self.at += length + 2;
                &rest[..length]
            }
            None => self.word(),
        };
        if let Some(resource) = self.resources.iter().position(|known| *known == name) {
            return Ok(resource);
        }
        self.at = start;
        let hint = nearest_hint(name, self.resources.iter().copied());
        let known = self.resources.join(", ");
        let expected = format!("one of the scenario's resources ({known}){hint}");
        match name {
            "" => self.fail(&expected),
            name => Err(self.error(expected, format!("{name:?}"))),
        }
    }

    fn number(&mut self) -> Parsed<f32> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut length = digits(0);
        if rest.get(length) == Some(&b'.') {
            length += 1 + digits(length + 1);
        }
        if let Some(b'e' | b'E') = rest.get(length) {
            let signed = matches!(rest.get(length + 1), Some(b'+' | b'-'));
            let exponent = length + 1 + usize::from(signed);
            if exponent < rest.len() && digits(exponent) > 0 {
                length = exponent + digits(exponent);
            }
        }
        match self.text[self.at..][..length].parse::<f32>() {
            Ok(number) if number.is_finite() => {
                self.at += length;
                Ok(number)
            }
            _ => self.fail("a finite number"),
        }
    }

    /// Appends a step that leaves one more value waiting.
    fn push(&mut self, step: Step) -> Parsed {
        if self.waiting == STACK {
            return self.fail(&format!("at most {STACK} values that wait for each other"));
        }
        self.waiting += 1;
        self.steps.push(step);
        Ok(())
    }

    /// Appends a step that makes one value of two.
    fn join(&mut self, step: Step) {
        self.waiting -= 1;
        self.steps.push(step);
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.text[self.at..].chars().next()
    }

    /// The word that stands here, and goes past it; empty where none does.
    fn word(&mut self) -> &'a str {
        self.skip_spaces();
        let rest = &self.text[self.at..];
        let starts = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let length = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let word = if starts { &rest[..length] } else { "" };
        self.at += word.len();
        word
    }

    fn expect(&mut self, wanted: char, expected: &str) -> Parsed {
        if self.peek() != Some(wanted) {
            return self.fail(expected);
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    /// What stands here is not what was expected.
    fn fail<T>(&mut self, expected: &str) -> Parsed<T> {
        self.skip_spaces();
        let rest = &self.text[self.at..];
        let word = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let length = rest.chars().next().map_or(0, |first| word.max(first.len_utf8()));
        let got = match &rest[..length] {
            "" => "the end".to_owned(),
            found => format!("{found:?}"),
        };
        Err(self.error(expected.to_owned(), got))
    }

    fn error(&self, expected: String, got: String) -> ExpressionError {
        ExpressionError { at: 1 + self.text[..self.at].chars().count(), expected, got }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
