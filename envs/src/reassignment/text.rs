//! Writes an instance back in the challenge's format.

use super::instance::Instance;
use std::fmt::{Display, Write as _};

impl Instance {
    /// The model in the challenge's format: [`Instance::parse`] reads it back, with the same initial
    /// assignment, to an equal instance. Neighbourhoods and locations are numbered as they appear.
    pub fn model_text(&self) -> String {
        let mut out = String::new();
        line(&mut out, [self.resources.len()]);
        for resource in &self.resources {
            line(&mut out, [i64::from(resource.transient), resource.load_weight]);
        }
        line(&mut out, [self.machines.len()]);
        for (m, machine) in self.machines.iter().enumerate() {
            let place = [i64::from(machine.neighbourhood), i64::from(machine.location)];
            let limits = self.capacity(m).iter().chain(self.safety(m)).copied();
            let costs = (0..self.machines.len()).map(|to| self.machine_move(m, to));
            line(&mut out, place.into_iter().chain(limits).chain(costs));
        }
        line(&mut out, [self.services.len()]);
        for service in &self.services {
            let head = [service.spread, service.dependencies.len() as i64];
            line(&mut out, head.into_iter().chain(service.dependencies.iter().map(|&d| d.into())));
        }
        line(&mut out, [self.processes.len()]);
        for (p, process) in self.processes.iter().enumerate() {
            let service = std::iter::once(i64::from(process.service));
            let requirement = self.requirement(p).iter().copied();
            line(&mut out, service.chain(requirement).chain([process.move_cost]));
        }
        line(&mut out, [self.balances.len()]);
        for balance in &self.balances {
            line(&mut out, [balance.first as i64, balance.second as i64, balance.target]);
            line(&mut out, [balance.weight]);
        }
        let weights = self.weights;
        line(&mut out, [weights.process_move, weights.service_move, weights.machine_move]);
        out
    }
}

fn line<N: Display>(out: &mut String, numbers: impl IntoIterator<Item = N>) {
    for (at, number) in numbers.into_iter().enumerate() {
        let gap = if at == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(out, "{gap}{number}");
    }
    out.push('\n');
}
