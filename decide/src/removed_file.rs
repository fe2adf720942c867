//! Files that someone has removed while they are written to.

use std::fs::File;

/// Whether the file has been removed, perhaps with its folder.
pub fn is_gone(file: &File) -> bool {
    #[cfg(unix)]
    let gone = file.metadata().is_ok_and(|file| std::os::unix::fs::MetadataExt::nlink(&file) == 0);
    #[cfg(not(unix))]
    let gone = file.metadata().is_err();
    gone
}
