//! Compiles the C++ bridge and tells the linker where libtorch is.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for file in ["bridge.cpp", "bridge.h", "cuda.cpp", "cuda.h", "message.h"] {
        println!("cargo:rerun-if-changed=src/torch_ext/{file}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");

    let libtorch = libtorch_folder();
    let lib = libtorch.join("lib");
    // The link's own folder comes first, so that a later `make setup` which
    // points .libtorch elsewhere needs no rebuild; the folder it leads to comes
    // second, so that a built program outlives its checkout.
    let resolved = lib.canonicalize().unwrap_or_else(|_| lib.clone());
    for folder in [&lib, &resolved] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
    println!("cargo:rustc-env=GODWIT_LIBTORCH={}", libtorch.display());
    // Only this small file is watched: a folder would be scanned whole, and it
    // changes with every other libtorch.
    let version = libtorch.join("include/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", version.display());

    let include = libtorch.join("include");
    let api = include.join("torch/csrc/api/include");
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // System headers: libtorch's own warnings are not ours to fix.
        .flag("-isystem")
        .flag(&include)
        .flag("-isystem")
        .flag(&api)
        .flag("-Wall")
        .flag("-Wextra")
        .file("src/torch_ext/bridge.cpp")
        .file("src/torch_ext/cuda.cpp")
        .compile("godwit_bridge");
}

/// The folder with libtorch's `lib` and `include`; ends the build with advice
/// where there is none.
fn libtorch_folder() -> PathBuf {
    // Set by .cargo/config.toml, or exported by the person who builds.
    let folder =
        std::env::var_os("LIBTORCH").map_or_else(|| PathBuf::from(".libtorch"), PathBuf::from);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    if !has_headers(&folder) {
        eprintln!(
            "libtorch is not at {}: run `make setup` first (or export LIBTORCH)",
            folder.display()
        );
        std::process::exit(1);
    }
    folder
}

fn has_headers(folder: &Path) -> bool {
    folder.join("include/torch/script.h").exists()
}
