//! On which nodes each pod may run, by its own rules, its volumes and what keeps it away from others.

use std::collections::HashMap;
use std::sync::Arc;

use super::classes::{Classes, classes};
use super::groups::Groups;
use crate::clusters::kubernetes::objects::{Node, Pod};

/// What a node is to rules.
pub(super) struct Place<'a> {
    pub name: &'a str,
    pub zone: &'a str,
    pub node: &'a Node,
}

/// Which rule each pod has, if it is asked at all, and what the rules say.
pub(super) struct Reaches {
    pub classes: Classes,
    /// Index into `classes.reach` by pod.
    pub of_pod: Vec<Option<usize>>,
    /// Whether any node meets the rule.
    pub met: Vec<bool>,
}

/// Works out the rules of `pods`, each with its template, its node and whether its zone binds it; pods
/// that stay are `None`.
pub(super) fn reaches<'a>(
    pods: impl Iterator<Item = Option<(&'a Pod, usize, Option<usize>, bool)>>,
    groups: &[Groups],
    places: &[Place<'_>],
    base: &[String],
) -> Reaches {
    let mut known: HashMap<(usize, Option<&str>, Option<usize>), usize> = HashMap::new();
    let mut rules: Vec<Vec<bool>> = Vec::new();
    let mut pods_of: Vec<usize> = Vec::new();
    let mut of_pod = Vec::new();
    for pod in pods {
        let Some((pod, template, node, in_zone)) = pod else {
            of_pod.push(None);
            continue;
        };
        let zone = node.filter(|_| in_zone).map(|n| places[n].zone);
        let excluded = &groups[template].excluded;
        let key =
            (Arc::as_ptr(&pod.node_rules).addr(), zone, (!excluded.is_empty()).then_some(template));
        let rule = *known.entry(key).or_insert_with(|| {
            let allowed = |place: &Place<'_>| {
                pod.node_rules.allow(place.name, &place.node.labels, &place.node.taints)
                    && zone.is_none_or(|zone| zone == place.zone)
            };
            let mut rule: Vec<bool> = places.iter().map(allowed).collect();
            excluded.iter().for_each(|&n| rule[n] = false);
            rules.push(rule);
            pods_of.push(0);
            rules.len() - 1
        });
        pods_of[rule] += 1;
        of_pod.push(Some(rule));
    }
    // The rules of most pods are said by classes first.
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|&rule| std::cmp::Reverse(pods_of[rule]));
    let mut rank = vec![0; rules.len()];
    for (at, &rule) in order.iter().enumerate() {
        rank[rule] = at;
    }
    let sorted: Vec<Vec<bool>> =
        order.iter().map(|&rule| std::mem::take(&mut rules[rule])).collect();
    let met = sorted.iter().map(|rule| rule.contains(&true)).collect();
    let of_pod = of_pod.into_iter().map(|rule| rule.map(|rule| rank[rule])).collect();
    Reaches { classes: classes(base, &sorted), of_pod, met }
}
