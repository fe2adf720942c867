//! Compresses the policies that become part of the programs: an artifact holds its weights twice, and
//! golden vectors that are mostly zeros.

use std::io;
use std::path::{Path, PathBuf};

/// Slow to make, as quick to read as any.
const LEVEL: i32 = 19;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=pretrained");
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let out = out.ok_or_else(|| io::Error::other("expected OUT_DIR from cargo, got nothing"))?;
    for entry in std::fs::read_dir(Path::new("pretrained"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pt") {
            let packed = zstd::bulk::compress(&std::fs::read(&path)?, LEVEL)?;
            let name = path.with_extension("pt.zst");
            let name = name.file_name().ok_or_else(|| io::Error::other("a file without a name"))?;
            std::fs::write(out.join(name), packed)?;
        }
    }
    Ok(())
}
