//! Updates that live on the device: next states are valued there as well, so that no weight comes
//! back to the host between two updates.
//!
//! The host decodes the states of a batch into records in pinned memory ([`record`]), one copy
//! that does not wait takes them to the device together with learning rate and update number, and
//! the update (`update`) is replayed as a CUDA graph. Several batches may be under way; figures
//! are read back only when they are wanted. The replay itself stays on the host: a compact state
//! becomes an observation by running the environment's encoder, which is no work for a device, and
//! a batch of records takes a small part of an update's time to copy.

pub mod record;
mod update;
mod views;

use crate::config::LearnerConfig;
use crate::experience::replay::{Replay, Transition};
use crate::learn::error::LearnError;
use crate::learn::finite::{NotFinite, check_update};
use crate::learn::stats::{UpdateStats, linear_quantile};
use crate::networks::Parameters;
use crate::torch_ext::cuda::{CudaError, Event, Graph, Pinned, SideStream, allow_tf32};
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::net::Architecture;
use rayon::prelude::*;
use record::{Layout, Scratch};
use tch::{Device, Kind, Tensor};
pub use update::Networks;
use update::{FIGURES, FIRST_FAULT, update};
use views::{Block, HEADER};

/// Batches that may be on their way to the device.
const SLOTS: usize = 3;
/// Updates that run as they are before one is recorded, as PyTorch asks for: libraries set
/// themselves up in the first ones.
const WARM_UP: u32 = 3;

/// Turns a compact state back into an observation.
pub trait Decode {
    /// The observation of a state that the replay holds.
    fn decode(&mut self, state: &[u8]) -> &ObservationBuffer;
}

/// Updates on one device. On the CPU it computes the same, without graphs and pinned memory.
#[derive(Debug)]
pub struct DeviceUpdates {
    config: LearnerConfig,
    device: Device,
    layout: Layout,
    block: Block,
    slots: Vec<Slot>,
    next_slot: usize,
    scratch: Vec<Scratch>,
    figures: Tensor,
    /// Number, loss and gradient norm of the first update of which one was not finite; zeros until
    /// there is one, `[3]`.
    fault: Tensor,
    mode: Mode,
    /// Why there is no graph; empty once it was told.
    note: Option<String>,
    waits: u64,
    /// The one sent last, and one that is free.
    published: Option<[Published; 2]>,
    #[cfg(test)]
    spoil_recording: bool,
}

/// A copy of the weights on its way to the host.
#[derive(Debug)]
struct Published {
    weights: Pinned,
    fault: Pinned,
    arrived: Event,
}

/// How updates are enqueued.
#[derive(Debug)]
enum Mode {
    /// Operation by operation.
    Plain,
    /// Operation by operation on a side stream, so many times so far; then it is recorded.
    WarmUp(SideStream, u32),
    /// As a whole.
    Graph(Graph),
}

/// Host memory of a batch.
#[derive(Debug)]
enum Slot {
    Plain(Vec<f32>),
    /// Free again once the device has reached the event.
    Pinned(Pinned, Event),
}

impl DeviceUpdates {
    /// Updates of a network of this architecture, from batches of `config.batch_size`; `threads`
    /// fill them.
    ///
    /// # Errors
    /// When the device has no memory left or CUDA fails.
    pub fn new(
        config: &LearnerConfig,
        architecture: Architecture,
        space: &ObservationSpace,
        device: Device,
        threads: usize,
    ) -> Result<Self, CudaError> {
        let layout = Layout::new(space, architecture);
        let mut updates = Self {
            config: config.clone(),
            device,
            block: Block::new(&layout, config.batch_size, device),
            layout,
            slots: Vec::new(),
            next_slot: 0,
            scratch: (0..threads).map(|_| Scratch::default()).collect(),
            figures: Tensor::zeros([(FIGURES + config.batch_size) as i64], (Kind::Float, device)),
            fault: Tensor::zeros([FIRST_FAULT as i64], (Kind::Float, device)),
            mode: Mode::Plain,
            note: None,
            waits: 0,
            published: None,
            #[cfg(test)]
            spoil_recording: false,
        };
        if device.is_cuda() {
            allow_tf32(config.tf32)?;
        }
        updates.set_up()?;
        Ok(updates)
    }

    /// Makes everything whose size or place the layout decides.
    fn set_up(&mut self) -> Result<(), CudaError> {
        let words = HEADER + self.config.batch_size * self.layout.words;
        self.mode = Mode::Plain;
        self.block = Block::new(&self.layout, self.config.batch_size, self.device);
        self.slots = (0..SLOTS)
            .map(|_| match self.device {
                Device::Cuda(index) => Ok(Slot::Pinned(Pinned::new(words)?, Event::new(index))),
                _ => Ok(Slot::Plain(vec![0.0; words])),
            })
            .collect::<Result<_, CudaError>>()?;
        if let Device::Cuda(index) = self.device
            && self.config.cuda_graph
            && self.note.is_none()
        {
            self.mode = Mode::WarmUp(SideStream::new(index)?, 0);
        }
        Ok(())
    }

    /// Decodes a batch into the next free slot, on as many threads as there are decoders.
    ///
    /// # Errors
    /// When CUDA fails.
    pub fn fill<D: Decode + Send>(
        &mut self,
        decoders: &mut [D],
        replay: &Replay,
        transitions: &[Transition],
    ) -> Result<(), CudaError> {
        loop {
            if let Slot::Pinned(_, uploaded) = &self.slots[self.next_slot] {
                self.waits += u64::from(uploaded.wait()?);
            }
            let (layout, batch) = (&self.layout, self.config.batch_size);
            let records = &mut self.slots[self.next_slot].memory()[HEADER..];
            let share = batch.div_ceil(decoders.len().min(self.scratch.len()));
            let needed = decoders
                .par_iter_mut()
                .zip(&mut self.scratch)
                .zip(transitions.par_chunks(share))
                .zip(records.par_chunks_mut(share * layout.words))
                .enumerate()
                .map(|(part, (((decoder, scratch), transitions), records))| {
                    let mut needed = 0;
                    let records = records.chunks_exact_mut(layout.words);
                    for (at, (t, record)) in transitions.iter().zip(records).enumerate() {
                        let b = part * share + at;
                        record[layout.reward] = t.reward;
                        record[layout.discount] = t.discount;
                        let (state, action) = (replay.state(t.state), t.action as usize);
                        let observation = decoder.decode(state);
                        let rows =
                            layout.write_state(record, b, batch, observation, action, scratch);
                        let observation = decoder.decode(replay.state(t.next));
                        let next_rows = layout.write_next(record, b, observation, scratch);
                        needed = rows.max(next_rows).max(needed);
                    }
                    needed
                })
                .max()
                .unwrap_or(0);
            if needed <= layout.rows {
                return Ok(());
            }
            self.layout.grow(needed);
            self.set_up()?;
        }
    }

    /// Uploads the batch that was filled last and updates the networks with it. `want_stats` reads
    /// the figures back, for which the host waits.
    ///
    /// # Errors
    /// When CUDA fails.
    pub fn update(
        &mut self,
        mut networks: Networks,
        learning_rate: f64,
        want_stats: bool,
    ) -> Result<Option<UpdateStats>, CudaError> {
        networks.adam.updates += 1;
        let config = &self.config;
        let mix = match config.target_every {
            0 => config.target_tau,
            every => f64::from(u8::from(networks.adam.updates.is_multiple_of(every))),
        };
        let slot = &mut self.slots[self.next_slot];
        self.next_slot = (self.next_slot + 1) % SLOTS;
        if let Slot::Pinned(_, uploaded) = slot {
            self.waits += u64::from(uploaded.wait()?);
        }
        slot.memory()[..3].copy_from_slice(&[
            networks.adam.updates as f32,
            learning_rate as f32,
            mix as f32,
        ]);
        match slot {
            Slot::Plain(memory) => self.block.flat.copy_(&Tensor::from_slice(&*memory)),
            Slot::Pinned(memory, uploaded) => {
                memory.upload(&mut self.block.flat)?;
                uploaded.record()?;
            }
        }
        self.enqueue(&mut networks)?;
        Ok(want_stats.then(|| self.stats()))
    }

    fn enqueue(&mut self, networks: &mut Networks) -> Result<(), CudaError> {
        let Self { config, block, figures, fault, mode, note, .. } = self;
        #[cfg(test)]
        let mut spoil =
            std::mem::take(&mut self.spoil_recording) && matches!(mode, Mode::WarmUp(_, WARM_UP));
        let mut work = || {
            #[cfg(test)]
            if std::mem::take(&mut spoil) {
                let _ = block.flat.double_value(&[0]);
            }
            update(networks, block, config, figures, fault)
        };
        match mode {
            Mode::Plain => work(),
            Mode::Graph(graph) => graph.replay(),
            Mode::WarmUp(side, done) if *done < WARM_UP => {
                *done += 1;
                side.run(work)?
            }
            Mode::WarmUp(side, _) => match record(side, &mut work) {
                Ok(graph) => {
                    graph.replay()?;
                    *mode = Mode::Graph(graph);
                    Ok(())
                }
                Err(error) => {
                    *note = Some(format!(
                        "the update could not be recorded as a CUDA graph ({error}); going on \
                         without"
                    ));
                    *mode = Mode::Plain;
                    work()
                }
            },
        }
    }

    fn stats(&self) -> UpdateStats {
        let mut figures = vec![0.0_f32; FIGURES + self.config.batch_size];
        let length = figures.len();
        self.figures.to_device(Device::Cpu).copy_data(&mut figures, length);
        let (scalars, errors) = figures.split_at_mut(FIGURES);
        errors.sort_unstable_by(f32::total_cmp);
        UpdateStats {
            loss: scalars[0].into(),
            gradient_norm: scalars[1].into(),
            mean_q: scalars[2].into(),
            td_error: [0.1, 0.5, 0.9].map(|level| linear_quantile(errors, level)),
        }
    }

    /// Copies the weights to act with to the host: those of the call before, so that the host need
    /// not wait until the updates enqueued since then are done; the first time the current ones.
    ///
    /// # Errors
    /// When CUDA fails, or an update before that copy was made with a loss or gradient norm that
    /// was not finite.
    pub fn weights(&mut self, online: &Parameters, out: &mut Vec<f32>) -> Result<(), LearnError> {
        let Device::Cuda(index) = self.device else {
            self.check()?;
            online.save(out);
            return Ok(());
        };
        let [mut latest, mut spare] = match self.published.take() {
            Some(published) => published,
            None => {
                let first = || -> Result<Published, CudaError> {
                    let weights = Pinned::new(online.flat.numel())?;
                    let fault = Pinned::new(FIRST_FAULT)?;
                    let mut first = Published { weights, fault, arrived: Event::new(index) };
                    first.send(online, &self.fault)?;
                    Ok(first)
                };
                [first()?, first()?]
            }
        };
        self.waits += u64::from(latest.arrived.wait()?);
        out.clear();
        out.extend_from_slice(latest.weights.as_mut_slice());
        let fault = told(latest.fault.as_mut_slice());
        spare.send(online, &self.fault)?;
        self.published = Some([spare, latest]);
        Ok(fault?)
    }

    /// Waits for all updates and tells whether each had a finite loss and gradient norm.
    ///
    /// # Errors
    /// The first one that had not.
    pub fn check(&self) -> Result<(), NotFinite> {
        let mut fault = [0.0; FIRST_FAULT];
        self.fault.to_device(Device::Cpu).copy_data(&mut fault, FIRST_FAULT);
        told(&fault)
    }

    /// What people should know, once: that there is no graph though one was asked for.
    pub fn take_note(&mut self) -> Option<String> {
        self.note.as_mut().map(std::mem::take).filter(|note| !note.is_empty())
    }

    /// Whether updates are replayed as a graph.
    pub fn has_graph(&self) -> bool {
        matches!(self.mode, Mode::Graph(_))
    }

    /// How often the host had to wait for the device: until it had taken an earlier batch, or until
    /// weights to act with had arrived.
    pub fn waits(&self) -> u64 {
        self.waits
    }
}

impl Published {
    fn send(&mut self, online: &Parameters, fault: &Tensor) -> Result<(), CudaError> {
        self.weights.download(&online.flat)?;
        self.fault.download(fault)?;
        self.arrived.record()
    }
}

/// What the device has noted of the first update that had figures which are not finite.
fn told(fault: &[f32]) -> Result<(), NotFinite> {
    match *fault {
        // Zero finite figures at update 0 mean that there was none.
        [update, loss, norm] => check_update(loss.into(), norm.into(), update as u64),
        _ => Ok(()),
    }
}

impl Slot {
    fn memory(&mut self) -> &mut [f32] {
        match self {
            Self::Plain(memory) => memory,
            Self::Pinned(memory, _) => memory.as_mut_slice(),
        }
    }
}

/// Records the update. What makes it fail shows as a panic of tch, which is not printed: the
/// caller says it in a line.
fn record(
    side: &mut SideStream,
    work: &mut impl FnMut() -> Result<(), CudaError>,
) -> Result<Graph, CudaError> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut outcome = Ok(());
    let graph = Graph::record(side, || outcome = work());
    std::panic::set_hook(hook);
    outcome.and(graph)
}

#[cfg(test)]
mod tests;
