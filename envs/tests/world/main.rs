//! Property tests of the world, over random scenarios and the embedded ones.

#![allow(clippy::unwrap_used)]

mod build;
mod checked;
mod dynamics;
mod episodes;
mod exact;
mod features;
mod misfits;
mod naive;
mod own_terms;
mod places;
mod replay;
mod rules;
mod scripted;
