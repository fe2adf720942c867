//! Quality against move budget: what each further move is worth.

use super::super::axis::Scale;
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
    let bounds = points().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
        (low.min(point.1.low), high.max(point.1.high))
    });
    let pad = f64::from(most) * 0.03;
    let x = Scale::linear((-pad, f64::from(most) + pad), (area.left, area.right));
    let y = Scale::round(bounds, (area.bottom, area.top), 5);
    let name = if online { "move budget (moves per tick)" } else { "move budget (moves)" };
    area.y_axis(&mut svg, &y, &y.ticks(5), "mean return (weighted objective)");
    area.x_axis(&mut svg, &x, &x.whole_ticks(size.ticks()), name);
    let own = x.at(f64::from(sweep.own));
    svg.line("reference", (own, area.top), (own, area.bottom));
    for (series, curve) in sweep.curves.iter().enumerate() {
        let at = |(budget, value): (u32, f64)| (x.at(f64::from(budget)), y.at(value));
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
            svg.marker(series, at((*budget, estimate.value)), &title);
        }
    }
    svg.finish(size.class(), "Mean return of the best policies against the move budget")
}
