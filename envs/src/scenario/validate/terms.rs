//! Checks of an objective's own terms.

use super::{Check, Checked};
use crate::scenario::Rules;
use crate::state::objective::{MOST_OWN, own_terms};
use crate::state::term::Term;

impl Check<'_> {
    pub(super) fn own_terms(&self, rules: &Rules) -> Checked {
        let terms = &rules.objective.terms;
        let expected = format!("at most {MOST_OWN} terms");
        self.require(terms.len() <= MOST_OWN, "rules.objective.terms", &expected, terms.len())?;
        for name in terms.keys() {
            let field = format!("rules.objective.terms.{name}");
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let word = starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let expected = "a name of letters, digits and _ that begins with no digit";
            self.require(word, &field, expected, format!("{name:?}"))?;
            let taken = Term::from_name(name).is_some();
            self.require(!taken, &field, "a name that no other term has", format!("{name:?}"))?;
        }
        own_terms(rules).map(|_| ()).or_else(|refused| {
            let field = format!("rules.objective.terms.{}", refused.name);
            let expected = format!("{} at character {}", refused.error.expected, refused.error.at);
            self.fail(&field, expected, refused.error.got)
        })
    }
}
