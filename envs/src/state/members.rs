//! How many members of each group are in each place.

use std::collections::HashMap;

/// Group index of a workload without a group.
pub const NO_GROUP: u32 = u32::MAX;

/// Most entries of a table, 16 MiB. Where groups times places are more, only what is not 0 is kept:
/// a state is copied for every plan.
const MOST_ENTRIES: usize = 1 << 22;

/// Members by group and place, where a place is a node or a zone.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberCounts {
    /// One entry for each pair.
    Table {
        /// Number of places.
        places: usize,
        /// `[groups][places]`.
        counts: Vec<u32>,
    },
    /// What is not 0, by group and place.
    Sparse(HashMap<(u32, u32), u32>),
}

impl MemberCounts {
    /// No members of so many groups in so many places.
    pub fn new(groups: usize, places: usize) -> Self {
        if groups.saturating_mul(places) <= MOST_ENTRIES {
            Self::Table { places, counts: vec![0; groups * places] }
        } else {
            Self::Sparse(HashMap::new())
        }
    }

    /// Members of a group in a place.
    #[inline(always)]
    pub fn of(&self, group: u32, place: usize) -> u32 {
        match self {
            Self::Table { places, counts } => counts[group as usize * places + place],
            Self::Sparse(counts) => counts.get(&(group, place as u32)).copied().unwrap_or(0),
        }
    }

    /// One member more.
    pub fn add(&mut self, group: u32, place: usize) {
        match self {
            Self::Table { places, counts } => counts[group as usize * *places + place] += 1,
            Self::Sparse(counts) => *counts.entry((group, place as u32)).or_default() += 1,
        }
    }

    /// One member less; there must be one.
    pub fn take(&mut self, group: u32, place: usize) {
        match self {
            Self::Table { places, counts } => counts[group as usize * *places + place] -= 1,
            Self::Sparse(counts) => {
                let key = (group, place as u32);
                match counts.get_mut(&key) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => drop(counts.remove(&key)),
                }
            }
        }
    }

    /// No members any more.
    pub fn clear(&mut self) {
        match self {
            Self::Table { counts, .. } => counts.fill(0),
            Self::Sparse(counts) => counts.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_what_is_not_0_count_alike() {
        let mut table = MemberCounts::new(3, 4);
        let mut sparse = MemberCounts::new(1 << 12, 1 << 12);
        assert!(matches!(table, MemberCounts::Table { .. }));
        assert!(matches!(sparse, MemberCounts::Sparse(_)));
        for counts in [&mut table, &mut sparse] {
            counts.add(2, 3);
            counts.add(2, 3);
            counts.add(0, 1);
            counts.take(2, 3);
            counts.take(0, 1);
            assert_eq!([counts.of(2, 3), counts.of(0, 1), counts.of(1, 1)], [1, 0, 0]);
        }
        // What is 0 takes no room.
        assert_eq!(sparse, MemberCounts::Sparse(HashMap::from([((2, 3), 1)])));
        sparse.clear();
        assert_eq!(sparse.of(2, 3), 0);
    }
}
