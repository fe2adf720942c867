//! One update on the device, from the uploaded records to the new weights: nothing in it waits for
//! the device, and every shape is fixed.

use super::views::Block;
use crate::config::LearnerConfig;
use crate::learn::adam::Adam;
use crate::learn::gradient::clipped_gradient;
use crate::networks::state_batch::StateBatch;
use crate::networks::{self, Parameters};
use crate::torch_ext::cuda::{AdamSettings, AdamTensors, CudaError, adamw, with_bf16};
use tch::{Kind, Tensor};

/// Words of the figures before the TD errors.
pub const FIGURES: usize = 3;
/// Words that tell of the first update whose figures were not finite.
pub const FIRST_FAULT: usize = 3;

/// What an update reads and changes.
pub struct Networks<'a> {
    /// The network that is learnt.
    pub online: &'a mut Parameters,
    /// The slower copy that values next states.
    pub target: &'a mut Parameters,
    /// The optimiser; its counter is the caller's.
    pub adam: &'a mut Adam,
}

/// Does the update. `figures` (`[3 + B]`) receives the loss, the gradient's norm, the mean Q and
/// the absolute TD errors; `fault` (`[3]`, zeros at first) keeps number, loss and norm of the first
/// update of which one is not finite.
///
/// # Errors
/// When libtorch refuses the optimiser's step.
pub fn update(
    networks: &mut Networks,
    block: &Block,
    config: &LearnerConfig,
    figures: &mut Tensor,
    fault: &mut Tensor,
) -> Result<(), CudaError> {
    let Networks { online, target, adam } = networks;
    let td_target = td_target(online, target, block, config);
    let leaves = online.leaves();
    let (stay, rows) = forward(online, &leaves, &block.states(), config);
    let q = Tensor::cat(&[stay, rows], 0).index_select(0, &block.taken());
    let loss = q.huber_loss(&td_target, tch::Reduction::Mean, config.huber_delta);
    let (mut gradient, norm) = clipped_gradient(&loss, &leaves, config.max_gradient_norm, None);
    let settings = AdamSettings {
        beta1: adam.beta1,
        beta2: adam.beta2,
        weight_decay: adam.weight_decay,
        epsilon: adam.epsilon,
    };
    let tensors = AdamTensors {
        parameters: &mut online.flat,
        gradient: &mut gradient,
        mean: &mut adam.mean,
        square: &mut adam.square,
        step: &mut block.step(),
        learning_rate: &mut block.learning_rate(),
    };
    adamw(tensors, settings)?;
    let _guard = tch::no_grad_guard();
    let _ = target.flat.lerp_tensor_(&online.flat, &block.mix());
    let loss = loss.detach();
    let seen = Tensor::stack(&[&block.step(), &loss, &norm], 0);
    let finite = loss.isfinite().logical_and(&norm.isfinite());
    let first = finite.logical_not().logical_and(&fault.get(0).eq(0.0));
    fault.copy_(&seen.where_self(&first, &*fault));
    let scalars = Tensor::stack(&[loss, norm, q.mean(Kind::Float)], 0);
    figures.copy_(&Tensor::cat(&[scalars, (&q - td_target).abs()], 0));
    Ok(())
}

/// `r + discount * Q_target(s', argmax_a Q(s', a))` over the unmasked actions of each next state,
/// `[B]`.
fn td_target(
    online: &Parameters,
    target: &Parameters,
    block: &Block,
    config: &LearnerConfig,
) -> Tensor {
    // A guard and not a closure: it ends where a panic of tch passes as well.
    let _guard = tch::no_grad_guard();
    let next = block.next();
    // [B, A]
    let masked = |parameters: &Parameters| {
        let (stay, rows) = forward(parameters, parameters.tensors(), &next, config);
        Tensor::cat(&[stay.unsqueeze(1), rows.view([next.states, -1])], 1)
            .masked_fill(&block.closed(), f64::NEG_INFINITY)
    };
    let value = if config.double {
        // Double DQN: the online net picks, the target net values the pick alone.
        let best = masked(online).argmax(1, false);
        let picked = block.pick(&next, &best);
        let (stay, rows) = forward(target, target.tensors(), &picked, config);
        stay.where_self(&best.eq(0), &rows)
    } else {
        masked(target).max_dim(1, false).0
    };
    block.reward() + block.discount() * value
}

/// The forward pass in the configured precision; the values are f32.
fn forward(
    parameters: &Parameters,
    weights: &[Tensor],
    batch: &StateBatch,
    config: &LearnerConfig,
) -> (Tensor, Tensor) {
    let forward = || networks::forward(parameters.spec(), weights, batch);
    let (stay, rows) = if config.bf16 { with_bf16(forward) } else { forward() };
    // The last dimension is for quantiles; here there is one.
    (stay.to_kind(Kind::Float).squeeze_dim(-1), rows.to_kind(Kind::Float).squeeze_dim(-1))
}
