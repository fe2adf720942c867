//! Rows of features that are alike are kept once.

/// The distinct ones among the feature rows of one state, in the order of their first appearance.
#[derive(Debug, Default)]
pub struct AlikeRows {
    kept: Vec<f32>,
    distinct: usize,
    /// Open hash table, at most half full: row + 1, or 0 where nothing is.
    table: Vec<u32>,
}

impl AlikeRows {
    /// Forgets all rows, for at most so many.
    pub fn start(&mut self, rows: usize) {
        self.kept.clear();
        self.distinct = 0;
        self.table.clear();
        self.table.resize((2 * rows).next_power_of_two(), 0);
    }

    /// Number of distinct rows.
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// Features of the distinct rows, one after the other.
    pub fn kept(&self) -> &[f32] {
        &self.kept
    }

    /// The distinct row that equals this one; a new one if none does. All have one width, and there
    /// are no more than were announced.
    pub fn row(&mut self, features: &[f32]) -> usize {
        let (width, mask) = (features.len(), self.table.len() - 1);
        let mut at = hash(features) as usize & mask;
        loop {
            match self.table[at] {
                0 => {
                    self.kept.extend_from_slice(features);
                    self.distinct += 1;
                    self.table[at] = self.distinct as u32;
                    return self.distinct - 1;
                }
                taken => {
                    let row = taken as usize - 1;
                    if self.kept[row * width..][..width] == *features {
                        return row;
                    }
                    at = (at + 1) & mask;
                }
            }
        }
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
