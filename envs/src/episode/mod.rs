//! What an episode brings, drawn before it starts: demand, arrivals, faults and the first placement.

pub mod churn;
pub mod demand;
pub mod faults;
pub mod history;
pub mod placement;
