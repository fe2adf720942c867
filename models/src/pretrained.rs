//! Policies that come with the programs: one for each embedded scenario, found by its name, and one
//! for any cluster.
//!
//! `models/pretrained/README.md` says how each was made.

use godwit_envs::input::nearest_hint;
use ruzstd::decoding::StreamingDecoder;
use std::io::Read as _;
use std::path::Path;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Their names.
        pub const PRETRAINED: &[&str] = &[$($name),*];

        /// The artifact of each, compressed by this crate's build script.
        const PACKED: &[&[u8]] = &[
            $(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".pt.zst"))),*
        ];
    };
}

files![
    "founding-3x3",
    "quickstart",
    "founding-10x50",
    "bursty",
    "faults",
    "diurnal",
    "hetero",
    "churn",
    "gpu-defrag",
    "generalist",
];

/// The policy for clusters that nobody trained on.
pub const GENERALIST: &str = "generalist";

/// The artifact of this name.
pub fn pretrained(name: &str) -> Option<Vec<u8>> {
    let at = PRETRAINED.iter().position(|known| *known == name)?;
    let mut bytes = Vec::new();
    let mut decoder = StreamingDecoder::new(PACKED[at]).expect("this build made a header");
    decoder.read_to_end(&mut bytes).expect("this build made all of it");
    Some(bytes)
}

/// Whether a path names one of them: not where a file or folder is there, which comes first.
pub fn is_pretrained(path: &Path) -> bool {
    path.to_str().is_some_and(|name| !path.exists() && PRETRAINED.contains(&name))
}

/// The artifact that a path names, if it [names](is_pretrained) one.
pub fn pretrained_at(path: &Path) -> Option<Vec<u8>> {
    path.to_str().filter(|_| is_pretrained(path)).and_then(pretrained)
}

/// Which name of a policy that comes with the programs is most like a path where nothing is, if one
/// is ([`nearest_hint`]).
pub fn pretrained_hint(path: &Path) -> String {
    let names = PRETRAINED.iter().copied();
    path.to_str().map_or_else(String::new, |name| nearest_hint(name, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Artifact;
    use godwit_envs::observe::features::schema;
    use godwit_envs::scenario::{EMBEDDED, Scenario};

    #[test]
    fn where_nothing_is_the_nearest_name_of_a_policy_is_offered() {
        let refused = |name: &str| {
            let error = Artifact::open(Path::new(name)).expect_err("nothing is there");
            error.to_string()
        };
        let expected = "expected a file or the name of a pretrained policy";
        assert_eq!(
            refused("quickstat"),
            format!("artifact quickstat: {expected} (nearest: quickstart), got neither")
        );
        assert_eq!(refused("mine/p.pt"), format!("artifact mine/p.pt: {expected}, got neither"));
    }

    #[test]
    fn only_policies_that_were_trained_with_faults_see_health() {
        use crate::policy::Policy;
        let sees = |name: &str| {
            let artifact = Artifact::open(Path::new(name)).expect("a sound artifact");
            let rules = artifact.rules().expect("rules of this version");
            artifact.policy(name).sees_health(&rules)
        };
        let seeing: Vec<&str> = PRETRAINED.iter().copied().filter(|name| sees(name)).collect();
        assert_eq!(seeing, ["faults", GENERALIST]);
    }

    #[test]
    fn every_embedded_scenario_has_a_small_sound_policy_of_its_present_schema() {
        let scenarios = EMBEDDED.iter().map(|scenario| scenario.name);
        assert_eq!(PRETRAINED, scenarios.chain([GENERALIST]).collect::<Vec<_>>());
        for name in PRETRAINED.iter().filter(|name| **name != GENERALIST) {
            let bytes = pretrained(name).expect("it comes with the programs");
            assert!(bytes.len() <= 2 << 20, "{name}: {} bytes", bytes.len());
            let artifact = Artifact::open(Path::new(name)).expect("a sound artifact");
            let scenario = Scenario::embedded(name).expect("an embedded scenario");
            assert_eq!(artifact.manifest.scenario_name, *name);
            assert_eq!(artifact.manifest.schema_hash, schema(scenario.rules.sections()).hash());
        }
    }

    #[test]
    fn a_file_comes_before_a_policy_of_the_same_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quickstart");
        std::fs::write(&path, "no artifact").expect("a file");
        assert!(Artifact::open(&path).is_err());
        assert!(Artifact::open(&folder.path().join("nothing")).is_err());
        assert!(Artifact::open(Path::new("nothing")).is_err());
    }
}
