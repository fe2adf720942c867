//! Tensors as the observation that the network reads.

use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::artifact::Manifest;
use godwit_models::net::Architecture;

use super::binary;
use super::elements::Element;
use super::tensor::{Tensor, TensorInfo, refuse};
use crate::serve::bodies::api_error::ApiError;

/// The nine inputs: N nodes, K workloads, A candidates, and the features of the artifact.
pub fn inputs(manifest: &Manifest) -> Vec<TensorInfo> {
    let network = &manifest.network;
    let size = |size: Option<usize>| size.map_or(-1, |size| size as i64);
    let n = size(network.fixed.map(|fixed| fixed.nodes));
    let k = size(network.fixed.map(|fixed| fixed.workloads));
    let a = size(network.fixed.map(|fixed| 1 + fixed.nodes * fixed.workloads));
    let info = |name, datatype, sizes: &[i64]| TensorInfo {
        name,
        datatype,
        shape: [&[1], sizes].concat(),
    };
    vec![
        info("nodes", "FP32", &[n, network.node_features as i64]),
        info("workloads", "FP32", &[k, network.workload_features as i64]),
        info("globals", "FP32", &[network.global_features as i64]),
        info("candidates", "FP32", &[network.candidate_features as i64, a]),
        info("candidate_workload", "INT32", &[a]),
        info("candidate_source", "INT32", &[a]),
        info("candidate_destination", "INT32", &[a]),
        info("placement", "INT32", &[k]),
        info("mask", "BOOL", &[a]),
    ]
}

/// The observation that these tensors are.
///
/// # Errors
/// The first tensor that is missing, superfluous, or not what the network reads.
pub fn observation(
    manifest: &Manifest,
    tensors: Vec<Tensor>,
) -> Result<ObservationBuffer, ApiError> {
    let expected = inputs(manifest);
    let known = |tensor: &Tensor| expected.iter().any(|info| info.name == tensor.name);
    if let Some(other) = tensors.iter().find(|tensor| !known(tensor)) {
        return Err(refuse(&other.name, "none of this name", "one"));
    }
    let mut reader = Reader { expected, tensors };
    let nodes = reader.floats("nodes")?;
    let placement = reader.integers("placement")?;
    let candidate_workload = reader.integers("candidate_workload")?;
    let space = ObservationSpace {
        sections: Sections::default(),
        nodes: nodes.len() / manifest.network.node_features,
        workloads: placement.len(),
        actions: candidate_workload.len(),
        fixed_pairs: manifest.network.architecture == Architecture::Mlp,
        schema: manifest.schema.clone(),
        normalisation: None,
    };
    let mut o = ObservationBuffer::new(&space);
    o.nodes = nodes;
    o.workloads = reader.floats("workloads")?;
    o.globals = reader.floats("globals")?;
    o.candidate_source = indices(reader.integers("candidate_source")?);
    o.candidate_destination = indices(reader.integers("candidate_destination")?);
    let candidates = reader.floats("candidates")?;
    let mask = reader.booleans("mask")?;
    let a = space.actions;
    for (name, got, expected) in [
        ("workloads", o.workloads.len(), space.workloads * manifest.network.workload_features),
        ("candidates", candidates.len(), a * manifest.network.candidate_features),
        ("candidate_source", o.candidate_source.len(), a),
        ("candidate_destination", o.candidate_destination.len(), a),
        ("mask", mask.len(), a),
    ] {
        if got != expected {
            let expected =
                format!("{expected} elements, as the sizes of the other tensors ask for");
            return Err(refuse(name, &expected, &got.to_string()));
        }
    }
    if mask.first() != Some(&true) {
        return Err(refuse("mask", "candidate 0, staying, to be allowed", "none or false"));
    }
    o.mask[..a].copy_from_slice(&mask);
    let columns = o.candidates.chunks_exact_mut(o.candidate_stride);
    for (to, from) in columns.zip(candidates.chunks_exact(a)) {
        to[..a].copy_from_slice(from);
    }
    o.placement = indices(placement);
    o.candidate_workload = indices(candidate_workload);
    check_indices(&o, &space)?;
    Ok(o)
}

/// -1, on no node, becomes the mark that networks know.
fn indices(values: Vec<i32>) -> Vec<u32> {
    values.into_iter().map(|value| value as u32).collect()
}

fn check_indices(o: &ObservationBuffer, space: &ObservationSpace) -> Result<(), ApiError> {
    for (name, values, most) in [
        ("candidate_workload", &o.candidate_workload, space.workloads),
        ("candidate_source", &o.candidate_source, space.nodes),
        ("candidate_destination", &o.candidate_destination, space.nodes),
    ] {
        // What is masked, and staying, may name anything.
        let allowed = values.iter().zip(&o.mask).skip(1).filter(|(_, allowed)| **allowed);
        if let Some((value, _)) = allowed.into_iter().find(|(value, _)| **value as usize >= most) {
            let got = (*value as i32).to_string();
            return Err(refuse(name, &format!("indices of 0 or more and below {most}"), &got));
        }
    }
    let on_a_node = |node: u32| node == u32::MAX || (node as usize) < space.nodes;
    match o.placement.iter().find(|node| !on_a_node(**node)) {
        Some(node) => {
            let expected = format!("-1 or an index of 0 or more and below {}", space.nodes);
            Err(refuse("placement", &expected, &(*node as i32).to_string()))
        }
        None => Ok(()),
    }
}

/// Tensors, taken out by name.
struct Reader {
    expected: Vec<TensorInfo>,
    tensors: Vec<Tensor>,
}

impl Reader {
    fn floats(&mut self, name: &'static str) -> Result<Vec<f32>, ApiError> {
        self.take(name, "a finite number", |element| {
            let number = match *element {
                Element::Whole(number) => number as f32,
                Element::Number(number) => number as f32,
                _ => return None,
            };
            Some(number).filter(|number| number.is_finite())
        })
    }

    fn integers(&mut self, name: &'static str) -> Result<Vec<i32>, ApiError> {
        self.take(name, "a whole number of 32 bits", |element| match *element {
            Element::Whole(number) => i32::try_from(number).ok(),
            _ => None,
        })
    }

    fn booleans(&mut self, name: &'static str) -> Result<Vec<bool>, ApiError> {
        self.take(name, "true or false", |element| match *element {
            Element::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// The elements of a tensor that has the stated type and shape.
    fn take<T>(
        &mut self,
        name: &'static str,
        element: &str,
        convert: impl Fn(&Element) -> Option<T>,
    ) -> Result<Vec<T>, ApiError> {
        let mut found = self.tensors.extract_if(.., |tensor| tensor.name == name);
        let (first, second) = (found.next(), found.next());
        drop(found);
        let Some(info) = self.expected.iter().find(|info| info.name == name) else {
            return Err(refuse(name, "a tensor that the network reads", "another"));
        };
        let tensor = match (first, second) {
            (Some(tensor), None) => tensor,
            (None, _) => return Err(refuse(name, "one tensor of this name", "none")),
            (Some(_), Some(_)) => return Err(refuse(name, "one tensor of this name", "more")),
        };
        if tensor.datatype != info.datatype {
            return Err(refuse(name, info.datatype, &tensor.datatype));
        }
        let fits = tensor.shape.len() == info.shape.len()
            && tensor.shape.iter().zip(&info.shape).all(|(got, n)| *n < 0 || *got as i64 == *n);
        if !fits {
            let expected = format!("shape {:?} (-1 for any size)", info.shape);
            return Err(refuse(name, &expected, &format!("{:?}", tensor.shape)));
        }
        let convert = |found: Element| {
            let expected = || format!("{element} for each element");
            convert(&found).ok_or_else(|| refuse(name, &expected(), &found.shown()))
        };
        let elements: Vec<T> = match (&tensor.data, &tensor.bytes) {
            (Some(data), None) => data.0.iter().copied().map(convert).collect::<Result<_, _>>()?,
            (None, Some(bytes)) => {
                let elements = binary::elements(info.datatype, bytes).ok_or_else(|| {
                    let expected = format!("whole elements of {}", info.datatype);
                    refuse(name, &expected, &format!("{} bytes", bytes.len()))
                })?;
                elements.map(convert).collect::<Result<_, _>>()?
            }
            (Some(_), Some(_)) => {
                return Err(refuse(name, "data or parameters.binary_data_size", "both"));
            }
            (None, None) => {
                return Err(refuse(name, "data or parameters.binary_data_size", "neither"));
            }
        };
        let size = tensor.shape.iter().try_fold(1_usize, |size, n| size.checked_mul(*n));
        if size != Some(elements.len()) {
            let expected = format!("as many elements as shape {:?} holds", tensor.shape);
            return Err(refuse(name, &expected, &elements.len().to_string()));
        }
        Ok(elements)
    }
}
