//! godwit: reinforcement-learning trainer for migration policies.
//!
//! The only crate that links libtorch. What a user meets is the program `godwit`
//! ([`cli`]); the library below it is for whoever builds on the trainer:
//!
//! ```no_run
//! use godwit::config::TrainConfig;
//! use godwit::train::assemble::new_trainer;
//! use godwit_envs::Scenario;
//!
//! let scenario = Scenario::embedded("quickstart")?;
//! let config = TrainConfig::default();
//! let mut trainer = new_trainer(&scenario.into(), &config, tch::Device::Cpu)?;
//! while !trainer.finished() {
//!     for episode in trainer.round(false)?.finished {
//!         println!("{:.3}", episode.episode_return);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! | folder | what it holds |
//! |---|---|
//! | [`config`] | every setting, its default, its range and the paper it comes from |
//! | [`networks`] | the networks in their training form, and the TorchScript that is exported |
//! | [`experience`] | what is learnt from: replay, priorities, demonstrations, comparisons |
//! | [`learn`] | one update: deep Q-learning, and the code that computes it on CPU and GPU |
//! | [`recipe`] | settings that are found: base policy, horizon, scale and lengths of a run |
//! | [`train`] | a run: acting and learning in rounds, its assembly, validation, its tidy end |
//! | [`checkpoint`] | runs on disk, which go on with the same bits |
//! | [`distributed`] | one run on several processes |
//! | [`export`] | artifacts, and the check that all forms of a network compute the same |
//! | [`policies`] | policies by the name of a file, a folder or a scenario |
//! | [`report`] | a paired comparison of policies (crate `godwit-evaluate`) as a page |
//! | [`sweep`] | searching settings |
//! | [`logging`] | figures of a run, for people and for TensorBoard |
//! | [`machine`], [`doctor`], [`torch_ext`] | the device, memory and signals; what works here; what `tch` lacks |
//! | [`cli`] | the commands |

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod distributed;
pub mod doctor;
pub mod experience;
pub mod export;
pub mod learn;
pub mod logging;
pub mod machine;
pub mod networks;
pub mod policies;
pub mod recipe;
pub mod report;
pub mod sweep;
pub mod torch_ext;
pub mod train;
