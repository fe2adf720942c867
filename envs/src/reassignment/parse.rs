//! Reads `model_*.txt` and `assignment_*.txt` in the challenge's format: whole numbers apart by
//! white space, in a fixed order. Nothing in the files is trusted: a count reserves no memory
//! before its numbers are there, and an instance whose cost could overflow is refused.

use super::instance::{Balance, Instance, Machine, Process, Resource, Service, Weights};
use crate::input::{InputError, read_text, shorten};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest number in the files: 32 bits without sign, says the challenge.
const LARGEST: i64 = u32::MAX as i64;
/// Tables that are kept per pair of things are refused above so many cells.
const MOST_CELLS: usize = 1 << 28;
/// Processes of an instance: how many run somewhere is counted in 16 bits.
const MOST_PROCESSES: i64 = u16::MAX as i64;

impl Instance {
    /// Reads a model and its initial assignment.
    ///
    /// # Errors
    /// When a file cannot be read, or as for [`Instance::parse`].
    pub fn read(model: impl AsRef<Path>, assignment: impl AsRef<Path>) -> Result<Self, InputError> {
        let (model, assignment) = (model.as_ref(), assignment.as_ref());
        Self::parse(
            &model.display().to_string(),
            &read_text(model)?,
            &assignment.display().to_string(),
            &read_text(assignment)?,
        )
    }

    /// Parses the texts of a model and of its initial assignment; the labels stand for the files
    /// in messages.
    ///
    /// # Errors
    /// The first number that is missing, malformed or out of range, with its line and its meaning.
    pub fn parse(
        model_label: &str,
        model: &str,
        assignment_label: &str,
        assignment: &str,
    ) -> Result<Self, InputError> {
        let mut instance = parse_model(&mut Numbers::new(model_label, model))?;
        let mut numbers = Numbers::new(assignment_label, assignment);
        let last = instance.machines.len() as i64 - 1;
        for process in 0..instance.processes.len() {
            let what = || format!("machine of process {process}");
            instance.initial.push(numbers.next(last, what)? as u32);
        }
        numbers.end()?;
        Ok(instance)
    }
}

/// The numbers of a file, in order.
struct Numbers<'a> {
    label: &'a str,
    words: Box<dyn Iterator<Item = (usize, &'a str)> + 'a>,
    /// Line of the last number.
    line: usize,
}

impl<'a> Numbers<'a> {
    fn new(label: &'a str, text: &'a str) -> Self {
        let words = text.lines().enumerate().flat_map(|(line, text)| {
            text.split_ascii_whitespace().map(move |word| (line + 1, word))
        });
        Self { label, words: Box::new(words), line: 1 }
    }

    fn refuse(
        &self,
        what: &str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> InputError {
        InputError::field(self.label, format!("line {}: {what}", self.line), expected, got)
    }

    /// The next number, from 0 to `most`.
    fn next(&mut self, most: i64, what: impl Fn() -> String) -> Result<i64, InputError> {
        self.within(0, most, what)
    }

    /// The next number, at least 1: how many of something follow.
    fn count(&mut self, most: i64, what: &str) -> Result<usize, InputError> {
        Ok(self.within(1, most, || what.to_owned())? as usize)
    }

    fn within(
        &mut self,
        least: i64,
        most: i64,
        what: impl Fn() -> String,
    ) -> Result<i64, InputError> {
        let expected = || format!("a whole number from {least} to {most}");
        let Some((line, word)) = self.words.next() else {
            return Err(self.refuse(&what(), expected(), "the end of the file"));
        };
        self.line = line;
        match word.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.refuse(&what(), expected(), shorten(word))),
        }
    }

    fn end(&mut self) -> Result<(), InputError> {
        match self.words.next() {
            None => Ok(()),
            Some((line, word)) => {
                self.line = line;
                Err(self.refuse("after the last number", "the end of the file", shorten(word)))
            }
        }
    }
}

/// Everything but the initial assignment.
fn parse_model(numbers: &mut Numbers) -> Result<Instance, InputError> {
    let width = numbers.count(LARGEST, "number of resources")?;
    let mut resources = Vec::new();
    for r in 0..width {
        resources.push(Resource {
            transient: numbers.next(1, || format!("transient flag of resource {r}"))? == 1,
            load_weight: numbers.next(LARGEST, || format!("load weight of resource {r}"))?,
        });
    }

    let count = numbers.count(LARGEST, "number of machines")?;
    let (mut machines, mut capacity, mut safety) = (Vec::new(), Vec::new(), Vec::new());
    let mut machine_moves = Vec::new();
    let (mut neighbourhoods, mut locations) = (BTreeMap::new(), BTreeMap::new());
    for m in 0..count {
        let neighbourhood = numbers.next(LARGEST, || format!("neighbourhood of machine {m}"))?;
        let location = numbers.next(LARGEST, || format!("location of machine {m}"))?;
        machines.push(Machine {
            neighbourhood: dense(&mut neighbourhoods, neighbourhood),
            location: dense(&mut locations, location),
        });
        for r in 0..width {
            let what = || format!("capacity of resource {r} of machine {m}");
            capacity.push(numbers.next(LARGEST, what)?);
        }
        for r in 0..width {
            let what = || format!("safety capacity of resource {r} of machine {m}");
            safety.push(numbers.next(LARGEST, what)?);
        }
        for to in 0..count {
            let what = || format!("cost of a move from machine {m} to {to}");
            machine_moves.push(numbers.next(LARGEST, what)? as u32);
        }
    }

    let mut services = parse_services(numbers, count)?;
    let what = "number of processes";
    let count = numbers.count(MOST_PROCESSES, what)?;
    let (mut processes, mut requirement) = (Vec::new(), Vec::new());
    for p in 0..count {
        let last = services.len() as i64 - 1;
        let service = numbers.next(last, || format!("service of process {p}"))? as u32;
        for r in 0..width {
            let what = || format!("requirement of resource {r} of process {p}");
            requirement.push(numbers.next(LARGEST, what)?);
        }
        let move_cost = numbers.next(LARGEST, || format!("move cost of process {p}"))?;
        services[service as usize].processes.push(p as u32);
        processes.push(Process { service, move_cost });
    }

    let mut balances = Vec::new();
    for b in 0..numbers.next(LARGEST, || "number of balance costs".to_owned())? {
        let last = width as i64 - 1;
        balances.push(Balance {
            first: numbers.next(last, || format!("first resource of balance cost {b}"))? as usize,
            second: numbers.next(last, || format!("second resource of balance cost {b}"))? as usize,
            target: numbers.next(LARGEST, || format!("target of balance cost {b}"))?,
            weight: numbers.next(LARGEST, || format!("weight of balance cost {b}"))?,
        });
    }
    let weights = Weights {
        process_move: numbers.next(LARGEST, || "weight of process moves".to_owned())?,
        service_move: numbers.next(LARGEST, || "weight of service moves".to_owned())?,
        machine_move: numbers.next(LARGEST, || "weight of machine moves".to_owned())?,
    };
    numbers.end()?;

    let instance = Instance {
        resources,
        machines,
        capacity,
        safety,
        machine_moves,
        services,
        processes,
        requirement,
        balances,
        weights,
        initial: Vec::new(),
        neighbourhoods: neighbourhoods.len(),
        locations: locations.len(),
    };
    check_sizes(numbers, &instance)?;
    Ok(instance)
}

fn parse_services(numbers: &mut Numbers, machines: usize) -> Result<Vec<Service>, InputError> {
    let what = "number of services";
    let count = numbers.count(LARGEST, what)?;
    if count.saturating_mul(machines) > MOST_CELLS {
        let expected = format!("services x machines of at most {MOST_CELLS}");
        return Err(numbers.refuse(what, expected, format!("{count} x {machines}")));
    }
    let mut services = Vec::new();
    for s in 0..count {
        let spread = numbers.next(LARGEST, || format!("spread of service {s}"))?;
        let following =
            numbers.next(LARGEST, || format!("number of dependencies of service {s}"))?;
        let mut dependencies = Vec::new();
        for d in 0..following {
            let what = || format!("dependency {d} of service {s}");
            let other = numbers.next(count as i64 - 1, what)? as u32;
            // A service in a neighbourhood is there for itself.
            if other as usize != s {
                dependencies.push(other);
            }
        }
        dependencies.sort_unstable();
        dependencies.dedup();
        services.push(Service { spread, dependencies, ..Service::default() });
    }
    for s in 0..count {
        for d in 0..services[s].dependencies.len() {
            let other = services[s].dependencies[d] as usize;
            services[other].dependants.push(s as u32);
        }
    }
    Ok(services)
}

/// Index of a number by order of appearance.
fn dense(known: &mut BTreeMap<i64, u32>, number: i64) -> u32 {
    let next = known.len() as u32;
    *known.entry(number).or_insert(next)
}

/// Refuses what would overflow: sums over everything, as if each process were everywhere at its
/// dearest, leave room for differences of two costs.
fn check_sizes(numbers: &Numbers, instance: &Instance) -> Result<(), InputError> {
    let width = instance.resources.len();
    let total = |table: &[i64], r: usize| -> i128 {
        table.iter().skip(r).step_by(width).map(|&value| i128::from(value)).sum()
    };
    let mut worst = 0_i128;
    for (r, resource) in instance.resources.iter().enumerate() {
        // Half of it at most is usage, the other half what moved processes leave behind.
        let usage = 2 * total(&instance.requirement, r) + total(&instance.capacity, r);
        worst = worst.saturating_add(usage * i128::from(resource.load_weight.max(1)));
    }
    for balance in &instance.balances {
        let free = |r| total(&instance.capacity, r) + total(&instance.requirement, r);
        let lack = free(balance.first) * i128::from(balance.target) + free(balance.second);
        worst = worst.saturating_add(lack.saturating_mul(i128::from(balance.weight.max(1))));
    }
    let weights = instance.weights;
    let moves: i128 = instance.processes.iter().map(|p| i128::from(p.move_cost)).sum();
    let dearest = instance.machine_moves.iter().copied().max().unwrap_or(0);
    let count = instance.processes.len() as i128;
    worst = worst
        .saturating_add(moves * i128::from(weights.process_move))
        .saturating_add(count * i128::from(weights.service_move))
        .saturating_add(count * i128::from(dearest) * i128::from(weights.machine_move));
    if worst > i128::from(i64::MAX / 8) {
        let expected = format!("a cost of at most {} in the worst case", i64::MAX / 8);
        return Err(numbers.refuse("sizes and weights", expected, format!("up to {worst}")));
    }
    Ok(())
}
