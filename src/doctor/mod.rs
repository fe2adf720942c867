//! `godwit doctor`: what this machine offers and whether libtorch works on it.

mod cuda_check;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use godwit_models::net::Architecture;
use serde::Serialize;
use tch::{Cuda, Device, Kind, Reduction, Tensor};

use cuda_check::{self as check, NetworkReport};

use crate::machine::device::{
    CudaLibrary, DeviceChoice, cuda_device_count, libtorch_lib_folder, load_cuda_library,
};

/// The libtorch version that the crate tch 0.24 is made for.
const LIBTORCH_VERSION: &str = "2.11.0";
/// How far CPU and CUDA may differ in the parity check.
const PARITY_TOLERANCE: f64 = 1e-4;

/// What `godwit doctor` found.
#[derive(Debug, Clone, Serialize)]
pub struct DoctorReport {
    /// Whether nothing that training needs failed.
    pub ok: bool,
    /// Version of godwit.
    pub godwit: String,
    /// Version of the libtorch in use, if it states one.
    pub libtorch: Option<String>,
    /// The folder that libtorch was loaded from.
    pub libtorch_path: PathBuf,
    /// What became of libtorch's CUDA library.
    pub cuda_library: String,
    /// Devices that libtorch can compute on.
    pub devices: Vec<String>,
    /// The device that was asked for.
    pub device_asked: String,
    /// The device that the question leads to, or why there is none.
    pub device: Check,
    /// Threads that libtorch uses inside one operation.
    pub intra_op_threads: i32,
    /// Cores that this process may use.
    pub cores: usize,
    /// Vector instruction sets of this processor that matter here.
    pub cpu_features: Vec<&'static str>,
    /// Version of python3, needed by `make setup` only.
    pub python3: Option<String>,
    /// Free disk space where `make setup` puts libtorch.
    pub cache_free_gib: Option<f64>,
    /// Single-precision matrix products on one CPU thread.
    pub cpu_gflops: f64,
    /// Whether libtorch is the version that godwit was made for.
    pub version_check: Check,
    /// Whether CPU and CUDA agree on one update of a small network.
    pub parity: Check,
    /// Each network on the GPU: agreement with the CPU, and speed. Empty without one.
    pub networks: Vec<NetworkReport>,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "lowercase")]
pub enum Check {
    /// As it should be; what was found.
    Passed(String),
    /// Not as it should be; what was found.
    Failed(String),
    /// Not done; why.
    Skipped(String),
}

impl Check {
    /// Whether it did not fail.
    pub fn is_fine(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(detail) => write!(formatter, "ok: {detail}"),
            Self::Failed(detail) => write!(formatter, "FAILED: {detail}"),
            Self::Skipped(detail) => write!(formatter, "skipped: {detail}"),
        }
    }
}

/// Looks at this machine and runs the speed test and the parity checks; takes
/// about a second, and with a GPU some more. `device` is the one that the person wants to train on.
pub fn report(device: DeviceChoice) -> anyhow::Result<DoctorReport> {
    let cuda_library = load_cuda_library();
    let device_check = match device.resolve() {
        Ok(Device::Cuda(index)) => Check::Passed(format!("cuda:{index}")),
        Ok(_) => Check::Passed("cpu".to_owned()),
        Err(error) => Check::Failed(error.to_string()),
    };
    let lib = libtorch_lib_folder();
    let libtorch_path = lib.parent().map_or_else(|| lib.clone(), Path::to_owned);
    let libtorch = libtorch_version(&libtorch_path);
    let version_check = check_version(libtorch.as_deref());
    let mut devices = vec!["cpu".to_owned()];
    devices.extend((0..cuda_device_count()).map(|index| format!("cuda:{index}")));
    let parity = check_parity(device, &cuda_library)?;
    let intra_op_threads = tch::get_num_threads();
    let networks = match device.resolve() {
        Ok(device @ Device::Cuda(_)) => check::check(device)?,
        _ => Vec::new(),
    };
    let ok = [&device_check, &version_check, &parity].into_iter().all(Check::is_fine)
        && networks.iter().all(|network| network.is_fine(PARITY_TOLERANCE));
    Ok(DoctorReport {
        ok,
        godwit: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch,
        libtorch_path,
        cuda_library: cuda_library.to_string(),
        devices,
        device_asked: device.to_string(),
        device: device_check,
        intra_op_threads,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu_features: cpu_features(),
        python3: first_line(Command::new("python3").arg("--version")),
        cache_free_gib: cache_free_gib(),
        cpu_gflops: cpu_gflops()?,
        version_check,
        parity,
        networks,
    })
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "not found".to_owned();
        let free = self.cache_free_gib.map_or_else(none, |free| format!("{free:.1} GiB free"));
        let features = match self.cpu_features.as_slice() {
            [] => "none of those looked for".to_owned(),
            found => found.join(" "),
        };
        let mut rows = vec![
            ("godwit", self.godwit.clone()),
            ("libtorch", self.libtorch.clone().unwrap_or_else(none)),
            ("libtorch path", self.libtorch_path.display().to_string()),
            ("CUDA library", self.cuda_library.clone()),
            ("devices", self.devices.join(" ")),
            ("cores", self.cores.to_string()),
            ("intra-op threads", self.intra_op_threads.to_string()),
            ("CPU features", features),
            ("CPU speed", format!("{:.0} GFLOP/s on one thread", self.cpu_gflops)),
            ("python3", self.python3.clone().unwrap_or_else(none)),
            ("cache disk", free),
            ("check: version", self.version_check.to_string()),
            ("check: device", format!("{} (asked for {})", self.device, self.device_asked)),
            ("check: CPU = CUDA", self.parity.to_string()),
        ];
        for network in &self.networks {
            let outcome = if network.is_fine(PARITY_TOLERANCE) { "ok" } else { "FAILED" };
            let name = match network.network {
                Architecture::Relational => "check: relational",
                Architecture::Candidate => "check: candidate",
                Architecture::Mlp => "check: mlp",
            };
            rows.push((name, format!("{outcome}: {network}")));
        }
        if self.networks.is_empty() {
            rows.push(("check: networks", "skipped: no CUDA device is in use".to_owned()));
        }
        rows.push(("all", if self.ok { "ok" } else { "FAILED" }.to_owned()));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            writeln!(formatter, "{name:width$}  {value}")?;
        }
        Ok(())
    }
}

/// Version of the libtorch that this process computes with, if it states one.
pub fn libtorch_in_use() -> Option<String> {
    libtorch_version(libtorch_lib_folder().parent()?)
}

/// What the libtorch folder states: a plain libtorch has `build-version`, one
/// inside a Python package has `version.py`.
fn libtorch_version(folder: &Path) -> Option<String> {
    if let Ok(text) = std::fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = std::fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(['\'', '"']).to_owned())
}

fn check_version(found: Option<&str>) -> Check {
    match found {
        None => Check::Skipped("libtorch states no version".to_owned()),
        Some(found) if found.split('+').next() == Some(LIBTORCH_VERSION) => {
            Check::Passed(format!("libtorch {LIBTORCH_VERSION}"))
        }
        Some(found) => {
            Check::Failed(format!("expected libtorch {LIBTORCH_VERSION}, found {found}"))
        }
    }
}

fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let all = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let all: [(&'static str, bool); 0] = [];
    all.into_iter().filter_map(|(name, found)| found.then_some(name)).collect()
}

/// The first line that a command prints, if it can be run and succeeds.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().map(str::to_owned)).flatten()
}

/// Free space for the folder that `make setup` fills, from the nearest folder
/// above it that is there already.
fn cache_free_gib() -> Option<f64> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    let folder = base.ancestors().find(|folder| folder.exists())?;
    // The standard library cannot ask for this, `df -P` prints it alike everywhere.
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let free_kib: f64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(free_kib / f64::from(1 << 20))
}

/// The best of the products that fit into a third of a second.
fn cpu_gflops() -> Result<f64, tch::TchError> {
    const SIZE: i64 = 512;
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let a = wave(SIZE * SIZE, Device::Cpu).view([SIZE, SIZE]);
    let start = Instant::now();
    let mut best = Duration::MAX;
    let result = loop {
        let one = Instant::now();
        if let Err(error) = a.f_matmul(&a) {
            break Err(error);
        }
        best = best.min(one.elapsed());
        if start.elapsed() > Duration::from_millis(330) {
            break Ok(2.0 * (SIZE as f64).powi(3) / best.as_secs_f64() / 1e9);
        }
    };
    tch::set_num_threads(threads);
    result
}

fn check_parity(choice: DeviceChoice, library: &CudaLibrary) -> Result<Check, tch::TchError> {
    if cuda_device_count() == 0 {
        let reason = match library {
            CudaLibrary::NoGpu | CudaLibrary::Loaded => "no CUDA device".to_owned(),
            other => format!("no CUDA device, CUDA library {other}"),
        };
        return Ok(Check::Skipped(reason));
    }
    let index = match choice {
        DeviceChoice::Cuda(index) if index < cuda_device_count() => index,
        _ => 0,
    };
    let on_cpu = small_update(Device::Cpu)?;
    let on_cuda = small_update(Device::Cuda(index))?;
    Cuda::synchronize(index as i64);
    let difference = largest_difference(&on_cpu, &on_cuda)?;
    let text = format!(
        "largest difference {difference:.1e} of at most {PARITY_TOLERANCE:.0e} on cuda:{index}"
    );
    // Written so that NaN fails.
    Ok(if difference <= PARITY_TOLERANCE { Check::Passed(text) } else { Check::Failed(text) })
}

/// Forward pass, loss and one gradient step of a 16-64-8 network on made-up
/// numbers: output, loss, then the new weights.
fn small_update(device: Device) -> Result<Vec<Tensor>, tch::TchError> {
    let weight = |rows: i64, columns: i64| {
        (wave(rows * columns, device).view([rows, columns]) * 0.2).set_requires_grad(true)
    };
    let mut weights = [weight(16, 64), weight(64, 8)];
    let x = wave(32 * 16, device).view([32, 16]);
    let targets = wave(32 * 8, device).view([32, 8]);
    let output = x.f_matmul(&weights[0])?.f_relu()?.f_matmul(&weights[1])?;
    let loss = output.f_huber_loss(&targets, Reduction::Mean, 1.0)?;
    loss.f_backward()?;
    tch::no_grad(|| -> Result<(), tch::TchError> {
        for weight in &mut weights {
            let step = weight.grad().f_mul_scalar(0.1)?;
            let _ = weight.f_sub_(&step)?;
        }
        Ok(())
    })?;
    let [first, second] = weights;
    Ok([output, loss, first, second].map(|tensor| tensor.detach()).into())
}

/// `count` numbers in [-1, 1] without a pattern that would hide a transposition.
fn wave(count: i64, device: Device) -> Tensor {
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin().to_device(device)
}

fn largest_difference(left: &[Tensor], right: &[Tensor]) -> Result<f64, tch::TchError> {
    let mut largest = 0f64;
    for (a, b) in left.iter().zip(right) {
        let difference = a.f_sub(&b.f_to_device(a.device())?)?.f_abs()?.f_max()?;
        let difference = f64::try_from(difference)?;
        // `f64::max` would drop a NaN.
        if difference.is_nan() || difference > largest {
            largest = difference;
        }
        if largest.is_nan() {
            break;
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[test]
    fn cpu_report_is_fine() {
        let report = report(DeviceChoice::Cpu).unwrap();
        assert!(report.ok, "{report}");
        assert!(report.cpu_gflops > 0.1, "{report}");
        assert_eq!(report.devices[0], "cpu");
        assert!(report.cache_free_gib.is_some_and(|free| free > 0.0), "{report}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["device"], serde_json::json!({"outcome": "passed", "detail": "cpu"}));
    }

    #[test]
    fn missing_device_makes_the_report_fail() {
        let report = report(DeviceChoice::Cuda(999)).unwrap();
        assert!(!report.ok);
        let text = report.to_string();
        assert!(text.contains("FAILED: device cuda:999 was asked for"), "{text}");
    }

    #[test]
    fn table_is_aligned() {
        let text = report(DeviceChoice::Auto).unwrap().to_string();
        let starts: Vec<Option<usize>> = text.lines().map(|line| line.find("  ")).collect();
        assert!(starts.iter().all(Option::is_some), "{text}");
        let column = text.lines().next().unwrap().rfind("  ").unwrap() + 2;
        assert!(text.lines().all(|line| &line[column - 2..column] == "  "), "{text}");
    }

    #[test]
    fn update_changes_all_weights_and_is_repeatable() {
        let first = small_update(Device::Cpu).unwrap();
        let second = small_update(Device::Cpu).unwrap();
        assert_eq!(largest_difference(&first, &second).unwrap(), 0.0);
        let start = wave(16 * 64, Device::Cpu).view([16, 64]) * 0.2;
        assert!(largest_difference(&first[2..3], &[start]).unwrap() > 1e-6);
    }

    #[test]
    fn difference_reports_nan() {
        let (a, b) = (Tensor::from_slice(&[f32::NAN]), Tensor::from_slice(&[0f32]));
        assert!(largest_difference(&[a], &[b]).unwrap().is_nan());
    }

    #[test]
    fn other_version_fails() {
        assert!(check_version(Some("2.11.0+cu130")).is_fine());
        assert!(!check_version(Some("2.11.1")).is_fine());
        assert!(!check_version(Some("2.10.0+cpu")).is_fine());
    }
}
