//! The bridge on the CPU where that is possible; on a GPU where there is one.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::learn::adam::Adam;
use crate::machine::device::DeviceChoice;
use tch::{Device, Kind};

/// The device number of a GPU; without one it says that the test was not made.
fn gpu() -> Option<usize> {
    match DeviceChoice::Auto.resolve() {
        Ok(Device::Cuda(index)) => Some(index),
        _ => {
            eprintln!("skipped: no CUDA device");
            None
        }
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

/// The same updates by `Adam` and by the fused kernel; the largest difference.
fn adam_difference(device: Device, weight_decay: f64) -> f64 {
    let wave = |factor: f64| {
        (Tensor::arange(1000, (Kind::Float, Device::Cpu)) * factor).sin().to_device(device)
    };
    let mut adam = Adam::new(1000, device, weight_decay);
    let (mut ours, mut fused) = (wave(0.3), wave(0.3));
    let zeros = || Tensor::zeros([1000], (Kind::Float, device));
    let (mut mean, mut square) = (zeros(), zeros());
    let settings =
        AdamSettings { beta1: adam.beta1, beta2: adam.beta2, weight_decay, epsilon: adam.epsilon };
    for update in 1..=20_i32 {
        let learning_rate = 1e-3 * f64::from(update);
        let mut gradient = wave(0.1 * f64::from(update));
        adam.update(&mut ours, &gradient, learning_rate);
        let mut step = Tensor::from(f64::from(update)).to_kind(Kind::Float).to_device(device);
        let mut rate = Tensor::from(learning_rate).to_kind(Kind::Float).to_device(device);
        let tensors = AdamTensors {
            parameters: &mut fused,
            gradient: &mut gradient,
            mean: &mut mean,
            square: &mut square,
            step: &mut step,
            learning_rate: &mut rate,
        };
        adamw(tensors, settings).unwrap();
    }
    let moved = (&ours - wave(0.3)).abs().max().double_value(&[]);
    assert!(moved > 1e-2, "{moved}");
    (ours - fused).abs().max().double_value(&[])
}

#[test]
fn the_fused_adam_makes_the_same_updates() {
    for weight_decay in [0.0, 0.1] {
        let difference = adam_difference(Device::Cpu, weight_decay);
        assert!(difference < 1e-5, "{difference}");
        if let Some(index) = gpu() {
            let difference = adam_difference(Device::Cuda(index), weight_decay);
            assert!(difference < 1e-5, "{difference}");
        }
    }
}

#[test]
fn without_a_gpu_everything_is_refused_with_a_reason() {
    if gpu().is_some() {
        return;
    }
    for error in [
        Pinned::new(8).map(drop),
        Event::new(0).record(),
        SideStream::new(0).map(drop),
        refuse_synchronisation(true),
    ] {
        let text = error.unwrap_err().to_string();
        assert!(!text.is_empty() && !text.contains('\n'), "{text}");
    }
    assert_eq!(Event::new(0).wait(), Ok(false));
}

#[test]
fn a_graph_repeats_its_work_on_new_numbers() {
    let Some(index) = gpu() else { return };
    let device = Device::Cuda(index);
    let mut input = Tensor::zeros([1000], (Kind::Float, device));
    let weight = Tensor::ones([1000, 1000], (Kind::Float, device)).set_requires_grad(true);
    let output = Tensor::zeros([2], (Kind::Float, device));
    let mut work = {
        let input = input.shallow_clone();
        let mut output = output.shallow_clone();
        move || {
            let product = input.unsqueeze(0).matmul(&weight).sum(Kind::Float);
            let gradient = Tensor::run_backward(&[&product], &[&weight], false, false);
            let both = Tensor::stack(&[product.detach(), gradient[0].sum(Kind::Float)], 0);
            tch::no_grad(|| output.copy_(&both));
        }
    };
    let mut side = SideStream::new(index).unwrap();
    for _ in 0..3 {
        side.run(&mut work).unwrap();
    }
    assert_eq!(numbers(&output), [0.0, 0.0]);
    let graph = Graph::record(&mut side, &mut work).unwrap();
    let mut host = Pinned::new(1000).unwrap();
    let (mut start, mut end) = (Event::new(index), Event::new(index));
    for value in [1.0, 2.0] {
        host.as_mut_slice().fill(value);
        host.upload(&mut input).unwrap();
        start.record().unwrap();
        graph.replay().unwrap();
        end.record().unwrap();
        end.wait().unwrap();
        let expected = value * 1e6;
        assert_eq!(numbers(&output), [expected, expected]);
    }
    assert!(end.milliseconds_since(&start).unwrap() > 0.0);
}

#[test]
fn what_a_graph_cannot_hold_is_an_error_and_work_goes_on() {
    let Some(index) = gpu() else { return };
    let device = Device::Cuda(index);
    let number = Tensor::ones([1], (Kind::Float, device));
    let mut side = SideStream::new(index).unwrap();
    let outcome = Graph::record(&mut side, || {
        // Waits for the device.
        let _ = number.double_value(&[0]);
    });
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, "CUDA error: operation not permitted when stream is capturing");
    assert_eq!(numbers(&(number + 1.0)), [2.0]);
}

#[test]
fn a_read_is_refused_while_synchronisation_is() {
    let Some(index) = gpu() else { return };
    let number = Tensor::ones([1], (Kind::Float, Device::Cuda(index)));
    refuse_synchronisation(true).unwrap();
    let read = number.f_double_value(&[0]);
    let sum = &number + 1.0;
    refuse_synchronisation(false).unwrap();
    assert!(read.is_err());
    assert_eq!(numbers(&sum), [2.0]);
}

#[test]
fn bf16_rounds_products_and_ends() {
    let Some(index) = gpu() else { return };
    let factor = Tensor::full([1, 1], 1.001, (Kind::Float, Device::Cuda(index)));
    let product = with_bf16(|| factor.matmul(&factor));
    assert_eq!(product.kind(), Kind::BFloat16);
    assert_eq!(factor.matmul(&factor).kind(), Kind::Float);
}

#[test]
fn what_libtorch_said_is_found_in_a_panic_of_tch() {
    let panic = std::panic::catch_unwind(|| Tensor::zeros([2], (Kind::Float, Device::Cpu)).get(5));
    let text = said(panic.unwrap_err().as_ref());
    assert!(text.contains("out of range") && !text.contains("unwrap"), "{text}");
    assert_eq!(said(&"plain"), "plain");
}
