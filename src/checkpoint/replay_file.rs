//! `replay.bin`: the rings of experience, streamed. All numbers are little-endian.
//!
//! Header: `GWREPLAY`, rings, capacity of a ring, whether it is prioritised (u64 each). Then for
//! each ring: bytes of a state, entries written ever, entries held (u64 each), states, actions
//! (u32), rewards (f32), discounts (f32), kinds (u8). Where the replay is prioritised: the largest
//! weight, and the weight of every entry that the rings may hold (f64 each).

use super::error::CheckpointError;
use crate::experience::replay::{Replay, Ring};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 8] = b"GWREPLAY";

// The columns are written as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "checkpoints are little-endian");

/// Writes the rings.
pub(super) fn write(replay: &Replay, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    for number in shape(replay) {
        out.write_all(&number.to_le_bytes())?;
    }
    for ring in replay.rings() {
        out.write_all(&(ring.state_bytes as u64).to_le_bytes())?;
        out.write_all(&ring.written.to_le_bytes())?;
        out.write_all(&(ring.kinds.len() as u64).to_le_bytes())?;
        out.write_all(&ring.states)?;
        out.write_all(bytemuck::cast_slice(&ring.actions))?;
        out.write_all(bytemuck::cast_slice(&ring.rewards))?;
        out.write_all(bytemuck::cast_slice(&ring.discounts))?;
        out.write_all(&ring.kinds)?;
    }
    if let Some(priorities) = replay.priorities() {
        out.write_all(&priorities.largest().to_le_bytes())?;
        for entry in 0..replay.capacity() {
            out.write_all(&priorities.weight(entry).to_le_bytes())?;
        }
    }
    Ok(())
}

fn shape(replay: &Replay) -> [u64; 3] {
    let prioritised = u64::from(replay.priorities().is_some());
    [replay.rings().len() as u64, replay.ring_capacity() as u64, prioritised]
}

/// Reads the rings into a replay of the same shape.
pub(super) fn read(replay: &mut Replay, path: &Path) -> Result<(), CheckpointError> {
    let mut file = BufReader::with_capacity(1 << 20, super::stage::open(path)?);
    let failed = || CheckpointError::io(path, "read");
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(failed())?;
    if magic != *MAGIC {
        let got = String::from_utf8_lossy(&magic).into_owned();
        return Err(CheckpointError::content(
            path,
            "a replay file",
            format!("one that starts {got:?}"),
        ));
    }
    for (what, expected) in ["rings", "entries per ring", "as the mark of a prioritised replay"]
        .into_iter()
        .zip(shape(replay))
    {
        let got = number(&mut file).map_err(failed())?;
        if got != expected {
            return Err(CheckpointError::content(path, format!("{expected} {what}"), got));
        }
    }
    let capacity = replay.ring_capacity();
    for ring in replay.rings_mut() {
        let state_bytes = number(&mut file).map_err(failed())?;
        if state_bytes != ring.state_bytes as u64 {
            let expected = format!("{} bytes per state", ring.state_bytes);
            return Err(CheckpointError::content(path, expected, state_bytes));
        }
        let written = number(&mut file).map_err(failed())?;
        let entries = number(&mut file).map_err(failed())?;
        // Checked before anything is allocated.
        if entries != written.min(capacity as u64) {
            let expected = format!("{} entries in a ring", written.min(capacity as u64));
            return Err(CheckpointError::content(path, expected, entries));
        }
        *ring =
            read_ring(&mut file, written, entries as usize, ring.state_bytes).map_err(failed())?;
        if let Some(kind) = ring.kinds.iter().find(|&&kind| kind > 2) {
            return Err(CheckpointError::content(path, "kinds of entries from 0 to 2", kind));
        }
    }
    let entries = replay.capacity();
    if let Some(priorities) = replay.priorities_mut() {
        let mut weights = vec![0.0; 1 + entries];
        file.read_exact(bytemuck::cast_slice_mut(&mut weights)).map_err(failed())?;
        if let Some(weight) = weights.iter().find(|weight: &&f64| !(0.0..1e300).contains(*weight)) {
            return Err(CheckpointError::content(path, "weights of 0 or more", weight));
        }
        priorities.restore(weights[0], weights[1..].iter().copied());
    }
    if file.read(&mut [0]).map_err(failed())? != 0 {
        return Err(CheckpointError::content(path, "the end of the file", "more bytes"));
    }
    Ok(())
}

fn number(file: &mut BufReader<File>) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_ring(
    file: &mut BufReader<File>,
    written: u64,
    entries: usize,
    state_bytes: usize,
) -> io::Result<Ring> {
    let mut ring = Ring {
        state_bytes,
        states: vec![0; entries * state_bytes],
        actions: vec![0; entries],
        rewards: vec![0.0; entries],
        discounts: vec![0.0; entries],
        kinds: vec![0; entries],
        written,
    };
    file.read_exact(&mut ring.states)?;
    file.read_exact(bytemuck::cast_slice_mut(&mut ring.actions))?;
    file.read_exact(bytemuck::cast_slice_mut(&mut ring.rewards))?;
    file.read_exact(bytemuck::cast_slice_mut(&mut ring.discounts))?;
    file.read_exact(&mut ring.kinds)?;
    Ok(ring)
}
