//! What happened when: migrations as arrows between the rows of nodes, faults as bands.

use super::super::svg::{Anchor, Svg, shortened};
use super::{Size, columns};
use godwit_envs::state::cluster::Health;
use godwit_envs::state::event::{Event, EventKind};
use godwit_evaluate::oscillation::returned;
use godwit_models::rollout::Move;
use std::collections::HashMap;

/// What of a timeline has to be explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Migrations.
    pub moves: usize,
    /// Migrations back to a node that was just left.
    pub returns: usize,
    /// Migrations that were undone.
    pub rolled_back: usize,
    /// Workloads that lost their node.
    pub displaced: usize,
    /// Changes of a node's health.
    pub health: usize,
    /// Arrivals, placements and departures.
    pub population: usize,
}

impl Seen {
    /// Counts the events of an episode.
    pub fn new(events: &[Event], window: u32) -> Self {
        let mut seen = Self::default();
        for event in events {
            match event.kind {
                EventKind::TransferStarted { .. } => seen.moves += 1,
                EventKind::TransferRolledBack { .. } => seen.rolled_back += 1,
                EventKind::Displaced { .. } => seen.displaced += 1,
                EventKind::HealthChanged { .. } => seen.health += 1,
                EventKind::Arrived { .. }
                | EventKind::Departed { .. }
                | EventKind::Placed { .. } => seen.population += 1,
                EventKind::TickStarted
                | EventKind::TimePassed { .. }
                | EventKind::DemandChanged { .. }
                | EventKind::TransferEnded { .. } => {}
            }
        }
        seen.returns = returned(&moves(events), window).into_iter().filter(|&back| back).count();
        seen
    }
}

fn moves(events: &[Event]) -> Vec<Move> {
    let mut departures: HashMap<u32, u32> = HashMap::new();
    let mut moves = Vec::new();
    for event in events {
        match event.kind {
            EventKind::Departed { workload } => *departures.entry(workload).or_default() += 1,
            EventKind::TransferStarted { workload, source, destination } => {
                let occupant = departures.get(&workload).copied().unwrap_or(0);
                moves.push(Move { tick: event.tick, workload, occupant, source, destination });
            }
            _ => {}
        }
    }
    moves
}

/// What a timeline is drawn from.
pub struct Timeline<'a> {
    /// The episode's events, in order.
    pub events: &'a [Event],
    /// Frames of the episode.
    pub frames: usize,
    /// Whether the clock runs; if not, a move lies between two states.
    pub online: bool,
    /// Length of a tick.
    pub tick_s: f32,
    /// Names of all nodes.
    pub nodes: &'a [String],
    /// Nodes that have a row.
    pub rows: &'a [usize],
    /// A return within so many ticks is an oscillation.
    pub window: u32,
    /// Name of the horizontal axis.
    pub tick_name: &'a str,
}

impl Timeline<'_> {
    /// The drawing.
    pub fn draw(&self, size: Size) -> String {
        let row = if self.rows.len() > 20 { 14.0 } else { 20.0 };
        let population = Seen::new(self.events, self.window).population > 0;
        let strip = if population { 22.0 } else { 0.0 };
        let names = size.name_room(self.nodes, self.rows).max(if population { 80.0 } else { 0.0 });
        let (left, right) = (names, size.width() - 10.0);
        let (top, rows_height) = (8.0, row * self.rows.len() as f64);
        let bottom = top + rows_height + strip;
        let mut svg = Svg::new(size.width(), bottom + 44.0);
        let x = columns(self.frames, left, right);
        let y_of = |node: u32| {
            let at = self.rows.iter().position(|&row| row == node as usize)?;
            Some(top + row * (at as f64 + 0.5))
        };
        for (value, text) in x.whole_ticks(size.ticks()) {
            svg.line("grid", (x.at(value), top), (x.at(value), bottom));
            svg.text("tick", Anchor::Middle, (x.at(value), bottom + 16.0), &text);
        }
        self.health_bands(&mut svg, &x, row, &y_of);
        for &node in self.rows {
            let Some(y) = y_of(node as u32) else { continue };
            svg.line("row", (left, y), (right, y));
            let name = shortened(&self.nodes[node], size.name_length());
            svg.text("tick", Anchor::End, (left - 6.0, y + 4.0), &name);
        }
        // Moves of one tick stand side by side in the tick's column.
        let moves = moves(self.events);
        let back = returned(&moves, self.window);
        for (i, (made, back)) in moves.iter().zip(back).enumerate() {
            let before = moves[..i].iter().rev().take_while(|m| m.tick == made.tick).count();
            let after = moves[i..].iter().take_while(|m| m.tick == made.tick).count();
            let share = (before as f64 + 0.5) / (before + after) as f64 - 0.5;
            let at = x.at(f64::from(made.tick) + 0.8 * share + if self.online { 0.0 } else { 0.5 });
            if let (Some(from), Some(to)) = (y_of(made.source), y_of(made.destination)) {
                arrow(&mut svg, at, from, to, back, &self.title(made, back));
            }
        }
        for event in self.events {
            let at = x.at(f64::from(event.tick) + f64::from(event.second / self.tick_s) - 0.5);
            self.mark(&mut svg, event, at, &y_of, bottom - strip / 2.0);
        }
        svg.line("axis", (left, bottom), (right, bottom));
        if population {
            let name = shortened("workloads", size.name_length());
            svg.text("tick", Anchor::End, (left - 6.0, bottom - strip / 2.0 + 4.0), &name);
        }
        svg.text("name", Anchor::Middle, ((left + right) / 2.0, bottom + 34.0), self.tick_name);
        svg.finish(size.class(), "Migrations between nodes, and faults, over the episode")
    }

    fn title(&self, made: &Move, back: bool) -> String {
        let name = |node: u32| self.nodes.get(node as usize).map_or("nowhere", String::as_str);
        let back = if back { ", back to where it was" } else { "" };
        format!(
            "tick {}: workload {} from {} to {}{back}",
            made.tick,
            made.workload,
            name(made.source),
            name(made.destination)
        )
    }

    fn health_bands(
        &self,
        svg: &mut Svg,
        x: &super::Scale,
        row: f64,
        y_of: &impl Fn(u32) -> Option<f64>,
    ) {
        let changes = |node: u32| {
            self.events.iter().filter_map(move |event| match event.kind {
                EventKind::HealthChanged { node: at, health, .. } if at == node => {
                    Some((event.tick, health))
                }
                _ => None,
            })
        };
        for &node in self.rows {
            let Some(y) = y_of(node as u32) else { continue };
            let list: Vec<(u32, Health)> = changes(node as u32).collect();
            for (i, &(tick, health)) in list.iter().enumerate() {
                let Some((class, name)) = health_class(health) else { continue };
                let end = list.get(i + 1).map_or(self.frames as f64, |next| f64::from(next.0));
                let (from, to) = (x.at(f64::from(tick) - 0.5), x.at(end - 0.5));
                let title = format!("{} is {name} from tick {tick}", self.nodes[node]);
                svg.rect(class, (from, y - row / 2.0 + 1.0), (to - from, row - 2.0), &title);
            }
        }
    }

    fn mark(
        &self,
        svg: &mut Svg,
        event: &Event,
        at: f64,
        y_of: &impl Fn(u32) -> Option<f64>,
        strip: f64,
    ) {
        let cross = |y: f64| format!("M{:.1} {:.1}l8 8m0 -8l-8 8", at - 4.0, y - 4.0);
        let tick = event.tick;
        match event.kind {
            EventKind::TransferRolledBack { workload, destination, .. } => {
                if let Some(y) = y_of(destination) {
                    let title = format!("tick {tick}: the move of workload {workload} is undone");
                    svg.path("cross undone", &cross(y), &title);
                }
            }
            EventKind::Displaced { workload, node } => {
                if let Some(y) = y_of(node) {
                    let title = format!("tick {tick}: workload {workload} is displaced");
                    svg.path("cross", &cross(y), &title);
                }
            }
            EventKind::Arrived { workload } => {
                let up = format!("M{at:.1} {:.1}l3 6l-6 0Z", strip - 6.0);
                svg.path("arrived", &up, &format!("tick {tick}: workload {workload} arrives"));
            }
            EventKind::Departed { workload } => {
                let down = format!("M{at:.1} {:.1}l3 -6l-6 0Z", strip + 7.0);
                svg.path("departed", &down, &format!("tick {tick}: workload {workload} departs"));
            }
            EventKind::Placed { workload, node, restart } => {
                if let Some(y) = y_of(node) {
                    let how = if restart { "restarts" } else { "starts" };
                    let title = format!("tick {tick}: workload {workload} {how} here");
                    svg.rect("placed", (at - 2.0, y - 2.0), (4.0, 4.0), &title);
                }
            }
            EventKind::TickStarted
            | EventKind::TimePassed { .. }
            | EventKind::DemandChanged { .. }
            | EventKind::HealthChanged { .. }
            | EventKind::TransferStarted { .. }
            | EventKind::TransferEnded { .. } => {}
        }
    }
}

/// Class and name of a band; a healthy node has none.
pub fn health_class(health: Health) -> Option<(&'static str, &'static str)> {
    match health {
        Health::Healthy => None,
        Health::Degraded => Some(("degraded", "degraded")),
        Health::Draining => Some(("draining", "draining")),
        Health::Failed => Some(("failed", "failed")),
    }
}

fn arrow(svg: &mut Svg, x: f64, from: f64, to: f64, back: bool, title: &str) {
    let down = if to > from { 1.0 } else { -1.0 };
    let class = if back { "move back" } else { "move" };
    // A dot where it leaves, a head where it arrives.
    svg.path(
        class,
        &format!(
            "M{:.1} {from:.1}a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0 -3.6 0ZM{x:.1} {from:.1}L{x:.1} {to:.1}M{:.1} {:.1}L{x:.1} {to:.1}L{:.1} {:.1}",
            x - 1.8,
            x - 3.0,
            to - 5.0 * down,
            x + 3.0,
            to - 5.0 * down
        ),
        title,
    );
}
