//! Shows on a terminal what a command is at, on one line that goes as it came.

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

/// What takes no longer needs no line.
const AFTER: Duration = Duration::from_secs(1);

/// How often the line is drawn at most.
const EVERY: Duration = Duration::from_millis(100);

/// Puts the cursor at the begin of the line, and erases it.
const WIPE: &str = "\r\x1b[K";

/// What a command is at, told to whoever waits for it. All copies of one are one line.
///
/// The work only notes where it is. A thread of its own draws that, so that the work asks for no clock and waits for
/// no terminal.
#[derive(Clone, Default)]
pub struct Progress {
    /// `None` where nobody would see it
    line: Option<Arc<Line>>,
}

impl Progress {
    /// A line on standard error, if that is a terminal on which a line can be rewritten.
    pub fn on_stderr() -> Self {
        let can_rewrite = env::var_os("TERM").is_some_and(|name| name != "dumb");
        let is_seen = can_rewrite && io::stderr().is_terminal();
        Self { line: is_seen.then(|| Arc::new(Line::new(Box::new(io::stderr()), columns))) }
    }

    /// Says what is begun.
    pub fn say(&self, doing: &'static str) {
        if let Some(line) = &self.line {
            line.note(|now| now.work = Some(Work { doing, count: None }));
        }
    }

    /// Says that a plan with so many operations is carried out next, and what is read after that is to verify it.
    pub fn apply(&self, operations: usize) {
        if let Some(line) = &self.line {
            line.note(|now| {
                (now.planned, now.executed) = (Some(operations), 0);
                now.take(ProgressEvent::Executed { edits: 0 });
            });
        }
    }

    /// Who is to be told by a kernel how far it is, if anybody.
    pub fn listener(&self) -> Option<ProgressSink> {
        let line = Arc::clone(self.line.as_ref()?);
        Some(Box::new(move |step| line.note(|now| now.take(step))))
    }

    /// A stream that may lead to the same terminal: what is written to it wipes the line first, which is back when the
    /// work has got further.
    pub fn beside<W: Write + AsFd>(&self, stream: W) -> Beside<W> {
        Beside { ends_it: self.line.is_some() && is_pipe(&stream), progress: self.clone(), stream }
    }

    /// Takes the line away, until something new is noted.
    pub fn wipe(&self) {
        if let Some(line) = &self.line {
            line.wipe(false);
        }
    }
}

/// A stream beside the line.
pub struct Beside<W> {
    stream: W,
    progress: Progress,
    /// Whether the line does not come back: who reads from a pipe may be a pager, and then the terminal is its own
    ends_it: bool,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(line) = &self.progress.line {
            line.wipe(self.ends_it);
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // What standard output holds back to the end of a line is written only here.
        self.progress.wipe();
        self.stream.flush()
    }
}

fn is_pipe(stream: &impl AsFd) -> bool {
    let file = stream.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// How wide standard error's terminal is, or `None` where nothing is to be drawn on it now.
fn columns() -> Option<usize> {
    let stderr = io::stderr();
    // A job in the background leaves the terminal to the one in front.
    if tcgetpgrp(&stderr).is_ok_and(|front| front != getpgrp()) {
        return None;
    }
    match tcgetwinsize(&stderr).map_or(0, |size| size.ws_col) {
        0 => Some(80), // a terminal that does not know
        columns => Some(columns.into()),
    }
}

/// The line, as it should be and as it is.
struct Line {
    now: Mutex<Now>,
    /// Held while the terminal takes its time, so never locked by the work, but to wipe the line
    screen: Mutex<Screen>,
    columns: fn() -> Option<usize>,
}

/// How far the work is.
#[derive(Default)]
struct Now {
    /// What is to be shown, if anything
    work: Option<Work>,
    /// The operations of the plan that is or was carried out
    planned: Option<usize>,
    /// How many of them are behind us
    executed: usize,
    /// Whether there is a thread that draws
    is_drawn: bool,
    /// Whether nothing may be shown any more
    is_over: bool,
}

struct Screen {
    stream: Box<dyn Write + Send>,
    /// What stands there now
    shown: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Work {
    doing: &'static str,
    /// So many of so many of these
    count: Option<(usize, usize, &'static str)>,
}

impl Line {
    fn new(stream: Box<dyn Write + Send>, columns: fn() -> Option<usize>) -> Self {
        Self { now: Mutex::default(), screen: Mutex::new(Screen { stream, shown: None }), columns }
    }

    fn note(self: &Arc<Self>, change: impl FnOnce(&mut Now)) {
        let mut now = lock(&self.now);
        change(&mut now);
        if !mem::replace(&mut now.is_drawn, true) {
            let line = Arc::downgrade(self);
            let draw = move || {
                thread::sleep(AFTER);
                while let Some(line) = line.upgrade() {
                    line.draw();
                    drop(line);
                    thread::sleep(EVERY);
                }
            };
            // Where no thread is to be had there is no line.
            let _ = thread::Builder::new().name("progress".into()).spawn(draw);
        }
    }

    fn draw(&self) {
        let mut screen = lock(&self.screen);
        let Now { work: Some(work), is_over: false, .. } = *lock(&self.now) else { return };
        let Some(columns) = (self.columns)() else { return };
        // Some terminals go to the next line as soon as the last column is written.
        let text: String = work.text().chars().take(columns.saturating_sub(1)).collect();
        if screen.shown.as_ref() != Some(&text) {
            screen.write(&format!("\r{text}\x1b[K"));
            screen.shown = Some(text);
        }
    }

    fn wipe(&self, for_good: bool) {
        let mut now = lock(&self.now);
        now.work = None;
        now.is_over |= for_good;
        drop(now);
        let mut screen = lock(&self.screen);
        if screen.shown.take().is_some() {
            screen.write(WIPE);
        }
    }
}

impl Now {
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

impl Screen {
    fn write(&mut self, text: &str) {
        // Where the terminal is gone nobody is left to be told.
        let _ = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
    }
}

/// A number with its thousands apart: 110,000.
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

/// What a thread that panicked left behind is still good for one line.
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

    /// A line that is drawn when the test says so: a clock that stands still.
    fn line(columns: fn() -> Option<usize>) -> (Sent, Arc<Line>, Progress) {
        let sent = Sent::default();
        let line = Arc::new(Line::new(Box::new(sent.clone()), columns));
        lock(&line.now).is_drawn = true;
        (sent, Arc::clone(&line), Progress { line: Some(line) })
    }

    #[test]
    fn a_pass_is_told_with_its_numbers() {
        let (sent, line, progress) = line(|| Some(80));
        let mut told = Vec::new();
        let mut draw = || {
            line.draw();
            told.push(sent.take());
        };
        progress.say("reading the file");
        draw();
        let mut kernel = progress.listener().unwrap();
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
        assert_eq!(told, expected.map(|text| format!("\r{text}\x1b[K")));
    }

    #[test]
    fn what_is_written_beside_it_wipes_it_first_and_it_comes_back_with_the_next_step() {
        let (sent, line, progress) = line(|| Some(80));
        let stream = Sent::default();
        let mut beside = Beside { stream: sent.clone(), progress: progress.clone(), ends_it: false };
        progress.say("reading the file");
        line.draw();
        beside.write_all(b"warning: ").unwrap();
        line.draw();
        beside.write_all(b"no\n").unwrap();
        beside.flush().unwrap();
        assert_eq!(sent.take(), "\rreading the file\x1b[K\r\x1b[Kwarning: no\n");
        progress.say("checking the file");
        line.draw();
        line.draw();
        progress.wipe();
        progress.wipe();
        assert_eq!(sent.take(), "\rchecking the file\x1b[K\r\x1b[K");

        let mut beside = Beside { stream: stream.clone(), progress: progress.clone(), ends_it: true };
        beside.write_all(b"for a pager").unwrap();
        progress.say("reading the file");
        line.draw();
        assert_eq!((sent.take(), stream.take()), (String::new(), "for a pager".to_owned()));
    }

    #[test]
    fn it_never_fills_the_last_column() {
        let (sent, line, progress) = line(|| Some(10));
        progress.say("reading the file");
        line.draw();
        assert_eq!(sent.take(), "\rreading t\x1b[K");
    }

    #[test]
    fn in_the_background_nothing_is_drawn() {
        let (sent, line, progress) = line(|| None);
        progress.say("reading the file");
        line.draw();
        progress.wipe();
        assert_eq!(sent.take(), "");
    }

    #[test]
    fn a_terminal_that_stands_still_does_not_hold_the_work() {
        let (_, line, progress) = line(|| Some(80));
        let _drawing = lock(&line.screen);
        progress.say("reading the file");
        progress.apply(2);
        progress.listener().unwrap()(ProgressEvent::Executed { edits: 1 });
        assert_eq!(lock(&line.now).executed, 1);
    }

    #[test]
    fn thousands_are_apart() {
        let numbers = [0, 12, 999, 1_000, 12_345, 100_000, 1_234_567];
        assert_eq!(
            numbers.map(grouped),
            ["0", "12", "999", "1,000", "12,345", "100,000", "1,234,567"].map(str::to_owned)
        );
    }
}
