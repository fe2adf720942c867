//! Learning curves: a run's validation returns in the course of training.

use super::super::axis::{Scale, low_note, range_without_stragglers};
use super::super::data::Run;
use super::super::svg::{Svg, path_through};
use super::Size;

/// A line per run with a band of 1.96 standard errors, and the best baseline as a level.
pub fn draw(runs: &[Run], baseline: Option<f64>, size: Size) -> String {
    let height = 320.0;
    let mut svg = Svg::new(size.width(), height);
    let area = size.plot(height);
    let points = || runs.iter().flat_map(|run| &run.points);
    let last = points().map(|point| point.env_steps).fold(1.0, f64::max);
    let edges = points().flat_map(|point| {
        let spread = 1.96 * point.standard_error;
        [point.mean_return - spread, point.mean_return + spread]
    });
    let values = edges.chain(baseline);
    let (low, high) = range_without_stragglers(values);
    let x = Scale::linear((0.0, last), (area.left, area.right));
    let y = Scale::round((low, high), (area.bottom, area.top), 5);
    area.y_axis(&mut svg, &y, &y.ticks(5), "mean return (weighted objective)");
    area.x_axis(&mut svg, &x, &x.ticks(size.ticks() - 1), "env steps of training");
    if let Some(note) = low_note(y.domain, points().map(|point| point.mean_return)) {
        area.note(&mut svg, &note);
    }
    let inside = |value: f64| y.at(value.clamp(y.domain.0, y.domain.1));
    for (series, run) in runs.iter().enumerate() {
        let edge = |sign: f64| {
            let of = move |value: f64, error: f64| inside(value + sign * 1.96 * error);
            run.points.iter().map(move |point| {
                (x.at(point.env_steps), of(point.mean_return, point.standard_error))
            })
        };
        let mut band: Vec<(f64, f64)> = edge(1.0).collect();
        band.extend(edge(-1.0).collect::<Vec<_>>().into_iter().rev());
        svg.path(&format!("band s{series}"), &(path_through(&band) + "Z"), "");
        let line: Vec<(f64, f64)> = run
            .points
            .iter()
            .map(|point| (x.at(point.env_steps), inside(point.mean_return)))
            .collect();
        svg.polyline(&format!("line s{series}"), &line, "");
        for (point, &at) in run.points.iter().zip(&line) {
            let title = format!(
                "{}: {} env steps, return {:.4} +- {:.4}",
                run.policy, point.env_steps, point.mean_return, point.standard_error
            );
            if point.mean_return < y.domain.0 {
                area.mark_below(&mut svg, at.0, &title);
            } else {
                svg.marker(series, at, &title);
            }
        }
    }
    if let Some(level) = baseline {
        let level = inside(level);
        svg.line("reference", (area.left, level), (area.right, level));
    }
    svg.finish(size.class(), "Validation return against env steps of training")
}
