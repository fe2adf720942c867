//! What each route of godwit's own interface (`/v1`) and of operators does.
//!
//! `plan_routes` takes a `question` and has `one_plan` made: the `planners` plan, and the plan leaves.
//! `recall` gives it again, and `feedback` hears what came of it. `simulate` judges plans of others.
//! `control` is for operators.

pub mod control;
pub mod feedback;
pub mod one_plan;
pub mod plan_routes;
pub mod planners;
pub mod question;
pub mod recall;
pub mod simulate;
