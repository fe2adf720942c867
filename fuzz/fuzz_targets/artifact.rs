//! Bytes as an artifact file: the archive, its directory and its seal.

#![no_main]

use std::path::Path;

use godwit_models::artifact::{Artifact, seal_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz.pt");
    let _ = Artifact::from_bytes(path, bytes);
    // Behind the seal, which hardly any changed input would pass.
    let mut sealed = bytes.to_vec();
    if seal_bytes(&mut sealed).is_ok() {
        let _ = Artifact::from_bytes(path, &sealed);
    }
});
