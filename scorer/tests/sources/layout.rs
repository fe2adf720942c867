//! The sources keep the layout that they state: folders take from those above them in the lists of
//! `main.rs` and `serve/mod.rs`, and no file takes from one that takes from it, however far away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module with a file of its own, by its path in the crate; the crate itself has none.
type Module = Vec<String>;

/// Which modules each module names, all of them with files of their own.
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

fn source(file: &str) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    fs::read_to_string(src.join(file)).unwrap()
}

/// Every file's module and text, without what only tests are.
fn modules() -> BTreeMap<Module, String> {
    fn walk(folder: &Path, at: &[String], found: &mut BTreeMap<Module, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let module = match name {
                "main" | "mod" => at.to_vec(),
                _ => [at, &[name.to_owned()]].concat(),
            };
            if path.is_dir() {
                walk(&path, &module, found);
            } else if !["tests", "test_app"].contains(&name) {
                let text = fs::read_to_string(&path).unwrap();
                let sound = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                found.insert(module, sound.to_owned());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    found
}

/// The paths that begin with `crate` or `super` in a module's text, from the crate on.
fn paths(module: &Module, text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (root, at) in [("crate::", &[][..]), ("super::", module)] {
        for (start, _) in text.match_indices(root) {
            let mut path = at[..at.len().saturating_sub(1)].to_vec();
            let mut rest = &text[start + root.len()..];
            loop {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
                path.push(rest[..end].to_owned());
                match rest[end..].strip_prefix("::") {
                    Some(more) if more.starts_with('{') => {
                        let names = more[1..].split('}').next().unwrap().split(',');
                        let name = |name: &str| [&path[..], &[name.trim().to_owned()]].concat();
                        paths.extend(names.map(name));
                        break;
                    }
                    Some(more) => rest = more,
                    None => break,
                }
            }
            paths.push(path);
        }
    }
    paths
}

/// Whether a path in the text begins with this name.
fn names(text: &str, name: &str) -> bool {
    let within = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.match_indices(&format!("{name}::")).any(|(start, _)| !text[..start].ends_with(within))
}

fn arrows() -> Arrows {
    let modules = modules();
    let deepest = |path: &[String]| {
        let with_file = |length: &usize| modules.contains_key(&path[..*length]);
        path[..(0..=path.len()).rev().find(with_file).unwrap()].to_vec()
    };
    let taken = |(module, text): (&Module, &String)| {
        let mut to: BTreeSet<Module> = paths(module, text).iter().map(|p| deepest(p)).collect();
        // Its own children it names without either root.
        let is_child = |other: &&Module| other.split_last().is_some_and(|(_, at)| at == module);
        let children = modules.keys().filter(is_child);
        to.extend(children.filter(|child| names(text, &child[child.len() - 1])).cloned());
        to.remove(module);
        (module.clone(), to)
    };
    modules.iter().map(taken).collect()
}

/// The names in the list of a file's documentation.
fn listed(file: &str) -> Vec<String> {
    let text = source(file);
    let names = text.lines().filter_map(|line| line.strip_prefix("//! - `")?.split('`').next());
    names.map(str::to_owned).collect()
}

#[test]
fn no_files_take_from_each_other_in_a_circle() {
    let mut left = arrows();
    assert!(left.values().map(BTreeSet::len).sum::<usize>() > 150, "too few were found");
    loop {
        // Who takes from nobody, or is taken from by nobody, is in no circle.
        let taken: BTreeSet<&Module> = left.values().flatten().collect();
        let is_free =
            |(module, to): &(&Module, &BTreeSet<Module>)| to.is_empty() || !taken.contains(module);
        let free: Vec<Module> =
            left.iter().filter(is_free).map(|(module, _)| module.clone()).collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(&module);
            for to in left.values_mut() {
                to.remove(&module);
            }
        }
    }
    let told = left.iter().flat_map(|(from, to)| {
        to.iter().map(|to| format!("{} takes from {}", from.join("::"), to.join("::")))
    });
    assert!(left.is_empty(), "{}", told.collect::<Vec<_>>().join("\n"));
}

#[test]
fn folders_take_from_those_above_them_only() {
    for (file, above) in [("main.rs", &[][..]), ("serve/mod.rs", &["serve".to_owned()][..])] {
        let listed = listed(file);
        let place = |module: &Module| {
            let name = module.strip_prefix(above)?.first()?;
            let place = listed.iter().position(|listed| listed == name);
            assert!(place.is_some(), "{file} does not list {name}");
            place
        };
        for (module, to) in arrows() {
            for taken in to {
                if let (Some(from), Some(to)) = (place(&module), place(&taken)) {
                    assert!(to <= from, "{} takes from {}", module.join("::"), taken.join("::"));
                }
            }
        }
    }
}
