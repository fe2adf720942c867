//! Quality against move budget: what each further move is worth.

use super::super::axis::{Scale, low_note, range_without_stragglers};
use super::super::data::BudgetSweep;
use super::super::svg::Svg;
use super::Size;

/// A line per policy, with the interval of each point.
pub fn draw(sweep: &BudgetSweep, online: bool, size: Size) -> String {
    let height = 320.0;
    let mut svg = Svg::new(size.width(), height);
    let area = size.plot(height);
    let points = || sweep.curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|point| point.0).max().unwrap_or(1);
    let bounds = range_without_stragglers(
        points().flat_map(|(_, estimate)| [estimate.low, estimate.value, estimate.high]),
    );
    let pad = f64::from(most) * 0.03;
    let x = Scale::linear((-pad, f64::from(most) + pad), (area.left, area.right));
    let y = Scale::round(bounds, (area.bottom, area.top), 5);
    let name = if online { "move budget (moves per tick)" } else { "move budget (moves)" };
    area.y_axis(&mut svg, &y, &y.ticks(5), "mean return (weighted objective)");
    area.x_axis(&mut svg, &x, &x.whole_ticks(size.ticks()), name);
    if let Some(note) = low_note(y.domain, points().map(|(_, estimate)| estimate.value)) {
        area.note(&mut svg, &note);
    }
    let own = x.at(f64::from(sweep.own));
    svg.line("reference", (own, area.top), (own, area.bottom));
    for (series, curve) in sweep.curves.iter().enumerate() {
        let at =
            |(budget, value): (u32, f64)| (x.at(f64::from(budget)), y.at(value.max(y.domain.0)));
        let line: Vec<(f64, f64)> =
            curve.points.iter().map(|(budget, estimate)| at((*budget, estimate.value))).collect();
        svg.polyline(&format!("line s{series}"), &line, "");
        for (budget, estimate) in &curve.points {
            let (low, high) = (at((*budget, estimate.low)), at((*budget, estimate.high)));
            svg.line(&format!("whisker s{series}"), low, high);
            let title = format!(
                "{}: budget {budget}, return {:.4} [{:.4}, {:.4}]",
                curve.policy, estimate.value, estimate.low, estimate.high
            );
            let point = at((*budget, estimate.value));
            if estimate.value < y.domain.0 {
                area.mark_below(&mut svg, point.0, &title);
            } else {
                svg.marker(series, point, &title);
            }
        }
    }
    svg.finish(size.class(), "Mean return of the best policies against the move budget")
}
