//! Other programs, run with a time-out: whatever they start is ended with them.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Most bytes of an output that are kept; the rest is read and dropped.
const MOST_BYTES: u64 = 64 << 20;
/// How often an end is looked for.
const LOOK: Duration = Duration::from_millis(5);
/// Most characters of what a program complains about that are told.
const MOST_TOLD: usize = 500;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// It ended with 0.
    pub(crate) success: bool,
    /// How it ended, in words.
    pub(crate) ended: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why a program said nothing that counts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// It was never started.
    #[error("cannot start {program}: {error}")]
    NotStarted { program: String, error: io::Error },
    /// It did not end in time, and was ended.
    #[error("{program} did not end within {} s", limit.as_secs_f32())]
    TimedOut { program: String, limit: Duration },
    /// The system failed it.
    #[error("{program}: {error}")]
    Broken { program: String, error: io::Error },
}

/// A program that is running in a process group of its own.
pub(crate) struct Running {
    program: String,
    child: Child,
    stdout: Receiver<io::Result<String>>,
    stderr: Receiver<io::Result<String>>,
}

/// A program that settings name: a path is relative to `folder`, a bare name is looked for on `PATH`.
pub(crate) fn found(program: &Path, folder: &Path) -> PathBuf {
    match program.components().count() {
        0 | 1 => program.to_owned(),
        _ => folder.join(program),
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started, or does not end and close its output within `limit`.
pub(crate) fn run(command: Command, input: &str, limit: Duration) -> Result<Output, RunError> {
    let deadline = Instant::now() + limit;
    let mut running = Running::start(command, input)?;
    let timed_out = |program: &str| RunError::TimedOut { program: program.to_owned(), limit };
    match running.ended_by(deadline)? {
        Some(output) => Ok(output),
        None => Err(timed_out(&running.program)),
    }
}

impl Running {
    /// Starts a program with `input` as its standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(mut command: Command, input: &str) -> Result<Self, RunError> {
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| RunError::NotStarted { program: program.clone(), error })?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = input.to_owned();
            // A program need not read what it is told: whether it did, its answer shows.
            thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        }
        let stdout = read(child.stdout.take());
        let stderr = read(child.stderr.take());
        Ok(Self { program, child, stdout, stderr })
    }

    /// What the program said, once it has ended; `None` where it has not by then.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn ended_by(&mut self, deadline: Instant) -> Result<Option<Output>, RunError> {
        let broken = |error| RunError::Broken { program: self.program.clone(), error };
        let status = loop {
            if let Some(status) = self.child.try_wait().map_err(broken)? {
                break status;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(LOOK.min(left));
        };
        // What it left behind may hold its output open.
        let left = || deadline.saturating_duration_since(Instant::now()).max(LOOK);
        let (Ok(stdout), Ok(stderr)) =
            (self.stdout.recv_timeout(left()), self.stderr.recv_timeout(left()))
        else {
            return Ok(None);
        };
        let [stdout, stderr] = [stdout.map_err(broken)?, stderr.map_err(broken)?];
        Ok(Some(Output { success: status.success(), ended: in_words(status), stdout, stderr }))
    }
}

impl Drop for Running {
    /// Ends the program, and what it started.
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Where all have ended there is no such group any more.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Output {
    /// How it ended and what it complained about, on one line.
    pub(crate) fn complaint(&self) -> String {
        let words: Vec<&str> = self.stderr.split_whitespace().collect();
        let text = words.join(" ");
        let from = text.char_indices().rev().nth(MOST_TOLD).map_or(0, |(at, _)| at);
        match text.is_empty() {
            true => format!("it {} and said nothing on standard error", self.ended),
            false => format!("it {}: {}", self.ended, &text[from..]),
        }
    }
}

fn in_words(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with {code}"),
        None => "was killed".to_owned(),
    }
}

/// Reads a stream to its end, beside whoever waits.
fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<io::Result<String>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = stream.map_or(Ok(()), |mut stream| {
            stream.by_ref().take(MOST_BYTES).read_to_end(&mut bytes)?;
            io::copy(&mut stream, &mut io::sink()).map(|_| ())
        });
        // Whoever waited may have given up.
        let _ = sender.send(result.map(|()| String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str, limit_ms: u64) -> Result<Output, RunError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, input, Duration::from_millis(limit_ms))
    }

    #[test]
    fn output_errors_and_exit_are_told() {
        let output = shell("cat; echo no  good >&2; exit 3", "hello", 20_000).unwrap();
        assert_eq!((output.success, output.stdout.as_str()), (false, "hello"));
        assert_eq!(output.complaint(), "it ended with 3: no good");
        let silent = shell("kill -9 $$", "", 20_000).unwrap();
        assert_eq!(silent.complaint(), "it was killed and said nothing on standard error");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let begin = Instant::now();
        // Long enough for a shell to write one line, on any machine that runs tests.
        let error = shell(&script, "", 2_000).unwrap_err();
        assert_eq!(error.to_string(), "sh did not end within 2 s");
        assert!(begin.elapsed() < Duration::from_secs(60));
        let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        // A process that nobody waits for any more is a zombie at most.
        let lives = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        while lives() {
            assert!(Instant::now() < deadline, "{pid} goes on");
            thread::sleep(LOOK);
        }
    }

    #[test]
    fn output_that_is_held_open_by_what_was_left_behind_ends_with_the_time() {
        let error = shell("sleep 600 &", "", 500).unwrap_err();
        assert!(matches!(error, RunError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn more_output_than_a_pipe_holds_and_more_input_than_is_read_are_no_trouble() {
        let input = "x".repeat(1 << 20);
        let output = shell("head -c 1000000 /dev/zero | tr '\\0' y", &input, 20_000).unwrap();
        assert_eq!(output.stdout.len(), 1_000_000);
    }

    #[test]
    fn a_program_that_is_not_there_was_not_started() {
        let error = run(Command::new("/no/such/program"), "", Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, RunError::NotStarted { .. }));
        assert!(error.to_string().starts_with("cannot start /no/such/program: "), "{error}");
    }
}
