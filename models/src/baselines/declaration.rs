//! Ties the parameters of a baseline to the fields of its `...Rules` struct.

use crate::baselines::parameters::{Assignment, Kind, Parameter, Refusal, Tunable};
use crate::policy::Policy;
use std::ops::RangeInclusive;

/// A field of a `...Rules` struct, whatever its type.
pub(crate) enum Slot<'a> {
    F32(&'a mut f32),
    U32(&'a mut u32),
    Usize(&'a mut usize),
    Bool(&'a mut bool),
}

macro_rules! slots {
    ($($variant:ident($field:ty)),*) => {
        $(impl<'a> From<&'a mut $field> for Slot<'a> {
            fn from(field: &'a mut $field) -> Self {
                Self::$variant(field)
            }
        })*
    };
}
slots!(F32(f32), U32(u32), Usize(usize), Bool(bool));

impl Slot<'_> {
    fn get(self) -> f64 {
        match self {
            // By way of text: 0.3 of 32 bits would show as 0.30000001192092896.
            Self::F32(field) => field.to_string().parse().unwrap_or(f64::from(*field)),
            Self::U32(field) => f64::from(*field),
            Self::Usize(field) => *field as f64,
            Self::Bool(field) => f64::from(u8::from(*field)),
        }
    }

    fn set(self, value: f64) {
        match self {
            Self::F32(field) => *field = value as f32,
            Self::U32(field) => *field = value as u32,
            Self::Usize(field) => *field = value as usize,
            Self::Bool(field) => *field = value != 0.0,
        }
    }
}

/// Adds the parameters of all plans ([`crate::baselines::search::trial::PlanRules`]) to the declaration of
/// a struct that holds them as `plan`.
macro_rules! with_plan {
    ($declaration:expr) => {
        $declaration
            .integer("ticks", "ticks for which a gain counts", 1..=72, |r| {
                (&mut r.plan.single.persistence.ticks).into()
            })
            .online()
            .real("forecast_share", "share of the gain looked up in the forecast", 0.0..=1.0, |r| {
                (&mut r.plan.single.persistence.forecast_share).into()
            })
            .online()
            .real("min_gain", "least net gain of each of a plan's moves", 0.0..=1.0, |r| {
                (&mut r.plan.single.min_gain).into()
            })
            .online()
            .integer("ahead_ticks", "later ticks whose moves a plan may count on", 0..=6, |r| {
                (&mut r.plan.ahead_ticks).into()
            })
            .online()
    };
}
pub(crate) use with_plan;

/// Adds the parameters of single moves ([`crate::baselines::greedy::best_single_move::BestSingleMoveRules`])
/// to the declaration of a struct that holds them as `single`; the ticks are called `$ticks`.
macro_rules! with_single {
    ($declaration:expr, $ticks:literal, $meaning:literal) => {
        $declaration
            .integer($ticks, $meaning, 1..=72, |r| (&mut r.single.persistence.ticks).into())
            .online()
            .real("forecast_share", "share of the gain looked up in the forecast", 0.0..=1.0, |r| {
                (&mut r.single.persistence.forecast_share).into()
            })
            .online()
            .real("min_gain", "least net gain of a move, weighted objective", 0.0..=1.0, |r| {
                (&mut r.single.min_gain).into()
            })
            .online()
    };
}
pub(crate) use with_single;

/// Leads from a struct to one of its fields, to read it and to set it.
type Access<R> = for<'a> fn(&'a mut R) -> Slot<'a>;

/// What several parameters have to keep to together.
struct Relation<R> {
    parameter: &'static str,
    expected: &'static str,
    holds: fn(&R) -> bool,
}

/// The parameters of a baseline, each with the field of `R` that it stands for.
pub struct Declaration<R> {
    default: R,
    parameters: Vec<(Parameter, Access<R>)>,
    relations: Vec<Relation<R>>,
    make: Box<dyn Fn(R) -> Box<dyn Policy> + Send + Sync>,
}

impl<R: Clone> Declaration<R> {
    /// A baseline with these defaults and, so far, nothing to set.
    pub(crate) fn new<P: Policy + 'static>(
        default: R,
        make: impl Fn(R) -> P + Send + Sync + 'static,
    ) -> Self {
        let make = Box::new(move |rules| -> Box<dyn Policy> { Box::new(make(rules)) });
        Self { default, parameters: Vec::new(), relations: Vec::new(), make }
    }

    fn with(
        mut self,
        name: &'static str,
        meaning: &'static str,
        kind: Kind,
        access: Access<R>,
    ) -> Self {
        let default = access(&mut self.default).get();
        let parameter = Parameter { name, meaning, kind, default, online_only: false };
        self.parameters.push((parameter, access));
        self
    }

    /// Adds a whole number.
    pub(crate) fn integer(
        self,
        name: &'static str,
        meaning: &'static str,
        range: RangeInclusive<u32>,
        access: Access<R>,
    ) -> Self {
        self.with(name, meaning, Kind::Integer(range), access)
    }

    /// Adds a number.
    pub(crate) fn real(
        self,
        name: &'static str,
        meaning: &'static str,
        range: RangeInclusive<f64>,
        access: Access<R>,
    ) -> Self {
        self.with(name, meaning, Kind::Real(range), access)
    }

    /// Adds a number whose magnitude matters.
    pub(crate) fn log_real(
        self,
        name: &'static str,
        meaning: &'static str,
        range: RangeInclusive<f64>,
        access: Access<R>,
    ) -> Self {
        self.with(name, meaning, Kind::LogReal(range), access)
    }

    /// Adds a choice; the field holds the index of the variant (a `bool`: of two).
    pub(crate) fn choice(
        self,
        name: &'static str,
        meaning: &'static str,
        names: &'static [&'static str],
        access: Access<R>,
    ) -> Self {
        self.with(name, meaning, Kind::Choice(names), access)
    }

    /// The parameter before does nothing in rebalance scenarios.
    pub(crate) fn online(mut self) -> Self {
        if let Some((parameter, _)) = self.parameters.last_mut() {
            parameter.online_only = true;
        }
        self
    }

    /// Asks more of `parameter` than its range: something that depends on the others.
    pub(crate) fn relation(
        mut self,
        parameter: &'static str,
        expected: &'static str,
        holds: fn(&R) -> bool,
    ) -> Self {
        self.relations.push(Relation { parameter, expected, holds });
        self
    }

    fn rules(&self, values: &Assignment) -> Result<R, Refusal> {
        let mut rules = self.default.clone();
        for (name, &value) in values {
            let found = self.parameters.iter().find(|(parameter, _)| parameter.name == name);
            let Some((parameter, access)) = found else {
                let names: Vec<&str> =
                    self.parameters.iter().map(|(known, _)| known.name).collect();
                return Err(Refusal {
                    parameter: name.clone(),
                    expected: format!("one of the parameters {}", names.join(", ")),
                    got: "an unknown one".into(),
                });
            };
            if !parameter.allows(value) {
                return Err(Refusal {
                    parameter: name.clone(),
                    expected: parameter.range(),
                    got: value.to_string(),
                });
            }
            access(&mut rules).set(value);
        }
        for Relation { parameter, expected, holds } in &self.relations {
            if !holds(&rules) {
                let found = self.parameters.iter().find(|(known, _)| known.name == *parameter);
                let got = found.map(|(known, access)| known.text(access(&mut rules).get()));
                return Err(Refusal {
                    parameter: (*parameter).to_owned(),
                    expected: (*expected).to_owned(),
                    got: got.unwrap_or_default(),
                });
            }
        }
        Ok(rules)
    }
}

impl<R: Clone + Send + Sync> Tunable for Declaration<R> {
    fn parameters(&self) -> Vec<Parameter> {
        self.parameters.iter().map(|(parameter, _)| parameter.clone()).collect()
    }

    fn build(&self, values: &Assignment) -> Result<Box<dyn Policy>, Refusal> {
        Ok((self.make)(self.rules(values)?))
    }

    fn check(&self, values: &Assignment) -> Result<(), Refusal> {
        self.rules(values).map(drop)
    }

    fn read_back(&self, values: &Assignment) -> Result<Assignment, Refusal> {
        let mut rules = self.rules(values)?;
        let fields = self.parameters.iter();
        Ok(fields
            .map(|(known, access)| (known.name.to_owned(), access(&mut rules).get()))
            .collect())
    }
}
