//! Terms of a scenario's own: an aggregate over all nodes of an expression in what a node holds and
//! supplies.
//!
//! ```text
//! term    = ("sum" | "mean" | "max") "(" sum ")"
//! sum     = product { ("+" | "-") product }
//! product = factor { ("*" | "/") factor }
//! factor  = number | "load" | QUANTITY "." RESOURCE | "-" factor | "(" sum ")"
//!         | ("max" | "min") "(" sum "," sum ")" | ("abs" | "sqrt") "(" sum ")"
//! ```
//!
//! A text becomes steps of a stack machine ([`Expression::parse`]), so that evaluating neither
//! allocates nor recurses. One and many nodes are evaluated by the same code: equal nodes have equal
//! bits.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

mod parse;

pub use parse::ExpressionError;

/// Most values that wait on the stack at a time.
const STACK: usize = 16;

/// The bound of a node's value. What overflows counts as this, so that sums stay finite.
const MOST: f32 = 1e12;

/// A term's expression, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// How the values of the nodes become one.
    pub aggregate: Aggregate,
    /// In postfix order; never more than [`STACK`] values wait.
    steps: Vec<Step>,
}

/// What a term is of the values of all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The highest.
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Number(f32),
    Read(Quantity),
    Negate,
    Abs,
    Sqrt,
    Add,
    Subtract,
    Multiply,
    Divide,
    Max,
    Min,
}

/// What is read of a node; resources by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Utilisation(usize),
    Used(usize),
    Supply(usize),
    Free(usize),
    Load,
}

/// `W` nodes side by side, each array `[m]`.
#[derive(Debug, Clone, Copy)]
pub struct Nodes<'a, const W: usize> {
    /// Demand that they hold.
    pub used: &'a [[f32; W]],
    /// What they supply.
    pub supply: &'a [[f32; W]],
    /// What turns demand into utilisation.
    pub inverse_supply: &'a [[f32; W]],
}

impl Expression {
    /// The value of each node, at most 1e12 in size. What is divided by 0 is 0, and so is the root of
    /// a negative number.
    #[inline(always)]
    pub fn evaluate<const W: usize>(&self, nodes: Nodes<'_, W>) -> [f32; W] {
        let mut stack = [[0.0; W]; STACK];
        let mut waiting = 0;
        for &step in &self.steps {
            match step {
                Step::Number(number) => push(&mut stack, &mut waiting, [number; W]),
                Step::Read(quantity) => push(&mut stack, &mut waiting, nodes.read(quantity)),
                Step::Negate => change(&mut stack[waiting - 1], |a| -a),
                Step::Abs => change(&mut stack[waiting - 1], f32::abs),
                Step::Sqrt => {
                    change(&mut stack[waiting - 1], |a| if a > 0.0 { a.sqrt() } else { 0.0 });
                }
                Step::Add => join(&mut stack, &mut waiting, |a, b| a + b),
                Step::Subtract => join(&mut stack, &mut waiting, |a, b| a - b),
                Step::Multiply => join(&mut stack, &mut waiting, |a, b| a * b),
                Step::Divide => {
                    join(&mut stack, &mut waiting, |a, b| if b == 0.0 { 0.0 } else { a / b });
                }
                Step::Max => join(&mut stack, &mut waiting, greater),
                Step::Min => join(&mut stack, &mut waiting, |a, b| if b < a { b } else { a }),
            }
        }
        // Not a number is not below the bound, and becomes it.
        stack[0].map(|a| greater(-MOST, if a < MOST { a } else { MOST }))
    }
}

// `f32::max` may return either of two zeros, and then lanes need not be like a single node.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[inline(always)]
fn push<const W: usize>(stack: &mut [[f32; W]; STACK], waiting: &mut usize, values: [f32; W]) {
    stack[*waiting] = values;
    *waiting += 1;
}

#[inline(always)]
fn change<const W: usize>(values: &mut [f32; W], of: impl Fn(f32) -> f32) {
    for value in values {
        *value = of(*value);
    }
}

#[inline(always)]
fn join<const W: usize>(
    stack: &mut [[f32; W]; STACK],
    waiting: &mut usize,
    of: impl Fn(f32, f32) -> f32,
) {
    *waiting -= 1;
    let b = stack[*waiting];
    let a = &mut stack[*waiting - 1];
    for l in 0..W {
        a[l] = of(a[l], b[l]);
    }
}

impl<const W: usize> Nodes<'_, W> {
    #[inline(always)]
    fn read(&self, quantity: Quantity) -> [f32; W] {
        match quantity {
            Quantity::Utilisation(j) => self.utilisation(j),
            Quantity::Used(j) => self.used[j],
            Quantity::Supply(j) => self.supply[j],
            Quantity::Free(j) => {
                let mut free = self.supply[j];
                for l in 0..W {
                    free[l] = greater(0.0, free[l] - self.used[j][l]);
                }
                free
            }
            Quantity::Load => {
                let mut load = [0.0; W];
                for j in 0..self.used.len() {
                    let utilisation = self.utilisation(j);
                    for l in 0..W {
                        load[l] += utilisation[l];
                    }
                }
                load
            }
        }
    }

    #[inline(always)]
    fn utilisation(&self, j: usize) -> [f32; W] {
        let mut utilisation = self.used[j];
        for l in 0..W {
            utilisation[l] *= self.inverse_supply[j][l];
        }
        utilisation
    }
}

#[cfg(test)]
mod tests;
