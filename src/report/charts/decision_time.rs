//! Quality against decision time: which policies are worth their wait.
//!
//! Points carry the numbers of the table; a number that would cover another point or number is
//! moved away and tied to its point by a thin line.

use super::super::axis::{Area, Scale, low_note, range_without_stragglers};
use super::super::svg::{Anchor, Svg};
use super::Size;
use godwit_evaluate::PolicyResult;

/// Trained policies and baselines by marker.
pub const TRAINED: usize = 1;
/// Marker of a baseline.
pub const BASELINE: usize = 0;

/// A point per policy: median decision time (a line leads on to the 99th percentile) and return.
pub fn draw(ranked: &[(usize, &PolicyResult)], size: Size) -> String {
    let height = 360.0;
    let mut svg = Svg::new(size.width(), height);
    let area = size.plot(height);
    let policies = || ranked.iter().map(|(_, policy)| *policy);
    let times = || policies().map(|policy| policy.decision_us_p50.max(0.01));
    let slowest = policies().map(|policy| policy.decision_us_p99).fold(0.1, f64::max);
    let x = Scale::logarithmic(
        (times().fold(f64::INFINITY, f64::min), slowest),
        (area.left, area.right),
    );
    let (low, high) = range_without_stragglers(policies().map(|p| p.mean_return.value));
    let high = policies().map(|policy| policy.mean_return.high).fold(high, f64::max);
    let y = Scale::round((low, high), (area.bottom - 16.0, area.top + 8.0), 5);
    area.y_axis(&mut svg, &y, &y.ticks(5), "mean return (weighted objective)");
    area.x_axis(&mut svg, &x, &x.ticks(0), "decision time (\u{b5}s, one core)");
    if let Some(note) = low_note(y.domain, policies().map(|policy| policy.mean_return.value)) {
        area.note(&mut svg, &note);
    }

    let at = |policy: &PolicyResult| {
        let value = policy.mean_return.value;
        let below = value < y.domain.0;
        let height = if below { area.bottom - 6.0 } else { y.at(value) };
        ((x.at(policy.decision_us_p50.max(0.01)), height), below)
    };
    let mut taken: Vec<Area> = Vec::new();
    for policy in policies() {
        let ((px, py), below) = at(policy);
        let slow = x.at(policy.decision_us_p99.max(policy.decision_us_p50).max(0.01));
        svg.line("tail", (px, py), (slow, py));
        if !below {
            let edge = |value: f64| y.at(value.clamp(y.domain.0, y.domain.1));
            let (low, high) = (edge(policy.mean_return.low), edge(policy.mean_return.high));
            svg.line("whisker s5", (px, low), (px, high));
            taken.push(Area { left: px - 1.0, top: high, right: px + 1.0, bottom: low });
        }
        let square = |half: f64| Area {
            left: px - half,
            top: py - half,
            right: px + half,
            bottom: py + half,
        };
        taken.push(square(5.0));
        taken.push(Area { right: slow, ..square(1.0) });
    }
    for &(rank, policy) in ranked {
        let ((px, py), below) = at(policy);
        let title = format!(
            "{rank} {}: return {:.4}, p50 {:.1} \u{b5}s, p99 {:.1} \u{b5}s",
            policy.name, policy.mean_return.value, policy.decision_us_p50, policy.decision_us_p99
        );
        if below {
            area.mark_below(&mut svg, px, &title);
        } else {
            svg.marker(if policy.trained { TRAINED } else { BASELINE }, (px, py), &title);
        }
    }
    for &(rank, policy) in ranked {
        let (point, _) = at(policy);
        let text = rank.to_string();
        let (place, lead) = free_place(point, text.len(), &area, &taken);
        if lead {
            let middle = ((place.left + place.right) / 2.0, (place.top + place.bottom) / 2.0);
            svg.line("leader", point, middle);
        }
        let class = if policy.trained { "label strong" } else { "label" };
        let middle = (place.left + place.right) / 2.0;
        svg.text(class, Anchor::Middle, (middle, place.bottom - 2.0), &text);
        taken.push(place);
    }
    svg.finish(size.class(), "Mean return against decision time; numbers as in the table")
}

/// The nearest free box for a text beside a point, and whether it is so far that a line must lead
/// to it. Where nothing is free, the first place has to do.
fn free_place((x, y): (f64, f64), length: usize, area: &Area, taken: &[Area]) -> (Area, bool) {
    let (width, height) = (4.0 + 7.0 * length as f64, 13.0);
    let around = |angle: usize, distance: f64| {
        let angle = std::f64::consts::TAU * angle as f64 / 16.0;
        let (cx, cy) = (x + (distance + width / 2.0) * angle.cos(), y - distance * angle.sin());
        Area {
            left: cx - width / 2.0,
            top: cy - height / 2.0,
            right: cx + width / 2.0,
            bottom: cy + height / 2.0,
        }
    };
    let inside = |place: &Area| {
        place.left > area.left
            && place.right < area.right
            && place.top > area.top - 10.0
            && place.bottom < area.bottom
    };
    let distances = [10.0, 18.0, 28.0, 40.0, 54.0, 70.0];
    for distance in distances {
        // Beside the bar of the interval first.
        for turn in [2, 6, 3, 5, 1, 7, 14, 10, 4, 0, 8, 13, 11, 15, 9, 12] {
            let place = around(turn, distance);
            if inside(&place) && !taken.iter().any(|other| overlap(&place, other)) {
                return (place, distance > 18.0);
            }
        }
    }
    (around(2, distances[0]), false)
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_crowded_points_do_not_cover_each_other() {
        let area = Area { left: 0.0, top: 0.0, right: 300.0, bottom: 300.0 };
        let mut taken = Vec::new();
        for i in 0..17_u32 {
            let point = (150.0 + f64::from(i % 3), 150.0 + f64::from(i % 5));
            let (place, _) = free_place(point, 2, &area, &taken);
            assert!(!taken.iter().any(|other| overlap(&place, other)), "number {i}");
            taken.push(place);
        }
    }
}
