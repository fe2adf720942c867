//! Weights and golden vectors as safetensors.

use godwit_envs::observe::schema::ObservationSchema;
use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::artifact::entries::{GOLDEN, WEIGHTS};
use crate::artifact::error::Failure;
use crate::net::{Architecture, NetworkSpec};

/// An observation and the values that the exporter computed for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// Inputs of the network.
    pub observation: ObservationBuffer,
    /// Value of each candidate, `[A]`; `f32::NEG_INFINITY` where masked.
    pub q: Vec<f32>,
}

/// A tensor to be written.
struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn serialize(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (tensor.name.as_str(), view.expect("each caller gives as many bytes as its shape holds"))
    });
    safetensors::serialize(views, None).expect("the header of a few tensors has room")
}

fn float_bytes(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// `extra/weights.safetensors`: the parameters of [`NetworkSpec::parameters`] by name. `flat` is
/// what `Network::load_flat` takes.
///
/// # Panics
///
/// If the length of `flat` is not [`NetworkSpec::parameter_count`].
pub fn weights_bytes(spec: &NetworkSpec, flat: &[f32]) -> Vec<u8> {
    assert_eq!(flat.len(), spec.parameter_count(), "weights of another network");
    let mut rest = flat;
    let tensors: Vec<Tensor> = spec
        .parameters()
        .into_iter()
        .map(|(name, shape)| {
            let (front, tail) = rest.split_at(shape.iter().product());
            rest = tail;
            Tensor { name, dtype: Dtype::F32, shape, bytes: float_bytes(front.iter().copied()) }
        })
        .collect();
    serialize(&tensors)
}

/// `extra/golden.safetensors`: for observation i the tensors `i.nodes [N, F_n]`,
/// `i.workloads [K, F_w]`, `i.globals [F_g]`, `i.candidates [F_c, A]`, `i.candidate_workload`,
/// `i.candidate_source`, `i.candidate_destination [A]` and `i.placement [K]` (i32, -1 for a
/// workload on no node), `i.mask [A]` (u8) and `i.q [A]`; f32 where not stated otherwise.
///
/// # Panics
///
/// If the sizes of an observation do not fit each other or `spec`.
pub fn golden_bytes(spec: &NetworkSpec, golden: &[Golden]) -> Vec<u8> {
    let mut tensors = Vec::new();
    for (i, Golden { observation: o, q }) in golden.iter().enumerate() {
        let actions = o.actions();
        let features = spec.candidate_features;
        let candidates = (0..features)
            .flat_map(|f| o.candidates[f * o.candidate_stride..][..actions].iter().copied());
        let mut push = |name: &str, dtype, shape: &[usize], bytes| {
            let name = format!("{i}.{name}");
            tensors.push(Tensor { name, dtype, shape: shape.to_vec(), bytes });
        };
        let floats = |values: &[f32]| float_bytes(values.iter().copied());
        let integers = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let (n, k) = (o.nodes.len() / spec.node_features, o.placement.len());
        push("nodes", Dtype::F32, &[n, spec.node_features], floats(&o.nodes));
        push("workloads", Dtype::F32, &[k, spec.workload_features], floats(&o.workloads));
        push("globals", Dtype::F32, &[spec.global_features], floats(&o.globals));
        push("candidates", Dtype::F32, &[features, actions], float_bytes(candidates));
        push("candidate_workload", Dtype::I32, &[actions], integers(&o.candidate_workload));
        push("candidate_source", Dtype::I32, &[actions], integers(&o.candidate_source));
        push("candidate_destination", Dtype::I32, &[actions], integers(&o.candidate_destination));
        // Two's complement turns the mark "on no node", u32::MAX, into -1.
        push("placement", Dtype::I32, &[k], integers(&o.placement));
        let mask = o.mask[..actions].iter().map(|allowed| u8::from(*allowed)).collect();
        push("mask", Dtype::U8, &[actions], mask);
        push("q", Dtype::F32, &[actions], floats(q));
    }
    serialize(&tensors)
}

/// Tensors of one entry, taken out by name until none is left.
struct Reader<'a> {
    entry: &'static str,
    tensors: Vec<(String, TensorView<'a>)>,
}

impl<'a> Reader<'a> {
    fn new(entry: &'static str, bytes: &'a [u8]) -> Result<Self, Failure> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|source| Failure::Tensors { entry, source })?
            .tensors();
        Ok(Self { entry, tensors })
    }

    fn mismatch(&self, tensor: &str, expected: String, got: String) -> Failure {
        Failure::Tensor { entry: self.entry, tensor: tensor.to_owned(), expected, got }
    }

    /// The tensor `name` if it has this type and, where a dimension is stated, this size.
    fn take(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[Option<usize>],
    ) -> Result<TensorView<'a>, Failure> {
        let expected = || {
            let sizes = shape.iter().map(|n| n.map_or("any".to_owned(), |n| n.to_string()));
            format!("{dtype:?} [{}]", sizes.collect::<Vec<_>>().join(", "))
        };
        let Some(at) = self.tensors.iter().position(|(tensor, _)| tensor == name) else {
            return Err(self.mismatch(name, expected(), "none".to_owned()));
        };
        let (_, view) = self.tensors.swap_remove(at);
        let fits = view.shape().len() == shape.len()
            && view.shape().iter().zip(shape).all(|(got, n)| n.is_none_or(|n| n == *got));
        if view.dtype() != dtype || !fits {
            return Err(self.mismatch(
                name,
                expected(),
                format!("{:?} {:?}", view.dtype(), view.shape()),
            ));
        }
        Ok(view)
    }

    fn floats(&mut self, name: &str, shape: &[Option<usize>]) -> Result<Vec<f32>, Failure> {
        let view = self.take(name, Dtype::F32, shape)?;
        Ok(words(view.data()).map(f32::from_le_bytes).collect())
    }

    fn integers(&mut self, name: &str, shape: &[Option<usize>]) -> Result<Vec<u32>, Failure> {
        let view = self.take(name, Dtype::I32, shape)?;
        Ok(words(view.data()).map(u32::from_le_bytes).collect())
    }

    /// Refuses tensors that nothing asked for.
    fn finish(self) -> Result<(), Failure> {
        match self.tensors.first() {
            Some((name, view)) => Err(self.mismatch(
                name,
                "none".to_owned(),
                format!("{:?} {:?}", view.dtype(), view.shape()),
            )),
            None => Ok(()),
        }
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> + '_ {
    bytes.as_chunks::<4>().0.iter().copied()
}

/// All weights, flat, in the order of [`NetworkSpec::parameters`].
pub(super) fn read_weights(spec: &NetworkSpec, bytes: &[u8]) -> Result<Vec<f32>, Failure> {
    let mut reader = Reader::new(WEIGHTS, bytes)?;
    let mut flat = Vec::new();
    let mut not_finite = None;
    for (name, shape) in spec.parameters() {
        let shape: Vec<_> = shape.into_iter().map(Some).collect();
        let values = reader.floats(&name, &shape)?;
        if not_finite.is_none() {
            not_finite = values
                .iter()
                .position(|value| !value.is_finite())
                .map(|index| Failure::NotFinite { parameter: name, index, value: values[index] });
        }
        flat.extend(values);
    }
    reader.finish()?;
    not_finite.map_or(Ok(flat), Err)
}

/// All golden vectors; they fit the network, so that it can value them.
pub(super) fn read_golden(
    spec: &NetworkSpec,
    schema: &ObservationSchema,
    bytes: &[u8],
) -> Result<Vec<Golden>, Failure> {
    let mut reader = Reader::new(GOLDEN, bytes)?;
    let mut golden = Vec::new();
    // At least one: without golden vectors nothing shows that this machine computes the same.
    while golden.is_empty() || !reader.tensors.is_empty() {
        let i = golden.len();
        golden.push(read_one(&mut reader, spec, schema, i)?);
    }
    Ok(golden)
}

fn read_one(
    reader: &mut Reader,
    spec: &NetworkSpec,
    schema: &ObservationSchema,
    i: usize,
) -> Result<Golden, Failure> {
    let name = |part: &str| format!("{i}.{part}");
    let n = spec.fixed.map(|fixed| fixed.nodes);
    let k = spec.fixed.map(|fixed| fixed.workloads);
    let a = spec.fixed.map(|fixed| 1 + fixed.nodes * fixed.workloads);
    let nodes = reader.floats(&name("nodes"), &[n, Some(spec.node_features)])?;
    let placement = reader.integers(&name("placement"), &[k])?;
    let candidate_workload = reader.integers(&name("candidate_workload"), &[a])?;
    let space = ObservationSpace {
        sections: Sections::default(),
        nodes: nodes.len() / spec.node_features,
        workloads: placement.len(),
        actions: candidate_workload.len(),
        fixed_pairs: spec.architecture == Architecture::Mlp,
        schema: schema.clone(),
        normalisation: None,
    };
    let mut o = ObservationBuffer::new(&space);
    let (k, a) = (Some(space.workloads), Some(space.actions));
    o.nodes = nodes;
    o.placement = placement;
    o.candidate_workload = candidate_workload;
    o.workloads = reader.floats(&name("workloads"), &[k, Some(spec.workload_features)])?;
    o.globals = reader.floats(&name("globals"), &[Some(spec.global_features)])?;
    o.candidate_source = reader.integers(&name("candidate_source"), &[a])?;
    o.candidate_destination = reader.integers(&name("candidate_destination"), &[a])?;
    let features = reader.floats(&name("candidates"), &[Some(spec.candidate_features), a])?;
    let q = reader.floats(&name("q"), &[a])?;
    let mask = reader.take(&name("mask"), Dtype::U8, &[a])?;

    let problem = |problem: String| Err(Failure::GoldenInput { observation: i, problem });
    if mask.data().first() != Some(&1) {
        return problem("expected Stay (candidate 0) to be allowed".to_owned());
    }
    for (mask, value) in o.mask.iter_mut().zip(mask.data()) {
        *mask = *value == 1;
    }
    for (to, from) in o.candidates.chunks_exact_mut(o.candidate_stride).zip(
        // Not empty: candidate 0 is there.
        features.chunks_exact(space.actions),
    ) {
        to[..from.len()].copy_from_slice(from);
    }
    for (what, indices, limit) in [
        ("candidate_workload", &o.candidate_workload, space.workloads),
        ("candidate_source", &o.candidate_source, space.nodes),
        ("candidate_destination", &o.candidate_destination, space.nodes),
    ] {
        let allowed = indices.iter().zip(&o.mask).skip(1).filter(|(_, allowed)| **allowed);
        if let Some((index, _)) = allowed.into_iter().find(|(index, _)| **index as usize >= limit) {
            return problem(format!("{what}: expected less than {limit}, got {}", *index as i32));
        }
    }
    Ok(Golden { observation: o, q })
}
