//! Seeded random streams. Each purpose draws from a stream of its own, so that what one part
//! draws never shifts what another sees: the exogenous randomness of an episode is the same
//! whatever the policy does.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The random number generator used everywhere.
pub type Rng = Xoshiro256PlusPlus;

/// The stream of `seed` for one purpose.
pub fn stream(seed: u64, purpose: &str) -> Rng {
    // FNV-1a over the purpose, then a splitmix round: distinct purposes give unrelated streams.
    let tag = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    Rng::seed_from_u64(mix(seed ^ tag.rotate_left(17)))
}

/// A well-mixed seed for the `index`-th child of `seed`.
pub fn child_seed(seed: u64, index: u64) -> u64 {
    mix(mix(seed).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn mix(mut x: u64) -> u64 {
    // splitmix64's finaliser
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
