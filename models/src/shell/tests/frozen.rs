//! Worlds in which nothing changes, planned for tick after tick as a scorer does.

use crate::artifact::Artifact;
use crate::baselines::baseline;
use crate::duties::DutiesFirst;
use crate::network_policy::NetworkPolicy;
use crate::plan::{Plan, PlannedMove, ReasonCode};
use crate::policy::Policy;
use crate::pretrained::PRETRAINED;
use crate::rollout::rollout;
use crate::shell::{Carried, Memory, Shell, ShellRules, Shelled};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::{DemandProcess, Mode, Phase, Rules, Scenario, WorldTemplate};
use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use godwit_envs::state::ClusterState;
use proptest::prelude::*;
use rand::RngExt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

struct Contestant {
    rules: Arc<Rules>,
    artifact: Artifact,
}

static CONTESTANTS: LazyLock<Vec<Contestant>> = LazyLock::new(|| {
    let open = |name: &&str| {
        let artifact = Artifact::open(Path::new(name)).unwrap();
        Contestant { rules: Arc::new(artifact.rules().unwrap()), artifact }
    };
    PRETRAINED.iter().map(open).collect()
});

/// 2 to 40 nodes, workloads alike or not, states of any size, each where there is room or anywhere.
fn world(rules: &Rules, seed: u64) -> Snapshot {
    let mut rng = stream(seed, "frozen world");
    let mut names: Vec<String> = rules.resources.iter().map(|kind| kind.name.clone()).collect();
    if names.is_empty() {
        names = (0..rng.random_range(1..=6)).map(|kind| format!("kind-{kind}")).collect();
    }
    let kinds = names.len();
    let (nodes, workloads) = (rng.random_range(2..=40_usize), rng.random_range(1..=60_usize));
    let [alike, even] = [rng.random_bool(0.5), rng.random_bool(0.5)];
    let state_gib = 10_f32.powf(rng.random_range(-3.0..4.0));
    let share = rng.random_range(0.1..0.9) * nodes as f32 / workloads as f32;
    let mut amounts = |mean: f32| -> Vec<f32> {
        let mut one = |_| if alike { mean } else { mean * rng.random_range(0.2..1.8) };
        (0..kinds).map(&mut one).collect()
    };
    let supplies: Vec<Vec<f32>> = (0..nodes).map(|_| amounts(32.0)).collect();
    let demands: Vec<Vec<f32>> = (0..workloads).map(|_| amounts(32.0 * share)).collect();
    let spread = rng.random_range(1..=nodes);
    let node = |(i, supply)| SnapshotNode { name: format!("n{i}"), supply, ..Default::default() };
    let mut workload = |(k, demand)| SnapshotWorkload {
        name: format!("w{k}"),
        node: Some(format!("n{}", if even { k % spread } else { rng.random_range(0..spread) })),
        demand,
        state_gib,
        dirty_gib_s: 0.1,
        ..Default::default()
    };
    Snapshot {
        resources: names,
        nodes: supplies.into_iter().enumerate().map(node).collect(),
        workloads: demands.into_iter().enumerate().map(&mut workload).collect(),
        ..Default::default()
    }
}

/// Most ticks after the last in which a chain that was begun may go on.
const MORE_TICKS: u64 = 16;

/// Plans for so many ticks, each carried out before the next; then no longer than a plan counts on
/// further moves.
fn play(
    contestant: &Contestant,
    policy: &mut dyn Policy,
    mut snapshot: Snapshot,
    ticks: u64,
) -> (Vec<Plan>, f32, f32) {
    let (rules, mut memory) = (ShellRules::default(), Memory::default());
    let (mut plans, mut levels) = (Vec::new(), Vec::new());
    let counts_on_more = |plans: &[Plan]| plans.last().is_some_and(|plan| !plan.later.is_empty());
    for tick in 0..ticks + MORE_TICKS {
        if tick >= ticks && !counts_on_more(&plans) {
            break;
        }
        snapshot.tick = Some(tick);
        let world = Arc::clone(&contestant.rules);
        let state = ClusterState::from_snapshot(world, &snapshot, "frozen").unwrap();
        levels.push(state.level());
        let about = memory.about(1_000, &snapshot, memory.plans());
        let shell = Shell::new(&rules, &about, &snapshot, 0.0).unwrap();
        let plan = shell.plan(&state, &mut DutiesFirst::new(policy, false), u32::MAX, None);
        let world = state.fingerprint();
        let carried = Carried { moves: &plan.moves, later: &plan.later, world };
        if let Some(change) = memory.planned(1_000, &snapshot, memory.plans(), carried) {
            memory.apply(&change);
        }
        for planned in &plan.moves {
            snapshot.workloads[planned.workload].node = Some(planned.destination_name.clone());
        }
        plans.push(plan);
    }
    let end = ClusterState::from_snapshot(Arc::clone(&contestant.rules), &snapshot, "frozen");
    (plans, levels[0], end.unwrap().level())
}

/// What is wrong with a course of plans, if anything.
fn fault(
    rules: &Rules,
    snapshot: &Snapshot,
    plans: &[Plan],
    [first, last]: [f32; 2],
) -> Option<String> {
    let most = snapshot.nodes.len() + snapshot.workloads.len();
    let moves: Vec<_> = plans.iter().flat_map(|plan| &plan.moves).collect();
    // A policy may see the time of day, and wait. That nothing is moved by two plans is what brings
    // it to rest in the end.
    for (at, plan) in plans.iter().enumerate() {
        let again = |m: &&PlannedMove| {
            plans[..at].iter().flat_map(|plan| &plan.moves).any(|b| b.workload == m.workload)
        };
        if let Some(again) = plan.moves.iter().find(again) {
            return Some(format!("{again:?} again"));
        }
    }
    if moves.len() > most {
        return Some(format!("{} moves, {most} nodes and workloads", moves.len()));
    }
    let left = |at: usize| moves[..at].iter().map(|m| (m.workload, m.source));
    if let Some(at) = (0..moves.len())
        .find(|&at| left(at).any(|l| l == (moves[at].workload, moves[at].destination)))
    {
        return Some(format!("{:?} returns", moves[at]));
    }
    for plan in plans {
        let serves = |reason| matches!(reason, ReasonCode::MakesRoom | ReasonCode::Parks);
        if plan.worth < 0.0 || plan.moves.last().is_some_and(|last| serves(last.reason)) {
            return Some(format!("{plan:?}"));
        }
    }
    let is_due = |reason| matches!(reason, ReasonCode::Repairs | ReasonCode::Evacuates);
    if moves.iter().any(|planned| is_due(planned.reason)) {
        return None;
    }
    let costs: f64 = moves.iter().map(|planned| f64::from(planned.cost)).sum();
    let ticks = match rules.episode.mode {
        Mode::Online => f64::from(rules.limits.payback_ticks),
        Mode::Rebalance => 1.0,
    };
    let lost = ticks * (f64::from(last) - f64::from(first)) + costs;
    (lost > 1e-6).then(|| format!("{lost} lost in {} moves", moves.len()))
}

fn judge(contestant: &Contestant, policy: &mut dyn Policy, seed: u64) -> Option<String> {
    let snapshot = world(&contestant.rules, seed);
    let ticks = (snapshot.nodes.len() + snapshot.workloads.len() + 1) as u64;
    let (plans, first, last) = play(contestant, policy, snapshot.clone(), ticks);
    fault(&contestant.rules, &snapshot, &plans, [first, last])
}

fn random_weights(contestant: &Contestant, rng: &mut Rng) -> NetworkPolicy {
    let mut policy = contestant.artifact.policy("random");
    let count = contestant.artifact.weights.len();
    let weights: Vec<f32> = (0..count).map(|_| rng.random_range(-0.3..0.3)).collect();
    policy.load_flat(&weights);
    policy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn in_a_frozen_world_every_policy_comes_to_rest_and_loses_nothing(seed in any::<u64>()) {
        for contestant in CONTESTANTS.iter() {
            let name = &contestant.artifact.manifest.scenario_name;
            if contestant.artifact.network.spec().fixed.is_some() {
                continue;
            }
            let mut trained = contestant.artifact.policy(name);
            prop_assert_eq!(judge(contestant, &mut trained, seed), None, "{}", name);
            let mut untrained = random_weights(contestant, &mut stream(seed, "weights"));
            prop_assert_eq!(judge(contestant, &mut untrained, seed), None, "random, {}", name);
            let mut wild = baseline("random").unwrap();
            // It draws anew in each tick.
            wild.reset(seed);
            prop_assert_eq!(judge(contestant, wild.as_mut(), seed), None, "wild, {}", name);
        }
    }
}

/// The same in episodes: with the demand of every workload constant, no policy earns less than
/// staying does.
#[test]
fn in_a_frozen_episode_no_policy_is_behind_staying() {
    let mut moved = 0;
    for name in ["diurnal", "bursty", "founding-10x50", "hetero"] {
        let mut scenario = Scenario::embedded(name).unwrap();
        for group in &mut scenario.workloads {
            (group.process, group.arrivals) = (DemandProcess::Constant, None);
        }
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
        let artifact = Artifact::open(Path::new(name)).unwrap();
        let rules = Arc::new(ShellRules::default());
        let mut earned = |policy: Box<dyn Policy>, seed| {
            let mut shelled = Shelled::new(policy, Arc::clone(&rules), None);
            let outcome = rollout(&mut env, &mut shelled, seed).unwrap();
            moved += outcome.moves;
            outcome.episode_return
        };
        for seed in 0..4 {
            let stays = earned(baseline("stay").unwrap(), seed);
            let network = artifact.network.clone();
            let with = earned(Box::new(NetworkPolicy::new(name, network, artifact.sections)), seed);
            assert!(with >= stays - 1e-3, "{name}, {seed}: {with} where staying has {stays}");
            let with = earned(baseline("random").unwrap(), seed);
            assert!(with >= stays - 1e-3, "random, {name}, {seed}: {with} and {stays}");
        }
    }
    assert!(moved > 100, "{moved}");
}
