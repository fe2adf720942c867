//! The engine: decides about one parsed snapshot after another with one artifact. `decide`,
//! `stream` and `serve` differ only in where snapshots come from and where decisions go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use godwit_envs::input::InputError;
use godwit_envs::scenario::Mode;
use godwit_envs::snapshot::Snapshot;
use godwit_models::baselines::greedy::stay::Stay;
use godwit_models::best_of::{Draws, best_plan};
use godwit_models::duties::DutiesFirst;
use godwit_models::guard::{Violation, violations};
use godwit_models::plan::{Plan, StopReason};
use godwit_models::policy::{Policy, Thought};
use godwit_models::shell::{Broken, LeftOut, Memory, Refusal, Shell, Stays};
use godwit_models::think::{Allowance, Think};

use super::case::Case;
use super::counted_policy::{Counted, Slow};
use super::findings::{Circumstances, Findings};
use super::loaded::Loaded;
use super::safety::{Moment, Safety};
use super::timing::micros;

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The snapshot cannot be decided about.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A decision of the policy took too long.
    #[error("decision {}: expected it within {:?}, got it after {:?}", .0.decision, .0.limit, .0.took)]
    TooSlow(Slow),
    /// The plan must not be carried out.
    #[error(
        "plan: expected to keep every hard constraint, got {} broken: {}",
        broken.len(),
        broken.first().map(Violation::to_string).unwrap_or_default()
    )]
    Violations {
        /// The constraints.
        broken: Vec<Violation>,
        /// How much it took.
        effort: Effort,
    },
    /// The plan breaks a limit of the operator's.
    #[error(
        "plan: expected to keep every limit of the operator, got {} broken: {}",
        broken.len(),
        broken.first().map(Broken::to_string).unwrap_or_default()
    )]
    Limits {
        /// The limits.
        broken: Vec<Broken>,
        /// How much it took.
        effort: Effort,
        /// What was remembered when that was found: other plans may have been carried out meanwhile.
        memory: Box<Memory>,
    },
}

/// How much a plan took: with as much, and no clock, it is made again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// How often the policy was asked, what had to be done before it included.
    pub decisions: u32,
    /// Plans that were simulated to the end.
    pub simulations: u32,
}

/// How far one plan may go, and what is told about it.
#[derive(Debug, Clone, Copy)]
pub struct PlanLimits {
    /// At most this many migrations, next to the budget of the rules.
    pub max_moves: u32,
    /// No further decision is begun after this.
    pub deadline: Option<Instant>,
    /// Longest time of one decision: a policy that takes longer has no plan.
    pub per_decision: Option<Duration>,
    /// Time to compare the policy's plan with others.
    pub think: Duration,
    /// The clock has ended thinking and planning after this much: how a plan is made again.
    pub effort: Option<Effort>,
    /// Best of so many plans of the policy, at least 1; baselines make one.
    pub best_of: u32,
    /// Whether each workload that stays is told of.
    pub list_stays: bool,
}

impl PlanLimits {
    /// No limits, and one plan.
    pub const NONE: Self = Self {
        max_moves: u32::MAX,
        deadline: None,
        per_decision: None,
        think: Duration::ZERO,
        effort: None,
        best_of: 1,
        list_stays: false,
    };

    /// With a deadline this long after `start`.
    pub fn until(self, start: Instant, deadline: Option<Duration>) -> Self {
        // A deadline beyond the clock's range is none.
        Self { deadline: deadline.and_then(|after| start.checked_add(after)), ..self }
    }

    /// How long may be thought. At least half of the time until a deadline is left for planning: a
    /// plan that was thought of late would be cut short.
    fn allowance(&self) -> Allowance {
        let now = Instant::now();
        let to_deadline = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let halves = [to_deadline, self.per_decision].into_iter().flatten().map(|time| time / 2);
        let time = halves.fold(self.think, Duration::min);
        match self.effort {
            Some(Effort { simulations, .. }) => {
                Allowance { time: self.think, until: None, simulations: Some(simulations) }
            }
            None => Allowance { time: self.think, ..Allowance::from_now(time) },
        }
    }

    /// Whether the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// A plan that may leave the program.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Why the policy was not asked, if the operator's limits forbid it.
    pub refusal: Option<Refusal>,
    /// What the operator's limits leave out of the decision from the start.
    pub left_out: LeftOut,
    /// Why everything else stays.
    pub stays: Stays,
    /// What is told of the snapshot besides.
    pub findings: Findings,
    /// Whose plan it is, where several were compared.
    pub thought: Option<Thought>,
    /// How much it took.
    pub effort: Effort,
    /// Microseconds of deciding and ordering.
    pub plan_us: u64,
    /// Microseconds of checking.
    pub guard_us: u64,
    /// Microseconds of saying why workloads stay.
    pub stays_us: u64,
}

/// A policy with its buffers, which later decisions reuse.
#[derive(Debug)]
pub struct Engine {
    loaded: Arc<Loaded>,
    policy: Think,
}

impl Engine {
    /// An engine for this artifact.
    pub fn new(loaded: Arc<Loaded>) -> Self {
        let policy = loaded.artifact.policy("policy");
        let policy = Think::new("policy", Box::new(Draws::new(policy)), Duration::ZERO);
        Self { loaded, policy }
    }

    /// The artifact that decides.
    pub fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }

    /// The cluster that a valid snapshot shows; `label` is what errors call the snapshot. One that
    /// states no tick but a time is of the tick since 1970 that begins last before it: limits look
    /// back by ticks. Policies see no such tick, as their seasons begin elsewhere.
    ///
    /// # Errors
    /// When the snapshot does not fit the artifact's rules or network.
    pub fn case(&self, mut snapshot: Snapshot, label: &str) -> Result<Case, EngineError> {
        let rules = Arc::clone(&self.loaded.rules);
        let tick_s = f64::from(rules.episode.tick_s);
        let state = self.loaded.artifact.state(rules, &snapshot, label)?;
        let since_1970 = snapshot.taken_at_s.filter(|taken_s| *taken_s >= 0.0);
        // Rules have ticks of more than no time; a float of any size becomes a whole number.
        snapshot.tick = snapshot.tick.or(since_1970.map(|taken_s| (taken_s / tick_s) as u64));
        Ok(Case { state, snapshot })
    }

    /// Plans with the artifact's policy, after as much thought as `limits` allow.
    ///
    /// # Errors
    /// When a decision takes too long, or the plan breaks a hard constraint or a limit of the
    /// operator's.
    pub fn plan(
        &mut self,
        case: &Case,
        safety: &Safety,
        moment: &Moment,
        limits: PlanLimits,
    ) -> Result<Planned, EngineError> {
        self.policy.begin(limits.allowance());
        plan_with(&mut self.policy, case, safety, moment, limits)
    }
}

/// Plans with any policy, after what has to be done whatever it thinks; the plan is checked like the artifact's own plans. The policy is reset
/// with the number of each plan, from 0: it must remember nothing of other requests.
///
/// # Errors
/// When a decision takes too long, or the plan breaks a hard constraint or a limit of the operator's.
pub fn plan_with(
    policy: &mut dyn Policy,
    case: &Case,
    safety: &Safety,
    moment: &Moment,
    limits: PlanLimits,
) -> Result<Planned, EngineError> {
    let planning = Instant::now();
    let (limits_asked, now_s) = (safety.rules(), moment.now_us as f64 * 1e-6);
    let made = |sees_health, unfamiliar| Circumstances {
        limits: limits_asked,
        now_s,
        sees_health,
        unfamiliar,
    };
    let shell = match safety.around(&case.snapshot, moment) {
        Ok(shell) => shell,
        Err(refusal) => {
            let (reason, made) = (StopReason::Refused, Some(made(None, &[])));
            return Ok(nothing(case, reason, Some(refusal), made, limits.list_stays));
        }
    };
    // A network has nothing to look at in an empty cluster, and there is nothing to decide.
    let policy = if case.state.spec.workloads() == 0 { &mut Stay } else { policy };
    let sees_health = policy.sees_health(&case.state.rules);
    let unfamiliar = policy.unfamiliar(&case.state);
    let mut duties = DutiesFirst::new(policy, sees_health);
    let most = limits.effort.map(|effort| effort.decisions);
    let mut counted = Counted::new(&mut duties, most, limits.per_decision);
    let mut thoughts = Vec::new();
    let (number, plan) = best_plan(plans(case, limits), |number| {
        counted.reset(number);
        let plan = shell.plan(&case.state, &mut counted, limits.max_moves, limits.deadline);
        thoughts.push(counted.thought());
        let late = limits.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        (counted.as_cut(plan), !late && !counted.has_ended())
    });
    if let Some(slow) = counted.slow() {
        return Err(EngineError::TooSlow(slow));
    }
    // Counted on from plan to plan.
    let simulations = thoughts.iter().flatten().map(|thought| thought.simulations).max();
    let effort = Effort { decisions: counted.made(), simulations: simulations.unwrap_or(0) };
    let thought = thoughts.swap_remove(number as usize);
    let plan_us = micros(planning);
    let checking = Instant::now();
    let plan = review(case, safety, &moment.memory, plan, effort)?;
    let settled = shell.settled(&case.state).len() as u32;
    let left_out = LeftOut { settled, ..shell.left_out().clone() };
    let guard_us = micros(checking);
    let (stays, stays_us) = stays(case, Some(&shell), &plan, limits.list_stays);
    let findings = Findings::of(case, &plan, Some(made(Some(sees_health), &unfamiliar)));
    Ok(Planned {
        plan,
        refusal: None,
        left_out,
        stays,
        findings,
        thought,
        effort,
        plan_us,
        guard_us,
        stays_us,
    })
}

/// How many plans are compared: online, where the world goes on by itself, a simulated plan says
/// little about what it will come to.
fn plans(case: &Case, limits: PlanLimits) -> u32 {
    match case.state.rules.episode.mode {
        Mode::Rebalance => limits.best_of,
        Mode::Online => 1,
    }
}

fn stays(case: &Case, shell: Option<&Shell>, plan: &Plan, listed: bool) -> (Stays, u64) {
    let started = Instant::now();
    let stays = Stays::new(shell, &case.state, plan, listed);
    (stays, micros(started))
}

/// The plan of a halted engine: nothing, whatever a policy would say.
pub fn halted(case: &Case, list_stays: bool) -> Planned {
    nothing(case, StopReason::Halted, None, None, list_stays)
}

fn nothing(
    case: &Case,
    stop_reason: StopReason,
    refusal: Option<Refusal>,
    made: Option<Circumstances<'_>>,
    list_stays: bool,
) -> Planned {
    let level = case.state.level();
    let plan = Plan {
        moves: Vec::new(),
        waves: 0,
        stop_reason,
        objective_before: level,
        objective_after: level,
        worth: 0.0,
        payback_ticks: None,
        later: Vec::new(),
    };
    let (stays, stays_us) = stays(case, None, &plan, list_stays);
    Planned {
        findings: Findings::of(case, &plan, made),
        plan,
        refusal,
        left_out: LeftOut::default(),
        stays,
        thought: None,
        effort: Effort::default(),
        plan_us: 0,
        guard_us: 0,
        stays_us,
    }
}

/// What stands between planner and answer: every plan of every policy passes through here, and
/// what this returns is what may be carried out.
fn review(
    case: &Case,
    safety: &Safety,
    memory: &Memory,
    plan: Plan,
    effort: Effort,
) -> Result<Plan, EngineError> {
    let broken = violations(&case.state, &plan.moves);
    if !broken.is_empty() {
        return Err(EngineError::Violations { broken, effort });
    }
    let broken = safety.broken(&case.snapshot, memory, &plan.moves);
    if broken.is_empty() {
        Ok(plan)
    } else {
        Err(EngineError::Limits { broken, effort, memory: Box::new(memory.clone()) })
    }
}
