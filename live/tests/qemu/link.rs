//! A link between hosts that can be stalled: what a source sends goes through it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A link to one guest's destination.
pub struct Link {
    stalled: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Link {
    /// Listens where a source expects its destination, which listens beside it: see [`script`].
    pub fn new(incoming: &Path) -> Self {
        let link = Self { stalled: Arc::default(), over: Arc::default() };
        let listener = UnixListener::bind(incoming).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stalled, over) = (Arc::clone(&link.stalled), Arc::clone(&link.over));
        let real = real(incoming);
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((source, _)) => {
                        source.set_nonblocking(false).unwrap();
                        let Ok(destination) = UnixStream::connect(&real) else { continue };
                        for [from, to] in [[&source, &destination], [&destination, &source]] {
                            let ends = [from.try_clone().unwrap(), to.try_clone().unwrap()];
                            let signs = [Arc::clone(&stalled), Arc::clone(&over)];
                            thread::spawn(move || carry(ends, &signs));
                        }
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        link
    }

    /// Nothing gets through any more, and nobody is told.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// Everything gets through again.
    pub fn go_on(&self) {
        self.stalled.store(false, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Carries bytes in one direction until either end is closed, or the link is over.
fn carry([mut from, mut to]: [UnixStream; 2], [stalled, over]: &[Arc<AtomicBool>; 2]) {
    from.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut bytes = vec![0; 64 << 10];
    while !over.load(Ordering::Relaxed) {
        if stalled.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) if to.write_all(&bytes[..read]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

/// Where the destination itself listens.
fn real(incoming: &Path) -> PathBuf {
    incoming.with_extension("real")
}

/// A script in place of `begin`, whose destinations leave their place to a link.
pub fn script(folder: &Path) -> PathBuf {
    let script = folder.join("begin-behind-link");
    let text = format!(
        "#!/bin/sh\nset -eu\nexec '{}/begin' \"$1\" \"$2\" \"${{3%.incoming}}.real\"\n",
        folder.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}
