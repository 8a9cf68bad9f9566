//! Runs another program with text in and text out, within a limit of time and a limit of output.

use std::env;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mio::unix::pipe::{Receiver, Sender};
use mio::{Events, Interest, Poll, Token};

/// The most output of a program, in bytes: the rules of a hundred thousand services are a tenth of it.
const MOST: u64 = 64 << 20;

/// How often a program that has closed its output already is checked for its end.
const INTERVAL: Duration = Duration::from_millis(1);

/// What a program that ended by itself left.
#[derive(Debug)]
pub struct ProgramOutput {
    /// How it ended
    pub status: ExitStatus,
    /// Its standard output
    pub stdout: String,
    /// Its standard error
    pub stderr: String,
}

/// Why a program was not run to its end.
#[derive(Debug)]
pub enum RunError {
    /// It could not be started.
    Start(io::Error),
    /// It took longer than this, and was killed.
    Slow(Duration),
    /// It was started, but its input or output failed.
    Pipe(io::Error),
    /// It printed more than so many bytes, and was killed.
    TooMuch(u64),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(_) => f.write_str("it cannot be started"),
            Self::Slow(limit) => write!(f, "it took more than {} s and was killed", limit.as_secs()),
            Self::Pipe(_) => f.write_str("its input or output failed"),
            Self::TooMuch(limit) => write!(f, "it printed more than {} MiB and was killed", limit >> 20),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) | Self::Pipe(error) => Some(error),
            Self::Slow(_) | Self::TooMuch(_) => None,
        }
    }
}

/// Where else to look for programs: these are not in everybody's PATH.
const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

/// Where a program is installed. It is looked for each time: it may be installed while lbd runs.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
    // Whoever may write to the working directory must not run programs as root.
    directories
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Runs a program with `input` for its standard input, for no longer than `patience`.
///
/// # Errors
/// Where it does not end by itself, or prints more than 64 MiB. That it ended with an error status is no error here.
pub fn run(command: &mut Command, input: &str, patience: Duration) -> Result<ProgramOutput, RunError> {
    run_limited(command, input, patience, MOST)
}

fn run_limited(
    command: &mut Command,
    input: &str,
    patience: Duration,
    most: u64,
) -> Result<ProgramOutput, RunError> {
    let until = Instant::now() + patience;
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(RunError::Start)?;
    let result = Pipes::of(&mut child, input).and_then(|mut pipes| {
        if !pipes.pump(until, most)? {
            return Ok(None);
        }
        let status = wait(&mut child, until)?;
        Ok(status.map(|status| (status, pipes)))
    });
    if !matches!(result, Ok(Some(_))) {
        // It may have ended by itself just now. Either way nothing of it is left behind.
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match result {
        Ok(Some((status, Pipes { stdout, stderr, .. }))) => {
            Ok(ProgramOutput { status, stdout: text(stdout), stderr: text(stderr) })
        }
        Ok(None) => Err(RunError::Slow(patience)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(RunError::TooMuch(most)),
        Err(error) => Err(RunError::Pipe(error)),
    }
}

fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= until {
            return Ok(status);
        }
        thread::sleep(INTERVAL);
    }
}

/// All three pipes at once: whoever filled one while the program fills another would wait for ever.
struct Pipes<'a> {
    poll: Poll,
    /// What is still to be written, and where to; closed when all is written
    input: (&'a [u8], Option<Sender>),
    /// Each until it is at its end
    out: Option<Receiver>,
    err: Option<Receiver>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl<'a> Pipes<'a> {
    fn of(child: &mut Child, input: &'a str) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sender = child.stdin.take().map(Sender::from);
        let mut out = child.stdout.take().map(Receiver::from);
        let mut err = child.stderr.take().map(Receiver::from);
        if let Some(sender) = &mut sender {
            sender.set_nonblocking(true)?;
            poll.registry().register(sender, Token(0), Interest::WRITABLE)?;
        }
        for (number, receiver) in [&mut out, &mut err].into_iter().flatten().enumerate() {
            receiver.set_nonblocking(true)?;
            poll.registry().register(receiver, Token(1 + number), Interest::READABLE)?;
        }
        let input = (input.as_bytes(), sender);
        Ok(Self { poll, input, out, err, stdout: Vec::new(), stderr: Vec::new() })
    }

    /// Writes and reads until the program has closed its output; gives whether that was in time.
    fn pump(&mut self, until: Instant, most: u64) -> io::Result<bool> {
        let mut events = Events::with_capacity(3);
        loop {
            let (rest, sender) = &mut self.input;
            write_some(rest, sender);
            read_some(&mut self.out, &mut self.stdout, most)?;
            read_some(&mut self.err, &mut self.stderr, most)?;
            if self.out.is_none() && self.err.is_none() {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Writes as much as the pipe takes. A program that stops reading prints the reason itself.
fn write_some(rest: &mut &[u8], pipe: &mut Option<Sender>) {
    while let Some(sender) = pipe {
        match sender.write(rest) {
            Ok(written) if written > 0 => *rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => *pipe = None,
        }
    }
}

/// Reads as much as there is, and closes the pipe at its end. More than `most` in all is an error.
fn read_some(pipe: &mut Option<Receiver>, into: &mut Vec<u8>, most: u64) -> io::Result<()> {
    let Some(receiver) = pipe else { return Ok(()) };
    // One more: the end shows only when there is nothing more to read.
    let left = (most + 1).saturating_sub(into.len() as u64);
    match receiver.take(left).read_to_end(into) {
        Ok(_) if into.len() as u64 > most => Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => {
            *pipe = None;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &str, patience: u64) -> Result<ProgramOutput, RunError> {
        run(Command::new("sh").args(["-c", script]), input, Duration::from_millis(patience))
    }

    #[test]
    fn everything_goes_in_and_comes_out() {
        // More than three pipes hold.
        let input = "0123456789".repeat(100_000);
        let output = sh("tee /dev/stderr; exit 3", &input, 30_000).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout == input && output.stderr == input);
    }

    #[test]
    fn a_program_that_does_not_read_is_no_error() {
        let input = "0123456789".repeat(100_000);
        let output = sh("echo no >&2", &input, 30_000).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "no\n"));
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        for script in ["exec sleep 60", "exec sleep 60 >&- 2>&-", "echo some; exec sleep 60"] {
            let began = Instant::now();
            assert!(matches!(sh(script, "", 100), Err(RunError::Slow(_))), "{script}");
            assert!(began.elapsed() < Duration::from_secs(10), "{script}");
        }
    }

    #[test]
    fn a_program_that_prints_too_much_is_killed() {
        for script in ["exec cat /dev/zero", "exec cat /dev/zero >&2", "printf 1234; exec sleep 60"] {
            let began = Instant::now();
            let mut command = Command::new("sh");
            let result = run_limited(command.args(["-c", script]), "", Duration::from_secs(60), 3);
            assert!(matches!(result, Err(RunError::TooMuch(3))), "{script}: {result:?}");
            assert!(began.elapsed() < Duration::from_secs(30), "{script}");
        }
        let mut command = Command::new("sh");
        let output = run_limited(command.args(["-c", "printf 123"]), "", Duration::from_secs(60), 3).unwrap();
        assert_eq!(output.stdout, "123");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_fails() {
        let missing = run(&mut Command::new("/nonexistent/nft"), "", Duration::from_secs(1));
        assert!(matches!(missing, Err(RunError::Start(error)) if error.kind() == io::ErrorKind::NotFound));
    }
}
