//! What the objective is made of over an episode, term on term.

use super::super::axis::{Scale, clip_note};
use super::super::svg::Svg;
use super::{Size, columns};
use godwit_envs::state::term::{LEVEL_TERMS, TERMS, Term};
use godwit_models::recording::Recording;

/// Height of each term in each column, weighted.
#[derive(Debug, PartialEq)]
pub struct Stack {
    /// Per column, a value per term.
    pub columns: Vec<[f64; TERMS]>,
}

impl Stack {
    /// Online: what each tick cost. Rebalance: the objective after each move on top of the moves'
    /// costs so far, so that the whole falls by exactly the return.
    /// An episode that ended before the others stays as it was, for so many frames.
    pub fn new(recording: &Recording, frames: usize, online: bool) -> Self {
        let mut spent = [0.0; TERMS];
        let mut columns = Vec::new();
        for frame in &recording.frames {
            let paid = recording.weighted_paid(frame).map(f64::from);
            if online {
                columns.push(paid);
                continue;
            }
            let mut column = spent;
            for (cell, level) in column.iter_mut().zip(recording.weighted_level(frame)) {
                *cell = f64::from(level);
            }
            columns.push(column);
            for at in LEVEL_TERMS..TERMS {
                spent[at] += paid[at];
            }
        }
        if let (false, Some(&last)) = (online, columns.last()) {
            columns.resize(frames.max(columns.len()), last);
        }
        if online {
            // The last frame is the end, which costs nothing.
            columns.pop();
        }
        Self { columns }
    }

    /// Terms that are ever above zero.
    pub fn used(&self) -> Vec<Term> {
        let used = |term: &Term| self.columns.iter().any(|column| column[*term as usize] > 1e-9);
        Term::ALL.into_iter().filter(used).collect()
    }

    /// The height of each column.
    pub fn heights(&self) -> impl Iterator<Item = f64> {
        self.columns.iter().map(|column| column.iter().map(|value| value.max(0.0)).sum())
    }
}

/// Class of a term's colour.
pub fn class(term: Term) -> String {
    format!("fill f{}", term as usize)
}

/// One stack of step areas; the axis, up to `top`, and `frames` are shared by the charts that are
/// compared. Higher columns are cut off and marked.
pub fn draw(
    stack: &Stack,
    (top, frames): (f64, usize),
    (online, tick_name, whose): (bool, &str, &str),
    size: Size,
) -> String {
    let height = 260.0;
    let mut svg = Svg::new(size.width(), height);
    let area = size.plot(height);
    let x = columns(frames, area.left, area.right);
    let y = Scale::round((0.0, top), (area.bottom, area.top), 5);
    let name = if online { "cost per tick (weighted)" } else { "objective and costs (weighted)" };
    area.y_axis(&mut svg, &y, &y.ticks(5), name);
    area.x_axis(&mut svg, &x, &x.whole_ticks(size.ticks()), tick_name);
    let inside = |value: f64| y.at(value.min(y.domain.1));
    let mut below = vec![0.0; stack.columns.len()];
    for term in stack.used() {
        let above: Vec<f64> = below
            .iter()
            .zip(&stack.columns)
            .map(|(below, column)| below + column[term as usize].max(0.0))
            .collect();
        let edge = |tops: &[f64]| {
            let corners = tops.iter().enumerate().flat_map(|(i, &top)| {
                let (left, right) = (x.at(i as f64 - 0.5), x.at(i as f64 + 0.5));
                [(left, inside(top)), (right, inside(top))]
            });
            corners.collect::<Vec<(f64, f64)>>()
        };
        let mut outline = edge(&above);
        outline.extend(edge(&below).into_iter().rev());
        let mean = stack.columns.iter().map(|column| column[term as usize]).sum::<f64>()
            / stack.columns.len().max(1) as f64;
        let title = format!("{}: {mean:.4} on average", term.name());
        let data = super::super::svg::path_through(&outline) + "Z";
        svg.path(&class(term), &data, &title);
        below = above;
    }
    let cut = || stack.heights().enumerate().filter(|(_, height)| *height > y.domain.1);
    for (at, height) in cut() {
        area.mark_above(&mut svg, x.at(at as f64), &format!("{at}: {height:.4} in all"));
    }
    let highest = cut().map(|(_, height)| height).fold(0.0, f64::max);
    if highest > 0.0 {
        let words = ["column is higher:", "columns are higher, up to"];
        area.note(&mut svg, &clip_note(cut().count(), words, highest));
    }
    svg.line("axis", (area.left, area.bottom), (area.right, area.bottom));
    svg.finish(size.class(), &format!("Weighted objective terms over the episode, {whose}"))
}
