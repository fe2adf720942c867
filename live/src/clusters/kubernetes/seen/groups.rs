//! The groups of a snapshot, from what pods' rules say of other pods: who never shares a node or a
//! zone, who is spread evenly, who may not be unavailable together.

use super::holds::Hold;
use super::names::shortened;
use super::templates::{Template, Templates};
use crate::clusters::kubernetes::objects::{Apart, Budget, HOST, LabelSelector, Spread};

/// What the rules of a template come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    /// Who never shares a node.
    pub host: Option<String>,
    /// Who never shares a zone.
    pub zone: Option<String>,
    /// Who is spread over zones, and the largest skew.
    pub spread: Option<(String, u32)>,
    /// Whose pods are protected together: the budget.
    pub disruption: Option<String>,
    /// Nodes that pods of other kinds keep it away from.
    pub excluded: Vec<usize>,
    /// Why no snapshot can say what its rules say.
    pub hold: Option<Hold>,
}

/// What the nodes are to rules about places.
pub(super) struct Around<'a> {
    /// The label that names a node's zone.
    pub zone_label: &'a str,
    /// Each node's labels.
    pub nodes: Vec<&'a crate::clusters::kubernetes::objects::Labels>,
}

impl Around<'_> {
    /// All nodes that are in one place with one of `nodes`.
    fn around(&self, key: &str, nodes: &[usize]) -> Vec<usize> {
        if key == HOST {
            return nodes.to_vec();
        }
        let place = |n: usize| self.nodes[n].get(key);
        let taken: std::collections::BTreeSet<&String> =
            nodes.iter().filter_map(|&n| place(n)).collect();
        (0..self.nodes.len()).filter(|&n| place(n).is_some_and(|it| taken.contains(it))).collect()
    }
}

/// What the rules of each template come to.
pub(super) fn groups(
    templates: &Templates<'_>,
    budgets: &[&Budget],
    places: &Around<'_>,
) -> Vec<Groups> {
    let mut groups: Vec<Groups> =
        templates.all.iter().map(|one| own_groups(one, templates, places)).collect();
    exclude(templates, places, &mut groups);
    protect(templates, budgets, &mut groups);
    for one in &mut groups {
        one.excluded.sort_unstable();
        one.excluded.dedup();
    }
    groups
}

fn own_groups(one: &Template<'_>, templates: &Templates<'_>, places: &Around<'_>) -> Groups {
    let mut groups = Groups::default();
    for apart in one.neighbours.apart.iter().filter(|apart| is_own(one, apart)) {
        let name = Some(group_name(one.namespace, apart));
        let group = match apart.topology_key.as_str() {
            HOST => &mut groups.host,
            key if key == places.zone_label => &mut groups.zone,
            _ => {
                groups.hold = Some(Hold::OtherPlaces);
                continue;
            }
        };
        if group.is_some() && *group != name {
            groups.hold = Some(Hold::ManyGroups);
        }
        *group = name;
    }
    for spread in &one.neighbours.spread {
        if let Err(hold) = own_spread(one, spread, templates, places, &mut groups) {
            groups.hold = Some(hold);
        }
    }
    if one.neighbours.together {
        groups.hold = Some(Hold::Together);
    }
    groups
}

/// Whether a rule keeps pods of one template apart from each other.
fn is_own(one: &Template<'_>, apart: &Apart) -> bool {
    apart.matches(one.namespace, one.namespace, one.labels)
}

fn own_spread(
    one: &Template<'_>,
    spread: &Spread,
    templates: &Templates<'_>,
    places: &Around<'_>,
    groups: &mut Groups,
) -> Result<(), Hold> {
    let Some(selector) = spread.label_selector.as_ref().filter(|it| it.matches(one.labels)) else {
        return Err(Hold::Spread);
    };
    if spread.min_domains.is_some() {
        return Err(Hold::Spread);
    }
    let name = shortened(format!("{}/{}", one.namespace, selector_name(selector)));
    match spread.topology_key.as_str() {
        // One on each node at most is as even as it can be.
        HOST if groups.host.is_some() => Ok(()),
        HOST => {
            let of_group = |t: &&usize| selector.matches(templates.all[**t].labels);
            let members = templates.in_namespace(one.namespace).iter().filter(of_group);
            let pods: usize = members.map(|&t| templates.all[t].pods).sum();
            // As long as some node has none, a skew of one allows one on each of the others.
            if spread.max_skew != 1 || pods >= places.nodes.len() {
                return Err(Hold::Spread);
            }
            groups.host = Some(name);
            Ok(())
        }
        key if key == places.zone_label && groups.spread.is_none() => {
            groups.spread = Some((name, spread.max_skew));
            Ok(())
        }
        _ => Err(Hold::Spread),
    }
}

/// Rules between pods that are in no common group: each keeps away from where the others are now.
fn exclude(templates: &Templates<'_>, places: &Around<'_>, groups: &mut [Groups]) {
    let everywhere: Vec<usize> = (0..templates.all.len()).collect();
    for (t, one) in templates.all.iter().enumerate() {
        for apart in &one.neighbours.apart {
            let others = match apart.looks_abroad() {
                true => &everywhere[..],
                false => templates.in_namespace(one.namespace),
            };
            let own = is_own(one, apart).then(|| group_name(one.namespace, apart));
            for &u in others {
                let other = &templates.all[u];
                let meant = apart.matches(one.namespace, other.namespace, other.labels);
                let in_group = |of: &Groups| {
                    own.is_some() && [&of.host, &of.zone].into_iter().any(|group| *group == own)
                };
                if !meant || t == u || in_group(&groups[u]) {
                    continue;
                }
                let key = &apart.topology_key;
                groups[t].excluded.extend(places.around(key, &other.nodes));
                groups[u].excluded.extend(places.around(key, &one.nodes));
            }
        }
    }
}

fn protect(templates: &Templates<'_>, budgets: &[&Budget], groups: &mut [Groups]) {
    for budget in budgets {
        let Some(selector) = &budget.selector else { continue };
        for &t in templates.in_namespace(&budget.namespace) {
            if !selector.matches(templates.all[t].labels) {
                continue;
            }
            let name = budget_name(budget);
            if groups[t].disruption.replace(name).is_some() {
                groups[t].hold = Some(Hold::ManyBudgets);
            }
        }
    }
}

/// The disruption group of a budget's pods.
pub(super) fn budget_name(budget: &Budget) -> String {
    shortened(format!("{}/{}", budget.namespace, budget.name))
}

fn group_name(namespace: &str, apart: &Apart) -> String {
    let selector = apart.label_selector.as_ref().map(selector_name).unwrap_or_default();
    shortened(match apart.looks_abroad() {
        true => format!("*/{selector}"),
        false => format!("{namespace}/{selector}"),
    })
}

/// A selector in words; different ones have different words.
fn selector_name(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let tests = selector.match_expressions.iter().map(|one| {
        let values = one.values.join("|");
        format!("{} {:?} {values}", one.key, one.operator)
    });
    labels.chain(tests).collect::<Vec<_>>().join(",")
}
