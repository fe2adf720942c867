//! Writes SVG: shapes that take their colours from the page's style sheet, and nothing that a page
//! without network could miss.
//!
//! Colours are classes, so that one drawing serves light and dark. Every text that people gave is
//! escaped on its way in.

use std::fmt::Write as _;

/// Marker shapes and colours of series, before they repeat.
pub const SERIES: usize = 8;

/// Text as it may stand in HTML, in an attribute or in SVG.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters are not allowed in XML at all.
            symbol if symbol.is_control() && !symbol.is_whitespace() => escaped.push('\u{fffd}'),
            symbol => escaped.push(symbol),
        }
    }
    escaped
}

/// At most `most` characters; what is cut leaves an ellipsis.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}\u{2026}")
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The text begins there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// A drawing under way. Coordinates are in CSS pixels at the drawing's own width.
#[derive(Debug)]
pub struct Svg {
    /// Width.
    pub width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty drawing.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// Adds markup that was escaped where it needed to be.
    fn raw(&mut self, markup: std::fmt::Arguments) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(markup);
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.raw(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A rectangle; `title` is shown when the pointer rests on it.
    pub fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64), title: &str) {
        let ((x, y), (width, height)) = (at, (size.0.max(0.0), size.1.max(0.0)));
        self.raw(format_args!(
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\""
        ));
        self.close("rect", title);
    }

    /// A path.
    pub fn path(&mut self, class: &str, data: &str, title: &str) {
        self.raw(format_args!("<path class=\"{class}\" d=\"{data}\""));
        self.close("path", title);
    }

    /// A line through points.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)], title: &str) {
        self.path(class, &path_through(points), title);
    }

    /// The marker of a series: shape and colour both tell it apart.
    pub fn marker(&mut self, series: usize, (x, y): (f64, f64), title: &str) {
        let class = format!("mark s{}", series % SERIES);
        self.path(&class, &marker_path(series, x, y), title);
    }

    /// Text.
    pub fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.raw(format_args!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(text)
        ));
    }

    /// Text that reads from bottom to top, centred on its point.
    pub fn upright_text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        self.raw(format_args!(
            "<text class=\"{class}\" text-anchor=\"middle\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\">{}</text>",
            escape(text)
        ));
    }

    fn close(&mut self, tag: &str, title: &str) {
        if title.is_empty() {
            self.raw(format_args!("/>"));
        } else {
            self.raw(format_args!("><title>{}</title></{tag}>", escape(title)));
        }
    }

    /// The drawing; `label` says what it shows to those who cannot see it.
    pub fn finish(self, class: &str, label: &str) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{}\">{body}</svg>",
            escape(label)
        )
    }
}

/// The `d` of a path through points.
pub fn path_through(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(data, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
    }
    data
}

fn marker_path(series: usize, x: f64, y: f64) -> String {
    let polygon = |points: &[(f64, f64)]| {
        let moved: Vec<(f64, f64)> = points.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        path_through(&moved) + "Z"
    };
    match series % SERIES {
        0 => format!("M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z", x - 4.5),
        1 => polygon(&[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)]),
        2 => polygon(&[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)]),
        3 => polygon(&[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)]),
        4 => polygon(&[(0.0, 5.0), (5.0, -4.0), (-5.0, -4.0)]),
        5 => polygon(&[(-5.0, -2.0), (5.0, -2.0), (5.0, 2.0), (-5.0, 2.0)]),
        6 => polygon(&[(-2.0, -5.0), (2.0, -5.0), (2.0, 5.0), (-2.0, 5.0)]),
        _ => polygon(&[(-5.0, -5.0), (5.0, 5.0), (5.0, -5.0), (-5.0, 5.0)]),
    }
}

/// A small drawing of a series' marker for a legend; it says nothing that its text does not.
pub fn marker_swatch(series: usize) -> String {
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 14 14\" width=\"14\" height=\"14\" aria-hidden=\"true\"><path class=\"mark s{}\" d=\"{}\"/></svg>",
        series % SERIES,
        marker_path(series, 7.0, 7.0)
    )
}

/// A small square of a class for a legend.
pub fn square_swatch(class: &str) -> String {
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 14 14\" width=\"14\" height=\"14\" aria-hidden=\"true\"><rect class=\"{class}\" x=\"1\" y=\"1\" width=\"12\" height=\"12\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_name_is_text_and_never_markup() {
        assert_eq!(escape("<b a=\"1\">&'\u{1}"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;\u{fffd}");
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("t", Anchor::Start, (1.0, 2.0), "<i>");
        svg.rect("r", (0.0, 0.0), (1.0, 1.0), "a & b");
        let drawing = svg.finish("wide", "\"quoted\"");
        assert!(drawing.contains("&lt;i&gt;") && drawing.contains("a &amp; b"), "{drawing}");
        assert!(drawing.contains("aria-label=\"&quot;quoted&quot;\""), "{drawing}");
    }

    #[test]
    fn long_names_are_cut_by_characters() {
        assert_eq!(shortened("grüße", 5), "grüße");
        assert_eq!(shortened("grüße!", 5), "grüß\u{2026}");
    }
}
