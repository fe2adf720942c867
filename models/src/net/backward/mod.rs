//! The way back: the gradient of the values of taken actions, by hand, for each network.
//!
//! It follows the native forward pass and shares its matrix kernels. One call covers a batch:
//! [`Backward::clear`], [`Backward::add`] for each state with an action of it,
//! [`Backward::add_action`] for each further action of that state, [`Backward::forward`], then
//! [`Backward::backward`] with the slope of the loss in each value. A state is encoded once, however
//! many of its actions are valued.
//! Buffers grow to the largest batch and are reused. The result does not depend on threads: it is
//! computed on one.

mod candidate;
mod distinct;
mod heads;
mod kernels;
mod mlp;
mod relational;
mod slot;

use crate::net::spec::{Architecture, NetworkSpec};
use godwit_envs::observe::ObservationBuffer;

pub use kernels::{AdamFactors, adam, sum_of_squares};
pub use mlp::MlpValues;

/// The backward pass of one network.
#[derive(Debug)]
pub struct Backward {
    parameters: usize,
    values: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Relational(Box<relational::Relational>),
    Candidate(Box<candidate::Candidate>),
    Mlp(Box<mlp::Mlp>),
}

/// Calls a method of whichever network it is.
macro_rules! of_form {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.form {
            Form::Relational(form) => form.$method($($argument),*),
            Form::Candidate(form) => form.$method($($argument),*),
            Form::Mlp(form) => form.$method($($argument),*),
        }
    };
}

impl Backward {
    /// For networks of this shape.
    ///
    /// # Panics
    /// If `spec` does not pass [`NetworkSpec::validate`].
    pub fn new(spec: &NetworkSpec) -> Self {
        if let Err(error) = spec.validate() {
            panic!("network: {error}");
        }
        let form = match spec.architecture {
            Architecture::Relational => {
                Form::Relational(Box::new(relational::Relational::new(spec)))
            }
            Architecture::Candidate => Form::Candidate(Box::new(candidate::Candidate::new(spec))),
            Architecture::Mlp => Form::Mlp(Box::new(mlp::Mlp::new(spec))),
        };
        Self { parameters: spec.parameter_count(), values: 0, form }
    }

    /// Forgets the states added so far.
    pub fn clear(&mut self) {
        self.values = 0;
        of_form!(self.clear());
    }

    /// Adds a state with an action of it.
    ///
    /// # Panics
    /// If the observation does not fit the network, or is of another cluster size than the first.
    pub fn add(&mut self, observation: &ObservationBuffer, action: usize) {
        of_form!(self.add_state(observation));
        self.add_action(observation, action);
    }

    /// Adds another action of the state that was added last, which `observation` shows.
    ///
    /// # Panics
    /// If no state was added.
    pub fn add_action(&mut self, observation: &ObservationBuffer, action: usize) {
        self.values += 1;
        of_form!(self.add_action(observation, action));
    }

    /// Writes `Q(s, a)` of each action added into `q`, `[E]`. `flat` holds the weights in the order
    /// of [`NetworkSpec::parameters`].
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn forward(&mut self, flat: &[f32], q: &mut [f32]) {
        assert_eq!((flat.len(), q.len()), (self.parameters, self.values), "weights and values");
        of_form!(self.forward(flat, q));
    }

    /// Writes the gradient of `sum_e slope[e] * Q(s_e, a_e)` into `gradient`, `[P]`. Follows a
    /// [`Backward::forward`] with the same weights.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward(&mut self, flat: &[f32], slope: &[f32], gradient: &mut [f32]) {
        assert_eq!(
            (flat.len(), slope.len(), gradient.len()),
            (self.parameters, self.values, self.parameters),
            "weights, slopes and gradient"
        );
        of_form!(self.backward(flat, slope, gradient));
    }
}
