//! No file imports from one that imports from it, however far away. A name that a folder's `mod.rs`
//! passes on counts as taken from the file that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module with a file of its own, by its path in the crate; the crate itself has none.
type Module = Vec<String>;

/// The files of one crate.
#[derive(Default)]
struct Sources {
    texts: BTreeMap<Module, String>,
    /// Names that a module passes on, each with where it has them from.
    passed_on: BTreeMap<Module, Vec<(String, Vec<String>)>>,
}

/// Files of one family, which may take from each other.
const FAMILIES: [&str; 2] = ["reassignment", "milp"];

impl Sources {
    fn read(src: &Path) -> Self {
        let mut sources = Self::default();
        sources.walk(src, &[]);
        let texts: Vec<(Module, String)> =
            sources.texts.iter().map(|(module, text)| (module.clone(), text.clone())).collect();
        for (module, text) in texts {
            let (public, private) = split_uses(&text);
            let names = public
                .iter()
                .flat_map(|tree| flatten(tree))
                .filter_map(|path| Some((path.last()?.clone(), path)))
                .collect();
            sources.passed_on.insert(module.clone(), names);
            sources.texts.insert(module, private);
        }
        sources
    }

    fn walk(&mut self, folder: &Path, at: &[String]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let own = match name {
                "lib" | "main" | "mod" => at.to_vec(),
                _ => [at, &[name.to_owned()]].concat(),
            };
            if name == "tests" || name == "testing" {
                continue;
            }
            if path.is_dir() {
                self.walk(&path, &own);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                self.texts.insert(own, code.collect::<Vec<_>>().join("\n"));
            }
        }
    }

    /// The module with the file that a path leads to.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => {
                let mut at = from[..from.len().checked_sub(1)?].to_vec();
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
                at
            }
            _ => {
                let child = [&from[..], std::slice::from_ref(first)].concat();
                self.texts.contains_key(&child).then_some(child)?
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if !self.texts.contains_key(&child) {
                break;
            }
            (at, rest) = (child, after);
        }
        let passed = rest.first().and_then(|name| self.passed(&at, name));
        match passed {
            Some(path) if depth < 8 => self.resolve(&at, &path, depth + 1).or(Some(at)),
            _ => Some(at),
        }
    }

    /// Where a module has a name from that it passes on, by itself or with all of a file.
    fn passed(&self, module: &Module, name: &str) -> Option<Vec<String>> {
        let passed_on = self.passed_on.get(module)?;
        if let Some((_, path)) = passed_on.iter().find(|(known, _)| *known == name) {
            return Some(path.clone());
        }
        let everything = passed_on.iter().filter(|(known, _)| *known == "*");
        everything.map(|(_, path)| path[..path.len() - 1].to_vec()).find(|path| {
            let defines = |text: &String| {
                ["struct", "enum", "fn", "const", "type", "trait"].iter().any(|kind| {
                    let defined = format!("pub {kind} {name}");
                    text.match_indices(&defined).any(|(at, found)| {
                        let next = text[at + found.len()..].chars().next();
                        next.is_some_and(|c| !c.is_alphanumeric() && c != '_')
                    })
                })
            };
            let from = self.resolve(module, path, 0);
            from.and_then(|from| self.texts.get(&from)).is_some_and(defines)
        })
    }

    /// Where the names come from that a text takes by way of an imported module.
    fn through(&self, from: &Module, import: &[String], text: &str) -> Vec<Module> {
        let Some(name) = import.last().filter(|name| name.starts_with(char::is_lowercase)) else {
            return Vec::new();
        };
        let within = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        text.match_indices(&format!("{name}::"))
            .filter(|(start, _)| !text[..*start].ends_with(within))
            .filter_map(|(start, found)| {
                let rest = &text[start + found.len()..];
                let item = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
                self.resolve(from, &[import, &[item.to_owned()]].concat(), 0)
            })
            .collect()
    }

    /// Which modules each module takes from.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let family = |module: &Module| {
            FAMILIES.into_iter().find(|family| module.first().is_some_and(|name| name == family))
        };
        let mut arrows = BTreeMap::new();
        for (module, text) in &self.texts {
            let mut to = BTreeSet::new();
            let imports = text.split("use ").skip(1);
            for path in imports.flat_map(|tree| flatten(tree.split(';').next().unwrap_or_default()))
            {
                to.extend(self.resolve(module, &path, 0));
                to.extend(self.through(module, &path, text));
            }
            for root in ["crate::", "super::"] {
                for (start, _) in text.match_indices(root) {
                    let end = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
                    let path = text[start..].split(end).next().unwrap_or_default();
                    let path: Vec<String> = path
                        .split("::")
                        .filter(|name| !name.is_empty())
                        .map(str::to_owned)
                        .collect();
                    if !text[start + root.len()..].starts_with('{')
                        && !in_braces(text, start, &path)
                    {
                        to.extend(self.resolve(module, &path, 0));
                    }
                }
            }
            to.retain(|other| {
                other != module && (family(module).is_none() || family(module) != family(other))
            });
            arrows.insert(module.clone(), to);
        }
        arrows
    }
}

/// Whether a path ends where a list in braces begins: its names are counted one by one.
fn in_braces(text: &str, start: usize, path: &[String]) -> bool {
    text[start + path.join("::").len()..].starts_with("::{")
}

/// Import trees that are passed on, and the text without them.
fn split_uses(text: &str) -> (Vec<String>, String) {
    let (mut public, mut private) = (Vec::new(), String::new());
    let mut rest = text;
    let begins = ["pub use ", "pub(crate) use ", "pub(super) use "];
    while let Some((at, begin)) =
        begins.iter().filter_map(|begin| Some((rest.find(begin)?, begin))).min_by_key(|(at, _)| *at)
    {
        private += &rest[..at];
        let tree = &rest[at + begin.len()..];
        let end = tree.find(';').unwrap_or(tree.len());
        public.push(tree[..end].to_owned());
        rest = &tree[end..];
    }
    (public, private + rest)
}

/// The paths of an import tree.
fn flatten(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((head, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split("::").map(|name| name.trim().to_owned()).collect()];
    };
    let list = list.strip_suffix('}').unwrap_or(list);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in list.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match parts.last_mut() {
            Some(part) if c != ',' || depth > 0 => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| flatten(&format!("{head}{}", part.trim()))).collect()
}

/// What is left when nobody in it takes from nobody, or is taken from by nobody: the circles, and
/// what lies between two of them.
fn circles(mut left: BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    loop {
        let taken: BTreeSet<Module> = left.values().flatten().cloned().collect();
        let before = left.len();
        let free: BTreeSet<Module> = left
            .iter()
            .filter(|(module, to)| to.is_empty() || !taken.contains(*module))
            .map(|(module, _)| module.clone())
            .collect();
        left.retain(|module, _| !free.contains(module));
        left.values_mut().for_each(|to| to.retain(|other| !free.contains(other)));
        if left.len() == before {
            return left.keys().map(|module| module.join("::")).collect();
        }
    }
}

#[test]
fn no_files_import_from_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (src, least) in [
        ("envs/src", 150),
        ("decide/src", 15),
        ("models/src", 150),
        ("evaluate/src", 15),
        ("scorer/src", 150),
        ("live/src", 150),
        ("src", 150),
    ] {
        let arrows = Sources::read(&root.join(src)).arrows();
        let count = arrows.values().map(BTreeSet::len).sum::<usize>();
        assert!(count > least, "{src}: only {count} imports were found");
        assert_eq!(circles(arrows), [""; 0], "{src}");
    }
}

#[test]
fn a_circle_through_a_name_that_is_passed_on_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    write("lib.rs", "pub mod a;\nmod b;\n");
    write("a/mod.rs", "mod inner;\npub use inner::{Inner, Other};\n");
    write("a/inner.rs", "use crate::b::{\n    Thing,\n};\npub struct Inner(Thing);\n");
    write("b.rs", "pub struct Thing(crate::a::Inner);\n");
    let found = circles(Sources::read(folder.path()).arrows());
    assert_eq!(found, ["a::inner", "b"]);
    write("a/mod.rs", "mod inner;\npub use inner::*;\n");
    let found = circles(Sources::read(folder.path()).arrows());
    assert_eq!(found, ["a::inner", "b"], "passed on with all of its file");
    write("b.rs", "pub struct Thing;\n");
    assert_eq!(circles(Sources::read(folder.path()).arrows()), [""; 0]);
}
