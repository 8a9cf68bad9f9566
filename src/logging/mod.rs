//! Writes the log: to the journal with fields, or to standard error as lines.

mod error;
mod journal;
mod level;

use std::env;
use std::fmt::Debug;
use std::io;
use std::time::SystemTime;

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use log::{Level, LevelFilter, Metadata, Record};
use tracing::field::Field;
use tracing::subscriber::set_global_default;
use tracing::{error, warn};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use self::journal::{Journal, JournalLayer};
use self::level::Levels;
use crate::escape::Escaped;

pub use self::error::{LevelError, LoggingError};

/// Sets up logging for the whole process; to be called once, before the first event.
///
/// `program` is what the journal calls it. `level` is the value of `--log-level`; without it `LBD_LOG` is used, and without that `info`. It is a level (`error`, `warn`,
/// `info`, `debug`, `trace`, `off`) or a list of directives such as `lbd::watch=debug`, separated by commas.
///
/// Where standard error is connected to the journal, events go there by its own protocol: each field of an event and of
/// the spans around it becomes a field of the entry, its name in upper case and without a prefix (`SERVICE`, `SERVER`,
/// `CLUSTER`, `OPERATION`, `ERRNO`, `REASON`). Otherwise they are lines on standard error.
///
/// # Errors
/// Where the level is not valid, or logging was set up before.
pub fn init(program: &str, level: Option<&str>) -> Result<(), LoggingError> {
    let levels = Levels::choose(level, env::var_os("LBD_LOG"))?;
    let by_journal = systemd_journal_logger::connected_to_journal();
    let unreachable = if by_journal {
        match Journal::open(program) {
            Ok(journal) => {
                install(&levels, JournalLayer::new(journal))?;
                None
            }
            Err(cause) => Some(cause),
        }
    } else {
        None
    };
    if !by_journal || unreachable.is_some() {
        // The journal adds the time to lines.
        install(&levels, lines(io::stderr, is_coloured(), !by_journal))?;
    }
    if let Some(cause) = unreachable {
        warn!("cannot connect to the journal's socket, logging lines instead: {cause}");
    }
    Ok(())
}

fn install(levels: &Levels, layer: impl Layer<Registry> + Send + Sync) -> Result<(), LoggingError> {
    let subscriber = Registry::default().with(layer.and_then(levels.filter()));
    set_global_default(subscriber).map_err(|error| LoggingError::Occupied(error.into()))?;
    log::set_logger(&LibraryLogger).map_err(|error| LoggingError::Occupied(error.into()))?;
    log::set_max_level(LevelFilter::Warn);
    Ok(())
}

/// Whether standard error shows colours: it is a terminal, and `NO_COLOR` is not set, as for all other output.
fn is_coloured() -> bool {
    !matches!(AutoStream::choice(&io::stderr()), ColorChoice::Never)
}

/// Writes one line per event: time, level, span, message, fields. Message and fields are escaped, so that none of them can begin
/// a new line.
fn lines<W>(writer: W, is_coloured: bool, has_time: bool) -> impl Layer<Registry> + Send + Sync
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(is_coloured).with_target(false).compact();
    let layer = layer.fmt_fields(debug_fn(field).delimited(" "));
    if has_time { layer.with_timer(Utc).boxed() } else { layer.without_time().boxed() }
}

/// Writes a field, or the message, whose name is not shown.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{:?}", Escaped(value)),
        name => {
            let (italic, dimmed) = match writer.has_ansi_escapes() {
                true => (Style::new().italic(), Style::new().dimmed()),
                false => (Style::new(), Style::new()),
            };
            let name = name.strip_prefix("r#").unwrap_or(name);
            let value = format!("{value:?}");
            write!(writer, "{italic}{name}{italic:#}{dimmed}={dimmed:#}")?;
            // A name with a blank in it must not look like another field.
            if is_one_word(&value) {
                write!(writer, "{}", Escaped(value))
            } else {
                write!(writer, "{:?}", Escaped(value))
            }
        }
    }
}

/// Whether the end of a value is seen where it is written as it is: it is in quotes, or has neither these nor a blank nor a sign of equality.
fn is_one_word(value: &str) -> bool {
    if let Some(inside) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let mut letters = inside.chars();
        while let Some(letter) = letters.next() {
            if letter == '"' || letter == '\\' && letters.next().is_none() {
                return false;
            }
        }
        return true;
    }
    !value.is_empty() && !value.contains(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '='))
}

/// Writes the time to the millisecond.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", humantime::format_rfc3339_millis(SystemTime::now()))
    }
}

/// Logs the warnings and errors of libraries that use the `log` crate; the rest is compiled out (see Cargo.toml). Their module in
/// directives is `library`: `library=off`.
struct LibraryLogger;

impl log::Log for LibraryLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        match record.level() {
            Level::Error => error!(target: "library", library = record.target(), "{}", record.args()),
            Level::Warn => warn!(target: "library", library = record.target(), "{}", record.args()),
            Level::Info | Level::Debug | Level::Trace => {}
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use log::Log;
    use tracing::subscriber::with_default;
    use tracing::{debug, info, info_span};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// The lines that are written.
    fn written(level: &str, is_coloured: bool, has_time: bool, during: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let levels = Levels::choose(Some(level), None).unwrap();
        let layer = lines(move || writer.clone(), is_coloured, has_time).and_then(levels.filter());
        with_default(Registry::default().with(layer), during);
        captured.text()
    }

    #[test]
    fn a_line_has_level_span_message_and_fields() {
        let text = written("info", false, false, || {
            let _pass = info_span!("pass", reason = "file").entered();
            info!(service = %"tcp://192.0.2.1:80", errno = 2, "applied");
            debug!("not logged");
        });
        assert_eq!(text, " INFO pass: applied service=tcp://192.0.2.1:80 errno=2 reason=\"file\"\n");
    }

    #[test]
    fn a_line_begins_with_the_time_unless_the_journal_knows_it() {
        let text = written("info", false, true, || info!("hello"));
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(rest, " INFO hello\n");
    }

    #[test]
    fn colours_are_written_only_where_they_show() {
        assert!(written("info", true, false, || info!("hello")).contains("\u{1b}["));
        assert!(!written("info", false, false, || info!("hello")).contains("\u{1b}["));
    }

    // A newline in a name let anybody who could write the file, or a kernel thread's interface, forge a line of the log.
    #[test]
    fn a_line_break_or_a_control_in_a_message_or_field_is_escaped() {
        let evil = "a\n ERROR \u{1b}[2J\u{9b}1m\u{202e}";
        let text = written("info", false, false, || {
            let _pass = info_span!("pass", reason = evil).entered();
            info!(service = %evil, debugged = ?evil, r#type = evil, "read {evil}");
        });
        let shown = "a\\n ERROR \\x1b[2J\\u{9b}1m\\u{202e}";
        let quoted = "\"a\\n ERROR \\u{1b}[2J\\u{9b}1m\\u{202e}\"";
        assert_eq!(
            text,
            format!(
                " INFO pass: read {shown} service={quoted} debugged={quoted} type={quoted} reason={quoted}\n"
            )
        );
        let coloured = written("info", true, false, || info!(service = %evil, "read {evil}"));
        assert!(
            coloured.contains(&format!("read {shown} \u{1b}[3mservice\u{1b}[0m\u{1b}[2m=\u{1b}[0m{quoted}")),
            "{coloured:?}"
        );
    }

    // A cluster with the name `a server=10.0.0.1` had the log say that it was about this server.
    #[test]
    fn a_value_never_looks_like_another_field() {
        for (value, shown) in [
            ("web", "web"),
            ("tcp://[fd00::1]:80", "tcp://[fd00::1]:80"),
            ("a b", "\"a b\""),
            ("a\u{3000}b", "\"a\\u{3000}b\""),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
            ("a\"b", "\"a\\\"b\""),
            ("\"a\" server=\"b\"", "\"\\\"a\\\" server=\\\"b\\\"\""),
            ("\"a b\"", "\"a b\""),
            ("\"a\\\"", "\"\\\"a\\\\\\\"\""),
        ] {
            let text = written("info", false, false, || info!(cluster = %value, "x"));
            assert_eq!(text, format!(" INFO x cluster={shown}\n"));
        }
    }

    #[test]
    fn an_error_has_its_span_even_where_only_errors_are_logged() {
        let text = written("error", false, false, || {
            let _pass = info_span!("pass", reason = "drift").entered();
            info!("not logged");
            error!("refused");
        });
        assert_eq!(text, "ERROR pass: refused reason=\"drift\"\n");
    }

    #[test]
    fn libraries_can_be_silenced() {
        let record = Record::builder().level(Level::Error).target("notify").build();
        assert_eq!(written("trace,library=off", false, false, || LibraryLogger.log(&record)), "");
    }

    #[test]
    fn libraries_log_from_a_warning_upwards() {
        let log = |level| {
            LibraryLogger.log(
                &Record::builder()
                    .level(level)
                    .target("notify")
                    .args(format_args!("inotify: {level}"))
                    .build(),
            );
        };
        let text = written("trace", false, false, || {
            [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace].into_iter().for_each(log);
        });
        assert_eq!(text, "ERROR inotify: ERROR library=\"notify\"\n WARN inotify: WARN library=\"notify\"\n");
    }
}
