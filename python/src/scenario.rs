//! Scenarios, to read, to change and to validate.

use crate::errors;
use godwit_envs::scenario::{EMBEDDED, Scenario as World};
use pyo3::prelude::*;
use std::path::PathBuf;

/// A scenario that has passed every check. It never changes: `replace` makes another.
#[pyclass(frozen, eq, module = "godwit._native", name = "Scenario")]
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub inner: World,
}

#[pymethods]
impl Scenario {
    /// The scenario of a file or, by its name, one that comes with the package.
    #[staticmethod]
    fn resolve(py: Python<'_>, name_or_path: &str) -> PyResult<Self> {
        let inner = py.detach(|| World::resolve(name_or_path)).map_err(errors::scenario)?;
        Ok(Self { inner })
    }

    /// The scenario of a file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = py.detach(|| World::load(path)).map_err(errors::scenario)?;
        Ok(Self { inner })
    }

    /// The scenario of a text; `label` is what errors call it, and where it lies.
    #[staticmethod]
    #[pyo3(signature = (text, label = "scenario"))]
    fn parse(text: &str, label: &str) -> PyResult<Self> {
        Ok(Self { inner: World::parse(text, label).map_err(errors::scenario)? })
    }

    /// The same with other fields, given as a JSON text of `[path, value]` pairs.
    fn replaced(&self, changes: &str) -> PyResult<Self> {
        let changes: Vec<(String, serde_json::Value)> =
            serde_json::from_str(changes).map_err(errors::scenario)?;
        let text = self.inner.to_toml();
        let mut table: toml::Table = text.parse().map_err(errors::scenario)?;
        for (path, value) in changes {
            let value = match value {
                serde_json::Value::Null => None,
                value => Some(toml::Value::try_from(value).map_err(errors::scenario)?),
            };
            set(&mut table, &path, value).map_err(errors::scenario)?;
        }
        let label = &self.inner.name;
        let inner = World::parse_with(&table.to_string(), label, self.inner.cluster.clone())
            .map_err(errors::scenario)?;
        Ok(Self { inner })
    }

    /// As a file that `parse` reads back.
    fn to_toml(&self) -> String {
        self.inner.to_toml()
    }

    /// As JSON: the same tables.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.inner).map_err(errors::scenario)
    }

    /// SHA-256 of the world that it describes.
    #[getter]
    fn sha256(&self) -> String {
        self.inner.world_sha256()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// What it stands for.
    #[getter]
    fn description(&self) -> &str {
        &self.inner.description
    }
}

/// Sets, or takes away, the value at a dotted path; numbers pick an element of a list.
fn set(table: &mut toml::Table, path: &str, value: Option<toml::Value>) -> Result<(), String> {
    let mut parts: Vec<&str> = path.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = toml::Value::Table(std::mem::take(table));
    let placed = (|| {
        let mut here = &mut at;
        for part in &parts {
            here = step(here, part).ok_or_else(|| {
                format!("{path}: expected the path of a field, got nothing at {part:?}")
            })?;
        }
        match (here, value) {
            (toml::Value::Table(table), Some(value)) => {
                table.insert(last.to_owned(), value);
                Ok(())
            }
            (toml::Value::Table(table), None) => {
                table.remove(last);
                Ok(())
            }
            (toml::Value::Array(list), value) => {
                let index = last.parse::<usize>().ok().filter(|&index| index < list.len());
                let Some(index) = index else {
                    let length = list.len();
                    return Err(format!("{path}: expected an index below {length}, got {last:?}"));
                };
                match value {
                    Some(value) => list[index] = value,
                    None => drop(list.remove(index)),
                }
                Ok(())
            }
            _ => Err(format!("{path}: expected the path of a field, got a value before {last:?}")),
        }
    })();
    if let toml::Value::Table(back) = at {
        *table = back;
    }
    placed
}

/// The value under a name or an index; a table that is not there yet is begun.
fn step<'a>(value: &'a mut toml::Value, part: &str) -> Option<&'a mut toml::Value> {
    match value {
        toml::Value::Table(table) => Some(
            table.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new())),
        ),
        toml::Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Names of the scenarios that come with the package.
#[pyfunction]
pub fn embedded_scenarios() -> Vec<&'static str> {
    EMBEDDED.iter().map(|scenario| scenario.name).collect()
}

/// A TOML text as JSON: settings of runs are read so on interpreters that know no TOML.
#[pyfunction]
pub fn toml_to_json(text: &str) -> PyResult<String> {
    let table: toml::Table = text.parse().map_err(errors::scenario)?;
    serde_json::to_string(&table).map_err(errors::scenario)
}
