//! The state that a search works on: an assignment with all that is needed to tell quickly what a
//! shift or a swap would change.
//!
//! It may break constraints; how much is counted, so that a search may pass through such states.
//! A change is told in time proportional to the resources, balance costs and dependencies of the
//! services involved, whatever the number of processes and machines, and without allocation.

use super::cost::{Cost, balance, load, machine_move, process_move};
use super::instance::Instance;

/// How much an assignment breaks, or by how much that would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Violations {
    /// Units of usage above capacities, over all machines and resources.
    pub capacity: i64,
    /// Processes that share a machine with another of their service, less one per machine.
    pub conflict: i64,
    /// Locations that services lack.
    pub spread: i64,
    /// Pairs of a process and a service that it needs in its neighbourhood and has not.
    pub dependency: i64,
}

impl Violations {
    /// Whether nothing is broken (or, of a change, nothing changes).
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Violations {
    fn add_assign(&mut self, other: Self) {
        self.capacity += other.capacity;
        self.conflict += other.conflict;
        self.spread += other.spread;
        self.dependency += other.dependency;
    }
}

/// What a shift or a swap would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Change of the total cost.
    pub cost: i64,
    /// Change of what is broken.
    pub violations: Violations,
}

/// An assignment under search.
#[derive(Debug, Clone)]
pub struct Solution<'a> {
    instance: &'a Instance,
    assignment: Vec<u32>,
    /// Usage by the processes that are there, `[machines, resources]`.
    usage: Vec<i64>,
    /// Transient usage by those that left, `[machines, resources]`.
    away: Vec<i64>,
    /// Load and balance cost of each machine.
    machine_cost: Vec<i64>,
    /// Processes of a service on a machine, `[services, machines]`.
    on_machine: Vec<u16>,
    /// Processes of a service in a location, `[services, locations]`.
    in_location: Vec<u16>,
    /// Processes of a service in a neighbourhood, `[services, neighbourhoods]`.
    in_neighbourhood: Vec<u16>,
    /// Distinct locations of each service.
    spread: Vec<i64>,
    /// Moved processes of each service.
    moved: Vec<usize>,
    /// Services by their number of moved processes.
    services_with: Vec<u32>,
    /// Most moved processes of a service.
    most_moved: usize,
    cost: i64,
    violations: Violations,
}

impl<'a> Solution<'a> {
    /// The initial assignment.
    pub fn new(instance: &'a Instance) -> Self {
        let (machines, services) = (instance.machines.len(), instance.services.len());
        let largest = instance.services.iter().map(|s| s.processes.len()).max().unwrap_or(0);
        let mut solution = Self {
            instance,
            assignment: instance.initial.clone(),
            usage: vec![0; instance.capacity.len()],
            away: vec![0; instance.capacity.len()],
            machine_cost: vec![0; machines],
            on_machine: vec![0; services * machines],
            in_location: vec![0; services * instance.locations],
            in_neighbourhood: vec![0; services * instance.neighbourhoods],
            spread: vec![0; services],
            moved: vec![0; services],
            services_with: vec![0; largest + 1],
            most_moved: 0,
            cost: Cost::of(instance, &instance.initial).total(),
            violations: Violations::default(),
        };
        solution.services_with[0] = services as u32;
        for process in 0..instance.processes.len() {
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
    pub fn with_assignment(instance: &'a Instance, assignment: &[u32]) -> Self {
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
    pub fn instance(&self) -> &'a Instance {
        self.instance
    }

    /// Total cost.
    pub fn cost(&self) -> i64 {
        self.cost
    }

    /// All that is broken.
    pub fn violations(&self) -> Violations {
        self.violations
    }

    /// Load and balance cost of a machine.
    pub fn machine_cost(&self, machine: usize) -> i64 {
        self.machine_cost[machine]
    }

    /// Processes of a service on a machine.
    pub fn on_machine(&self, service: usize, machine: usize) -> usize {
        usize::from(self.on_machine[service * self.instance.machines.len() + machine])
    }

    /// Processes of a service in a neighbourhood.
    pub fn in_neighbourhood(&self, service: usize, neighbourhood: usize) -> usize {
        usize::from(self.in_neighbourhood[service * self.instance.neighbourhoods + neighbourhood])
    }

    /// Whether a process fits on another machine beside what is there: neither capacity nor
    /// conflict would be broken there. Quicker than [`Self::shift`], which most draws need not be
    /// asked for.
    #[inline]
    pub fn fits(&self, process: usize, to: usize) -> bool {
        let instance = self.instance;
        if self.on_machine(instance.processes[process].service as usize, to) > 0 {
            return false;
        }
        let home = instance.initial[process] as usize == to;
        self.rows(to).zip(instance.requirement(process)).all(|((r, used, capacity), required)| {
            // Of a transient resource its share never left.
            (home && instance.resources[r].transient) || used + required <= capacity
        })
    }

    /// Whether two processes of different services can trade machines as far as capacity and
    /// conflict go. Quicker than [`Self::swap`].
    #[inline]
    pub fn fits_swap(&self, first: usize, second: usize) -> bool {
        let (a, b) = (self.assignment[first] as usize, self.assignment[second] as usize);
        let service = |p: usize| self.instance.processes[p].service as usize;
        self.on_machine(service(first), b) == 0
            && self.on_machine(service(second), a) == 0
            && self.trade_fits(a, first, second)
            && self.trade_fits(b, second, first)
    }

    fn trade_fits(&self, machine: usize, leaves: usize, arrives: usize) -> bool {
        self.rows(machine).all(|(r, used, capacity)| {
            let (change, away) = self.trade(machine, Some(leaves), Some(arrives), r);
            used + change + away <= capacity
        })
    }

    /// Resource, usage with what moved processes left behind, and capacity.
    #[inline]
    fn rows(&self, machine: usize) -> impl Iterator<Item = (usize, i64, i64)> {
        let width = self.instance.resources.len();
        let usage = &self.usage[machine * width..][..width];
        let away = &self.away[machine * width..][..width];
        let capacity = self.instance.capacity(machine).iter();
        let used = usage.iter().zip(away).map(|(usage, away)| usage + away);
        used.zip(capacity).enumerate().map(|(r, (used, &capacity))| (r, used, capacity))
    }

    /// By how much usage and transient usage of a resource change where one process leaves a
    /// machine and another arrives.
    #[inline(always)]
    fn trade(
        &self,
        machine: usize,
        leaves: Option<usize>,
        arrives: Option<usize>,
        r: usize,
    ) -> (i64, i64) {
        let instance = self.instance;
        let width = instance.resources.len();
        let part = |process: Option<usize>| {
            let Some(p) = process else { return (0, 0) };
            let required = instance.requirement[p * width + r];
            let stays = instance.resources[r].transient && instance.initial[p] as usize == machine;
            (required, if stays { required } else { 0 })
        };
        let ((out, left), (into, back)) = (part(leaves), part(arrives));
        (into - out, left - back)
    }

    /// Change of the cost of a machine and of its usage above capacity.
    #[inline(always)]
    fn exchange(
        &self,
        machine: usize,
        leaves: Option<usize>,
        arrives: Option<usize>,
    ) -> (i64, i64) {
        let width = self.instance.resources.len();
        let mut excess = 0;
        for (r, used, capacity) in self.rows(machine) {
            let (change, away) = self.trade(machine, leaves, arrives, r);
            excess += (used + change + away - capacity).max(0) - (used - capacity).max(0);
        }
        let usage =
            |r: usize| self.usage[machine * width + r] + self.trade(machine, leaves, arrives, r).0;
        let cost = load(self.instance, machine, usage) + balance(self.instance, machine, usage);
        (cost - self.machine_cost[machine], excess)
    }

    /// What moving a process would change.
    pub fn shift(&self, process: usize, to: usize) -> Change {
        let from = self.assignment[process] as usize;
        if from == to {
            return Change::default();
        }
        let service = self.instance.processes[process].service as usize;
        let (source, relief) = self.exchange(from, Some(process), None);
        let (destination, excess) = self.exchange(to, None, Some(process));
        let mut change = Change {
            cost: source + destination + self.fare(process, to),
            violations: self.service_change(service, from, to),
        };
        change.violations.capacity = relief + excess;
        change.violations.dependency = self.dependency_change(from, to, &[(service, 1)]);
        change.cost += self.most_moved_change(&[(service, self.newly_moved(process, to))]);
        change
    }

    /// What trading the machines of two processes would change.
    pub fn swap(&self, first: usize, second: usize) -> Change {
        let (a, b) = (self.assignment[first] as usize, self.assignment[second] as usize);
        if a == b {
            return Change::default();
        }
        let service = |p: usize| self.instance.processes[p].service as usize;
        let (s, t) = (service(first), service(second));
        let (cost_a, excess_a) = self.exchange(a, Some(first), Some(second));
        let (cost_b, excess_b) = self.exchange(b, Some(second), Some(first));
        let mut change = Change {
            cost: cost_a + cost_b + self.fare(first, b) + self.fare(second, a),
            violations: Violations::default(),
        };
        let (moved, other) = (self.newly_moved(first, b), self.newly_moved(second, a));
        // Processes of one service stand in for each other.
        if s == t {
            change.cost += self.most_moved_change(&[(s, moved + other)]);
        } else {
            change.violations = self.service_change(s, a, b);
            change.violations += self.service_change(t, b, a);
            change.violations.dependency = self.dependency_change(a, b, &[(s, 1), (t, -1)]);
            change.cost += self.most_moved_change(&[(s, moved), (t, other)]);
        }
        change.violations.capacity = excess_a + excess_b;
        change
    }

    /// Change of the process and machine move costs.
    #[inline]
    fn fare(&self, process: usize, to: usize) -> i64 {
        let from = self.assignment[process] as usize;
        let fare = |machine| {
            process_move(self.instance, process, machine)
                + machine_move(self.instance, process, machine)
        };
        fare(to) - fare(from)
    }

    /// 1 where the process leaves its initial machine, -1 where it returns to it.
    #[inline]
    fn newly_moved(&self, process: usize, to: usize) -> isize {
        let initial = self.instance.initial[process];
        isize::from(to != initial as usize) - isize::from(self.assignment[process] != initial)
    }

    /// Change of the service move cost, for changes of different services.
    #[inline]
    fn most_moved_change(&self, changes: &[(usize, isize)]) -> i64 {
        if self.instance.weights.service_move == 0 || changes.iter().all(|&(_, by)| by == 0) {
            return 0;
        }
        let after = changes.iter().map(|&(s, by)| self.moved[s].saturating_add_signed(by)).max();
        let after = after.unwrap_or(0);
        let mut most = self.most_moved;
        // Down to the first level that a service holds which does not change.
        while most > after {
            let changing = changes.iter().filter(|&&(s, _)| self.moved[s] == most).count();
            if self.services_with[most] as usize > changing {
                break;
            }
            most -= 1;
        }
        let difference = most.max(after) as i64 - self.most_moved as i64;
        self.instance.weights.service_move * difference
    }

    /// Change of conflict and spread where a process of a service goes elsewhere.
    #[inline]
    fn service_change(&self, service: usize, from: usize, to: usize) -> Violations {
        let mut change = Violations {
            conflict: i64::from(self.on_machine(service, to) > 0)
                - i64::from(self.on_machine(service, from) > 1),
            ..Violations::default()
        };
        let location = |m: usize| self.instance.machines[m].location as usize;
        let (left, entered) = (location(from), location(to));
        if left != entered {
            let count = |l: usize| self.in_location[service * self.instance.locations + l];
            let spread = self.spread[service];
            let after = spread - i64::from(count(left) == 1) + i64::from(count(entered) == 0);
            let least = self.instance.services[service].spread;
            change.spread = (least - after).max(0) - (least - spread).max(0);
        }
        change
    }

    /// Change of the dependencies where for each service so many processes go from one machine to
    /// another (or back, where negative).
    #[inline]
    fn dependency_change(&self, from: usize, to: usize, moves: &[(usize, i64)]) -> i64 {
        let services = &self.instance.services;
        let linked = |&(s, _): &(usize, i64)| {
            !services[s].dependencies.is_empty() || !services[s].dependants.is_empty()
        };
        if !moves.iter().any(linked) {
            return 0;
        }
        let neighbourhood = |m: usize| self.instance.machines[m].neighbourhood as usize;
        let (left, entered) = (neighbourhood(from), neighbourhood(to));
        if left == entered {
            return 0;
        }
        self.dependency_change_at(left, moves, -1) + self.dependency_change_at(entered, moves, 1)
    }

    fn dependency_change_at(&self, place: usize, moves: &[(usize, i64)], sign: i64) -> i64 {
        let before = |s: usize| self.in_neighbourhood(s, place) as i64;
        let by = |s: usize| moves.iter().find(|m| m.0 == s).map_or(0, |m| sign * m.1);
        let lacking = |needy: i64, needed: i64| if needed == 0 { needy } else { 0 };
        let mut change = 0;
        for &(s, _) in moves {
            let service = &self.instance.services[s];
            let (old, new) = (before(s), before(s) + by(s));
            for &needed in &service.dependencies {
                let needed = needed as usize;
                change += lacking(new, before(needed) + by(needed)) - lacking(old, before(needed));
            }
            if (old == 0) == (new == 0) {
                continue;
            }
            for &needy in &service.dependants {
                let needy = needy as usize;
                // Where both change, the needy one's turn has counted the pair.
                if moves.iter().all(|m| m.0 != needy) {
                    change += lacking(before(needy), new) - lacking(before(needy), old);
                }
            }
        }
        change
    }

    /// Moves a process.
    pub fn apply_shift(&mut self, process: usize, to: usize) {
        let change = self.shift(process, to);
        self.commit_shift(process, to, change);
    }

    /// Moves a process; `change` is what [`Self::shift`] said about it in this state.
    pub fn commit_shift(&mut self, process: usize, to: usize, change: Change) {
        let instance = self.instance;
        let from = self.assignment[process] as usize;
        if from == to {
            return;
        }
        self.unplace(process);
        self.assignment[process] = to as u32;
        self.place(process);
        self.machine_cost[from] = self.price(from);
        self.machine_cost[to] = self.price(to);
        let service = instance.processes[process].service as usize;
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
        let width = self.instance.resources.len();
        let usage = |r: usize| self.usage[machine * width + r];
        load(self.instance, machine, usage) + balance(self.instance, machine, usage)
    }

    /// Enters a process into the tables for the machine that it is assigned to.
    fn place(&mut self, process: usize) {
        self.enter(process, 1);
        let instance = self.instance;
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
        let instance = self.instance;
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

    /// Adds (or, with -1, takes back) usage, what was left behind, and the count of moved ones.
    fn enter(&mut self, process: usize, sign: i64) {
        let instance = self.instance;
        let width = instance.resources.len();
        let machine = self.assignment[process] as usize;
        let initial = instance.initial[process] as usize;
        for (r, required) in instance.requirement(process).iter().enumerate() {
            self.usage[machine * width + r] += sign * required;
            if machine != initial && instance.resources[r].transient {
                self.away[initial * width + r] += sign * required;
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
        let instance = self.instance;
        let mut broken = Violations::default();
        for machine in 0..instance.machines.len() {
            broken.capacity +=
                self.rows(machine).map(|(_, used, capacity)| (used - capacity).max(0)).sum::<i64>();
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
