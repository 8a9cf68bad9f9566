//! Has a process of its own probe for root, which gives up root's privileges, and shows how far it is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{self, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{CommandError, Console, ERROR};
use crate::cli::{CheckOptions, ReportOutput};
use crate::config::Source;
use crate::daemon::StartError;

/// What a line of the child begins with that says how far it is; no message does.
const MARK: char = '\u{1e}';
/// The shortest time between two such lines.
const EVERY: Duration = Duration::from_millis(100);

/// Has a process of its own do it, which gets the file as its input: it may not be able to read it any more.
pub(super) fn run(
    source: &Source,
    options: &CheckOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let output = match options.output {
        ReportOutput::Text => "text",
        ReportOutput::Json => "json",
    };
    let mut command = Command::new("/proc/self/exe");
    command.args(["--file", "-", "check", "--output", output, "--parent", &process::id().to_string()]);
    if let Some(name) = &options.name {
        command.args(["--", name]);
    }
    console.progress.set_task("probing");
    let progress = console.progress.clone();
    let ran = output_of(&mut command, source.text.as_bytes(), |done, of| progress.probe(done, of));
    let (status, stdout, messages) = ran.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    console.progress.wipe();
    let _ = console.err.write_all(&messages);
    console.out.write_all(&stdout)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(ERROR))
}

/// Says in the child how far it is, now and then.
pub(super) fn reporter(mut err: impl Write) -> impl FnMut(usize, usize) {
    let mut last: Option<Instant> = None;
    move |done, of| {
        let now = Instant::now();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= EVERY) {
            last = Some(now);
            // Without its parent it ends anyway.
            let _ = writeln!(err, "{MARK}{done} {of}");
        }
    }
}

/// Runs a program with an input, which it reads before it writes; `shown` gets how far it is.
fn output_of(
    command: &mut Command,
    input: &[u8],
    shown: impl FnMut(usize, usize) + Send,
) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stderr = child.stderr.take();
    thread::scope(|scope| {
        let read = move || stderr.map(|stderr| messages(stderr, shown)).unwrap_or_default();
        let reader = thread::Builder::new().name("messages".to_owned()).spawn_scoped(scope, read)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input)?;
        }
        let process::Output { status, stdout, stderr: _ } = child.wait_with_output()?;
        // A thread does not panic.
        Ok((status, stdout, reader.join().unwrap_or_default()))
    })
}

/// Reads to the end what a child writes beside its result: gives its messages.
fn messages(from: impl Read, mut shown: impl FnMut(usize, usize)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        match how_far(&line) {
            Some((done, of)) => shown(done, of),
            None => all.extend_from_slice(&line),
        }
        line.clear();
    }
    all
}

fn how_far(line: &[u8]) -> Option<(usize, usize)> {
    let (done, of) = std::str::from_utf8(line).ok()?.strip_prefix(MARK)?.trim_end().split_once(' ')?;
    Some((done.parse().ok()?, of.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_the_child_is_is_shown_and_its_messages_are_kept() {
        let mut written = Vec::new();
        reporter(&mut written)(3, 10);
        written.extend_from_slice(b"warning: x\n\x1enothing\nerror: y");
        let mut shown = Vec::new();
        let messages = messages(&*written, |done, of| shown.push((done, of)));
        assert_eq!(
            (shown, String::from_utf8(messages).unwrap()),
            (vec![(3, 10)], "warning: x\n\x1enothing\nerror: y".to_owned())
        );
    }
}
