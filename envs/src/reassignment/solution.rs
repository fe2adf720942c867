//! The state that a search works on: an assignment with all that is needed to tell quickly what a
//! shift or a swap would change.
//!
//! It may break constraints; how much is counted, so that a search may pass through such states.
//! A change is told in time proportional to the resources, balance costs and dependencies of the
//! services involved, whatever the number of processes and machines, and without allocation.

use super::change::{Change, Violations};
use super::cost::{Cost, balance, load};
use super::instance::Instance;
use std::ops::Deref;

/// An assignment under search. `I` refers to the instance: borrowed, or shared by an `Arc` where the
/// state outlives who made it.
#[derive(Debug, Clone)]
pub struct Solution<I> {
    pub(super) instance: I,
    pub(super) assignment: Vec<u32>,
    /// Capacity less the usage by the processes that are there and the transient usage by those that
    /// left, `[machines, resources]`.
    pub(super) room: Vec<i64>,
    /// Safety capacity less the usage by the processes that are there, `[machines, resources]`.
    pub(super) spare: Vec<i64>,
    /// Load and balance cost of each machine.
    pub(super) machine_cost: Vec<i64>,
    /// Processes of a service on a machine, `[services, machines]`.
    pub(super) on_machine: Vec<u16>,
    /// Processes of a service in a location, `[services, locations]`.
    pub(super) in_location: Vec<u16>,
    /// Processes of a service in a neighbourhood, `[services, neighbourhoods]`.
    pub(super) in_neighbourhood: Vec<u16>,
    /// Distinct locations of each service.
    pub(super) spread: Vec<i64>,
    /// Moved processes of each service.
    pub(super) moved: Vec<usize>,
    /// Services by their number of moved processes.
    pub(super) services_with: Vec<u32>,
    /// Most moved processes of a service.
    pub(super) most_moved: usize,
    pub(super) cost: i64,
    initial_cost: i64,
    pub(super) violations: Violations,
}

impl<I: Deref<Target = Instance>> Solution<I> {
    /// The initial assignment.
    pub fn new(shared: I) -> Self {
        let instance = &*shared;
        let (machines, services) = (instance.machines.len(), instance.services.len());
        let largest = instance.services.iter().map(|s| s.processes.len()).max().unwrap_or(0);
        let processes = instance.processes.len();
        let initial_cost = Cost::of(instance, &instance.initial).total();
        let mut solution = Self {
            assignment: instance.initial.clone(),
            room: instance.capacity.clone(),
            spare: instance.safety.clone(),
            machine_cost: vec![0; machines],
            on_machine: vec![0; services * machines],
            in_location: vec![0; services * instance.locations],
            in_neighbourhood: vec![0; services * instance.neighbourhoods],
            spread: vec![0; services],
            moved: vec![0; services],
            services_with: vec![0; largest + 1],
            most_moved: 0,
            cost: initial_cost,
            initial_cost,
            violations: Violations::default(),
            instance: shared,
        };
        solution.services_with[0] = services as u32;
        for process in 0..processes {
            solution.place(process);
        }
        for machine in 0..machines {
            solution.machine_cost[machine] = solution.price(machine);
        }
        solution.violations = solution.count_violations();
        solution
    }

    /// An assignment, a machine for each process.
    ///
    /// # Panics
    /// When it is not as long as there are processes, or names a machine that there is not.
    pub fn with_assignment(instance: I, assignment: &[u32]) -> Self {
        assert_eq!(assignment.len(), instance.processes.len(), "a machine for each process");
        let mut solution = Self::new(instance);
        solution.set(assignment);
        solution
    }

    /// Goes over to another assignment of the same instance.
    ///
    /// # Panics
    /// As for [`Self::with_assignment`].
    pub fn set(&mut self, assignment: &[u32]) {
        for (process, &machine) in assignment.iter().enumerate() {
            self.apply_shift(process, machine as usize);
        }
    }

    /// The machine of each process.
    pub fn assignment(&self) -> &[u32] {
        &self.assignment
    }

    /// The instance.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Total cost.
    pub fn cost(&self) -> i64 {
        self.cost
    }

    /// Total cost of the initial assignment.
    pub fn initial_cost(&self) -> i64 {
        self.initial_cost
    }

    /// All that is broken.
    pub fn violations(&self) -> Violations {
        self.violations
    }

    /// Load and balance cost of a machine.
    pub fn machine_cost(&self, machine: usize) -> i64 {
        self.machine_cost[machine]
    }

    /// Load cost of a machine.
    pub fn load_cost(&self, machine: usize) -> i64 {
        load(&self.instance, machine, |r| self.usage(machine, r))
    }

    /// Processes of a service on a machine.
    pub fn on_machine(&self, service: usize, machine: usize) -> usize {
        usize::from(self.on_machine[service * self.instance.machines.len() + machine])
    }

    /// Processes of a service in a neighbourhood.
    pub fn in_neighbourhood(&self, service: usize, neighbourhood: usize) -> usize {
        usize::from(self.in_neighbourhood[service * self.instance.neighbourhoods + neighbourhood])
    }

    /// Moves a process.
    pub fn apply_shift(&mut self, process: usize, to: usize) {
        let change = self.shift(process, to);
        self.commit_shift(process, to, change);
    }

    /// Moves a process; `change` is what [`Self::shift`] said about it in this state.
    pub fn commit_shift(&mut self, process: usize, to: usize, change: Change) {
        let from = self.assignment[process] as usize;
        if from == to {
            return;
        }
        self.unplace(process);
        self.assignment[process] = to as u32;
        self.place(process);
        self.machine_cost[from] = self.price(from);
        self.machine_cost[to] = self.price(to);
        let service = self.instance.processes[process].service as usize;
        let moved = self.moved[service];
        let emptied = usize::from(self.services_with[self.most_moved] == 0);
        self.most_moved = self.most_moved.saturating_sub(emptied).max(moved);
        self.cost += change.cost;
        self.violations += change.violations;
    }

    /// Trades the machines of two processes.
    pub fn apply_swap(&mut self, first: usize, second: usize) {
        let (a, b) = (self.assignment[first] as usize, self.assignment[second] as usize);
        self.apply_shift(first, b);
        self.apply_shift(second, a);
    }

    fn price(&self, machine: usize) -> i64 {
        let usage = |r: usize| self.usage(machine, r);
        load(&self.instance, machine, usage) + balance(&self.instance, machine, usage)
    }

    /// Usage of a resource by the processes that are there.
    #[inline]
    pub(super) fn usage(&self, machine: usize, r: usize) -> i64 {
        let at = machine * self.instance.resources.len() + r;
        self.instance.safety[at] - self.spare[at]
    }

    /// Enters a process into the tables for the machine that it is assigned to.
    fn place(&mut self, process: usize) {
        self.enter(process, 1);
        let instance = &*self.instance;
        let service = instance.processes[process].service as usize;
        let machine = self.assignment[process] as usize;
        let location = instance.machines[machine].location as usize;
        let neighbourhood = instance.machines[machine].neighbourhood as usize;
        self.on_machine[service * instance.machines.len() + machine] += 1;
        self.in_neighbourhood[service * instance.neighbourhoods + neighbourhood] += 1;
        let count = &mut self.in_location[service * instance.locations + location];
        *count += 1;
        self.spread[service] += i64::from(*count == 1);
    }

    /// Takes a process out of the tables again.
    fn unplace(&mut self, process: usize) {
        self.enter(process, -1);
        let instance = &*self.instance;
        let service = instance.processes[process].service as usize;
        let machine = self.assignment[process] as usize;
        let location = instance.machines[machine].location as usize;
        let neighbourhood = instance.machines[machine].neighbourhood as usize;
        self.on_machine[service * instance.machines.len() + machine] -= 1;
        self.in_neighbourhood[service * instance.neighbourhoods + neighbourhood] -= 1;
        let count = &mut self.in_location[service * instance.locations + location];
        *count -= 1;
        self.spread[service] -= i64::from(*count == 0);
    }

    /// Takes (or, with -1, gives back) room and counts moved ones.
    fn enter(&mut self, process: usize, sign: i64) {
        let instance = &*self.instance;
        let width = instance.resources.len();
        let machine = self.assignment[process] as usize;
        let initial = instance.initial[process] as usize;
        for (r, required) in instance.requirement(process).iter().enumerate() {
            self.room[machine * width + r] -= sign * required;
            self.spare[machine * width + r] -= sign * required;
            if machine != initial && instance.resources[r].transient {
                self.room[initial * width + r] -= sign * required;
            }
        }
        if machine != initial {
            let moved = &mut self.moved[instance.processes[process].service as usize];
            self.services_with[*moved] -= 1;
            *moved = moved.saturating_add_signed(sign as isize);
            self.services_with[*moved] += 1;
        }
    }

    /// All that is broken, counted from the tables.
    fn count_violations(&self) -> Violations {
        let instance = &*self.instance;
        let mut broken = Violations::default();
        for machine in 0..instance.machines.len() {
            broken.capacity += self.rooms(machine).iter().map(|room| (-room).max(0)).sum::<i64>();
        }
        broken.conflict =
            self.on_machine.iter().map(|&count| i64::from(count.saturating_sub(1))).sum();
        for (s, service) in instance.services.iter().enumerate() {
            broken.spread += (service.spread - self.spread[s]).max(0);
            for &needed in &service.dependencies {
                for place in 0..instance.neighbourhoods {
                    if self.in_neighbourhood(needed as usize, place) == 0 {
                        broken.dependency += self.in_neighbourhood(s, place) as i64;
                    }
                }
            }
        }
        broken
    }
}
