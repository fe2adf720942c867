//! Which device libtorch computes on, and making its CUDA half available.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use tch::{Cuda, Device};

/// What became of libtorch's CUDA library at start-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaLibrary {
    /// It is in this process.
    Loaded,
    /// This machine shows no NVIDIA GPU, so it was not looked for.
    NoGpu,
    /// There is a GPU, but the libtorch in use is one for CPUs only.
    NotInstalled,
    /// There is a GPU and the library, but it could not be loaded: the reason.
    Failed(String),
}

impl fmt::Display for CudaLibrary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded => formatter.write_str("loaded"),
            Self::NoGpu => formatter.write_str("not loaded: no GPU found"),
            Self::NotInstalled => {
                formatter.write_str("not loaded: this libtorch is for CPUs only, run `make setup`")
            }
            Self::Failed(reason) => write!(formatter, "not loaded: {reason}"),
        }
    }
}

/// Loads `libtorch_cuda.so` when it and a GPU are there, once per process; it
/// takes about a second.
///
/// The linker drops that library, since nothing in the program names a symbol of
/// it; loading it here lets one program serve machines with and without a GPU.
/// libtorch looks for its CUDA half once, at the first call that may need it, so
/// call this (or [`DeviceChoice::resolve`]) before anything else of libtorch.
pub fn load_cuda_library() -> CudaLibrary {
    static STATE: OnceLock<CudaLibrary> = OnceLock::new();
    STATE
        .get_or_init(|| {
            // Device files, and not a driver call: this must cost nothing without a GPU.
            if !["/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists()) {
                return CudaLibrary::NoGpu;
            }
            let path = libtorch_lib_folder().join("libtorch_cuda.so");
            if !path.exists() {
                return CudaLibrary::NotInstalled;
            }
            // SAFETY: this runs the initialisers of libtorch's own library, from the
            // folder that libtorch_cpu came from; they register kernels and start no
            // threads that touch our memory.
            match unsafe { libloading::Library::new(&path) } {
                Ok(library) => {
                    // Registered kernels point into it: it must stay until the end.
                    std::mem::forget(library);
                    CudaLibrary::Loaded
                }
                Err(error) => CudaLibrary::Failed(error.to_string()),
            }
        })
        .clone()
}

/// The folder that the running program's libtorch came from.
pub fn libtorch_lib_folder() -> PathBuf {
    // The loader may have followed the rpath or LD_LIBRARY_PATH: ask what is mapped.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped = maps.lines().find_map(|line| {
        let path = Path::new(&line[line.find('/')?..]);
        let is_it = path.file_name().is_some_and(|name| name == "libtorch_cpu.so");
        is_it.then(|| path.parent().map(Path::to_owned)).flatten()
    });
    // Set by build.rs: where libtorch was at build time.
    mapped.unwrap_or_else(|| Path::new(env!("GODWIT_LIBTORCH")).join("lib"))
}

/// The device that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU, whatever else there is.
    Cpu,
    /// The CUDA device of this index; an error where it is missing.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The text names no device.
    #[error("expected a device `auto`, `cpu`, `cuda` or `cuda:INDEX`, got {0:?}")]
    Unknown(String),
    /// There is no CUDA device at all.
    #[error(
        "device {choice} was asked for, but libtorch sees no CUDA device (CUDA library {library})"
    )]
    NoCuda {
        /// What was asked for.
        choice: DeviceChoice,
        /// What became of the CUDA library.
        library: CudaLibrary,
    },
    /// There are CUDA devices, but not this one.
    #[error("device {choice} was asked for, but libtorch sees {count} CUDA device(s), from cuda:0")]
    NoSuchIndex {
        /// What was asked for.
        choice: DeviceChoice,
        /// How many CUDA devices there are.
        count: usize,
    },
}

impl DeviceChoice {
    /// The device for libtorch. Loads the CUDA library first, unless the CPU was
    /// asked for.
    pub fn resolve(self) -> Result<Device, DeviceError> {
        if self == Self::Cpu {
            return Ok(Device::Cpu);
        }
        let library = load_cuda_library();
        let count = cuda_device_count();
        match self {
            Self::Cuda(index) if index < count => Ok(Device::Cuda(index)),
            Self::Cuda(_) if count == 0 => Err(DeviceError::NoCuda { choice: self, library }),
            Self::Cuda(_) => Err(DeviceError::NoSuchIndex { choice: self, count }),
            Self::Auto if count > 0 => Ok(Device::Cuda(0)),
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
        }
    }
}

/// How many CUDA devices libtorch can use.
pub fn cuda_device_count() -> usize {
    if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.pad("auto"),
            Self::Cpu => formatter.pad("cpu"),
            Self::Cuda(0) => formatter.pad("cuda"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                // `parse` alone would take "+1" as well.
                .filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[test]
    fn choices_survive_text() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0)]
            .into_iter()
            .chain([DeviceChoice::Cuda(3)])
        {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda:0".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:+1", "cuda:-1", "cuda:1 "] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error, DeviceError::Unknown(text.to_owned()));
        }
    }

    #[test]
    fn cpu_is_always_there_and_auto_never_fails() {
        assert_eq!(DeviceChoice::Cpu.resolve(), Ok(Device::Cpu));
        assert!(DeviceChoice::Auto.resolve().is_ok());
    }

    #[test]
    fn missing_cuda_device_is_named() {
        let choice = DeviceChoice::Cuda(999);
        let text = choice.resolve().unwrap_err().to_string();
        let start = "device cuda:999 was asked for, but libtorch sees ";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn libtorch_is_found_where_it_was_loaded_from() {
        let folder = libtorch_lib_folder();
        assert!(folder.join("libtorch_cpu.so").exists(), "{}", folder.display());
    }
}
