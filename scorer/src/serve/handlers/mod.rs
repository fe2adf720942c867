//! What each route of godwit's own interface (`/v1`) and of operators does.

pub mod control;
pub mod feedback;
pub mod one_plan;
pub mod plan_routes;
pub mod planners;
pub mod question;
pub mod recall;
pub mod simulate;
