//! What a shift or a swap would change: told in time proportional to the resources, balance costs
//! and dependencies of the services involved, whatever the number of processes and machines, and
//! without allocation.

use super::cost::{balance, machine_move, process_move};
use super::instance::Instance;
use super::solution::Solution;
use std::ops::Deref;

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
    /// Of a change: whether something is broken further.
    pub fn worsen(&self) -> bool {
        [self.capacity, self.conflict, self.spread, self.dependency].iter().any(|by| *by > 0)
    }

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

/// A constraint that a move would break, or break further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// Capacity of the destination, transient usage included.
    Capacity,
    /// A process of the service runs there already.
    Conflict,
    /// The service would run in fewer locations than it must.
    Spread,
    /// A service would lack one that it depends on in some neighbourhood.
    Dependency,
}

/// What a shift or a swap would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Change of the total cost.
    pub cost: i64,
    /// Change of what is broken.
    pub violations: Violations,
}

impl<I: Deref<Target = Instance>> Solution<I> {
    /// Whether a process fits on another machine beside what is there: neither capacity nor
    /// conflict would be broken there. Quicker than [`Self::shift`], which most draws need not be
    /// asked for.
    #[inline]
    pub fn fits(&self, process: usize, to: usize) -> bool {
        let instance = &*self.instance;
        if self.on_machine(instance.processes[process].service as usize, to) > 0 {
            return false;
        }
        let home = instance.initial[process] as usize == to;
        let needs = instance.requirement(process).iter().zip(self.rooms(to));
        if home {
            // Of a transient resource its share never left.
            let kinds = &instance.resources;
            return needs.zip(kinds).all(|((need, room), kind)| kind.transient || need <= room);
        }
        needs.into_iter().all(|(need, room)| need <= room)
    }

    /// The first constraint that moving a process would break; `None` where it would break none.
    #[inline]
    pub fn broken_by(&self, process: usize, to: usize) -> Option<Constraint> {
        let from = self.assignment[process] as usize;
        if from == to {
            return None;
        }
        let service = self.instance.processes[process].service as usize;
        if self.on_machine(service, to) > 0 {
            Some(Constraint::Conflict)
        } else if !self.fits(process, to) {
            Some(Constraint::Capacity)
        } else if self.service_change(service, from, to).spread > 0 {
            Some(Constraint::Spread)
        } else if self.dependency_change(from, to, &[(service, 1)]) > 0 {
            Some(Constraint::Dependency)
        } else {
            None
        }
    }

    /// Change of the load and balance cost of its machine where a process leaves it.
    #[inline]
    pub fn departure_cost(&self, process: usize) -> i64 {
        self.exchange_cost(self.assignment[process] as usize, Some(process), None)
    }

    /// Change of the load and balance cost of another machine where a process arrives there.
    #[inline]
    pub fn arrival_cost(&self, process: usize, to: usize) -> i64 {
        self.exchange_cost(to, None, Some(process))
    }

    /// A bound that the gain of moving a process anywhere does not exceed: what its machine wins,
    /// what being away costs it, and what balance an arrival can mend. Told without looking at
    /// destinations, so that a search for the best move need look at few processes.
    pub fn most_gain(&self, process: usize) -> i64 {
        let instance = &*self.instance;
        let machine = self.assignment[process] as usize;
        let mut gain = machine_move(instance, process, machine) - self.departure_cost(process);
        if machine != instance.initial[process] as usize {
            gain += process_move(instance, process, machine) + instance.weights.service_move;
        }
        let required = instance.requirement(process);
        let mended = instance.balances.iter().map(|b| b.weight * b.target * required[b.first]);
        gain + mended.sum::<i64>()
    }

    /// What the best shift that keeps every constraint gains; 0 where none gains anything.
    pub fn best_gain(&self) -> i64 {
        let processes = 0..self.assignment.len();
        let mut bounds: Vec<(i64, usize)> = processes.map(|p| (self.most_gain(p), p)).collect();
        bounds.sort_unstable_by(|a, b| b.cmp(a));
        let mut most = 0;
        for (bound, process) in bounds {
            if bound <= most {
                break;
            }
            for to in 0..self.instance.machines.len() {
                if self.broken_by(process, to).is_none() {
                    most = most.max(-self.shift(process, to).cost);
                }
            }
        }
        most
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

    /// Whether a process fits on the machine of another that has left it, as far as capacity and
    /// conflict go.
    #[inline]
    pub fn fits_in_place_of(&self, process: usize, leaving: usize) -> bool {
        let service = |p: usize| self.instance.processes[p].service as usize;
        let to = self.assignment[leaving] as usize;
        let there = self.on_machine(service(process), to);
        there == usize::from(service(process) == service(leaving))
            && self.trade_fits(to, leaving, process)
    }

    /// Change of load, balance, process and machine move costs where a process takes the place of
    /// another, which goes on to a third machine.
    #[inline]
    pub fn chain_cost(&self, process: usize, ejected: usize, third: usize) -> i64 {
        let (from, to) = (self.assignment[process] as usize, self.assignment[ejected] as usize);
        self.exchange_cost(from, Some(process), None)
            + self.exchange_cost(to, Some(ejected), Some(process))
            + self.exchange_cost(third, None, Some(ejected))
            + self.fare(process, to)
            + self.fare(ejected, third)
    }

    fn trade_fits(&self, machine: usize, leaves: usize, arrives: usize) -> bool {
        self.rooms(machine).iter().enumerate().all(|(r, room)| {
            let (change, away) = self.trade(machine, Some(leaves), Some(arrives), r);
            change + away <= *room
        })
    }

    /// What of each resource is free on a machine; negative above its capacity.
    #[inline]
    pub(super) fn rooms(&self, machine: usize) -> &[i64] {
        let width = self.instance.resources.len();
        &self.room[machine * width..][..width]
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
        let instance = &*self.instance;
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
        let excess = self.rooms(machine).iter().enumerate().map(|(r, room)| {
            let (change, away) = self.trade(machine, leaves, arrives, r);
            (change + away - room).max(0) - (-room).max(0)
        });
        (self.exchange_cost(machine, leaves, arrives), excess.sum())
    }

    /// Change of the load and balance cost of a machine.
    #[inline(always)]
    fn exchange_cost(&self, machine: usize, leaves: Option<usize>, arrives: Option<usize>) -> i64 {
        let instance = &*self.instance;
        let width = instance.resources.len();
        let required = |process: Option<usize>, r: usize| {
            process.map_or(0, |p| instance.requirement[p * width + r])
        };
        let change = |r: usize| required(arrives, r) - required(leaves, r);
        let spare = &self.spare[machine * width..][..width];
        let mut cost = -self.machine_cost[machine];
        for (r, (kind, spare)) in instance.resources.iter().zip(spare).enumerate() {
            cost += kind.load_weight * (change(r) - spare).max(0);
        }
        if !instance.balances.is_empty() {
            cost += balance(instance, machine, |r| self.usage(machine, r) + change(r));
        }
        cost
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

    /// Change of the process and machine move costs where a process moves.
    #[inline]
    pub fn fare(&self, process: usize, to: usize) -> i64 {
        let from = self.assignment[process] as usize;
        let fare = |machine| {
            process_move(&self.instance, process, machine)
                + machine_move(&self.instance, process, machine)
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
}
