//! What an operator asks of every plan, whatever the policy thinks.

use godwit_envs::input::InputError;
use godwit_envs::scenario::MAX_PAYBACK_TICKS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of an operator. Those that are left out do not apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShellRules {
    /// Most migrations of a plan.
    pub max_moves: Option<u32>,
    /// Most migrations of a plan that a node takes part in, as source or as destination.
    pub max_moves_per_node: Option<u32>,
    /// Most migrations of a plan for each tenant.
    pub max_moves_per_tenant: Option<u32>,
    /// Most members of a disruption group that may be unavailable: in transfer, or moved by the plan.
    pub disruption_budgets: BTreeMap<String, u32>,
    /// Ticks within which the moves of an online plan have to be worth their costs; those of the
    /// artifact's rules where it is left out.
    pub payback_ticks: Option<u32>,
    /// Least share of the objective held over the payback time (rebalance: of the objective) that a
    /// plan lowers it by, costs taken off. With 0 a plan must not lose.
    pub min_gain_share: f32,
    /// Ticks in which a workload that was moved by an earlier plan is not moved again; those of the
    /// artifact's rules where it is left out. `godwit evaluate` plays by the scenario's.
    pub cooldown_ticks: Option<u32>,
    /// Ticks in which a workload does not return to a node that it has left.
    pub hold_down_ticks: u32,
    /// How workloads that were moved again and again are left alone.
    pub backoff: Option<Backoff>,
    /// Times of the day in which migrations may start; any time where there are none.
    pub windows: Vec<Window>,
    /// Migrations start within this time of the snapshot, or not at all, seconds.
    pub move_lifetime_s: Option<f32>,
    /// Oldest snapshot that is decided about, seconds.
    pub max_age_s: Option<f64>,
    /// Age from which a node's metrics are stale, seconds: such a node is neither source nor
    /// destination.
    pub max_metrics_age_s: Option<f32>,
    /// Least share of nodes whose metrics are not stale.
    pub min_fresh_share: f32,
}

/// Exponential back-off of each workload: after its n-th move in `forget_ticks`, it rests for
/// `first_ticks * factor^(n - 1)` ticks, at most `most_ticks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Rest after a first move, ticks.
    pub first_ticks: u32,
    /// By what each further rest is longer, 1 or more.
    pub factor: f64,
    /// Longest rest, ticks.
    pub most_ticks: u32,
    /// Ticks after which a move no longer counts.
    pub forget_ticks: u32,
}

impl Backoff {
    /// Rest after so many moves, ticks.
    pub fn rest(&self, moves: usize) -> u64 {
        let Some(before) = moves.checked_sub(1) else { return 0 };
        let power = self.factor.powi(i32::try_from(before).unwrap_or(i32::MAX));
        // A float of any size becomes the nearest whole number, so that overflow is the longest rest.
        ((f64::from(self.first_ticks) * power) as u64).min(u64::from(self.most_ticks))
    }
}

/// Part of each day, UTC, that may reach over midnight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Where it begins, `HH:MM`.
    pub from: String,
    /// Where it ends, `HH:MM`; the whole day where that is where it begins.
    pub to: String,
}

impl Window {
    /// Seconds from a time in it, in seconds since 1970 (UTC), to its end.
    fn left_s(&self, time_s: f64) -> f64 {
        match minute_of_day(&self.to) {
            Some(to) if self.from != self.to => {
                (f64::from(to) * 60.0 - time_s).rem_euclid(86_400.0)
            }
            _ => f64::INFINITY,
        }
    }

    /// Whether a time, in seconds since 1970 (UTC), is in it.
    pub fn contains(&self, time_s: f64) -> bool {
        let (Some(from), Some(to)) = (minute_of_day(&self.from), minute_of_day(&self.to)) else {
            return false;
        };
        let now = time_s.rem_euclid(86_400.0) / 60.0;
        let (from, to) = (f64::from(from), f64::from(to));
        if from < to { from <= now && now < to } else { from <= now || now < to }
    }
}

/// Rounds down: what expires must not seem to last longer.
fn round_down(seconds: f64) -> f32 {
    let rounded = seconds as f32;
    if f64::from(rounded) > seconds { rounded.next_down() } else { rounded }
}

/// Minutes from midnight to `HH:MM`.
fn minute_of_day(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: u32| {
        let digits = text.len() == 2 && text.bytes().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|&number: &u32| digits && number < most)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

impl ShellRules {
    /// Reads and checks the rules in TOML; `label` is what errors call the text.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path of the field.
    pub fn from_toml(text: &str, label: &str) -> Result<Self, InputError> {
        let rules: Self = godwit_envs::input::parse_toml(text, label)?;
        rules.validate(label)?;
        Ok(rules)
    }

    /// Seconds after a snapshot of this time, in seconds since 1970, before which migrations may
    /// start: until the open windows end, or their lifetime does. `None` without an end; windows do
    /// not count where the snapshot states no time.
    pub fn expires_s(&self, taken_at_s: Option<f64>) -> Option<f32> {
        let taken = taken_at_s.filter(|_| !self.windows.is_empty());
        let open = taken.map(|time_s| self.open_for_s(time_s)).filter(|open| open.is_finite());
        [self.move_lifetime_s, open.map(round_down)].into_iter().flatten().reduce(f32::min)
    }

    /// Seconds from this time on in which one window or another is open.
    fn open_for_s(&self, time_s: f64) -> f64 {
        let mut open = 0.0;
        // Windows may follow one another; a day without a gap has none on any day.
        while open < 86_400.0 {
            let now = time_s + open;
            let left = self.windows.iter().filter(|window| window.contains(now));
            let left = left.map(|window| window.left_s(now)).fold(0.0, f64::max);
            if left <= 0.0 {
                return open;
            }
            open += left;
        }
        f64::INFINITY
    }

    /// Checks what the types do not say.
    fn validate(&self, label: &str) -> Result<(), InputError> {
        let require = |holds: bool, field: &str, expected: &str, got: String| match holds {
            true => Ok(()),
            false => Err(InputError::field(label, field, expected, got)),
        };
        for (field, share) in
            [("min_gain_share", self.min_gain_share), ("min_fresh_share", self.min_fresh_share)]
        {
            let holds = (0.0..=1.0).contains(&share);
            require(holds, field, "a share from 0 to 1", share.to_string())?;
        }
        let ticks = self.payback_ticks;
        let holds = ticks.is_none_or(|ticks| (1..=MAX_PAYBACK_TICKS).contains(&ticks));
        let expected = format!("a number from 1 to {MAX_PAYBACK_TICKS}");
        require(holds, "payback_ticks", &expected, ticks.unwrap_or_default().to_string())?;
        for (field, age) in [
            ("max_age_s", self.max_age_s),
            ("move_lifetime_s", self.move_lifetime_s.map(f64::from)),
            ("max_metrics_age_s", self.max_metrics_age_s.map(f64::from)),
        ] {
            let holds = age.is_none_or(|age| age.is_finite() && age > 0.0);
            let got = age.unwrap_or_default().to_string();
            require(holds, field, "a finite number above 0", got)?;
        }
        if let Some(backoff) = &self.backoff {
            let holds = backoff.factor.is_finite() && backoff.factor >= 1.0;
            let got = backoff.factor.to_string();
            require(holds, "backoff.factor", "a finite number, 1 or more", got)?;
        }
        for (at, window) in self.windows.iter().enumerate() {
            for (field, text) in [("from", &window.from), ("to", &window.to)] {
                let field = format!("windows[{at}].{field}");
                let holds = minute_of_day(text).is_some();
                require(holds, &field, "a time of day as HH:MM", format!("{text:?}"))?;
            }
        }
        Ok(())
    }
}
