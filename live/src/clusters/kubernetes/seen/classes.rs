//! Where pods may run, said by node classes: nodes that all rules treat alike are of one class.

use std::collections::BTreeMap;

use godwit_envs::snapshot::MAX_CLASSES;

/// Where a pod may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// On every node.
    Anywhere,
    /// On nodes of these classes.
    Classes(Vec<String>),
    /// On these nodes, which classes cannot say.
    Nodes(Vec<usize>),
}

/// The class of each node, and where the pods of each rule may run.
pub(super) struct Classes {
    pub of_node: Vec<String>,
    pub reach: Vec<Reach>,
}

/// Divides nodes into classes so that as many `rules` as possible can be said by them. `base` is the
/// class that each node has by its label; a rule is a list of flags, whether each node may be used.
/// Rules come first that are to be said by classes first.
pub(super) fn classes(base: &[String], rules: &[Vec<bool>]) -> Classes {
    let mut part: Vec<usize> = numbered(base.iter());
    if count(&part) > MAX_CLASSES {
        part = vec![0; base.len()];
    }
    for rule in rules {
        let finer = numbered(part.iter().zip(rule));
        if count(&finer) <= MAX_CLASSES {
            part = finer;
        }
    }
    let names = names(base, &part);
    let of_node: Vec<String> = part.iter().map(|&p| names[p].clone()).collect();
    let reach = rules.iter().map(|rule| reach(rule, &part, &names)).collect();
    Classes { of_node, reach }
}

fn reach(rule: &[bool], part: &[usize], names: &[String]) -> Reach {
    if rule.iter().all(|&allowed| allowed) {
        return Reach::Anywhere;
    }
    let mut allowed: Vec<Option<bool>> = vec![None; names.len()];
    for (&p, &yes) in part.iter().zip(rule) {
        if *allowed[p].get_or_insert(yes) != yes {
            return Reach::Nodes((0..rule.len()).filter(|&n| rule[n]).collect());
        }
    }
    let named = names.iter().zip(allowed).filter(|(_, allowed)| *allowed == Some(true));
    Reach::Classes(named.map(|(name, _)| name.clone()).collect())
}

/// Numbers for values, in order of first appearance.
fn numbered<T: Ord>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut known = BTreeMap::new();
    values
        .map(|value| {
            let next = known.len();
            *known.entry(value).or_insert(next)
        })
        .collect()
}

fn count(part: &[usize]) -> usize {
    part.iter().max().map_or(0, |most| most + 1)
}

/// A name for each part: that of its label, and a number where the label's nodes are divided.
fn names(base: &[String], part: &[usize]) -> Vec<String> {
    let one_label = part.iter().zip(base).all(|(_, label)| *label == base[0]);
    let mut divisions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    let mixed = count(&numbered(base.iter())) > MAX_CLASSES && !one_label;
    for (&p, label) in part.iter().zip(base) {
        // Parts are numbered in order of first appearance.
        if p == names.len() {
            let label = if mixed { "nodes" } else { label.as_str() };
            let number = divisions.entry(label).and_modify(|n| *n += 1).or_insert(1);
            names.push(match *number {
                1 => label.to_owned(),
                number => format!("{label}/{number}"),
            });
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).collect()
    }

    #[test]
    fn a_rule_divides_the_nodes_of_a_label() {
        let base = labels(&["small", "small", "big", "small"]);
        let rules = [vec![true, false, true, false], vec![true; 4], vec![false, true, false, true]];
        let classes = classes(&base, &rules);
        assert_eq!(classes.of_node, labels(&["small", "small/2", "big", "small/2"]));
        assert_eq!(classes.reach[0], Reach::Classes(labels(&["small", "big"])));
        assert_eq!(classes.reach[1], Reach::Anywhere);
        assert_eq!(classes.reach[2], Reach::Classes(labels(&["small/2"])));
    }

    #[test]
    fn rules_beyond_64_classes_list_their_nodes() {
        let base = vec!["standard".to_owned(); 200];
        let rules: Vec<Vec<bool>> = (0..100).map(|r| (0..200).map(|n| n == r).collect()).collect();
        let classes = classes(&base, &rules);
        assert_eq!(classes.reach[62], Reach::Classes(vec!["standard/63".to_owned()]));
        assert_eq!(classes.reach[63], Reach::Nodes(vec![63]));
        assert_eq!(classes.reach[99], Reach::Nodes(vec![99]));
    }

    proptest! {
        #[test]
        fn every_rule_reaches_exactly_its_nodes(
            base in prop::collection::vec(0_u8..90, 1..120),
            seeds in prop::collection::vec(any::<u64>(), 0..12),
        ) {
            let base: Vec<String> = base.iter().map(|label| format!("c{label}")).collect();
            let flag = |seed: u64, n: usize| seed.rotate_left(u32::try_from(n).unwrap() * 7) & 3 > 0;
            let rules: Vec<Vec<bool>> =
                seeds.iter().map(|&s| (0..base.len()).map(|n| flag(s, n)).collect()).collect();
            let classes = classes(&base, &rules);
            for (rule, reach) in rules.iter().zip(&classes.reach) {
                for (n, allowed) in rule.iter().enumerate() {
                    let reached = match reach {
                        Reach::Anywhere => true,
                        Reach::Classes(names) => names.contains(&classes.of_node[n]),
                        Reach::Nodes(nodes) => nodes.contains(&n),
                    };
                    prop_assert_eq!(reached, *allowed);
                }
            }
        }
    }
}
