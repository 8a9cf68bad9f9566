//! Shows the progress of a command on one line of a terminal, which is erased in the end.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use std::{env, mem};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

use crate::kernel::{ProgressEvent, ProgressSink};

/// Shorter work shows no line.
const AFTER: Duration = Duration::from_secs(1);

/// The shortest interval between two drawings.
const EVERY: Duration = Duration::from_millis(100);

/// Moves the cursor to the begin of the line, and erases the line.
const WIPE: &str = "\r\x1b[K";

/// The progress of a command. Clones share one line.
///
/// The work only stores how far it is. A thread of its own draws the line, so that the work reads no clock and waits for no
/// terminal.
#[derive(Clone, Default)]
pub struct Progress {
    /// `None` where it would not be visible
    line: Option<Arc<Line>>,
}

impl Progress {
    /// Shows a line on standard error, if that is a terminal on which a line can be rewritten.
    pub fn on_stderr() -> Self {
        let can_rewrite = env::var_os("TERM").is_some_and(|name| name != "dumb");
        let is_seen = can_rewrite && io::stderr().is_terminal();
        Self { line: is_seen.then(|| Arc::new(Line::new(Box::new(io::stderr()), columns))) }
    }

    /// Names the task that begins.
    pub fn set_task(&self, doing: &'static str) {
        if let Some(line) = &self.line {
            line.note(|state| state.work = Some(Work { doing, count: None }));
        }
    }

    /// Begins to carry out a plan with this number of operations; a reading after that verifies it.
    pub fn apply(&self, operations: usize) {
        if let Some(line) = &self.line {
            line.note(|state| {
                (state.planned, state.executed) = (Some(operations), 0);
                state.take(ProgressEvent::Executed { edits: 0 });
            });
        }
    }

    /// Shows how many servers have been probed.
    pub fn probe(&self, done: usize, of: usize) {
        if let Some(line) = &self.line {
            line.note(|state| {
                state.work = Some(Work { doing: "probing", count: Some((done, of, "targets")) })
            });
        }
    }

    /// Receives the progress of a kernel, if a line is shown.
    pub fn sink(&self) -> Option<ProgressSink> {
        let line = Arc::clone(self.line.as_ref()?);
        Some(Box::new(move |step| line.note(|state| state.take(step))))
    }

    /// Wraps a stream that may lead to the same terminal: a write erases the line first, which comes back with the next progress.
    pub fn wrap<W: Write + AsFd>(&self, stream: W) -> WipingStream<W> {
        WipingStream { ends_line: self.line.is_some() && is_pipe(&stream), progress: self.clone(), stream }
    }

    /// Erases the line, until there is new progress.
    pub fn wipe(&self) {
        if let Some(line) = &self.line {
            line.wipe(false);
        }
    }
}

/// A stream wipes_line the line.
pub struct WipingStream<W> {
    stream: W,
    progress: Progress,
    /// Whether the line does not come back: the reader of a pipe may be a pager, which then owns the terminal
    ends_line: bool,
}

impl<W: Write> Write for WipingStream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(line) = &self.progress.line {
            line.wipe(self.ends_line);
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard output may write the rest of its buffer only here.
        self.progress.wipe();
        self.stream.flush()
    }
}

fn is_pipe(stream: &impl AsFd) -> bool {
    let file = stream.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// The width of standard error's terminal, or `None` where nothing is to be drawn on it now.
fn columns() -> Option<usize> {
    let stderr = io::stderr();
    // A job in the background does not draw on the terminal of the one in the foreground.
    if tcgetpgrp(&stderr).is_ok_and(|front| front != getpgrp()) {
        return None;
    }
    match tcgetwinsize(&stderr).map_or(0, |size| size.ws_col) {
        0 => Some(80), // a terminal that does not know its width
        columns => Some(columns.into()),
    }
}

/// The line: what it should show, and what it shows.
struct Line {
    state: Mutex<ProgressState>,
    /// Locked while a slow terminal is written to, so the work never locks it, except to erase the line
    terminal: Mutex<Terminal>,
    columns: fn() -> Option<usize>,
}

/// The state of the work.
#[derive(Default)]
struct ProgressState {
    /// What is to be shown, if anything
    work: Option<Work>,
    /// The number of operations of the plan that is or was carried out
    planned: Option<usize>,
    /// How many of them were carried out
    executed: usize,
    /// Whether the drawing thread was started
    is_drawn: bool,
    /// Whether the line must not come back
    is_over: bool,
}

struct Terminal {
    stream: Box<dyn Write + Send>,
    /// The text of the line, if it is visible
    shown: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Work {
    doing: &'static str,
    /// How many are done, of how many, and their noun
    count: Option<(usize, usize, &'static str)>,
}

impl Line {
    fn new(stream: Box<dyn Write + Send>, columns: fn() -> Option<usize>) -> Self {
        Self { state: Mutex::default(), terminal: Mutex::new(Terminal { stream, shown: None }), columns }
    }

    fn note(self: &Arc<Self>, change: impl FnOnce(&mut ProgressState)) {
        let mut state = lock(&self.state);
        change(&mut state);
        if !mem::replace(&mut state.is_drawn, true) {
            let line = Arc::downgrade(self);
            let draw = move || {
                thread::sleep(AFTER);
                while let Some(line) = line.upgrade() {
                    line.draw();
                    drop(line);
                    thread::sleep(EVERY);
                }
            };
            // Without a thread there is no line.
            let _ = thread::Builder::new().name("progress".into()).spawn(draw);
        }
    }

    fn draw(&self) {
        let mut terminal = lock(&self.terminal);
        let ProgressState { work: Some(work), is_over: false, .. } = *lock(&self.state) else { return };
        let Some(columns) = (self.columns)() else { return };
        // Some terminals start a new line as soon as the last column is written.
        let text: String = work.text().chars().take(columns.saturating_sub(1)).collect();
        if terminal.shown.as_ref() != Some(&text) {
            terminal.write(&format!("\r{text}\x1b[K"));
            terminal.shown = Some(text);
        }
    }

    fn wipe(&self, for_good: bool) {
        let mut state = lock(&self.state);
        state.work = None;
        state.is_over |= for_good;
        drop(state);
        let mut terminal = lock(&self.terminal);
        if terminal.shown.take().is_some() {
            terminal.write(WIPE);
        }
    }
}

impl ProgressState {
    fn take(&mut self, step: ProgressEvent) {
        let reading = if self.planned.is_some() { "verifying" } else { "reading the kernel" };
        self.work = Some(match step {
            ProgressEvent::Listing => Work { doing: reading, count: None },
            ProgressEvent::Read { services, of } => {
                Work { doing: reading, count: Some((services, of, "virtual services")) }
            }
            ProgressEvent::Executed { edits } => {
                self.executed += edits;
                let count = self.planned.map(|planned| (self.executed, planned, "operations"));
                Work { doing: "applying", count }
            }
        });
    }
}

impl Work {
    fn text(self) -> String {
        let Self { doing, count } = self;
        match count {
            Some((done, of, what)) => format!("{doing}: {} of {} {what}", grouped(done), grouped(of)),
            None => doing.to_owned(),
        }
    }
}

impl Terminal {
    fn write(&mut self, text: &str) {
        // An error means that the terminal is gone, and cannot be reported there.
        let _ = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
    }
}

/// A number with separated thousands: 110,000.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Locks a mutex; the state that a panicked thread left is good enough for a line.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that keeps what it is sent.
    #[derive(Clone, Default)]
    struct Sent(Arc<Mutex<Vec<u8>>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sent {
        fn take(&self) -> String {
            String::from_utf8(mem::take(&mut *lock(&self.0))).unwrap()
        }
    }

    /// A line that only the test draws.
    fn line(columns: fn() -> Option<usize>) -> (Sent, Arc<Line>, Progress) {
        let sent = Sent::default();
        let line = Arc::new(Line::new(Box::new(sent.clone()), columns));
        lock(&line.state).is_drawn = true;
        (sent, Arc::clone(&line), Progress { line: Some(line) })
    }

    #[test]
    fn a_pass_is_shown_with_its_numbers() {
        let (sent, line, progress) = line(|| Some(80));
        let mut shown = Vec::new();
        let mut draw = || {
            line.draw();
            shown.push(sent.take());
        };
        progress.set_task("reading the file");
        draw();
        let mut kernel = progress.sink().unwrap();
        for step in [ProgressEvent::Listing, ProgressEvent::Read { services: 4_200, of: 10_000 }] {
            kernel(step);
            draw();
        }
        progress.apply(110_000);
        draw();
        kernel(ProgressEvent::Executed { edits: 200 });
        kernel(ProgressEvent::Executed { edits: 22_800 });
        draw();
        kernel(ProgressEvent::Listing);
        draw();
        kernel(ProgressEvent::Read { services: 999, of: 10_000 });
        draw();
        let expected = [
            "reading the file",
            "reading the kernel",
            "reading the kernel: 4,200 of 10,000 virtual services",
            "applying: 0 of 110,000 operations",
            "applying: 23,000 of 110,000 operations",
            "verifying",
            "verifying: 999 of 10,000 virtual services",
        ];
        assert_eq!(shown, expected.map(|text| format!("\r{text}\x1b[K")));
    }

    #[test]
    fn a_write_to_the_same_terminal_erases_the_line_and_progress_brings_it_back() {
        let (sent, line, progress) = line(|| Some(80));
        let pager = Sent::default();
        let mut stream = WipingStream { stream: sent.clone(), progress: progress.clone(), ends_line: false };
        progress.set_task("reading the file");
        line.draw();
        stream.write_all(b"warning: ").unwrap();
        line.draw();
        stream.write_all(b"no\n").unwrap();
        stream.flush().unwrap();
        assert_eq!(sent.take(), "\rreading the file\x1b[K\r\x1b[Kwarning: no\n");
        progress.set_task("checking the file");
        line.draw();
        line.draw();
        progress.wipe();
        progress.wipe();
        assert_eq!(sent.take(), "\rchecking the file\x1b[K\r\x1b[K");

        let mut stream = WipingStream { stream: pager.clone(), progress: progress.clone(), ends_line: true };
        stream.write_all(b"for a pager").unwrap();
        progress.set_task("reading the file");
        line.draw();
        assert_eq!((sent.take(), pager.take()), (String::new(), "for a pager".to_owned()));
    }

    #[test]
    fn it_never_fills_the_last_column() {
        let (sent, line, progress) = line(|| Some(10));
        progress.set_task("reading the file");
        line.draw();
        assert_eq!(sent.take(), "\rreading t\x1b[K");
    }

    #[test]
    fn in_the_background_nothing_is_drawn() {
        let (sent, line, progress) = line(|| None);
        progress.set_task("reading the file");
        line.draw();
        progress.wipe();
        assert_eq!(sent.take(), "");
    }

    #[test]
    fn a_terminal_that_blocks_does_not_delay_the_work() {
        let (_, line, progress) = line(|| Some(80));
        let _drawing = lock(&line.terminal);
        progress.set_task("reading the file");
        progress.apply(2);
        progress.sink().unwrap()(ProgressEvent::Executed { edits: 1 });
        assert_eq!(lock(&line.state).executed, 1);
    }

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 12, 999, 1_000, 12_345, 100_000, 1_234_567];
        assert_eq!(
            numbers.map(grouped),
            ["0", "12", "999", "1,000", "12,345", "100,000", "1,234,567"].map(str::to_owned)
        );
    }
}
