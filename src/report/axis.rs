//! Axes: scales from values to pixels, round ticks, and a plot's frame with names and units.

use super::svg::{Anchor, Svg};
use godwit_evaluate::figures::Column;
use godwit_evaluate::stats::quantile;

/// From values to pixels, evenly or by powers of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Lowest and highest value.
    pub domain: (f64, f64),
    range: (f64, f64),
    logarithmic: bool,
}

impl Scale {
    /// An even scale; a domain without width gets some.
    pub fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        let (low, high) = domain;
        let room = if high > low { 0.0 } else { 0.5 * low.abs().max(1.0) };
        Self { domain: (low - room, high + room), range, logarithmic: false }
    }

    /// An even scale whose domain ends at round values beside these: finer ones than its ticks, so
    /// that little room is left empty.
    pub fn round(domain: (f64, f64), range: (f64, f64), ticks: usize) -> Self {
        let plain = Self::linear(domain, range);
        let (low, high) = plain.domain;
        let step = round_step((high - low) / (3 * ticks) as f64);
        let domain = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { domain, ..plain }
    }

    /// A scale by powers of ten, from a power of ten to another.
    pub fn logarithmic(domain: (f64, f64), range: (f64, f64)) -> Self {
        let low = domain.0.max(1e-9).log10().floor();
        let high = domain.1.max(1e-9).log10().ceil().max(low + 1.0);
        Self { domain: (10_f64.powf(low), 10_f64.powf(high)), range, logarithmic: true }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let of = |value: f64| if self.logarithmic { value.max(1e-9).log10() } else { value };
        let (low, high) = (of(self.domain.0), of(self.domain.1));
        self.range.0 + (of(value) - low) / (high - low) * (self.range.1 - self.range.0)
    }

    /// Round values for about this many ticks, each with its text.
    pub fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        let (low, high) = self.domain;
        if self.logarithmic {
            let (first, last) = (low.log10().round() as i32, high.log10().round() as i32);
            return (first..=last).map(|power| (10_f64.powi(power), power_text(power))).collect();
        }
        self.ticks_every(round_step((high - low) / about.max(1) as f64))
    }

    fn ticks_every(&self, step: f64) -> Vec<(f64, String)> {
        let (low, high) = self.domain;
        let (first, last) =
            ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        (first..=last).map(|i| (i as f64 * step, number(i as f64 * step, step))).collect()
    }

    /// Round values that are whole numbers.
    pub fn whole_ticks(&self, about: usize) -> Vec<(f64, String)> {
        let (low, high) = self.domain;
        self.ticks_every(round_step((high - low) / about.max(1) as f64).max(1.0))
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
pub fn round_step(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| nice * power >= step * (1.0 - 1e-9));
    nice.unwrap_or(10.0) * power
}

/// A value with the digits that a step of this size needs.
fn number(value: f64, step: f64) -> String {
    let (scaled, step, suffix) = match step {
        step if step >= 1e6 => (value / 1e6, step / 1e6, "M"),
        step if step >= 1e3 => (value / 1e3, step / 1e3, "k"),
        step => (value, step, ""),
    };
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    // No minus before a zero.
    let scaled = if scaled.abs() < step * 1e-6 { 0.0 } else { scaled };
    let suffix = if scaled == 0.0 { "" } else { suffix };
    format!("{scaled:.digits$}{suffix}").replace('-', "\u{2212}")
}

fn power_text(power: i32) -> String {
    match power {
        -3..=0 => format!("{:.*}", power.unsigned_abs() as usize, 10_f64.powi(power)),
        1..=2 => format!("{:.0}", 10_f64.powi(power)),
        3..=5 => format!("{:.0}k", 10_f64.powi(power - 3)),
        6..=8 => format!("{:.0}M", 10_f64.powi(power - 6)),
        power => format!("1e{power}"),
    }
}

/// A range for values of which a few lie far below the others: those are left out (and drawn at
/// the edge), so that they do not press the others together. Highest values are never left out.
pub fn range_without_stragglers(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (Some(&lowest), Some(&highest)) = (sorted.first(), sorted.last()) else {
        return (0.0, 1.0);
    };
    let quartile = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let (q1, q3) = (quartile(0.25), quartile(0.75));
    let fence = q1 - 3.0 * (q3 - q1);
    let kept = sorted.iter().copied().find(|&value| value >= fence).unwrap_or(lowest);
    (kept, highest)
}

/// Where the axis of a chart over time ends, so that a few spikes do not press the rest flat: half
/// as much again as what 95 % of the values do not exceed, where the highest is over three times
/// that; else the highest. What is higher is cut off there, and the chart says so.
pub fn top_without_spikes(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(&highest) = sorted.last() else { return 0.0 };
    let usual = quantile(&sorted, 0.95);
    if usual > 0.0 && highest > 3.0 * usual { 1.5 * usual } else { highest }
}

/// What a chart says where its axis does not reach to all values; of one and of several.
pub fn clip_note(clipped: usize, [one, several]: [&str; 2], farthest: f64) -> String {
    let farthest = Column::new([farthest], 5, 4).show(farthest).replace('-', "\u{2212}");
    format!("axis cut: {clipped} {} {farthest}", if clipped == 1 { one } else { several })
}

/// The same of points below the axis; nothing where there are none.
pub fn low_note(domain: (f64, f64), values: impl IntoIterator<Item = f64>) -> Option<String> {
    let below: Vec<f64> = values.into_iter().filter(|value| *value < domain.0).collect();
    let lowest = below.iter().copied().fold(f64::INFINITY, f64::min);
    let words = ["point is lower:", "points are lower, down to"];
    (!below.is_empty()).then(|| clip_note(below.len(), words, lowest))
}

/// The rectangle that a chart is drawn in.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Bottom edge.
    pub bottom: f64,
}

impl Area {
    /// Grid lines, tick texts and the name of the axis below.
    pub fn x_axis(&self, svg: &mut Svg, scale: &Scale, ticks: &[(f64, String)], name: &str) {
        for (value, text) in ticks {
            let x = scale.at(*value);
            svg.line("grid", (x, self.top), (x, self.bottom));
            svg.text("tick", Anchor::Middle, (x, self.bottom + 16.0), text);
        }
        svg.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        let middle = (self.left + self.right) / 2.0;
        svg.text("name", Anchor::Middle, (middle, self.bottom + 34.0), name);
    }

    /// Grid lines, tick texts and the name of the axis at the left.
    pub fn y_axis(&self, svg: &mut Svg, scale: &Scale, ticks: &[(f64, String)], name: &str) {
        for (value, text) in ticks {
            let y = scale.at(*value);
            svg.line("grid", (self.left, y), (self.right, y));
            svg.text("tick", Anchor::End, (self.left - 6.0, y + 4.0), text);
        }
        svg.line("axis", (self.left, self.top), (self.left, self.bottom));
        svg.upright_text("name", (13.0, (self.top + self.bottom) / 2.0), name);
    }

    /// Says above the plot that the axis was cut.
    pub fn note(&self, svg: &mut Svg, text: &str) {
        svg.text("note", Anchor::End, (self.right, self.top - 4.0), text);
    }

    /// A triangle at the upper edge: the value there is higher than the axis shows.
    pub fn mark_above(&self, svg: &mut Svg, x: f64, title: &str) {
        svg.path("pin", &format!("M{:.1} {:.1}l6 0l-3 -6Z", x - 3.0, self.top + 7.0), title);
    }

    /// A triangle at the lower edge: the value there is lower than the axis shows.
    pub fn mark_below(&self, svg: &mut Svg, x: f64, title: &str) {
        svg.path("pin", &format!("M{:.1} {:.1}l10 0l-5 8Z", x - 5.0, self.bottom - 11.0), title);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let texts = |scale: Scale, about| {
            scale.ticks(about).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        let range = (0.0, 100.0);
        assert_eq!(texts(Scale::round((0.03, 0.97), range, 5), 5), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(texts(Scale::linear((0.0, 144.0), range), 5), "0 50 100");
        assert_eq!(
            texts(Scale::round((-543.0, -270.0), range, 4), 4),
            "\u{2212}500 \u{2212}400 \u{2212}300"
        );
        let whole = Scale::linear((-0.1, 3.1), range).whole_ticks(10);
        assert_eq!(whole.last().map(|tick| tick.1.as_str()), Some("3"));
        assert_eq!(whole.len(), 4, "every whole number has room");
        assert_eq!(texts(Scale::linear((0.0, 480_000.0), range), 4), "0 200k 400k");
        assert_eq!(texts(Scale::logarithmic((0.2, 3000.0), range), 4), "0.1 1 10 100 1k 10k");
    }

    #[test]
    fn a_scale_maps_its_ends_to_the_ends() {
        let scale = Scale::logarithmic((1.0, 100.0), (10.0, 30.0));
        assert_eq!((scale.at(1.0), scale.at(10.0), scale.at(100.0)), (10.0, 20.0, 30.0));
        let flat = Scale::linear((3.0, 3.0), (0.0, 10.0));
        assert_eq!(flat.at(3.0), 5.0);
    }

    #[test]
    fn stragglers_do_not_press_the_others_together() {
        let values = [-543.0, -500.0, -280.0, -278.0, -277.0, -276.0, -275.0, -274.0, -273.0];
        assert_eq!(range_without_stragglers(values), (-280.0, -273.0));
        assert_eq!(range_without_stragglers([0.0, 0.5, 1.0]), (0.0, 1.0));
        assert_eq!(range_without_stragglers([]), (0.0, 1.0));
    }

    #[test]
    fn a_spike_does_not_press_the_rest_flat() {
        let mut values = vec![1.0; 95];
        values.extend([2.0; 4]);
        assert_eq!(top_without_spikes(values.clone()), 2.0, "nothing is far from the others");
        values.push(40.0);
        assert_eq!(top_without_spikes(values), 1.5);
        assert_eq!(top_without_spikes([0.0, 0.0, 7.0]), 7.0);
        assert_eq!(top_without_spikes([]), 0.0);
    }

    #[test]
    fn a_note_says_how_far_the_values_go() {
        let note = |values: [f64; 3]| low_note((-10.0, 0.0), values);
        assert_eq!(note([-10.0, -1.0, 0.0]), None);
        assert_eq!(
            note([-4647.73, -1.0, 0.0]).as_deref(),
            Some("axis cut: 1 point is lower: \u{2212}4647.7")
        );
        assert_eq!(
            note([-50.25, -12.0, -1.0]).as_deref(),
            Some("axis cut: 2 points are lower, down to \u{2212}50.250")
        );
    }
}
