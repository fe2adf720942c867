//! The cost of an assignment, in its parts.

use super::instance::Instance;

/// What an assignment costs: five parts, each with its weights applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Usage above the safety capacities.
    pub load: i64,
    /// What the free amount of one resource lacks beside another.
    pub balance: i64,
    /// Costs of the moved processes.
    pub process_move: i64,
    /// The most moved processes of any one service.
    pub service_move: i64,
    /// Costs between initial and final machines.
    pub machine_move: i64,
}

impl Cost {
    /// The number that is minimised.
    pub fn total(&self) -> i64 {
        self.load + self.balance + self.process_move + self.service_move + self.machine_move
    }

    /// The cost of an assignment, a machine for each process. Constraints do not matter here.
    pub fn of(instance: &Instance, assignment: &[u32]) -> Self {
        let width = instance.resources.len();
        let mut usage = vec![0; instance.machines.len() * width];
        let mut moved = vec![0; instance.services.len()];
        let mut cost = Self::default();
        for (p, &machine) in assignment.iter().enumerate() {
            let machine = machine as usize;
            for (used, required) in usage[machine * width..].iter_mut().zip(instance.requirement(p))
            {
                *used += required;
            }
            cost.process_move += process_move(instance, p, machine);
            cost.machine_move += machine_move(instance, p, machine);
            moved[instance.processes[p].service as usize] +=
                i64::from(machine != instance.initial[p] as usize);
        }
        for (machine, usage) in usage.chunks_exact(width).enumerate() {
            cost.load += load(instance, machine, |r| usage[r]);
            cost.balance += balance(instance, machine, |r| usage[r]);
        }
        cost.service_move =
            instance.weights.service_move * moved.iter().copied().max().unwrap_or(0);
        cost
    }
}

impl Instance {
    /// A cost that no assignment is below: the load and balance cost if all machines were one. It is
    /// the lower bound that is published for the challenge's instances.
    pub fn lower_bound(&self) -> i64 {
        let width = self.resources.len();
        let total = |rows: &[i64], r: usize| rows.iter().skip(r).step_by(width).sum::<i64>();
        let load = self.resources.iter().enumerate().map(|(r, resource)| {
            let above = total(&self.requirement, r) - total(&self.safety, r);
            resource.load_weight * above.max(0)
        });
        let free = |r: usize| total(&self.capacity, r) - total(&self.requirement, r);
        let balance = self.balances.iter().map(|balance| {
            let lack = balance.target * free(balance.first) - free(balance.second);
            balance.weight * lack.max(0)
        });
        load.sum::<i64>() + balance.sum::<i64>()
    }
}

/// Load cost of a machine for a usage by resource.
#[inline]
pub(super) fn load(instance: &Instance, machine: usize, usage: impl Fn(usize) -> i64) -> i64 {
    let over = instance.safety(machine).iter().zip(&instance.resources).enumerate();
    over.map(|(r, (safety, resource))| resource.load_weight * (usage(r) - safety).max(0)).sum()
}

/// Balance cost of a machine for a usage by resource.
#[inline]
pub(super) fn balance(instance: &Instance, machine: usize, usage: impl Fn(usize) -> i64) -> i64 {
    let capacity = instance.capacity(machine);
    let lack = instance.balances.iter().map(|balance| {
        let free = |r: usize| capacity[r] - usage(r);
        balance.weight * (balance.target * free(balance.first) - free(balance.second)).max(0)
    });
    lack.sum()
}

/// Process move cost of a process on a machine.
#[inline]
pub(super) fn process_move(instance: &Instance, process: usize, machine: usize) -> i64 {
    if machine == instance.initial[process] as usize {
        return 0;
    }
    instance.weights.process_move * instance.processes[process].move_cost
}

/// Machine move cost of a process on a machine.
#[inline]
pub(super) fn machine_move(instance: &Instance, process: usize, machine: usize) -> i64 {
    let from = instance.initial[process] as usize;
    instance.weights.machine_move * instance.machine_move(from, machine)
}
