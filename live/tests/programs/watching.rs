//! Orders, and watching them to their end.

use std::time::{Duration, Instant};

use godwit_live::cluster::{Executor, Handle, Order, Progress};
use godwit_models::plan::Method;

/// Longest that a move may take here.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn order(workload: &str, source: &str, destination: &str) -> Order {
    Order {
        id: "d1.0".to_owned(),
        workload: workload.to_owned(),
        source: source.to_owned(),
        destination: destination.to_owned(),
        method: Method::Live,
        predicted: Default::default(),
    }
}

/// Watches until the move has ended; also all shares on the way.
pub fn outcome(executor: &dyn Executor, order: &Order, handle: &Handle) -> (Progress, Vec<f32>) {
    let (end, mut shares) = (Instant::now() + PATIENCE, Vec::new());
    while Instant::now() < end {
        match executor.watch(order, handle) {
            Ok(Progress::Running { share, .. }) => shares.extend(share),
            Ok(ended) => return (ended, shares),
            Err(error) => eprintln!("{error}"),
        }
    }
    panic!("{order:?} never ends");
}
