//! The judge: feasibility and cost of an assignment, worked out from the text of the challenge.
//!
//! It shares no code with the incremental state or the cost that searches use, recomputes
//! everything from the instance and the final assignment, and takes the plainest way each time, in
//! 128-bit numbers. Slow, and meant to be.

use super::instance::Instance;
use std::collections::BTreeSet;

/// A hard constraint that an assignment breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not one machine for each process.
    #[error("expected {expected} processes, got {got}")]
    Length {
        /// Processes of the instance.
        expected: usize,
        /// Length of the assignment.
        got: usize,
    },
    /// No such machine.
    #[error("process {process}: expected a machine below {machines}, got {machine}")]
    Machine {
        /// Where.
        process: usize,
        /// Number of machines.
        machines: usize,
        /// What was assigned.
        machine: u32,
    },
    /// Too much on a machine, transient usage included.
    #[error(
        "machine {machine}, resource {resource}: expected a usage of at most {capacity}, got {usage}"
    )]
    Capacity {
        /// Where.
        machine: usize,
        /// Of what.
        resource: usize,
        /// What there is.
        capacity: i64,
        /// What is used.
        usage: i128,
    },
    /// Two processes of a service on one machine.
    #[error("service {service}: expected distinct machines, got {first} and {second} on {machine}")]
    Conflict {
        /// Which service.
        service: usize,
        /// One process.
        first: usize,
        /// Another.
        second: usize,
        /// Their machine.
        machine: u32,
    },
    /// A service in too few locations.
    #[error("service {service}: expected {expected} locations, got {got}")]
    Spread {
        /// Which service.
        service: usize,
        /// Its least number of locations.
        expected: i64,
        /// Locations of its processes.
        got: usize,
    },
    /// A process without a process of a service it depends on nearby.
    #[error("process {process}: expected a process of service {needed} in its neighbourhood")]
    Dependency {
        /// Which process.
        process: usize,
        /// The service it lacks.
        needed: usize,
    },
}

/// What the judge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// All that is broken; empty where the assignment is feasible.
    pub violations: Vec<Violation>,
    /// Total cost; 0 where the assignment is not one at all.
    pub cost: i128,
}

impl Verdict {
    /// Whether no hard constraint is broken.
    pub fn feasible(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Judges a final assignment, a machine for each process.
pub fn check(instance: &Instance, assignment: &[u32]) -> Verdict {
    let machines = instance.machines().len();
    let expected = instance.processes().len();
    if assignment.len() != expected {
        let violations = vec![Violation::Length { expected, got: assignment.len() }];
        return Verdict { violations, cost: 0 };
    }
    let unknown = assignment.iter().enumerate().find(|&(_, &m)| m as usize >= machines);
    if let Some((process, &machine)) = unknown {
        let violations = vec![Violation::Machine { process, machines, machine }];
        return Verdict { violations, cost: 0 };
    }
    let mut violations = capacity(instance, assignment);
    violations.extend(services(instance, assignment));
    Verdict { violations, cost: cost(instance, assignment) }
}

/// The processes of each of `groups` groups, where `group` tells the one of a process.
fn grouped(instance: &Instance, groups: usize, group: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); groups];
    for p in 0..instance.processes().len() {
        members[group(p)].push(p);
    }
    members
}

/// Sum of the requirements of some processes.
fn required(instance: &Instance, resource: usize, processes: &[usize]) -> i128 {
    processes.iter().map(|&p| i128::from(instance.requirement(p)[resource])).sum()
}

fn capacity(instance: &Instance, assignment: &[u32]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let machines = instance.machines().len();
    let here = grouped(instance, machines, |p| assignment[p] as usize);
    let mut left = grouped(instance, machines, |p| instance.initial()[p] as usize);
    for (machine, left) in left.iter_mut().enumerate() {
        left.retain(|&p| assignment[p] as usize != machine);
        for (resource, kind) in instance.resources().iter().enumerate() {
            let mut usage = required(instance, resource, &here[machine]);
            if kind.transient {
                usage += required(instance, resource, left);
            }
            let capacity = instance.capacity(machine)[resource];
            if usage > i128::from(capacity) {
                violations.push(Violation::Capacity { machine, resource, capacity, usage });
            }
        }
    }
    violations
}

/// Conflict, spread and dependency.
fn services(instance: &Instance, assignment: &[u32]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let neighbourhood = |p: usize| instance.machines()[assignment[p] as usize].neighbourhood;
    let of_service =
        grouped(instance, instance.services().len(), |p| instance.processes()[p].service as usize);
    for (index, service) in instance.services().iter().enumerate() {
        let members = &of_service[index];
        for (position, &first) in members.iter().enumerate() {
            for &second in &members[position + 1..] {
                if assignment[first] == assignment[second] {
                    let machine = assignment[first];
                    violations.push(Violation::Conflict { service: index, first, second, machine });
                }
            }
        }
        let locations: BTreeSet<u32> =
            members.iter().map(|&p| instance.machines()[assignment[p] as usize].location).collect();
        if (locations.len() as i128) < i128::from(service.spread) {
            let (expected, got) = (service.spread, locations.len());
            violations.push(Violation::Spread { service: index, expected, got });
        }
        for &needed in &service.dependencies {
            for &process in members {
                let found = of_service[needed as usize]
                    .iter()
                    .any(|&other| neighbourhood(other) == neighbourhood(process));
                if !found {
                    let needed = needed as usize;
                    violations.push(Violation::Dependency { process, needed });
                }
            }
        }
    }
    violations
}

fn cost(instance: &Instance, assignment: &[u32]) -> i128 {
    let wide = i128::from;
    let mut total = 0;
    let here = grouped(instance, instance.machines().len(), |p| assignment[p] as usize);
    for (machine, here) in here.iter().enumerate() {
        let usage = |r: usize| required(instance, r, here);
        for (r, resource) in instance.resources().iter().enumerate() {
            let above = usage(r) - wide(instance.safety(machine)[r]);
            if above > 0 {
                total += wide(resource.load_weight) * above;
            }
        }
        for balance in instance.balances() {
            let free = |r: usize| wide(instance.capacity(machine)[r]) - usage(r);
            let lack = wide(balance.target) * free(balance.first) - free(balance.second);
            if lack > 0 {
                total += wide(balance.weight) * lack;
            }
        }
    }
    let moved = |p: usize| assignment[p] != instance.initial()[p];
    let weights = instance.weights();
    let mut of_service = vec![0; instance.services().len()];
    for p in (0..assignment.len()).filter(|&p| moved(p)) {
        of_service[instance.processes()[p].service as usize] += 1;
    }
    let most: i128 = of_service.into_iter().max().unwrap_or(0);
    total += wide(weights.service_move) * most;
    for p in (0..assignment.len()).filter(|&p| moved(p)) {
        total += wide(weights.process_move) * wide(instance.processes()[p].move_cost);
    }
    for (&from, &to) in instance.initial().iter().zip(assignment) {
        let fare = instance.machine_move(from as usize, to as usize);
        total += wide(weights.machine_move) * wide(fare);
    }
    total
}
