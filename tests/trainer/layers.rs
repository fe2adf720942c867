//! The layers of the workspace: the world, the policies and the scorer never need libtorch.

use std::path::Path;
use std::process::Command;

/// Names of everything that a package depends on with `features`, dependencies of its tests and
/// build scripts included.
fn dependencies_with(features: &str, package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}"])
        .args(["--edges", "all", features, "--package", package])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn dependencies(package: &str) -> Vec<String> {
    dependencies_with("--all-features", package)
}

#[test]
fn only_the_trainer_depends_on_libtorch() {
    for package in [
        "godwit-envs",
        "godwit-models",
        "godwit-evaluate",
        "godwit-decide",
        "godwit-scorer",
        "godwit-live",
        "godwit-python",
    ] {
        let names = dependencies(package);
        assert!(names.iter().any(|name| name == "serde"), "{package}: nothing listed");
        for forbidden in ["torch-sys", "tch", "godwit"] {
            assert!(
                !names.iter().any(|name| name == forbidden),
                "{package} depends on {forbidden}"
            );
        }
    }
    // The check would see it. Not with all features: what MPI needs is not on every machine.
    assert!(
        dependencies_with("--no-default-features", "godwit").iter().any(|name| name == "torch-sys")
    );
}

#[test]
fn the_world_knows_nothing_of_those_above_it() {
    let names = dependencies("godwit-envs");
    for above in ["godwit-models", "godwit-evaluate", "godwit-scorer", "clap", "indicatif"] {
        assert!(!names.iter().any(|name| name == above), "godwit-envs depends on {above}");
    }
    for (package, above) in [
        ("godwit-models", "godwit-evaluate"),
        ("godwit-models", "godwit-decide"),
        ("godwit-decide", "godwit-scorer"),
        ("godwit-decide", "godwit-evaluate"),
        ("godwit-scorer", "godwit-evaluate"),
        ("godwit-scorer", "godwit-live"),
        ("godwit-live", "godwit-evaluate"),
    ] {
        assert!(!dependencies(package).iter().any(|name| name == above), "{package}: {above}");
    }
}
