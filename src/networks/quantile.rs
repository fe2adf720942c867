//! Distributional Q-learning by quantile regression (Dabney et al., AAAI 2018): the network's last
//! layers state Q quantiles of the return instead of its mean, at `tau_i = (2 i - 1) / 2 Q`, and
//! are fitted to the target's quantiles by the quantile Huber loss
//!
//! ```text
//! rho_i(u) = |tau_i - 1{u < 0}| L_kappa(u) / kappa        u = target_j - quantile_i
//! ```
//!
//! summed over i, averaged over j. A value is the mean of its quantiles, and a mean over linear
//! outputs is a linear output: evaluation, export and the native pass use that network.

use godwit_models::net::NetworkSpec;
use godwit_models::net::layout::Shape;
use tch::{Kind, Tensor};

/// Name and shape of every parameter of a network with so many quantiles: as those of the
/// specification, with one column per quantile in the last layers of the heads.
pub fn parameters(spec: &NetworkSpec, quantiles: usize) -> Vec<(String, Vec<usize>)> {
    let wide = |(name, shape): (&str, Shape)| {
        let mut sizes = shape.sizes();
        if let (true, Some(columns)) = (shape.is_output(), sizes.last_mut()) {
            *columns = quantiles;
        }
        (name.to_owned(), sizes)
    };
    spec.layout().into_iter().map(wide).collect()
}

/// The network that states the mean of the quantiles, flat, in the shapes of the specification.
pub fn mean_network(spec: &NetworkSpec, quantiles: usize, wide: &[f32], out: &mut Vec<f32>) {
    out.clear();
    let mut rest = wide;
    for ((_, sizes), (_, shape)) in parameters(spec, quantiles).into_iter().zip(spec.layout()) {
        let (own, tail) = rest.split_at(sizes.iter().product());
        rest = tail;
        if shape.is_output() {
            let mean = |row: &[f32]| row.iter().sum::<f32>() / quantiles as f32;
            out.extend(own.chunks_exact(quantiles).map(mean));
        } else {
            out.extend_from_slice(own);
        }
    }
}

/// Loss of each transition, `[B]`, from its quantiles `[B, Q]` and those of its target `[B, Q]`.
pub fn loss(quantiles: &Tensor, target: &Tensor, kappa: f64) -> Tensor {
    let count = quantiles.size()[1];
    let levels: Vec<f32> = (0..count).map(|i| (i as f32 + 0.5) / count as f32).collect();
    let levels = Tensor::from_slice(&levels).to_device(quantiles.device()).view([1, count, 1]);
    // [B, i, j]
    let (quantiles, target) = (quantiles.unsqueeze(2), target.unsqueeze(1));
    let below = target.less_tensor(&quantiles).to_kind(Kind::Float);
    let [target, quantiles] = [target, quantiles].map(|values| {
        let size = [values.size()[0], count, count];
        values.expand(size, false)
    });
    let huber = quantiles.huber_loss(&target, tch::Reduction::None, kappa) / kappa;
    ((levels - below).abs() * huber).mean_dim(2, false, Kind::Float).sum_dim_intlist(
        [1].as_slice(),
        false,
        Kind::Float,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::Parameters;
    use godwit_models::net::Architecture;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use tch::Device;

    #[test]
    fn the_loss_matches_hand_worked_numbers() {
        let quantiles = Tensor::from_slice(&[0.0_f32, 1.0]).view([1, 2]);
        let target = Tensor::from_slice(&[0.5_f32, 3.0]).view([1, 2]);
        // Levels 1/4 and 3/4, kappa 1. Quantile 0: u = 0.5 and 3, L = 0.125 and 2.5, times 1/4,
        // mean 0.328125. Quantile 1: u = -0.5 and 2, L = 0.125 and 1.5, times 1/4 (below) and
        // 3/4, mean 0.578125.
        let loss = loss(&quantiles, &target, 1.0);
        assert!((loss.double_value(&[0]) - 0.90625).abs() < 1e-6);
    }

    #[test]
    fn quantiles_of_a_known_distribution_are_found() {
        // Returns 0 to 99, equally likely: the quantiles at 1/8, 3/8, 5/8, 7/8.
        let mut quantiles = Tensor::zeros([1, 4], (Kind::Float, Device::Cpu));
        let targets: Vec<f32> = (0..100).map(|value| value as f32).collect();
        for step in 0..4000 {
            let leaf = quantiles.detach().set_requires_grad(true);
            let many = leaf.expand([25, 4], false);
            let target = Tensor::from_slice(&targets).view([25, 4]);
            let mean = loss(&many, &target, 0.1).mean(Kind::Float);
            let gradient = Tensor::run_backward(&[&mean], &[&leaf], false, false);
            let rate = if step < 3000 { 2.0 } else { 0.2 };
            quantiles = (leaf - &gradient[0] * rate).detach();
        }
        let found: Vec<f32> = Vec::try_from(quantiles.view([-1])).expect("numbers");
        for (found, expected) in found.iter().zip([12.0, 37.0, 62.0, 87.0]) {
            assert!((found - expected).abs() < 1.5, "{found} {expected}");
        }
    }

    #[test]
    fn the_mean_network_has_the_mean_of_the_quantiles() {
        let spec = NetworkSpec {
            architecture: Architecture::Candidate,
            hidden: 4,
            head_hidden: 3,
            dueling: true,
            node_features: 1,
            workload_features: 1,
            global_features: 2,
            candidate_features: 2,
            fixed: None,
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let wide = Parameters::fresh_quantiles(&spec, 8, Device::Cpu, &mut rng);
        let mut mean = Vec::new();
        wide.save(&mut mean);
        assert_eq!(mean.len(), spec.parameter_count());
        let mut narrow = Parameters::zeros(&spec, Device::Cpu);
        narrow.load(&mean);
        let batch = crate::networks::state_batch::StateBatch {
            states: 2,
            nodes_per_state: 1,
            workloads_per_state: 1,
            nodes: Tensor::from_slice(&[0.0_f32]),
            workloads: Tensor::from_slice(&[0.0_f32]),
            globals: Tensor::from_slice(&[0.3_f32, -0.2, 0.9, 0.4]).view([2, 2]),
            placement: crate::networks::state_batch::Placement::Omitted,
            candidates: Tensor::from_slice(&[0.5_f32, 0.1, -0.7, 0.6]).view([2, 2]),
            row_state: Tensor::from_slice(&[0_i64, 1]),
            row_workload: Tensor::from_slice(&[0_i64, 0]),
            row_source: Tensor::from_slice(&[0_i64, 0]),
            row_destination: Tensor::from_slice(&[0_i64, 0]),
            row_action: Tensor::from_slice(&[0_i64, 0]),
        };
        let (stay, rows) = narrow.forward(&batch);
        let (wide_stay, wide_rows) = wide.forward_quantiles(&batch);
        assert_eq!((wide_stay.size(), wide_rows.size()), (vec![2, 8], vec![2, 8]));
        for (wide, mean) in [(wide_stay, stay), (wide_rows, rows)] {
            let difference = (wide.mean_dim(1, false, Kind::Float) - mean).abs().max();
            assert!(difference.double_value(&[]) < 1e-6);
        }
    }
}
