//! Loads of the nodes over an episode: under a policy, and beside it the same episode untouched.

use super::super::axis::{round_step, top_without_spikes};
use super::super::data::Recorded;
use super::super::svg::{Anchor, Svg, shortened};
use super::{Size, columns};
use godwit_models::recording::Recording;

/// Colour steps, `h0` (idle) to the last one.
pub const STEPS: usize = 17;

/// Columns of pixels that a panel shows at most; longer episodes merge ticks, keeping the highest.
const MOST_COLUMNS: usize = 300;

/// From loads to colours, the same in both panels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colours {
    /// Load at which the first colour begins.
    pub low: f64,
    /// Width of a colour in load.
    pub step: f64,
    /// The highest load, where it is beyond the last colour, which then stands for it as well.
    pub beyond: Option<f64>,
}

impl Colours {
    /// Round steps over the loads of an episode, but for a few spikes.
    pub fn new(episode: &Recorded) -> Self {
        let frames = || episode.played.frames.iter().chain(&episode.stay.frames);
        let loads = || frames().flat_map(|frame| &frame.loads).map(|&load| f64::from(load));
        let highest = loads().fold(0.0, f64::max);
        let high = top_without_spikes(loads());
        let low = loads().fold(f64::INFINITY, f64::min).min(high);
        // Not quite the roundest steps, so that most colours are used.
        let raw = ((high - low) / STEPS as f64).max(1e-4);
        let fine = round_step(raw / 5.0);
        let first = |step: f64| (low / step + 1e-9).floor() * step;
        let mut step = (raw / fine).ceil() * fine;
        while first(step) + STEPS as f64 * step < high {
            step += fine;
        }
        let end = first(step) + STEPS as f64 * step;
        Self { low: first(step), step, beyond: (highest > end + 1e-6).then_some(highest) }
    }

    /// The colour of a load.
    pub fn of(&self, load: f64) -> usize {
        (((load - self.low) / self.step + 1e-6) as usize).min(STEPS - 1)
    }
}

/// Two panels on one colour scale: beside each other, or one above the other on a phone.
pub fn draw(episode: &Recorded, rows: &[usize], tick_name: &str, size: Size) -> String {
    let row = if rows.len() > 20 { 12.0 } else { 16.0 };
    let names = size.name_room(&episode.nodes, rows);
    let (panel, gap) = match size {
        Size::Wide => ((size.width() - names - 30.0) / 2.0, 22.0),
        Size::Narrow => (size.width() - names - 8.0, 0.0),
    };
    let rows_height = row * rows.len() as f64;
    let panel_height = rows_height + 74.0;
    let height = if size == Size::Wide { panel_height } else { 2.0 * panel_height };
    let mut svg = Svg::new(size.width(), height);
    let name = episode.name.as_deref();
    let panels =
        [(name.unwrap_or("stay"), &episode.played), ("stay (nothing is moved)", &episode.stay)];
    let frames = episode.played.frames.len().max(episode.stay.frames.len());
    let colours = Colours::new(episode);
    for (i, (title, recording)) in panels.iter().enumerate() {
        let (left, top) = match size {
            Size::Wide => (names + i as f64 * (panel + gap), 24.0),
            Size::Narrow => (names, 24.0 + i as f64 * panel_height),
        };
        let characters = (panel / 7.5) as usize;
        svg.text("panel", Anchor::Start, (left, top - 8.0), &shortened(title, characters));
        if i == 0 || size == Size::Narrow {
            for (at, &node) in rows.iter().enumerate() {
                let name = shortened(&episode.nodes[node], size.name_length());
                let y = top + row * at as f64 + row / 2.0 + 4.0;
                svg.text("tick", Anchor::End, (left - 6.0, y), &name);
            }
        }
        let x = columns(frames, left, left + panel);
        for (at, &node) in rows.iter().enumerate() {
            let y = top + row * at as f64;
            for run in runs(recording, node, frames, colours) {
                let (from, to) = (x.at(run.first as f64 - 0.5), x.at(run.end as f64 - 0.5));
                let title = run.title(&episode.nodes[node]);
                // A hair wider, so that no background shines through between neighbours.
                svg.rect(
                    &format!("h{}", run.level),
                    (from, y),
                    (to - from + 0.15, row - 1.0),
                    &title,
                );
            }
        }
        let bottom = top + rows_height;
        let about = if size == Size::Wide { 5 } else { 4 };
        for (value, text) in x.whole_ticks(about) {
            let at = x.at(value);
            svg.line("axis", (at, bottom), (at, bottom + 4.0));
            svg.text("tick", Anchor::Middle, (at, bottom + 17.0), &text);
        }
        svg.text("name", Anchor::Middle, (left + panel / 2.0, bottom + 35.0), tick_name);
    }
    svg.finish(size.class(), "Load of each node over time, under the policy and untouched")
}

/// Neighbouring frames in one colour.
struct Run {
    first: usize,
    end: usize,
    level: usize,
    low: f32,
    high: f32,
}

impl Run {
    fn title(&self, node: &str) -> String {
        let Self { first, end, low, high, .. } = *self;
        let when =
            if end == first + 1 { format!("{first}") } else { format!("{first} to {}", end - 1) };
        if low == high {
            format!("{node}, {when}: load {low:.3}")
        } else {
            format!("{node}, {when}: load {low:.3} to {high:.3}")
        }
    }
}

/// A node's row: an episode that ended early stays as it was.
fn runs(recording: &Recording, node: usize, frames: usize, colours: Colours) -> Vec<Run> {
    let merged = frames.div_ceil(MOST_COLUMNS);
    let last = recording.frames.len().saturating_sub(1);
    let mut runs: Vec<Run> = Vec::new();
    for first in (0..frames).step_by(merged) {
        let end = (first + merged).min(frames);
        let load = (first..end)
            .filter_map(|at| recording.frames.get(at.min(last))?.loads.get(node).copied())
            .fold(0.0, f32::max);
        let level = colours.of(f64::from(load));
        match runs.last_mut().filter(|run| run.level == level) {
            Some(run) => {
                run.end = end;
                (run.low, run.high) = (run.low.min(load), run.high.max(load));
            }
            None => runs.push(Run { first, end, level, low: load, high: load }),
        }
    }
    runs
}
