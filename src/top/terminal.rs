//! Runs it on a real terminal: keys and size in, cells out; a thread reads meanwhile, so that no key waits for a reading.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::draw::{Beside, LINES_AROUND, draw};
use super::keys::{Key, Outcome};
use super::model::{Model, TableReading};
use super::palette::Palette;
use super::view::{View, Wanted};

/// How often is read: the kernel's estimates are new every two seconds. At most half of the time is spent with reading.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long is waited for a key before it is looked whether something was read, or a signal came.
const TICK: Duration = Duration::from_millis(100);

/// What was read.
#[derive(Debug, Default)]
pub struct Reading {
    /// The numbers of all services, where they were wanted
    pub table: Option<TableReading>,
    /// The servers of the clusters that are on the screen
    pub servers: Option<TableReading>,
    /// The connections of the server on the screen, each as a line
    pub connections: Vec<String>,
    /// What differs, line by line
    pub plan: Vec<String>,
}

/// Where readings come from.
pub trait Source {
    /// Reads what is wanted, and the numbers of all services where `has_table`.
    ///
    /// # Errors
    /// Why it cannot be read now, in one line.
    fn read(&mut self, wanted: &Wanted, has_table: bool) -> Result<Reading, String>;
}

/// What the thread that reads gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Request {
    wanted: Wanted,
    is_paused: bool,
}

/// Shows it until a key or a signal ends it. `source` is created in the thread that reads.
///
/// # Errors
/// Where the terminal cannot be used, or no thread can be started.
pub fn run<S: Source>(source: impl FnOnce() -> S + Send + 'static, palette: Palette) -> io::Result<()> {
    let is_ended = end_by_signal()?;
    let (requests, received) = channel();
    let (sender, readings) = channel();
    thread::Builder::new().name("reading".to_owned()).spawn(move || read(source(), &received, &sender))?;
    let mut restored = Restored::new()?;
    let backend = CrosstermBackend::new(BufWriter::new(stdout()));
    let shown = show(&mut Terminal::new(backend)?, &requests, &readings, &is_ended, palette);
    restored.restore();
    shown
}

/// Reads whenever something else is wanted, and every [`INTERVAL`], until nobody takes it.
fn read(mut source: impl Source, requests: &Receiver<Request>, readings: &Sender<Result<Reading, String>>) {
    let (mut request, mut wait) = (Request::default(), Duration::ZERO);
    let mut next_table = Instant::now();
    loop {
        let received = match request.is_paused {
            true => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => requests.recv_timeout(wait),
        };
        match received {
            // The last request is what counts.
            Ok(last) => request = requests.try_iter().last().unwrap_or(last),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if request.is_paused {
            continue;
        }
        let began = Instant::now();
        let has_table = began >= next_table;
        let reading = source.read(&request.wanted, has_table);
        if has_table {
            next_table = Instant::now() + INTERVAL.saturating_sub(began.elapsed()).max(began.elapsed());
        }
        wait = next_table.saturating_duration_since(Instant::now());
        if readings.send(reading).is_err() {
            return;
        }
    }
}

type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

fn show(
    terminal: &mut Screen,
    requests: &Sender<Request>,
    readings: &Receiver<Result<Reading, String>>,
    is_ended: &AtomicBool,
    palette: Palette,
) -> io::Result<()> {
    let rows = |height: u16| usize::from(height.saturating_sub(LINES_AROUND));
    let (mut model, mut beside) = (Model::default(), Beside::default());
    let mut view = View::new(rows(terminal.size()?.height));
    let (mut sent, mut is_changed): (Option<Request>, bool) = (None, true);
    while !is_ended.load(Ordering::Relaxed) {
        let request = Request { wanted: view.wanted(&model), is_paused: view.is_paused };
        if sent.as_ref() != Some(&request) {
            // What was read of another server is no longer shown.
            if sent.as_ref().is_some_and(|sent| sent.wanted.server != request.wanted.server) {
                beside.connections.clear();
            }
            sent = Some(request.clone());
            // (Where the thread has ended, its last reading says why.)
            let _ = requests.send(request);
        }
        if is_changed {
            terminal.draw(|frame| draw(frame, &model, &view, &beside, palette))?;
        }
        is_changed = event::poll(TICK)?;
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Resize(_, height) => view.resize(rows(height)),
                Event::Key(pressed) if is_redraw(&pressed) => terminal.clear()?,
                Event::Key(pressed) => match key(pressed).map(|key| view.key(key, &model)) {
                    Some(Outcome::End) => return Ok(()),
                    Some(Outcome::GoOn) | None => {}
                },
                _ => {}
            }
        }
        for reading in readings.try_iter() {
            is_changed = true;
            match reading {
                Ok(Reading { table, servers, connections, plan }) => {
                    table.into_iter().for_each(|table| model.take(table));
                    servers.into_iter().for_each(|servers| model.take_servers(servers));
                    beside = Beside { problem: None, connections, plan };
                    view.update(&model);
                }
                Err(problem) => beside.problem = Some(problem),
            }
        }
    }
    Ok(())
}

fn is_redraw(pressed: &KeyEvent) -> bool {
    pressed.code == KeyCode::Char('l') && pressed.modifiers.contains(KeyModifiers::CONTROL)
}

/// What a key of the terminal means; `None`: nothing.
fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return (pressed.code == KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    match pressed.code {
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Left => Some(Key::Left),
        KeyCode::Right => Some(Key::Right),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Char(letter) => Some(Key::Letter(letter)),
        _ => None,
    }
}

/// A mark that is set when a signal is to end the program. Raw, the terminal sends none for a key.
fn end_by_signal() -> io::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?]
    };
    let is_ended = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&is_ended);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let [terminate, hangup, interrupt]: &mut [Signal; 3] = &mut signals;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        mark.store(true, Ordering::Relaxed);
    })?;
    Ok(is_ended)
}

/// The terminal as it is for a program of whole screens; it becomes what it was on each way out, also after a panic.
struct Restored {
    is_done: bool,
}

impl Restored {
    fn new() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            restore();
            before(what);
        }));
        enable_raw_mode()?;
        let restored = Self { is_done: false };
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(restored)
    }

    fn restore(&mut self) {
        if !self.is_done {
            self.is_done = true;
            restore();
        }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        self.restore();
    }
}

fn restore() {
    // Nothing can be done where the terminal has gone.
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}
