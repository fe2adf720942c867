//! Writing a graph down, operator by operator.

use super::proto::{
    Attribute, Dimension, FLOAT, Graph, INT64, Kind, Node, Shape, Tensor, TensorKind, ValueInfo,
};

/// A size of an input or output: stated, or open under a name.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    /// This size.
    Is(usize),
    /// Any size, the same wherever this name stands.
    Open(&'static str),
}

/// A graph that is being written. Every operator has one output, which its name stands for.
#[derive(Debug, Default)]
pub struct Builder {
    graph: Graph,
}

impl Builder {
    /// A graph with this name.
    pub fn new(name: &str) -> Self {
        Self { graph: Graph { name: name.to_owned(), ..Graph::default() } }
    }

    /// An input.
    pub fn input(&mut self, name: &str, elements: i32, sizes: &[Size]) {
        self.graph.input.push(info(name, elements, sizes));
    }

    /// An output: the result of an operator under this name.
    pub fn output(&mut self, name: &str, of: &str, elements: i32, sizes: &[Size]) {
        self.push("Identity", &[of], vec![], name.to_owned());
        self.graph.output.push(info(name, elements, sizes));
    }

    /// Numbers that are part of the graph.
    pub fn floats(&mut self, name: &str, sizes: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, FLOAT, sizes, bytes)
    }

    /// Whole numbers that are part of the graph, a vector, or a scalar where `scalar` says so.
    pub fn integers(&mut self, values: &[i64], scalar: bool) -> String {
        let name = format!("integers_{}", self.graph.initializer.len());
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let sizes = [values.len()];
        self.tensor(&name, INT64, if scalar { &[] } else { &sizes }, bytes)
    }

    fn tensor(&mut self, name: &str, kind: i32, sizes: &[usize], raw_data: Vec<u8>) -> String {
        let dims = sizes.iter().map(|&size| size as i64).collect();
        let name = name.to_owned();
        self.graph.initializer.push(Tensor { dims, data_type: kind, name: name.clone(), raw_data });
        name
    }

    /// An operator.
    pub fn op(&mut self, kind: &str, inputs: &[&str]) -> String {
        self.op_with(kind, inputs, &[])
    }

    /// An operator with whole numbers as settings.
    pub fn op_with(&mut self, kind: &str, inputs: &[&str], settings: &[(&str, i64)]) -> String {
        let attributes = settings
            .iter()
            .map(|&(name, i)| Attribute { name: name.to_owned(), i, ints: Vec::new(), kind: 2 })
            .collect();
        let output = format!("{}_{}", kind.to_lowercase(), self.graph.node.len());
        self.push(kind, inputs, attributes, output.clone());
        output
    }

    /// The mean over axis 1, which is dropped.
    pub fn mean(&mut self, of: &str) -> String {
        let axes = Attribute { name: "axes".to_owned(), i: 0, ints: vec![1], kind: 7 };
        let keep = Attribute { name: "keepdims".to_owned(), i: 0, ints: Vec::new(), kind: 2 };
        let output = format!("mean_{}", self.graph.node.len());
        self.push("ReduceMean", &[of], vec![axes, keep], output.clone());
        output
    }

    /// `x @ weight + bias`.
    pub fn linear(&mut self, x: &str, weight: &str, bias: &str) -> String {
        let product = self.op("MatMul", &[x, weight]);
        self.op("Add", &[&product, bias])
    }

    /// The same with another axis of length 1 at this place.
    pub fn unsqueeze(&mut self, of: &str, axis: i64) -> String {
        let axes = self.integers(&[axis], false);
        self.op("Unsqueeze", &[of, &axes])
    }

    /// The sum of several.
    pub fn sum(&mut self, terms: &[&str]) -> String {
        self.op("Sum", terms)
    }

    /// What was written.
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn push(&mut self, kind: &str, inputs: &[&str], attribute: Vec<Attribute>, output: String) {
        let input = inputs.iter().map(|&name| name.to_owned()).collect();
        let op_type = kind.to_owned();
        let name = output.clone();
        self.graph.node.push(Node { input, output: vec![output], name, op_type, attribute });
    }
}

fn info(name: &str, elements: i32, sizes: &[Size]) -> ValueInfo {
    let dim = sizes
        .iter()
        .map(|size| match *size {
            Size::Is(size) => Dimension { dim_value: Some(size as i64), dim_param: None },
            Size::Open(name) => Dimension { dim_value: None, dim_param: Some(name.to_owned()) },
        })
        .collect();
    let tensor_type = Some(TensorKind { elem_type: elements, shape: Some(Shape { dim }) });
    let kind = Some(Kind { tensor_type });
    ValueInfo { name: name.to_owned(), kind, doc_string: String::new() }
}
