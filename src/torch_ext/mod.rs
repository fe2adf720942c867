//! What tch lacks, through a small C++ bridge: writing a TorchScript module
//! with named parameters and extra files, and what updates on a CUDA device
//! need ([`cuda`]). All `unsafe` calls into our own C++ are here.

pub mod cuda;

use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};

use tch::Tensor;

/// Why a TorchScript module was not written.
#[derive(Debug, thiserror::Error)]
pub enum ScriptModuleError {
    /// A parameter or constant is named as TorchScript source could not name it.
    #[error(
        "{name:?} cannot name a parameter or constant: expected letters, digits and underscores, \
         the first no digit"
    )]
    Name {
        /// The name that was given.
        name: String,
    },
    /// libtorch takes file names as text.
    #[error("expected a path in UTF-8, got {}", path.display())]
    Path {
        /// The path that was given.
        path: PathBuf,
    },
    /// libtorch refused the source, a name or the file; its own words.
    #[error("libtorch could not make the script module {}: {message}", path.display())]
    Libtorch {
        /// Where the module was to be written.
        path: PathBuf,
        /// What libtorch said.
        message: String,
    },
}

/// A constant of a script module: read as `self.name` in its source and saved
/// with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// An `int` in TorchScript.
    Integer(i64),
    /// A `float` in TorchScript.
    Real(f64),
    /// A `str` in TorchScript.
    Text(String),
}

/// Compiles `source` (TorchScript methods such as `forward` and `act`, each
/// with `self` first) into a module with the given parameters and writes it to
/// `path`. `torch.jit.load` in Python, `torch::jit::load` in C++ and
/// [`tch::CModule`] load it.
///
/// Parameters are copied to the CPU; their names are the keys of the module's
/// `state_dict()`, so they are identifiers without dots. Extra files lie in the
/// archive under `extra/`. An existing file is overwritten, and a failure may
/// leave half a file: write beside the final place and rename.
pub fn export_script_module(
    path: &Path,
    source: &str,
    parameters: &[(String, &Tensor)],
    constants: &[(String, Constant)],
    extra_files: &[(String, Vec<u8>)],
) -> Result<(), ScriptModuleError> {
    let names = parameters.iter().map(|(name, _)| name);
    if let Some(name) =
        names.chain(constants.iter().map(|(name, _)| name)).find(|name| !is_identifier(name))
    {
        return Err(ScriptModuleError::Name { name: name.clone() });
    }
    let Some(path_text) = path.to_str() else {
        return Err(ScriptModuleError::Path { path: path.to_owned() });
    };
    let raw_parameters: Vec<RawTensor> = parameters
        .iter()
        .map(|(name, tensor)| RawTensor {
            name: RawBytes::new(name.as_bytes()),
            tensor: tensor.as_ptr().cast(),
        })
        .collect();
    let raw_constants: Vec<RawConstant> =
        constants.iter().map(|(name, constant)| RawConstant::new(name, constant)).collect();
    let raw_files: Vec<RawFile> = extra_files
        .iter()
        .map(|(name, content)| RawFile {
            name: RawBytes::new(name.as_bytes()),
            content: RawBytes::new(content),
        })
        .collect();
    // SAFETY: every pointer is to a slice, string or tensor borrowed for longer
    // than the call, with its true length; the structures are `repr(C)` and laid
    // out as in bridge.h; the C++ side only reads, keeps none of the pointers and
    // lets no exception out.
    let message = unsafe {
        godwit_export_script_module(
            RawBytes::new(path_text.as_bytes()),
            RawBytes::new(CLASS_NAME.as_bytes()),
            RawBytes::new(source.as_bytes()),
            raw_parameters.as_ptr(),
            raw_parameters.len(),
            raw_constants.as_ptr(),
            raw_constants.len(),
            raw_files.as_ptr(),
            raw_files.len(),
        )
    };
    take_message(message).map_or(Ok(()), |message| {
        Err(ScriptModuleError::Libtorch { path: path.to_owned(), message })
    })
}

/// What Python shows as the class of the loaded module.
const CLASS_NAME: &str = "GodwitPolicy";

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Copies and frees a message of the bridge; null means that there is none.
fn take_message(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: not null, so it is a C string that the bridge allocated and handed
    // over to us.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().trim().to_owned();
    // SAFETY: allocated by the bridge, not used after this, freed once.
    unsafe { godwit_free_message(message) };
    Some(text)
}

#[repr(C)]
struct RawBytes {
    data: *const c_char,
    size: usize,
}

impl RawBytes {
    /// The bytes must outlive what is made here.
    fn new(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), size: bytes.len() }
    }
}

#[repr(C)]
struct RawTensor {
    name: RawBytes,
    tensor: *const c_void,
}

#[repr(C)]
struct RawConstant {
    name: RawBytes,
    kind: i32,
    integer: i64,
    real: f64,
    text: RawBytes,
}

impl RawConstant {
    fn new(name: &str, constant: &Constant) -> Self {
        let (kind, integer, real, text) = match constant {
            Constant::Integer(value) => (0, *value, 0.0, ""),
            Constant::Real(value) => (1, 0, *value, ""),
            Constant::Text(value) => (2, 0, 0.0, value.as_str()),
        };
        let (name, text) = (RawBytes::new(name.as_bytes()), RawBytes::new(text.as_bytes()));
        Self { name, kind, integer, real, text }
    }
}

#[repr(C)]
struct RawFile {
    name: RawBytes,
    content: RawBytes,
}

unsafe extern "C" {
    fn godwit_export_script_module(
        path: RawBytes,
        class_name: RawBytes,
        source: RawBytes,
        parameters: *const RawTensor,
        parameter_count: usize,
        constants: *const RawConstant,
        constant_count: usize,
        files: *const RawFile,
        file_count: usize,
    ) -> *mut c_char;
    fn godwit_free_message(message: *mut c_char);
}

#[cfg(test)]
mod tests;
