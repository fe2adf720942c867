//! `weights.safetensors`: every parameter by name, in groups (`online`, `target`, Adam's moments).

use super::error::CheckpointError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::path::Path;

/// Name and shape of every parameter.
type Shapes = [(String, Vec<usize>)];

/// Flat parameter vectors of the same network, each under the name of its group.
pub(super) fn to_bytes(
    shapes: &Shapes,
    groups: &[(&str, &[f32])],
    path: &Path,
) -> Result<Vec<u8>, CheckpointError> {
    let failed = |error| CheckpointError::content(path, "tensors that can be written", error);
    let mut tensors = Vec::new();
    for (group, flat) in groups {
        let mut rest: &[f32] = flat;
        for (name, shape) in shapes {
            let (values, tail) = rest.split_at(shape.iter().product());
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            tensors.push((format!("{group}.{name}"), view.map_err(failed)?));
            rest = tail;
        }
    }
    serialize(tensors, None).map_err(failed)
}

/// Reads one group back to a flat vector.
pub(super) fn flat(
    shapes: &Shapes,
    bytes: &[u8],
    group: &str,
    path: &Path,
) -> Result<Vec<f32>, CheckpointError> {
    let wrong = |expected: String, got: String| CheckpointError::content(path, expected, got);
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| wrong("a safetensors file".into(), error.to_string()))?;
    let mut values = Vec::new();
    for (name, shape) in shapes {
        let name = format!("{group}.{name}");
        let expected = || format!("{name} as f32 {shape:?}");
        let tensor = tensors.tensor(&name).map_err(|error| wrong(expected(), error.to_string()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape.as_slice() {
            let got = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(wrong(expected(), got));
        }
        // Copied element by element: the file's tensors need not be aligned.
        let (words, _) = tensor.data().as_chunks::<4>();
        values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
    }
    Ok(values)
}
