//! Compresses the policies that become part of the programs: an artifact holds its weights twice, and
//! golden vectors that are mostly zeros.

use std::io;
use std::path::{Path, PathBuf};

/// Slow to make, and small.
const LEVEL: i32 = 19;
/// Larger by a tenth and read in about half the time: for the policy that a scorer starts with
/// where nobody names one.
const QUICK_LEVEL: i32 = -1;
const QUICK: &str = "generalist";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=pretrained");
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let out = out.ok_or_else(|| io::Error::other("expected OUT_DIR from cargo, got nothing"))?;
    for entry in std::fs::read_dir(Path::new("pretrained"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pt") {
            let quick = path.file_stem().is_some_and(|stem| stem == QUICK);
            let level = if quick { QUICK_LEVEL } else { LEVEL };
            let packed = zstd::bulk::compress(&std::fs::read(&path)?, level)?;
            let name = path.with_extension("pt.zst");
            let name = name.file_name().ok_or_else(|| io::Error::other("a file without a name"))?;
            std::fs::write(out.join(name), packed)?;
        }
    }
    Ok(())
}
