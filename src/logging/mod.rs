//! What a run says about itself: `metrics.jsonl`, TensorBoard events, and a progress bar or plain
//! lines on standard error.
//!
//! Each line of `metrics.jsonl` has `kind` (`round`, `evaluation`, `note`, `warning`, `error`,
//! `resume`), `env_steps`, `updates` and `seconds` (of training, over all parts of a resumed run).

pub mod hparams;
mod metrics;
mod standing;
mod tensorboard;
#[cfg(test)]
mod tests;

use crate::checkpoint::RunDirectory;
use crate::config::TrainConfig;
use crate::learn::stats::UpdateStats;
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::Mixture;
use crate::train::trainer::{FinishedEpisode, RoundReport};
use crate::train::validation::{Validation, mean_return};
use godwit_envs::state::objective::Objective;
use godwit_envs::state::term::Term;
use godwit_models::network_policy::Base;
use godwit_models::rollout::Outcome;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use metrics::Metrics;
use serde_json::{Map, Value, json};
use standing::{Standing, seconds_left, span};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};
use tensorboard::TensorBoard;

/// Between two lines in `metrics.jsonl`.
const METRICS_EVERY: Duration = Duration::from_secs(2);

/// Between two lines on standard error that is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Scenarios whose validation returns are told one by one, at most; `metrics.jsonl` has them all.
const MOST_LISTED: usize = 8;

/// The log of a run.
pub struct RunLog {
    metrics: Metrics,
    tensorboard: TensorBoard,
    // Of each environment copy; weighs the terms of an episode: its plain return.
    objectives: Vec<Objective>,
    bar: Option<ProgressBar>,
    silent: bool,
    // Of the whole run, parts before a resume included.
    seconds_before: f64,
    started: Instant,
    line_at: Option<Mark>,
    plain_at: Option<Instant>,
    finished: Vec<FinishedEpisode>,
    last_return: Option<f64>,
    best: Option<f64>,
    now: (u64, u64),
    warned_of_disk: bool,
    // Seconds that this part of the run may take, if there is a limit.
    limit: Option<f64>,
    // Whether the time that the run will take has been said.
    expected: bool,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    env_steps: u64,
    updates: u64,
}

impl RunLog {
    /// Opens the log. Lines later than `resumed_at_env_steps`, from a part of the run that was
    /// lost, are removed; the run makes those steps again. Times are counted from `started`.
    ///
    /// # Errors
    /// When the log cannot be written at all; later failures only warn.
    pub fn open(
        directory: &RunDirectory,
        mixture: &Mixture,
        config: &TrainConfig,
        resumed_at_env_steps: u64,
        started: Instant,
    ) -> anyhow::Result<Self> {
        let (metrics, kept) = Metrics::open(directory.path(), resumed_at_env_steps)?;
        let tensorboard = TensorBoard::create(directory.path())?;
        let mut objectives = Vec::new();
        for (part, copies) in mixture.parts().iter().zip(mixture.copies(config.env_copies)?) {
            objectives.extend((0..copies).map(|_| Objective::new(&part.scenario.rules)));
        }
        Ok(Self {
            metrics,
            tensorboard,
            objectives,
            bar: std::io::stderr().is_terminal().then(|| bar(config, resumed_at_env_steps)),
            silent: false,
            seconds_before: kept.seconds,
            started,
            line_at: None,
            plain_at: None,
            finished: Vec::new(),
            last_return: None,
            best: directory.best_return(),
            now: (resumed_at_env_steps, kept.updates),
            warned_of_disk: false,
            limit: (config.max_minutes > 0.0).then_some(config.max_minutes * 60.0),
            expected: false,
        })
    }

    /// Leaves standard error alone from now on.
    pub fn silence(&mut self) {
        self.silent = true;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Whether the next round should read the update's figures back: a line is due.
    pub fn wants_stats(&self) -> bool {
        self.line_at.is_none_or(|mark| mark.at.elapsed() >= METRICS_EVERY)
    }

    /// Takes note of a round, and writes a line where one was due ([`RunLog::wants_stats`]) before
    /// it began.
    pub fn round(&mut self, trainer: &ClusterTrainer, report: &RoundReport, due: bool) {
        self.finished.extend_from_slice(&report.finished);
        self.now = (trainer.counters.env_steps, trainer.counters.updates);
        if due {
            self.round_line(trainer, report);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(trainer.counters.env_steps);
        }
    }

    fn round_line(&mut self, trainer: &ClusterTrainer, report: &RoundReport) {
        let (env_steps, updates) = self.now;
        let now = Instant::now();
        // Rates over the time since the line before; the first line has no such time.
        let rate = |now_count: u64, of: fn(&Mark) -> u64| {
            let mark = self.line_at?;
            let seconds = now.duration_since(mark.at).as_secs_f64();
            Some((now_count - of(&mark)) as f64 / seconds)
        };
        let env_rate = rate(env_steps, |mark| mark.env_steps);
        let update_rate = rate(updates, |mark| mark.updates);
        // Before updates are made, env steps take less time than they will.
        let learning = self.line_at.is_some_and(|mark| mark.updates > 0 && mark.env_steps > 0);
        self.line_at = Some(Mark { at: now, env_steps, updates });

        let episodes = std::mem::take(&mut self.finished);
        let mean = |of: &dyn Fn(&FinishedEpisode) -> f64| {
            let sum: f64 = episodes.iter().map(of).sum();
            (!episodes.is_empty()).then(|| sum / episodes.len() as f64)
        };
        let paid_return = mean(&|episode| episode.episode_return);
        let objectives = &self.objectives;
        let episode_return =
            mean(&|episode| -f64::from(objectives[episode.copy].value(&episode.terms)));
        self.last_return = episode_return.or(self.last_return);
        let terms: Map<String, Value> = Term::ALL
            .into_iter()
            .filter(|term| self.has(*term))
            .map(|term| {
                (
                    term.name().to_owned(),
                    json!(mean(&|episode| f64::from(episode.terms[term as usize]))),
                )
            })
            .collect();
        let stats = report.stats;
        let figure = |of: fn(&UpdateStats) -> f64| stats.as_ref().map(of);
        let line = json!({
            "episodes": trainer.counters.episodes,
            "return": episode_return,
            "paid_return": paid_return,
            "terms": terms,
            "loss": figure(|stats| stats.loss),
            "mean_q": figure(|stats| stats.mean_q),
            "td_error": {
                "q10": figure(|stats| stats.td_error[0]),
                "q50": figure(|stats| stats.td_error[1]),
                "q90": figure(|stats| stats.td_error[2]),
            },
            "gradient_norm": figure(|stats| stats.gradient_norm),
            "epsilon": trainer.epsilon(),
            "learning_rate": trainer.learning_rate(),
            "replay_fill": trainer.replay.len() as f64 / trainer.replay.capacity() as f64,
            "env_steps_per_s": env_rate,
            "updates_per_s": update_rate,
        });
        self.write("round", line);
        self.show(trainer, env_rate, learning);
    }

    /// Whether a term is written: a scenario's own ones only where there are some.
    fn has(&self, term: Term) -> bool {
        term != Term::Own || self.objectives.iter().any(|objective| objective.uses(term))
    }

    /// Writes the result of an evaluation.
    ///
    /// # Errors
    /// None today; a full disk only warns.
    pub fn evaluation(
        &mut self,
        trainer: &ClusterTrainer,
        validation: &Validation,
    ) -> anyhow::Result<()> {
        let outcomes: Vec<&Outcome> = validation.outcomes().collect();
        let mean = |of: &dyn Fn(&Outcome) -> f64| {
            outcomes.iter().map(|outcome| of(outcome)).sum::<f64>() / outcomes.len() as f64
        };
        let (value, error) = (validation.value, validation.standard_error);
        let moves = mean(&|outcome| f64::from(outcome.moves));
        let decisions: usize = outcomes.iter().map(|outcome| outcome.decision_seconds.len()).sum();
        let seconds: f32 = outcomes.iter().flat_map(|outcome| &outcome.decision_seconds).sum();
        let mut level = Map::new();
        let mut paid = Map::new();
        for term in Term::ALL.into_iter().filter(|term| self.has(*term)) {
            let at = term as usize;
            paid.insert(term.name().to_owned(), json!(mean(&|outcome| outcome.terms_paid[at])));
            if at < godwit_envs::state::term::LEVEL_TERMS {
                let value = mean(&|outcome| f64::from(outcome.level_terms_mean[at]));
                level.insert(term.name().to_owned(), json!(value));
            }
        }
        self.now = (trainer.counters.env_steps, trainer.counters.updates);
        let is_best = self.best.is_none_or(|best| value > best);
        if is_best {
            self.best = Some(value);
        }
        let mut line = json!({
            "return": value,
            "return_standard_error": error,
            "terms_paid": paid,
            "level_terms_mean": level,
            "moves": moves,
            "moved_gib": mean(&|outcome| outcome.moved_gib),
            "downtime_s": mean(&|outcome| outcome.downtime_s),
            "decision_us": 1e6 * f64::from(seconds) / decisions.max(1) as f64,
            "episodes": outcomes.len(),
            "best_validation_return": self.best,
        });
        if let [_, _, ..] = validation.scenarios.as_slice() {
            let by_scenario: Map<String, Value> = validation
                .scenarios
                .iter()
                .map(|(name, outcomes)| (name.clone(), json!(mean_return(outcomes))))
                .collect();
            line["return_by_scenario"] = Value::Object(by_scenario);
        }
        let mut base = String::new();
        if let Some((Base { baseline, margin, .. }, value)) = &validation.base {
            line["base"] = json!({ "baseline": baseline, "return": value, "margin": margin });
            let margin = margin.unwrap_or_default();
            base = format!(" (margin {margin}), {baseline} {value:.4}");
        }
        self.write("evaluation", line);
        let mark = if is_best { ", the best so far" } else { "" };
        let each: String = match validation.scenarios.as_slice() {
            all if all.len() == 1 || all.len() > MOST_LISTED => String::new(),
            several => several
                .iter()
                .map(|(name, outcomes)| format!(", {name} {:.4}", mean_return(outcomes)))
                .collect(),
        };
        self.say(&format!(
            "step {}: validation return {value:.4} +- {error:.4}{each}{base}, {moves:.1} moves{mark}",
            self.now.0
        ));
        Ok(())
    }

    /// A part of the run begins that goes on from a checkpoint.
    pub fn resumed(&mut self, trainer: &ClusterTrainer) {
        let line = json!({
            "run_env_steps": trainer.config.env_steps,
            "max_minutes": trainer.config.max_minutes,
            "epsilon": trainer.epsilon(),
            "learning_rate": trainer.learning_rate(),
        });
        self.write("resume", line);
    }

    /// Something people should know.
    pub fn note(&mut self, text: &str) {
        self.write("note", json!({ "text": text }));
        self.say(text);
    }

    /// Something that went wrong and did not end the run.
    pub fn warn(&mut self, text: &str) {
        self.write("warning", json!({ "text": text }));
        self.say(&format!("warning: {text}"));
    }

    /// What ends the run; the caller tells people.
    pub fn error(&mut self, text: &str) {
        self.write("error", json!({ "text": text }));
    }

    /// Ends the log.
    pub fn finish(mut self) {
        if let Err(error) = self.metrics.sync() {
            self.disk_warning(self.metrics.path().to_owned().as_path(), &error);
        }
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }

    /// A line of `metrics.jsonl`, and its numbers to TensorBoard.
    fn write(&mut self, kind: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("kind".to_owned(), json!(kind));
        line.insert("env_steps".to_owned(), json!(self.now.0));
        line.insert("updates".to_owned(), json!(self.now.1));
        let seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        line.insert("seconds".to_owned(), json!(seconds));
        if kind == "round" || kind == "evaluation" {
            let mut scalars = Vec::new();
            flatten(kind, &fields, &mut scalars);
            if let Err(error) = self.tensorboard.scalars(self.now.0, &scalars) {
                self.disk_warning(self.tensorboard.path().to_owned().as_path(), &error);
            }
        }
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        if let Err(error) = self.metrics.line(&Value::Object(line)) {
            self.disk_warning(self.metrics.path().to_owned().as_path(), &error);
        }
    }

    /// A full disk must not end the run, and one warning is enough.
    fn disk_warning(&mut self, path: &Path, error: &std::io::Error) {
        if !self.warned_of_disk {
            self.warned_of_disk = true;
            let path = path.display();
            self.say(&format!(
                "warning: {path}: cannot write: {error}; training goes on, its log has gaps"
            ));
        }
    }

    /// Progress for people.
    fn show(&mut self, trainer: &ClusterTrainer, env_rate: Option<f64>, learning: bool) {
        let steps = trainer.config.env_steps.saturating_sub(trainer.counters.env_steps);
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = env_rate.filter(|&rate| learning && rate > 0.0);
        let time = self.limit.map(|limit| limit - elapsed);
        let left = rate.map(|rate| seconds_left(steps, rate, time));
        if let (Some(left), false) = (left, self.expected) {
            self.expected = true;
            self.say(&format!("expected time: {}", span(elapsed + left)));
        }
        let line = Standing {
            progress: trainer.progress(),
            left,
            rate: env_rate,
            last_return: self.last_return,
            best: self.best,
        };
        let line = match (trainer.counters.env_steps, trainer.counters.updates) {
            (0, updates) => format!("before the first env step: {updates} updates made"),
            _ => line.to_string(),
        };
        if let Some(bar) = &self.bar {
            bar.set_message(line);
        } else if self.plain_at.is_none_or(|at| at.elapsed() >= PLAIN_EVERY) {
            self.plain_at = Some(Instant::now());
            self.say(&line);
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            _ if self.silent => {}
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

/// Every number below `value`, named by its path.
fn flatten(name: &str, value: &Value, out: &mut Vec<(String, f64)>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(&format!("{name}/{key}"), value, out));
        }
        Value::Number(number) => {
            out.extend(number.as_f64().map(|number| (name.to_owned(), number)))
        }
        _ => {}
    }
}

fn bar(config: &TrainConfig, resumed_at: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(config.env_steps),
        ProgressDrawTarget::stderr_with_hz(4),
    );
    let style = ProgressStyle::with_template("{wide_bar} {msg}");
    // The template is a constant; a wrong one shows in every run at a terminal.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(resumed_at);
    bar
}
