//! The journal: records in files of a folder, appended to by one writer, on the disk before anything
//! depends on them.
//!
//! `moves.journal` is the present file. When it has grown large it gets a number, and a new one is
//! begun whose first record is all that is known; of the numbered ones the latest few are kept. A line
//! without its end is what a killed process leaves. Anything else that cannot be read is damage: the
//! file is kept under another name, and what can be read of it counts.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use godwit_decide::checked_line::{entry, line, whole_lines};
use godwit_decide::own_folder::{FolderError, OwnFolder};

use crate::ledger::Ledger;
use crate::ledger::record::{Event, Record};

/// Name and version of the format.
pub const FORMAT: &str = "godwit-journal/1";

/// The present file.
const FILE: &str = "moves.journal";

/// Size from which the present file gets a number, bytes.
const LARGE: u64 = 4 << 20;

/// Numbered files that are kept.
const KEPT: usize = 8;

/// Why a record could not be kept. What depends on it must not be done.
#[derive(Debug, thiserror::Error)]
#[error("journal {}: expected to write to it, got {source}", path.display())]
pub struct NotKept {
    path: PathBuf,
    source: io::Error,
}

/// The journal and what follows from it.
#[derive(Debug)]
pub struct Journal {
    folder: OwnFolder,
    file: File,
    bytes: u64,
    begun: u64,
    ledger: Ledger,
}

impl Journal {
    /// Reads what is known from a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When nothing can be read or written there, or another process does.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let folder = OwnFolder::open(folder)?;
        let mut ledger = Ledger::default();
        if let Some(mut bytes) = folder.read(FILE)? {
            let read = read(&bytes);
            read.records.iter().for_each(|record| ledger.apply(record));
            if read.damaged > 0 {
                let kept_as = folder.keep_damaged(FILE)?;
                tracing::error!(
                    lines = read.damaged,
                    read = read.records.len(),
                    kept_as = %kept_as.display(),
                    "the journal is damaged: the file is kept, and what can be read of it counts"
                );
            }
            if read.damaged == 0 && !read.records.is_empty() && (bytes.len() as u64) < LARGE {
                // The same file goes on, without a line that was never finished: a process that is
                // killed again and again must not push what happened out of the files that are kept.
                bytes
                    .truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
                let file = folder.begin(FILE, &bytes).map_err(|source| folder.refused(source))?;
                let bytes = bytes.len() as u64;
                return Ok(Self { folder, file, bytes, begun: 0, ledger });
            }
            number(&folder).map_err(|source| folder.refused(source))?;
        }
        let (file, bytes) = begin(&folder, &ledger).map_err(|source| folder.refused(source))?;
        Ok(Self { folder, file, bytes, begun: bytes, ledger })
    }

    /// What is known.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes a record down, and then knows it.
    ///
    /// # Errors
    /// When it is not on the disk: then it is as if it had not been written.
    pub fn put(&mut self, at_s: f64, event: Event) -> Result<(), NotKept> {
        let record = Record { at_s, event };
        self.append(&record).map_err(|source| self.not_kept(source))?;
        self.ledger.apply(&record);
        if self.bytes > LARGE.max(4 * self.begun) {
            self.turn_over().map_err(|source| self.not_kept(source))?;
        }
        Ok(())
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = line(record)?;
        let written = self.file.write_all(&line).and_then(|()| {
            if record.event.must_be_kept() { self.file.sync_data() } else { Ok(()) }
        });
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            // What is half written would hide what comes after it.
            Err(_) => self.file.set_len(self.bytes)?,
        }
        written
    }

    fn turn_over(&mut self) -> io::Result<()> {
        number(&self.folder)?;
        (self.file, self.bytes) = begin(&self.folder, &self.ledger)?;
        self.begun = self.bytes;
        Ok(())
    }

    fn not_kept(&self, source: io::Error) -> NotKept {
        NotKept { path: self.folder.file(FILE), source }
    }
}

fn begin(folder: &OwnFolder, ledger: &Ledger) -> io::Result<(File, u64)> {
    let event = Event::Begin { format: FORMAT.to_owned(), ledger: Box::new(ledger.clone()) };
    let line = line(&Record { at_s: crate::clock::now_s(), event })?;
    Ok((folder.begin(FILE, &line)?, line.len() as u64))
}

/// Gives the present file the next number, by a second name: until the new one has taken the first,
/// both are there. Removes the oldest.
fn number(folder: &OwnFolder) -> io::Result<()> {
    let present = folder.file(FILE);
    let parent = present.parent().unwrap_or(Path::new("."));
    let mut numbers = numbers(parent)?;
    let next = numbers.back().map_or(1, |last| last + 1);
    let name = |number: u64| parent.join(format!("{FILE}.{number}"));
    fs::hard_link(&present, name(next)).or_else(|_| fs::copy(&present, name(next)).map(|_| ()))?;
    numbers.push_back(next);
    while numbers.len() > KEPT {
        if let Some(oldest) = numbers.pop_front() {
            fs::remove_file(name(oldest))?;
        }
    }
    Ok(())
}

fn numbers(folder: &Path) -> io::Result<VecDeque<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(FILE)?.strip_prefix('.'));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers.into())
}

/// What a file says.
struct Read {
    records: Vec<Record>,
    damaged: usize,
}

fn read(bytes: &[u8]) -> Read {
    let mut read = Read { records: Vec::new(), damaged: 0 };
    for line in whole_lines(bytes) {
        match entry::<Record>(line) {
            Some(Record { event: Event::Begin { format, .. }, .. }) if format != FORMAT => {
                read.damaged += 1;
            }
            Some(record) => read.records.push(record),
            None => read.damaged += 1,
        }
    }
    read
}

/// The records of all files in a folder, the oldest first, without those that begin a file; nobody
/// need be kept from writing there.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn records(folder: &Path) -> io::Result<Vec<Record>> {
    let numbered = numbers(folder)?;
    let files = numbered.iter().map(|number| format!("{FILE}.{number}"));
    let mut records = Vec::new();
    for name in files.chain([FILE.to_owned()]) {
        match fs::read(folder.join(name)) {
            Ok(bytes) => records.extend(read(&bytes).records),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    records.retain(|record| !matches!(record.event, Event::Begin { .. }));
    Ok(records)
}

/// What is known from the files of a folder, as [`records`].
///
/// # Errors
/// When the folder or the present file cannot be read.
pub fn ledger(folder: &Path) -> io::Result<Ledger> {
    let mut ledger = Ledger::default();
    read(&fs::read(folder.join(FILE))?).records.iter().for_each(|record| ledger.apply(record));
    Ok(ledger)
}
