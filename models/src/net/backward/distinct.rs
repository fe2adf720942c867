//! Rows of features, those that are alike within a state once.

use crate::net::alike::AlikeRows;

/// Feature rows of a batch, alike ones merged where the first state shows that it pays.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// `[D, F]`.
    pub features: Vec<f32>,
    /// Whether this batch merges; not known before its first state.
    merges: Option<bool>,
    /// Those of the current state.
    alike: AlikeRows,
}

impl Distinct {
    pub fn clear(&mut self) {
        self.features.clear();
        self.merges = None;
    }

    /// Adds the rows of a state, each `width` long, and appends the number of each to `rows`.
    pub fn add(&mut self, features: &[f32], width: usize, rows: &mut Vec<u32>) {
        let first = (self.features.len() / width) as u32;
        let count = features.len() / width;
        if self.merges == Some(false) {
            self.features.extend_from_slice(features);
            rows.extend(first..first + count as u32);
            return;
        }
        self.alike.start(count);
        rows.extend(features.chunks_exact(width).map(|row| first + self.alike.row(row) as u32));
        self.features.extend_from_slice(self.alike.kept());
        // Looking for alike rows costs about as much as encoding a row does.
        self.merges.get_or_insert(2 * self.alike.distinct() <= count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_rows_are_kept_once_where_the_first_state_shows_that_it_pays() {
        let mut distinct = Distinct::default();
        let mut rows = Vec::new();
        distinct.add(&[1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0], 2, &mut rows);
        // Never across states.
        distinct.add(&[1.0, 2.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0], 2, &mut rows);
        assert_eq!(rows, [0, 0, 1, 0, 2, 2, 3, 4]);
        assert_eq!(distinct.features, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0]);

        distinct.clear();
        rows.clear();
        distinct.add(&[1.0, 2.0, 3.0, 4.0], 2, &mut rows);
        distinct.add(&[1.0, 2.0, 1.0, 2.0], 2, &mut rows);
        assert_eq!(rows, [0, 1, 2, 3]);
    }
}
