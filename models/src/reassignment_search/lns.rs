//! The second stage: large neighbourhood search (Shaw, *Using Constraint Programming and Local
//! Search Methods to Solve Vehicle Routing Problems*, CP 1998). A neighbourhood is a few machines
//! with all their processes; it is searched by a short annealing of its own, and the outcome kept
//! where it costs no more than before.

use crate::reassignment_search::limits::Limits;
use crate::reassignment_search::walk::Walk;
use rand::RngExt;

/// Fewest and most machines of a neighbourhood.
const FEWEST: usize = 2;
const MOST: usize = 8;
/// Most moves tried in one neighbourhood, and the fewest neighbourhoods of a stage: where it is short,
/// many small tries win more than a few large ones.
const TRIES: u64 = 100_000;
const NEIGHBOURHOODS: f64 = 200.0;
/// First temperature in a neighbourhood, in mean changes of cost by a move: drawn log-uniformly in
/// between, for what a neighbourhood needs differs with what stands on it.
const COOLEST_START: f64 = 3e-4;
const HOTTEST_START: f64 = 0.3;
/// The first temperature in units of the last.
const COOLING: f64 = 1000.0;
/// Price of a broken spread or dependency at the start, in typical changes of cost by a move.
const FIRST_PRICE: f64 = 10.0;
/// Share of neighbourhoods that begin at a machine drawn by its load cost; the others begin
/// anywhere.
const BY_LOAD: f64 = 0.5;
/// Draws for the machines of one neighbourhood, at most: where nothing is related, it stays small.
const DRAWS: usize = 1000;
/// Percentages of moves that are swaps and chains; the rest are shifts.
const SWAPS: usize = 52;
const CHAINS: usize = 3;

/// Improves the best assignment until the stage is over.
pub(super) fn run(walk: &mut Walk, limits: &Limits) {
    walk.back_to_best();
    let mut kept = walk.now.assignment().to_vec();
    let mut kept_cost = walk.now.cost();
    // Moves are tried about as fast as before this stage.
    let expected = walk.tried as f64 / limits.from * (limits.to - limits.from);
    let tries = ((expected / NEIGHBOURHOODS) as u64).clamp(1, TRIES);
    while limits.progress(walk.tried) < 1.0 {
        let neighbourhood = Neighbourhood::draw(walk);
        if neighbourhood.processes.is_empty() {
            walk.tried += 1; // a search that may only draw empty machines ends, too
            continue;
        }
        neighbourhood.anneal(walk, tries, limits);
        if walk.now.violations().none() && walk.now.cost() <= kept_cost {
            for &process in &neighbourhood.processes {
                kept[process] = walk.now.assignment()[process];
            }
            kept_cost = walk.now.cost();
        } else {
            for &process in &neighbourhood.processes {
                walk.put(process, kept[process]);
            }
        }
    }
}

struct Neighbourhood {
    machines: Vec<usize>,
    /// All processes on them.
    processes: Vec<usize>,
}

impl Neighbourhood {
    fn draw(walk: &mut Walk) -> Self {
        let most = MOST.min(walk.machines()).max(FEWEST);
        let size = walk.rng.random_range(FEWEST..=most);
        let mut machines = vec![first_machine(walk)];
        for _ in 0..DRAWS {
            if machines.len() == size {
                break;
            }
            let next = if walk.below(2) == 0 {
                Some(walk.below(walk.machines()))
            } else {
                related_machine(walk, &machines)
            };
            machines.extend(next.filter(|next| !machines.contains(next)));
        }
        let processes =
            (0..walk.processes()).filter(|&p| machines.contains(&walk.machine(p))).collect();
        Self { machines, processes }
    }

    fn anneal(&self, walk: &mut Walk, tries: u64, limits: &Limits) {
        let hot = walk.mean_change
            * COOLEST_START
            * (HOTTEST_START / COOLEST_START).powf(walk.rng.random());
        walk.price = walk.scale * FIRST_PRICE;
        let start = walk.tried;
        while walk.tried - start < tries && limits.progress(walk.tried) < 1.0 {
            let cooled = (walk.tried - start) as f64 / tries as f64;
            walk.temperature = hot * COOLING.powf(-cooled);
            walk.round(limits.round(walk.tried), |walk| self.step(walk));
        }
    }

    /// Tries one move within the neighbourhood.
    fn step(&self, walk: &mut Walk) {
        let draw = walk.below(100);
        let p = self.process(walk);
        if draw < SWAPS {
            let q = self.process(walk);
            walk.try_swap(p, q);
        } else if draw < SWAPS + CHAINS {
            let (q, third) = (self.process(walk), self.machine(walk));
            walk.try_chain(p, q, third);
        } else {
            let to = self.machine(walk);
            walk.try_shift(p, to);
        }
    }

    fn process(&self, walk: &mut Walk) -> usize {
        self.processes[walk.below(self.processes.len())]
    }

    fn machine(&self, walk: &mut Walk) -> usize {
        self.machines[walk.below(self.machines.len())]
    }
}

/// A machine to begin with: any, or one drawn by its load cost, where most is to be won.
fn first_machine(walk: &mut Walk) -> usize {
    let any = walk.below(walk.machines());
    if walk.rng.random::<f64>() >= BY_LOAD {
        return any;
    }
    let total: i64 = (0..walk.machines()).map(|m| walk.now.load_cost(m)).sum();
    if total == 0 {
        return any;
    }
    let mut rest = walk.rng.random_range(0..total);
    (0..walk.machines())
        .find(|&machine| {
            rest -= walk.now.load_cost(machine);
            rest < 0
        })
        .unwrap_or(any)
}

/// The other end of a random move that began or ended at one of the machines, if the process drawn
/// has moved so: what left a machine is what may have to return (relatedness, as Shaw calls it).
fn related_machine(walk: &mut Walk, machines: &[usize]) -> Option<usize> {
    let p = walk.below(walk.processes());
    let (now, initial) = (walk.machine(p), walk.now.instance().initial()[p] as usize);
    if now == initial {
        None
    } else if machines.contains(&now) {
        Some(initial)
    } else {
        machines.contains(&initial).then_some(now)
    }
}
