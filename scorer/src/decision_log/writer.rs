//! The way of records to the thread that writes them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use std::{io, thread};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::files::Files;
use super::record::Event;
use crate::cli::serve_args::LogSync;

/// Most records that wait to be written.
const QUEUE: usize = 1024;

/// Most bytes of snapshots and answers that wait to be written.
const QUEUE_BYTES: usize = 64 << 20;

/// How often the disk is asked to keep what was written.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// Longest time to write what is left when the service ends.
const CLOSING: Duration = Duration::from_secs(5);

/// What has become of records.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Lines that were written.
    pub written: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Records that were not.
    pub lost: Counter,
    /// 1 while records that must be kept leave no room for others.
    pub full: Gauge,
    /// Most bytes of all files together.
    pub bound_bytes: Gauge,
    /// Times that the system could not say that lines are on the disk.
    pub sync_failures: Counter,
}

/// A record that was not kept although it had to be.
#[derive(Debug)]
pub struct Lost;

/// Where records are put.
#[derive(Debug)]
pub struct DecisionLog {
    queue: SyncSender<Entry>,
    waiting: Arc<AtomicUsize>,
    /// Whether a decision waits until its record is kept.
    required: bool,
    counters: Counters,
    overflowing: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    event: Event,
    size: usize,
    /// Told whether the record is kept.
    reply: Option<SyncSender<bool>>,
}

impl DecisionLog {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub fn start(
        files: Files,
        sync: LogSync,
        required: bool,
        counters: Counters,
    ) -> io::Result<Self> {
        let (queue, entries) = mpsc::sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        counters.bound_bytes.set(i64::try_from(files.bound()).unwrap_or(i64::MAX));
        let writer = Writer {
            files,
            sync,
            counters: counters.clone(),
            waiting: Arc::clone(&waiting),
            synced: Instant::now(),
            losing: 0,
            unsynced: false,
        };
        thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || writer.write(&entries))?;
        Ok(Self { queue, waiting, required, counters, overflowing: AtomicBool::new(false) })
    }

    /// Puts a decision down. Waits only where records are required.
    ///
    /// # Errors
    /// When the record is required and was not kept.
    pub fn decision(&self, event: Event) -> Result<(), Lost> {
        if !self.required {
            self.put(event);
            return Ok(());
        }
        let (reply, kept) = mpsc::sync_channel(1);
        let size = event.size();
        self.waiting.fetch_add(size, Relaxed);
        self.queue.send(Entry { event, size, reply: Some(reply) }).map_err(|_| Lost)?;
        if kept.recv().unwrap_or(false) { Ok(()) } else { Err(Lost) }
    }

    /// Puts something down without waiting.
    pub fn put(&self, event: Event) {
        let size = event.size();
        let fits = self.waiting.fetch_add(size, Relaxed) + size <= QUEUE_BYTES;
        let lost = !fits || self.queue.try_send(Entry { event, size, reply: None }).is_err();
        if lost {
            self.waiting.fetch_sub(size, Relaxed);
            self.counters.lost.inc();
        }
        if lost && !self.overflowing.swap(lost, Relaxed) {
            tracing::error!("the decision log is too slow: records are lost (counted in /metrics)");
        }
        if !lost {
            self.overflowing.store(false, Relaxed);
        }
    }

    /// Puts the end down and waits, for a while, until everything is written.
    pub fn close(&self) {
        let until = Instant::now() + CLOSING;
        let (reply, kept) = mpsc::sync_channel(1);
        let mut entry = Entry { event: Event::End, size: 0, reply: Some(reply) };
        while Instant::now() < until {
            match self.queue.try_send(entry) {
                Ok(()) => {
                    // What is not written by then is lost with the process.
                    let _ = kept.recv_timeout(until.saturating_duration_since(Instant::now()));
                    return;
                }
                Err(mpsc::TrySendError::Full(back)) => entry = back,
                Err(mpsc::TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The thread that writes.
struct Writer {
    files: Files,
    sync: LogSync,
    counters: Counters,
    waiting: Arc<AtomicUsize>,
    /// When the disk was last asked to keep what was written.
    synced: Instant,
    /// Records lost since the last one that was kept.
    losing: u64,
    /// Whether the last attempt to bring lines to the disk failed.
    unsynced: bool,
}

impl Writer {
    fn write(mut self, entries: &Receiver<Entry>) {
        loop {
            let entry = match self.sync {
                LogSync::Interval => {
                    entries.recv_timeout(SYNC_PERIOD.saturating_sub(self.synced.elapsed()))
                }
                LogSync::Always | LogSync::Never => {
                    entries.recv().map_err(|_| RecvTimeoutError::Disconnected)
                }
            };
            match entry {
                Ok(Entry { event, size, reply }) => {
                    let ends = matches!(event, Event::End);
                    let kept = self.append(event) && (!ends || self.bring_to_disk());
                    self.waiting.fetch_sub(size, Relaxed);
                    if let Some(reply) = reply {
                        // Whoever asked may have given up.
                        let _ = reply.send(kept);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if matches!(self.sync, LogSync::Interval) && self.synced.elapsed() >= SYNC_PERIOD {
                self.bring_to_disk();
            }
        }
    }

    /// Whether the record is kept, as well as was asked for.
    fn append(&mut self, event: Event) -> bool {
        let line = event.line(self.files.limits()).map_err(io::Error::from);
        let appended = line.and_then(|line| self.files.append(&line).map(|()| line.len()));
        match appended {
            Ok(bytes) => {
                self.counters.written.inc();
                self.counters.bytes.inc_by(bytes as u64);
                self.counters.full.set(0);
                if self.losing > 0 {
                    tracing::warn!(lost = self.losing, "the decision log is kept again");
                    self.losing = 0;
                }
                !matches!(self.sync, LogSync::Always) || self.bring_to_disk()
            }
            Err(error) => {
                self.counters.lost.inc();
                // A quota of the system's own is an error of the system.
                let full =
                    error.kind() == io::ErrorKind::QuotaExceeded && error.raw_os_error().is_none();
                if full && self.counters.full.set(1) == 0 {
                    tracing::error!(
                        bound_bytes = self.files.bound(),
                        keep_s = self.files.keep_for().as_secs(),
                        "the decision log is full of records that are younger than --log-keep-s: \
                         others are lost until the oldest may go"
                    );
                }
                if self.losing == 0 {
                    tracing::error!(%error, "records of decisions are lost (counted in /metrics)");
                }
                self.losing += 1;
                false
            }
        }
    }

    fn bring_to_disk(&mut self) -> bool {
        self.synced = Instant::now();
        let synced = self.files.sync();
        if let Err(error) = &synced {
            self.counters.sync_failures.inc();
            if !self.unsynced {
                tracing::error!(%error, "the decision log may not be on the disk");
            }
        }
        self.unsynced = synced.is_err();
        synced.is_ok()
    }
}
