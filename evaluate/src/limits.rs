//! Comparisons within an operator's limits.

use super::Contender;
use godwit_envs::input::{InputError, read_text};
use godwit_envs::scenario::Scenario;
use godwit_models::shell::{ShellRules, Shelled};
use std::path::Path;
use std::sync::Arc;

/// Reads the limits in a TOML file.
///
/// # Errors
/// When the file cannot be read, or the first thing in it that is wrong.
pub fn load(path: &Path) -> Result<Arc<ShellRules>, InputError> {
    Ok(Arc::new(ShellRules::from_toml(&read_text(path)?, &path.display().to_string())?))
}

/// Keeps a policy within the limits. Tenants and disruption groups are those of the scenario's
/// snapshot; workloads that a scenario draws belong to none.
pub fn within(contender: Contender, rules: &Arc<ShellRules>, scenario: &Scenario) -> Contender {
    let (rules, labels) = (Arc::clone(rules), scenario.cluster.clone());
    let free = contender.factory;
    let shelled = move || Shelled::new(free(), Arc::clone(&rules), labels.clone());
    Contender { factory: Box::new(move || Box::new(shelled())), ..contender }
}

/// Whether rules ask for tenants or disruption groups that no workload of the scenario states.
pub fn asks_in_vain(rules: &ShellRules, scenario: &Scenario) -> bool {
    let workloads = scenario.cluster.as_ref().map_or(&[][..], |snapshot| &snapshot.workloads);
    let tenants = workloads.iter().any(|workload| workload.tenant.is_some());
    let groups = workloads.iter().any(|workload| workload.disruption_group.is_some());
    (rules.max_moves_per_tenant.is_some() && !tenants)
        || (!rules.disruption_budgets.is_empty() && !groups)
}

/// Ticks after a move within which its way back is forbidden; none without a hold-down.
pub fn held_down(rules: &ShellRules) -> Option<u32> {
    rules.hold_down_ticks.checked_sub(1)
}
