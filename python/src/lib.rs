//! The native half of the Python package `godwit`: the world, the policies and their comparison,
//! without libtorch. What users import is the Python code under `python/godwit`, which shapes spaces
//! and tables; here is what has to be fast or has to be the same as in the programs.
//!
//! Whatever takes long releases the interpreter's lock.

mod arrays;
mod baselines;
mod decide;
mod errors;
mod judge;
mod policy;
mod rows;
mod scenario;
mod state;
mod vector;
mod world;

use pyo3::prelude::*;

/// Native half of the package; use `godwit`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::baselines::{Baseline, baselines};
    #[pymodule_export]
    use crate::decide::{observe, plan};
    #[pymodule_export]
    use crate::judge::{evaluate, tuned_file};
    #[pymodule_export]
    use crate::policy::Policy;
    #[pymodule_export]
    use crate::scenario::{Scenario, embedded_scenarios, toml_to_json};
    #[pymodule_export]
    use crate::state::State;
    #[pymodule_export]
    use crate::vector::Vector;
    #[pymodule_export]
    use crate::world::World;
}
