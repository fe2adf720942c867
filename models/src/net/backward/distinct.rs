//! Rows of features, those that are alike within a state once.

/// Feature rows of a batch, alike ones merged where the first state shows that it pays.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// `[D, F]`.
    pub features: Vec<f32>,
    /// Whether this batch merges; not known before its first state.
    merges: Option<bool>,
    /// Open hash table of the current state: row + 1, or 0 where nothing is.
    table: Vec<u32>,
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
        let size = (2 * count).next_power_of_two();
        self.table.clear();
        self.table.resize(size, 0);
        for row in features.chunks_exact(width) {
            let mut at = hash(row) as usize & (size - 1);
            let number = loop {
                match self.table[at] {
                    0 => {
                        let number = (self.features.len() / width) as u32;
                        self.features.extend_from_slice(row);
                        self.table[at] = number + 1;
                        break number;
                    }
                    taken => {
                        let number = taken - 1;
                        if self.features[number as usize * width..][..width] == *row {
                            break number;
                        }
                        at = (at + 1) & (size - 1);
                    }
                }
            };
            rows.push(number);
        }
        // Looking for alike rows costs about as much as encoding a row does.
        let distinct = self.features.len() / width - first as usize;
        self.merges.get_or_insert(2 * distinct <= count);
    }
}

/// FNV-1a over the bits of the features, a word at a time, with its high half folded in: the
/// table's index is the low bits.
fn hash(features: &[f32]) -> u64 {
    let hash = features.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
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
