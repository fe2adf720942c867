//! Lines of a journal: the start of the SHA-256 of what follows it, and an entry as JSON. A line whose
//! sum is wrong is damage; one without its end is what a killed process leaves.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Characters of the checksum.
const SUM: usize = 16;

/// An entry as a line, its end included.
///
/// # Errors
/// When the entry cannot be written as JSON.
pub fn line(entry: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{} {json}\n", sum(json.as_bytes())).into_bytes())
}

/// The lines of a file that are whole, without their ends: what follows the last line break was
/// never finished.
pub fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    bytes[..whole].split_inclusive(|&byte| byte == b'\n').map(|line| &line[..line.len() - 1])
}

/// The entry of a line without its end; `None` where it is damaged.
pub fn entry<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (check, json) = (line.get(..SUM)?, line.get(SUM + 1..)?);
    if check != sum(json).as_bytes() {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn sum(text: &[u8]) -> String {
    let mut sum = godwit_envs::hex(&Sha256::digest(text));
    sum.truncate(SUM);
    sum
}
