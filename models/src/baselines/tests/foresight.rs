//! What baselines know of what a scenario says will happen.

use super::*;
use godwit_envs::state::cluster::Health;

/// Three nodes, of which one has most of the load.
const WORLD: &str = r#"
name = "maintenance"
nodes = [{ name = "node", count = 3, supply = { cpu = 20 }, bandwidth_gib_s = 1 }]
workloads = [
    { name = "a", count = 3, demand = { cpu = 3 }, state_gib = 4, node = "node-0",
      process = { kind = "diurnal", period_ticks = 6, amplitude = 0.3, phase = [0, 1] } },
    { name = "b", count = 2, demand = { cpu = 2 }, node = "node-1" },
]
[rules]
resources = [{ name = "cpu" }]
episode = { mode = "online", ticks = 16, moves_per_tick = 2 }
objective = { weights = { max_load = 0.2, displaced = 2, moved_gib = 0.001, downtime_s = 0.1 } }
forecast = { horizons = [1, 4], period_ticks = 6 }
faults = { restart_s = 60 }
"#;

fn world(event: &str) -> ClusterEnv {
    let scenario = Scenario::parse(&format!("{WORLD}\n{event}"), "test").unwrap();
    ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate).unwrap()
}

/// Plays to a tick; the actions.
fn play(policy: &mut dyn Policy, env: &mut ClusterEnv, until: u32) -> Vec<Action> {
    let mut actions = Vec::new();
    policy.reset(0);
    while env.state().tick < until {
        actions.push(policy.act(env.state()));
        env.apply(*actions.last().unwrap()).unwrap();
    }
    actions
}

#[test]
fn no_baseline_knows_of_a_failure_that_is_not_announced() {
    let fail = "[[events]]\nkind = \"fail\"\ntick = 7\nnode = \"node-1\"\n";
    for row in BASELINES {
        let [with, without] =
            [fail, ""].map(|event| play(&mut *row.policy(), &mut world(event), 7));
        assert_eq!(with, without, "{}", row.name);
    }
}

#[test]
fn baselines_that_see_health_leave_a_draining_node_in_time() {
    let drain = "[[events]]\nkind = \"drain\"\ntick = 12\nnode = \"node-0\"\nnotice = 5\n";
    let mut seeing = 0;
    for row in BASELINES {
        let mut env = world(drain);
        let mut policy = row.policy();
        let sees = policy.sees_health(&env.state().rules);
        let before = play(&mut *policy, &mut env, 7);
        assert_eq!(before, play(&mut *row.policy(), &mut world(""), 7), "{}", row.name);
        assert_eq!((env.state().health[0], env.state().deadline[0]), (Health::Draining, 12));
        play(&mut *policy, &mut env, 12);
        assert_eq!(env.state().health[0], Health::Failed);
        if sees || row.name == "stay" {
            assert_eq!(env.restarts() == 0, sees, "{}", row.name);
            seeing += usize::from(sees);
        }
    }
    assert!(seeing >= 2, "{seeing}");
}
