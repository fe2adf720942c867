//! How figures are written in a column: every row with the same decimals, as many as its largest
//! figure leaves room for.

/// Decimals that the figures of a column share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    decimals: usize,
}

impl Column {
    /// So many digits for the largest of these figures, and at most `most` decimals.
    pub fn new(figures: impl IntoIterator<Item = f64>, digits: usize, most: usize) -> Self {
        let largest =
            figures.into_iter().map(f64::abs).filter(|x| x.is_finite()).fold(0.0, f64::max);
        let whole = if largest < 10.0 { 1 } else { 1 + largest.log10().floor() as usize };
        Self { decimals: digits.saturating_sub(whole).min(most) }
    }

    /// Mean counts: without decimals where all of them are whole.
    pub fn counts(figures: impl IntoIterator<Item = f64>) -> Self {
        let figures: Vec<f64> = figures.into_iter().collect();
        let most = if figures.iter().all(|figure| figure.fract() == 0.0) { 0 } else { 2 };
        Self::new(figures, 4, most)
    }

    /// A figure of the column.
    pub fn show(self, figure: f64) -> String {
        let Self { decimals } = self;
        let text = format!("{figure:.decimals$}");
        // No minus before a zero.
        match text.strip_prefix('-') {
            Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => rest.to_owned(),
            _ => text,
        }
    }

    /// A figure with its sign, as differences have it.
    pub fn signed(self, figure: f64) -> String {
        let text = self.show(figure);
        if text.starts_with('-') { text } else { format!("+{text}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_figure_sets_the_decimals_of_all() {
        let show = |figures: &[f64]| {
            let column = Column::new(figures.iter().copied(), 5, 4);
            figures.iter().map(|&figure| column.show(figure)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(show(&[1.25, -0.5]), "1.2500 -0.5000");
        assert_eq!(show(&[-155.0012, -4647.7311]), "-155.0 -4647.7");
        assert_eq!(show(&[123_456_789.5, 0.25]), "123456790 0");
        assert_eq!(show(&[9.99999, -0.00001]), "10.0000 0.0000");
        assert_eq!(show(&[]), "");
    }

    #[test]
    fn counts_are_whole_where_all_of_them_are() {
        let show = |figures: &[f64]| {
            let column = Column::counts(figures.iter().copied());
            figures.iter().map(|&figure| column.show(figure)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(show(&[9.0, 0.0]), "9 0");
        assert_eq!(show(&[8.35, 9.0]), "8.35 9.00");
        assert_eq!(show(&[536.0, 67.5]), "536.0 67.5");
        assert_eq!(show(&[2396.43, 0.01]), "2396 0");
    }

    #[test]
    fn differences_have_their_sign_and_zero_has_no_minus() {
        let column = Column::new([1.0], 3, 2);
        assert_eq!([0.5, -0.5, -0.001].map(|x| column.signed(x)), ["+0.50", "-0.50", "+0.00"]);
    }
}
