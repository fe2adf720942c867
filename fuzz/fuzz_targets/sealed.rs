//! The three entries of an artifact in an archive whose seal and digests are right: what someone
//! who writes artifacts could make a scorer read.
//!
//! The input is the manifest, the weights and the golden vectors, each behind its length.

#![no_main]

use std::io::{Cursor, Write};
use std::path::Path;

use godwit_models::artifact::{Artifact, Manifest, extra_files, seal_bytes};
use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The part behind its length in 4 bytes, and the rest.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

fn archive(parts: [&[u8]; 3]) -> Option<Vec<u8>> {
    let [manifest, weights, golden] = parts;
    let manifest: Manifest = serde_json::from_slice(manifest).ok()?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, contents) in extra_files(manifest, weights.to_vec(), golden.to_vec()) {
        zip.start_file(format!("fuzz/extra/{name}"), stored).ok()?;
        zip.write_all(&contents).ok()?;
    }
    let mut bytes = zip.finish().ok()?.into_inner();
    seal_bytes(&mut bytes).ok()?;
    Some(bytes)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((manifest, rest)) = part(bytes) else { return };
    let Some((weights, rest)) = part(rest) else { return };
    let Some((golden, _)) = part(rest) else { return };
    let Some(bytes) = archive([manifest, weights, golden]) else { return };
    if let Ok(artifact) = Artifact::from_bytes(Path::new("fuzz.pt"), &bytes) {
        let _ = artifact.rules();
    }
});
