//! Statistics worked by hand, and what they are applied to.

use super::*;
use crate::observe::schema::{Feature, ObservationSchema};
use crate::observe::sections::Sections;
use crate::observe::{ObservationBuffer, ObservationSpace};

/// Two nodes, two workloads, `Stay` and three moves; two features of each, one of the cluster.
fn space() -> ObservationSpace {
    let features = |count| {
        let feature = |i| Feature { name: format!("{i}"), unit: "1".to_owned(), scale: 1.0 };
        (0..count).map(feature).collect()
    };
    ObservationSpace {
        sections: Sections::default(),
        nodes: 2,
        workloads: 2,
        actions: 4,
        fixed_pairs: false,
        schema: ObservationSchema {
            version: 1,
            node: features(2),
            workload: features(2),
            global: features(1),
            candidate: features(2),
        },
        normalisation: None,
    }
}

/// Moves 1 and 3 are open; what `Stay` and the masked move hold is absurd.
fn observation(space: &ObservationSpace) -> ObservationBuffer {
    let mut o = ObservationBuffer::new(space);
    o.nodes = vec![1.0, 5.0, 3.0, 5.0];
    o.workloads = vec![0.5, -1.0, 900.0, 900.0];
    o.globals = vec![2.0];
    o.mask[..4].copy_from_slice(&[true, true, false, true]);
    let stride = o.candidate_stride;
    o.candidates[..4].copy_from_slice(&[900.0, 0.0, 900.0, 4.0]);
    o.candidates[stride..stride + 4].copy_from_slice(&[900.0, 0.25, 900.0, 0.25]);
    o
}

fn affine(scale: f32, shift: f32) -> Affine {
    Affine { scale, shift }
}

#[test]
fn means_and_deviations_match_hand_worked_numbers() {
    let space = space();
    let mut o = observation(&space);
    let mut moments = Moments::new(&space.schema);
    // The second workload is absent.
    moments.add(&o, |workload| workload == 0);
    o.globals = vec![3.0];
    o.workloads[0] = 2.5;
    o.mask[3] = false;
    moments.add(&o, |workload| workload == 0);
    let found = Moments::normalisation(&[(1.0, moments)]);
    assert_eq!(found.widths(), [2, 2, 1, 2]);
    // 1 and 3, twice: mean 2, deviation 1. 5 throughout: left alone.
    assert_eq!(found.node, [affine(1.0, -2.0), Affine::IDENTITY]);
    // 0.5 and 2.5: mean 1.5, deviation 1. -1 throughout: left alone.
    assert_eq!(found.workload, [affine(1.0, -1.5), Affine::IDENTITY]);
    // 2 and 3: mean 2.5, deviation 0.5.
    assert_eq!(found.global, [affine(2.0, -5.0)]);
    // 0, 4 and 0: mean 4 / 3, variance 32 / 9. 0.25 throughout: left alone.
    let deviation = (32.0_f32 / 9.0).sqrt();
    assert!((found.candidate[0].scale - 1.0 / deviation).abs() < 1e-6);
    assert!((found.candidate[0].shift + 4.0 / 3.0 / deviation).abs() < 1e-6);
    assert_eq!(found.candidate[1], Affine::IDENTITY);
}

#[test]
fn scenarios_count_by_their_share_and_not_by_their_rows() {
    let space = space();
    let of = |globals: &[f32]| {
        let mut moments = Moments::new(&space.schema);
        let mut o = observation(&space);
        o.mask.fill(false);
        for &value in globals {
            o.globals = vec![value];
            moments.add(&o, |_| false);
        }
        moments
    };
    let found = Moments::normalisation(&[(0.75, of(&[0.0, 2.0, 0.0, 2.0])), (0.25, of(&[5.0]))]);
    // Means 1 and 5, variances 1 and 0: mean 2, variance 0.75 (1 + 1) + 0.25 (0 + 9) = 3.75.
    let deviation = 3.75_f32.sqrt();
    assert!((found.global[0].scale - 1.0 / deviation).abs() < 1e-6);
    assert!((found.global[0].shift + 2.0 / deviation).abs() < 1e-6);
    // No candidate was ever open, and no workload present.
    assert_eq!(found.candidate, [Affine::IDENTITY; 2]);
    assert_eq!(found.workload, [Affine::IDENTITY; 2]);
}

#[test]
fn a_feature_without_spread_is_left_alone_and_one_with_little_is_not_blown_up() {
    assert_eq!(Affine::standard(3.0, 1e-9), Affine::IDENTITY);
    let least = LEAST_DEVIATION as f32;
    let rare = Affine::standard(0.5, 1e-3);
    assert_eq!(rare, affine(1.0 / least, -0.5 / least));
    assert_eq!(Affine::standard(-1.0, 0.5), affine(2.0, 2.0));
}

#[test]
fn the_map_reaches_every_row_but_stay_and_masked_candidates_once() {
    let space = space();
    let normalisation = Normalisation {
        node: vec![affine(2.0, 1.0), affine(0.5, 0.0)],
        workload: vec![affine(1.0, -1.0), affine(10.0, 0.0)],
        global: vec![affine(4.0, -8.0)],
        candidate: vec![affine(0.25, 1.0), affine(4.0, 0.0)],
    };
    let mut o = observation(&space);
    normalisation.apply(&mut o);
    assert_eq!(o.nodes, [3.0, 2.5, 7.0, 2.5]);
    assert_eq!(o.workloads, [-0.5, -10.0, 899.0, 9000.0]);
    assert_eq!(o.globals, [0.0]);
    let row = |o: &ObservationBuffer, f| [0, 1, 2, 3].map(|a| o.candidate(a, f));
    assert_eq!(row(&o, 0), [900.0, 1.0, 900.0, 2.0]);
    assert_eq!(row(&o, 1), [900.0, 1.0, 900.0, 1.0]);
    assert_eq!(normalisation.candidate[0].undo(2.0), 4.0);

    // Of a few, those alone; nodes and workloads where they are observed.
    let mut o = observation(&space);
    o.parts.entities = false;
    normalisation.apply_to(&[0, 3], &mut o);
    assert_eq!(o.nodes, observation(&space).nodes);
    assert_eq!(o.workloads, observation(&space).workloads);
    assert_eq!(o.globals, [0.0]);
    assert_eq!(row(&o, 0), [900.0, 0.0, 900.0, 2.0]);
}
