//! The charts, one file each. Every chart is drawn twice: for a wide page and for a phone, where
//! the text would be too small if the wide one were shrunk. The style sheet shows one of the two.

pub mod budget;
pub mod decision_time;
pub mod heat_map;
pub mod learning;
pub mod terms;
pub mod timeline;

use super::axis::{Area, Scale};

/// How much room a chart has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A desktop's page.
    Wide,
    /// A phone's.
    Narrow,
}

impl Size {
    /// Both, with the class that the style sheet shows or hides them by.
    pub const BOTH: [Size; 2] = [Size::Wide, Size::Narrow];

    /// Class of the drawing.
    pub fn class(self) -> &'static str {
        match self {
            Size::Wide => "wide",
            Size::Narrow => "narrow",
        }
    }

    /// Width in CSS pixels.
    pub fn width(self) -> f64 {
        match self {
            Size::Wide => 900.0,
            Size::Narrow => 340.0,
        }
    }

    /// Ticks on a horizontal axis over the whole width.
    pub fn ticks(self) -> usize {
        match self {
            Size::Wide => 10,
            Size::Narrow => 4,
        }
    }

    fn plot(self, height: f64) -> Area {
        Area { left: 62.0, top: 16.0, right: self.width() - 14.0, bottom: height - 42.0 }
    }

    /// Characters of a node's name that fit beside its row.
    fn name_length(self) -> usize {
        match self {
            Size::Wide => 20,
            Size::Narrow => 10,
        }
    }

    /// Room that the names of these nodes need beside their rows.
    fn name_room(self, nodes: &[String], rows: &[usize]) -> f64 {
        let lengths = rows.iter().map(|&node| nodes[node].chars().count());
        12.0 + 7.2 * lengths.max().unwrap_or(0).clamp(4, self.name_length()) as f64
    }
}

/// A chart in both sizes.
pub fn both(draw: impl Fn(Size) -> String) -> String {
    Size::BOTH.map(draw).concat()
}

/// What a tick is on the axes of an episode.
pub fn tick_name(online: bool, tick_s: f32) -> String {
    if !online {
        return "decisions made".into();
    }
    match tick_s {
        s if s >= 60.0 && s % 60.0 == 0.0 => format!("tick (1 tick = {} min)", s / 60.0),
        s => format!("tick (1 tick = {s} s)"),
    }
}

/// Ticks, moves or frames along an episode: each has a column of its own around its number.
fn columns(frames: usize, left: f64, right: f64) -> Scale {
    Scale::linear((-0.5, frames as f64 - 0.5), (left, right))
}

/// The nodes that a chart with a row for each shows: all where they are few, else those that ever
/// carry the most or take part in migrations, in their own order.
pub fn rows(peak: &[f32], busy: &[u32], most: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..peak.len()).collect();
    if rows.len() > most {
        let moves = |i: usize| busy.iter().filter(|&&node| node as usize == i).count().min(3);
        let moves: Vec<usize> = rows.iter().map(|&i| moves(i)).collect();
        rows.sort_by(|&a, &b| moves[b].cmp(&moves[a]).then(peak[b].total_cmp(&peak[a])));
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

/// Nodes that charts show at most.
pub const MOST_ROWS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_nodes_are_reduced_to_those_that_matter() {
        assert_eq!(rows(&[1.0, 0.5], &[], 3), [0, 1]);
        assert_eq!(rows(&[0.1, 0.9, 0.2, 0.8], &[], 2), [1, 3]);
        assert_eq!(rows(&[0.1, 0.9, 0.2, 0.8], &[2, u32::MAX], 2), [1, 2]);
    }

    #[test]
    fn ticks_say_how_long_they_are() {
        assert_eq!(tick_name(false, 60.0), "decisions made");
        assert_eq!(tick_name(true, 600.0), "tick (1 tick = 10 min)");
        assert_eq!(tick_name(true, 30.0), "tick (1 tick = 30 s)");
    }
}
