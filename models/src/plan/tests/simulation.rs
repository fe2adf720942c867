//! Plans carried out by a simulator that shares nothing with planner and guard but the plan: nodes
//! hold what they hold, transfers begin and end one by one, and after each event everything is
//! looked at.

use crate::baselines::{NAMES, baseline};
use crate::guard::violations;
use crate::plan::draft::Draft;
use crate::plan::{Plan, PlannedMove, Reach, StopReason, finish, plan, plan_within, routes};
use crate::testing::{random_places, random_state};
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::Mode;
use godwit_envs::state::cluster::{Health, NO_GROUP};
use godwit_envs::state::{ClusterState, NOWHERE};
use proptest::prelude::*;
use rand::RngExt;
use rand::seq::SliceRandom;

/// A cluster while migrations run.
struct Site<'a> {
    state: &'a ClusterState,
    /// Workloads that each node holds: those that run there, that leave it, and that come to it.
    holds: Vec<Vec<usize>>,
    /// Source and destination of each transfer in flight.
    in_flight: Vec<(usize, [usize; 2])>,
}

impl<'a> Site<'a> {
    fn new(state: &'a ClusterState) -> Self {
        let mut holds = vec![Vec::new(); state.spec.nodes()];
        for (k, &node) in state.placement.iter().enumerate().filter(|(_, n)| **n != NOWHERE) {
            holds[node as usize].push(k);
        }
        let mut site = Self { state, holds, in_flight: Vec::new() };
        for transfer in &state.transfers {
            let (k, source) = (transfer.workload as usize, transfer.source as usize);
            site.holds[source].push(k);
            site.in_flight.push((k, [source, state.placement[k] as usize]));
        }
        site
    }

    fn begin(&mut self, planned: &PlannedMove) -> Result<(), String> {
        let &PlannedMove { workload: k, source, destination: to, .. } = planned;
        let (state, spec) = (self.state, &*self.state.spec);
        let require = |holds: bool, what: &str| match holds {
            true => Ok(()),
            false => Err(format!("{what}: {k} from {source} to {to}")),
        };
        require(source != to && self.holds[source].contains(&k), "it runs elsewhere")?;
        require(self.in_flight.iter().all(|transfer| transfer.0 != k), "it is in transfer")?;
        require(spec.movable[k], "it is pinned")?;
        require(spec.may_run_on(k, to), "class or set")?;
        require(!matches!(state.health[to], Health::Draining | Health::Failed), "closed")?;
        let group = spec.group[k];
        let is_member = |other: &usize| group != NO_GROUP && spec.group[*other] == group;
        require(!self.holds[to].iter().any(is_member), "anti-affinity")?;
        require(self.zone_is_free(k, to), "zone anti-affinity")?;
        self.holds[to].push(k);
        self.in_flight.push((k, [source, to]));
        require(self.is_spread(k, source, to), "spread")?;
        let most = spec.places.as_ref().map_or(u32::MAX, |places| places.most_workloads[to]);
        require(self.holds[to].len() <= most as usize, "workloads of the node")?;
        let limits = &state.rules.limits;
        require(self.in_flight.len() <= limits.transfers_in_flight as usize, "all transfers")?;
        for node in [source, to] {
            let busy = self.in_flight.iter().filter(|transfer| transfer.1.contains(&node)).count();
            require(busy <= limits.transfers_per_node as usize, "transfers of a node")?;
        }
        for j in (0..spec.resources).filter(|&j| state.demand_of(k)[j] > 0.0) {
            let held: f64 =
                self.holds[to].iter().map(|&other| f64::from(state.demand_of(other)[j])).sum();
            let supply = f64::from(spec.supply_of(to, j));
            require(held <= supply * (1.0 + 2e-5), "supply")?;
        }
        Ok(())
    }

    /// Whether no member of the workload's group that shares no zone is in the node's.
    fn zone_is_free(&self, k: usize, to: usize) -> bool {
        let spec = &*self.state.spec;
        let Some(places) = &spec.places else { return true };
        let is_member = |other: usize| {
            other != k
                && places.zone_group[k] != NO_GROUP
                && places.zone_group[other] == places.zone_group[k]
        };
        let here = (0..spec.nodes()).filter(|&node| spec.node_zone[node] == spec.node_zone[to]);
        here.flat_map(|node| &self.holds[node]).all(|&other| !is_member(other))
    }

    /// Whether the destination's zone, all who are coming included, is not too far above another one
    /// without all who are leaving or have not arrived.
    fn is_spread(&self, k: usize, source: usize, to: usize) -> bool {
        let spec = &*self.state.spec;
        let zone_of = |node: usize| spec.node_zone[node];
        let Some(places) = &spec.places else { return true };
        let spread = places.spread[k];
        if spread == NO_GROUP || zone_of(source) == zone_of(to) {
            return true;
        }
        let group = &places.spread_groups[spread as usize];
        let zones_of = |member: usize| -> Vec<u32> {
            let on = (0..spec.nodes()).filter(|&node| self.holds[node].contains(&member));
            on.map(zone_of).collect()
        };
        let members = (0..spec.workloads()).filter(|&other| places.spread[other] == spread);
        let zones: Vec<Vec<u32>> = members.map(zones_of).collect();
        let most = zones.iter().filter(|at| at.contains(&zone_of(to))).count();
        group.zones.iter().filter(|zone| **zone != zone_of(to)).all(|zone| {
            let stays = |at: &&Vec<u32>| !at.is_empty() && at.iter().all(|other| other == zone);
            most <= zones.iter().filter(stays).count() + group.max_skew as usize
        })
    }

    fn end(&mut self, at: usize) {
        let (k, [source, _]) = self.in_flight.remove(at);
        self.holds[source].retain(|&other| other != k);
    }

    /// Runs a wave: all at once, or each transfer begins when it likes. Transfers end in any order.
    fn run(&mut self, wave: &[&PlannedMove], at_once: bool, rng: &mut Rng) -> Result<(), String> {
        let before = self.in_flight.len();
        let mut waiting = wave.to_vec();
        waiting.shuffle(rng);
        while !waiting.is_empty() || self.in_flight.len() > before {
            let may_end = self.in_flight.len() > before && (waiting.is_empty() || !at_once);
            if may_end && (waiting.is_empty() || rng.random_bool(0.5)) {
                self.end(rng.random_range(before..self.in_flight.len()));
            } else if let Some(planned) = waiting.pop() {
                self.begin(planned)?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a plan whose moves start as soon as those that they wait for are complete, in any
/// order, as far as the limits on transfers allow.
fn simulate_graph(state: &ClusterState, plan: &Plan, rng: &mut Rng) -> Result<(), String> {
    let mut site = Site::new(state);
    let before = site.in_flight.len();
    let limits = &state.rules.limits;
    let mut begun: Vec<usize> = Vec::new();
    let mut complete: Vec<u32> = Vec::new();
    while complete.len() < plan.moves.len() {
        let busy = |node| site.in_flight.iter().filter(|t| t.1.contains(&node)).count();
        let may_begin = |at: &usize| {
            let PlannedMove { source, destination, after, .. } = &plan.moves[*at];
            !begun.contains(at)
                && after.iter().all(|position| complete.contains(position))
                && site.in_flight.len() < limits.transfers_in_flight as usize
                && [*source, *destination]
                    .iter()
                    .all(|&node| busy(node) < limits.transfers_per_node as usize)
        };
        let ready: Vec<usize> = (0..plan.moves.len()).filter(may_begin).collect();
        let ends = site.in_flight.len() > before && (ready.is_empty() || rng.random_bool(0.4));
        if ends {
            let at = rng.random_range(before..site.in_flight.len());
            let k = site.in_flight[at].0;
            let ended = begun.iter().rev().find(|&&at| plan.moves[at].workload == k);
            complete.push(*ended.ok_or("a transfer that nobody began")? as u32);
            site.end(at);
        } else {
            let Some(&at) = ready.get(rng.random_range(0..ready.len().max(1))) else {
                return Err("nothing can begin".to_owned());
            };
            begun.push(at);
            site.begin(&plan.moves[at])?;
        }
    }
    Ok(())
}

/// What is wrong with a plan, if anything is.
pub(crate) fn simulate(state: &ClusterState, plan: &Plan, rng: &mut Rng) -> Result<(), String> {
    let require = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    require(plan.moves.len() <= state.moves_left as usize, "budget")?;
    check_times(state, plan)?;
    check_cooldowns(state, plan)?;
    for at_once in [true, false] {
        let mut site = Site::new(state);
        for wave in 0..plan.waves {
            let wave: Vec<_> = plan.moves.iter().filter(|planned| planned.wave == wave).collect();
            require(!wave.is_empty(), "an empty wave")?;
            site.run(&wave, at_once, rng)?;
        }
        // The end is as announced.
        let mut end = state.clone();
        for (node, holds) in site.holds.iter().enumerate() {
            for &k in holds.iter().filter(|&&k| !state.is_in_transfer(k)) {
                end.placement[k] = node as u32;
            }
        }
        let mut announced = state.placement.clone();
        for planned in &plan.moves {
            announced[planned.workload] = planned.destination as u32;
        }
        require(end.placement == announced, "another placement in the end")?;
        end.rebuild();
        require((end.level() - plan.objective_after).abs() < 1e-4, "another objective")?;
    }
    let gains: f32 = plan.moves.iter().map(|planned| planned.predicted_gain).sum();
    let decrease = plan.objective_before - plan.objective_after;
    require((state.level() - plan.objective_before).abs() < 1e-6, "another start")?;
    require((gains - decrease).abs() < 1e-3, "gains that do not add up")
}

/// Waves follow one another, and a move may start when the wave before it is over for sure.
fn check_times(state: &ClusterState, plan: &Plan) -> Result<(), String> {
    let episode = &state.rules.episode;
    let (mut free_s, mut over_s, mut wave) = (0.0, 0.0_f64, 0);
    for (at, planned) in plan.moves.iter().enumerate() {
        if planned.wave != wave {
            if planned.wave != wave + 1 || at == 0 {
                return Err(format!("move {at}: wave {} after {wave}", planned.wave));
            }
            (free_s, wave) = (over_s, planned.wave);
        }
        let start_s = f64::from(planned.earliest_start_s);
        over_s = over_s.max(free_s + f64::from(planned.transfer_s));
        if (start_s - free_s).abs() > 1e-3 {
            return Err(format!("move {at}: starts at {start_s}, could at {free_s}"));
        }
        if planned.expires_s.is_some_and(|expires_s| start_s >= f64::from(expires_s)) {
            return Err(format!("move {at}: starts at {start_s}, when it has expired"));
        }
        if episode.mode == Mode::Online
            && !planned.expires_s.is_some_and(|expires_s| expires_s <= episode.tick_s)
        {
            return Err(format!("move {at}: outlives the tick"));
        }
        if episode.mode == Mode::Rebalance {
            // Transfers of a static world are priced one by one.
            let mut alone = state.clone();
            alone.placement[planned.workload] = planned.source as u32;
            let price = alone.migration_cost(planned.workload, planned.destination);
            if (price.transfer_s, price.downtime_s, price.moved_gib)
                != (planned.transfer_s, planned.downtime_s, planned.moved_gib)
            {
                return Err(format!("move {at}: another price"));
            }
        }
    }
    if plan.waves != plan.moves.last().map_or(0, |last| last.wave + 1) {
        return Err(format!("{} waves", plan.waves));
    }
    Ok(())
}

/// Each move of a static world takes a tick; online all are in one.
fn check_cooldowns(state: &ClusterState, plan: &Plan) -> Result<(), String> {
    for (at, planned) in plan.moves.iter().enumerate() {
        let mut before = plan.moves[..at].iter().enumerate();
        let last = before.rfind(|(_, other)| other.workload == planned.workload);
        let (since, ticks) = match last {
            Some((last, _)) => (at - last, state.rules.limits.cooldown_ticks as usize),
            None if state.rules.episode.mode == Mode::Rebalance => {
                (at, usize::from(state.cooldown[planned.workload]))
            }
            None => (0, usize::from(state.cooldown[planned.workload])),
        };
        if since < ticks {
            return Err(format!("move {at}: cooldown"));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_plan_passes_guard_and_simulation_and_ends_as_announced(
        seed: u64,
        online: bool,
        places: bool,
        expires_s in prop::option::of(0.0_f32..8.0),
    ) {
        let random = if places { random_places } else { random_state };
        let state = random(seed, online, 8);
        let mut rng = stream(seed, "order of transfers");
        for name in NAMES {
            let mut policy = baseline(name).unwrap();
            policy.reset(seed);
            let reach = Reach { expires_s, ..Reach::of(20) };
            let plan = plan_within(&state, &mut *policy, reach, &mut |_, _| {});
            prop_assert_eq!(violations(&state, &plan.moves), [], "{}: {:?}", name, plan);
            prop_assert_eq!(simulate(&state, &plan, &mut rng), Ok(()), "{}: {:?}", name, plan);
            prop_assert_ne!(plan.stop_reason, StopReason::InfeasibleChoice, "{}", name);
            if let Some(expires_s) = expires_s {
                let in_time = |planned: &PlannedMove| planned.earliest_start_s < expires_s;
                prop_assert!(plan.moves.iter().all(in_time), "{}: {:?}", name, plan);
            }
        }
    }
}

/// What the random policy chooses, without the cut: its moves do not pay off.
fn random_draft(state: &ClusterState, seed: u64) -> Draft {
    let mut policy = baseline("random").unwrap();
    policy.reset(seed);
    let mut draft = Draft::new(state, None, 36);
    let reach = Reach::of(20);
    draft.decide(&mut *policy, reach, &mut |_, _| {});
    draft
}

/// Random moves take workloads here and there.
#[test]
fn straight_routes_keep_every_constraint_and_end_no_worse_in_fewer_moves() {
    let mut shortened = 0;
    for seed in 0..1000 {
        let state = random_state(seed, false, 16);
        let draft = random_draft(&state, seed);
        if let Some(shorter) = routes::shorten(&state, &draft, &mut |_, _| {}) {
            shortened += 1;
            let worth = |draft: &Draft| draft.worth_of(0..draft.moves.len());
            assert!(shorter.moves.len() < draft.moves.len() && worth(&shorter) >= worth(&draft));
            let plan = finish(&state, shorter, StopReason::PolicyStays);
            assert_eq!(violations(&state, &plan.moves), []);
            let mut rng = stream(seed, "order of transfers");
            assert_eq!(simulate(&state, &plan, &mut rng), Ok(()), "{seed}: {plan:?}");
        }
    }
    assert!(shortened > 300, "{shortened} of 1000");
}

/// The control: moves that a plan puts into later waves break something when they are made with the
/// first one.
#[test]
fn the_simulation_finds_what_waves_are_for() {
    let (mut plans, mut rejected) = (0, 0);
    for seed in 0..400_u64 {
        let random = if seed.is_multiple_of(2) { random_places } else { random_state };
        let state = random(seed, false, 8);
        let mut plan = finish(&state, random_draft(&state, seed), StopReason::PolicyStays);
        let mut rng = stream(seed, "order of transfers");
        assert_eq!(simulate(&state, &plan, &mut rng), Ok(()), "{seed}: {plan:?}");
        if plan.waves > 1 {
            plan.waves = 1;
            for planned in &mut plan.moves {
                (planned.wave, planned.earliest_start_s) = (0, 0.0);
            }
            plans += 1;
            rejected += u32::from(simulate(&state, &plan, &mut rng).is_err());
        }
    }
    assert!(plans > 200 && rejected == plans, "{rejected} of {plans}");
}

/// Moves that start out of their order keep every constraint, and the control: without what they wait
/// for they do not.
#[test]
fn moves_that_wait_only_for_those_that_they_name_keep_every_constraint() {
    let (mut waiting, mut rejected, mut fewer) = (0, 0, 0);
    for seed in 0..400 {
        let random = if seed % 2 == 0 { random_places } else { random_state };
        let state = random(seed, false, 8);
        let mut plan = finish(&state, random_draft(&state, seed), StopReason::PolicyStays);
        let mut rng = stream(seed, "order of transfers");
        for _ in 0..4 {
            assert_eq!(simulate_graph(&state, &plan, &mut rng), Ok(()), "{seed}: {plan:?}");
        }
        if plan.moves.iter().any(|planned| !planned.after.is_empty()) {
            waiting += 1;
            let of_waves = |m: &PlannedMove| plan.moves.iter().filter(|o| o.wave < m.wave).count();
            fewer += u32::from(plan.moves.iter().any(|m| m.after.len() < of_waves(m)));
            plan.moves.iter_mut().for_each(|planned| planned.after.clear());
            let broken = (0..8).any(|_| simulate_graph(&state, &plan, &mut rng).is_err());
            rejected += u32::from(broken);
        }
    }
    assert!(waiting > 200 && rejected > waiting * 3 / 4, "{rejected} of {waiting}");
    assert!(fewer > 200, "{fewer}");
}

/// The control of what is announced.
#[test]
fn the_simulation_finds_what_does_not_come_true() {
    let state = (0..).map(|seed| random_state(seed, false, 8));
    let mut made = state.map(|state| {
        let made = plan(&state, &mut *baseline("best-single-move").unwrap(), 20, None);
        (state, made)
    });
    let (state, good) = made.find(|(_, made)| made.waves > 1).unwrap();
    let found = |change: fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        simulate(&state, &plan, &mut stream(0, "order of transfers")).unwrap_err()
    };
    simulate(&state, &good, &mut stream(0, "order of transfers")).unwrap();
    assert_eq!(found(|plan| plan.objective_after -= 0.01), "another objective");
    assert_eq!(found(|plan| plan.moves[0].predicted_gain += 0.01), "gains that do not add up");
    assert!(found(|plan| plan.moves[0].transfer_s += 1.0).contains("another price"));
    assert!(found(|plan| plan.moves.last_mut().unwrap().earliest_start_s = 0.0).contains("starts"));
    let expired = found(|plan| {
        let last = plan.moves.last_mut().unwrap();
        last.expires_s = Some(last.earliest_start_s);
    });
    assert!(expired.contains("expired"), "{expired}");
}
