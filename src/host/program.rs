//! Runs a program that only tells something, with a time limit, and takes what it says.

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take: to list a large set of rules takes seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why a program told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not installed
    Missing,
    /// Anything else, in a few words
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not installed"),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

/// Runs a program and gives what it wrote on its standard output.
pub(super) fn run(program: &str, arguments: &[&str], patience: Duration) -> Result<String, Trouble> {
    // The programs of an administrator are not in everybody's path.
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::Missing,
            _ => Trouble::Failed(error.to_string()),
        })?;
    let until = Instant::now() + patience;
    let output = take(child.stdout.take());
    let errors = take(child.stderr.take());
    let result = finish(&mut child, &output, &errors, until);
    if result.is_err() {
        // One that has ended by itself cannot be killed, and that is no trouble.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

/// Reads a stream to its end beside everything else, so that none of two full pipes stops the program.
fn take(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

fn finish(
    child: &mut Child,
    output: &mpsc::Receiver<Vec<u8>>,
    errors: &mpsc::Receiver<Vec<u8>>,
    until: Instant,
) -> Result<String, Trouble> {
    let wait = |stream: &mpsc::Receiver<Vec<u8>>| {
        let left = until.saturating_duration_since(Instant::now());
        stream.recv_timeout(left).map_err(|_| Trouble::Failed("it does not come to an end".to_owned()))
    };
    let output = wait(output)?;
    let errors = wait(errors)?;
    let status = loop {
        match child.try_wait().map_err(|error| Trouble::Failed(error.to_string()))? {
            Some(status) => break status,
            None if Instant::now() >= until => {
                return Err(Trouble::Failed("it does not come to an end".to_owned()));
            }
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    if !status.success() {
        let errors = String::from_utf8_lossy(&errors);
        let first = errors.lines().map(str::trim).find(|line| !line.is_empty());
        return Err(Trouble::Failed(first.map_or_else(|| status.to_string(), str::to_owned)));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> Result<String, Trouble> {
        run("sh", &["-c", script], patience)
    }

    #[test]
    fn what_a_program_says_is_taken_whatever_its_length() {
        let long =
            sh("head -c 300000 /dev/zero | tr '\\0' x >&2; head -c 300000 /dev/zero | tr '\\0' y", PATIENCE);
        assert_eq!(long, Ok("y".repeat(300_000)));
    }

    #[test]
    fn a_program_that_fails_hangs_or_is_not_there_is_told_apart() {
        let failed = |words: &str| Err(Trouble::Failed(words.to_owned()));
        assert_eq!(sh("echo; echo no permission >&2; exit 1", PATIENCE), failed("no permission"));
        assert_eq!(sh("exit 3", PATIENCE), failed("exit status: 3"));
        let from = Instant::now();
        let short = Duration::from_millis(100);
        assert_eq!(sh("exec sleep 60", short), failed("it does not come to an end"));
        // Closed streams do not mean that it ended.
        assert_eq!(sh("exec >&- 2>&-; exec sleep 60", short), failed("it does not come to an end"));
        assert!(from.elapsed() < Duration::from_secs(20));
        assert_eq!(run("no-such-program", &[], PATIENCE), Err(Trouble::Missing));
    }
}
