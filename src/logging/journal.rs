//! Writes events, with the fields of the spans around them, as journal entries.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::Once;

use log::kv;
use log::{Level, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::error_chain::ErrorChain;
use crate::escape;

/// EntryFields of a journal entry with a fixed meaning: our own fields of such a name get a prefix.
const TAKEN: &[&str] = &[
    "CODE_FILE",
    "CODE_LINE",
    "CODE_MODULE",
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_PID",
    "TARGET",
];

/// A layer that passes events, with their fields, to a logger of the `log` crate.
pub(super) struct JournalLayer<L> {
    sink: L,
}

impl<L: Log> JournalLayer<L> {
    pub(super) fn new(sink: L) -> Self {
        Self { sink }
    }
}

impl<S, L> Layer<S> for JournalLayer<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Log + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = EntryFields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<EntryFields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = EntryFields::default();
        event.record(&mut fields);
        // From the event outwards: the innermost value of a name wins.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<EntryFields>() {
                fields.surround(outer);
            }
        }
        let origin = event.metadata();
        self.sink.log(
            &Record::builder()
                .level(level(*origin.level()))
                .target(origin.target())
                .module_path_static(origin.module_path())
                .file_static(origin.file())
                .line(origin.line())
                .key_values(&fields)
                .args(format_args!("{}", fields.message))
                .build(),
        );
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

/// The message and fields of an event or a span, under their names in the journal.
#[derive(Default)]
struct EntryFields {
    message: String,
    values: Vec<(String, String)>,
}

impl EntryFields {
    /// Sets a field, escaped, since entries are shown on terminals, one per line.
    fn set(&mut self, field: &Field, value: String) {
        let value = match escape::text(&value) {
            Cow::Borrowed(_) => value,
            Cow::Owned(escaped) => escaped,
        };
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let name = name(field.name());
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }

    /// Adds the fields of an outer span, except those that are set already.
    fn surround(&mut self, outer: &Self) {
        for (name, value) in &outer.values {
            if self.values.iter().all(|(known, _)| known != name) {
                self.values.push((name.clone(), value.clone()));
            }
        }
    }
}

/// `service` becomes `SERVICE`. No prefix is needed: the trusted fields of journald begin with an underscore.
fn name(field: &str) -> String {
    let name = field.strip_prefix("r#").unwrap_or(field).to_ascii_uppercase().replace(['.', '-'], "_");
    if TAKEN.contains(&name.as_str()) { format!("FIELD_{name}") } else { name }
}

impl Visit for EntryFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, ErrorChain(value).to_string());
    }

    // Numbers and values shown by `Display` come this way, too.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

impl kv::Source for EntryFields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn kv::VisitSource<'kvs>) -> Result<(), kv::Error> {
        self.values
            .iter()
            .try_for_each(|(name, value)| visitor.visit_pair(kv::Key::from_str(name), value.as_str().into()))
    }
}

/// The journal's socket, with standard error for entries that it rejects.
pub(super) struct Journal {
    socket: JournalLog,
    warned: Once,
}

impl Journal {
    /// Fails where no journal is running.
    pub(super) fn open(program: &str) -> io::Result<Self> {
        Ok(Self {
            socket: JournalLog::empty()?.with_syslog_identifier(program.to_owned()),
            warned: Once::new(),
        })
    }
}

impl Log for Journal {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Err(error) = self.socket.journal_send(record) {
            // Standard error is a stream to the journal that survives its restarts: a bare line is better than none. A number
            // at its begin is the priority.
            let mut stream = io::stderr().lock();
            self.warned.call_once(|| {
                let _ = writeln!(stream, "<4>the journal rejected an entry, logging a line instead: {error}");
            });
            let _ = writeln!(stream, "<{}>{}", priority(record.level()), record.args());
        }
    }

    fn flush(&self) {}
}

/// The priority that the journal's own protocol is given.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 5,
        Level::Debug => 6,
        Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::{Arc, Mutex};

    use tracing::field::Empty;
    use tracing::subscriber::with_default;
    use tracing::{debug, error, info, info_span, trace, warn};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Level, message, fields: what the journal would be given.
    type Entry = (Level, String, Vec<(String, String)>);

    #[derive(Clone, Default)]
    struct FakeJournal(Arc<Mutex<Vec<Entry>>>, Arc<Mutex<Vec<String>>>);

    struct Collect(Vec<(String, String)>);

    impl<'kvs> kv::VisitSource<'kvs> for Collect {
        fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
            self.0.push((key.to_string(), value.to_string()));
            Ok(())
        }
    }

    impl Log for FakeJournal {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            let mut fields = Collect(Vec::new());
            record.key_values().visit(&mut fields).unwrap();
            fields.0.sort();
            self.0.lock().unwrap().push((record.level(), record.args().to_string(), fields.0));
            let (file, module) = (record.file().unwrap(), record.module_path().unwrap());
            let origin = format!("{} {file} {module} {}", record.target(), record.line().is_some());
            self.1.lock().unwrap().push(origin);
        }

        fn flush(&self) {}
    }

    fn logged(during: impl FnOnce()) -> Vec<Entry> {
        let fake = FakeJournal::default();
        with_default(Registry::default().with(JournalLayer::new(fake.clone())), during);
        let entries = fake.0.lock().unwrap();
        entries.clone()
    }

    fn entry(level: Level, message: &str, fields: &[(&str, &str)]) -> Entry {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (level, message.to_owned(), fields.collect())
    }

    #[test]
    fn an_event_carries_its_fields_and_those_of_the_spans_around_it() {
        let entries = logged(|| {
            let _pass = info_span!("pass", reason = "drift").entered();
            let _service = info_span!("service", service = %"tcp://192.0.2.1:80").entered();
            error!(server = "10.0.0.7:80", errno = 111, "add server 10.0.0.7:80");
        });
        let fields = [
            ("ERRNO", "111"),
            ("REASON", "drift"),
            ("SERVER", "10.0.0.7:80"),
            ("SERVICE", "tcp://192.0.2.1:80"),
        ];
        assert_eq!(entries, [entry(Level::Error, "add server 10.0.0.7:80", &fields)]);
    }

    #[test]
    fn the_innermost_value_of_a_name_wins() {
        let entries = logged(|| {
            let _outer = info_span!("outer", server = "outer", cluster = "outer", reason = "outer").entered();
            let _inner = info_span!("inner", server = "inner", cluster = "inner").entered();
            info!(server = "event", "one value each");
        });
        let fields = [("CLUSTER", "inner"), ("REASON", "outer"), ("SERVER", "event")];
        assert_eq!(entries, [entry(Level::Info, "one value each", &fields)]);
    }

    #[test]
    fn a_field_may_be_filled_in_and_changed_later() {
        let entries = logged(|| {
            let span = info_span!("pass", outcome = Empty, rounds = 1);
            let _entered = span.enter();
            info!("before");
            span.record("outcome", "verified");
            span.record("rounds", 2);
            info!("after");
        });
        let before = entry(Level::Info, "before", &[("ROUNDS", "1")]);
        let after = entry(Level::Info, "after", &[("OUTCOME", "verified"), ("ROUNDS", "2")]);
        assert_eq!(entries, [before, after]);
    }

    #[test]
    fn a_span_that_was_left_adds_no_fields() {
        let entries = logged(|| {
            info_span!("pass", reason = "file").in_scope(|| info!("within"));
            info!("outside");
        });
        let within = entry(Level::Info, "within", &[("REASON", "file")]);
        assert_eq!(entries, [within, entry(Level::Info, "outside", &[])]);
    }

    #[derive(Debug)]
    struct Refused(io::Error);

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("refused")
        }
    }

    impl Error for Refused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn each_kind_of_value_is_written_as_a_reader_would_write_it() {
        let error = Refused(io::Error::other("no such service"));
        let error: &(dyn Error + 'static) = &error;
        let nothing: Option<&str> = None;
        let entries = logged(|| {
            warn!(
                text = "two\nlines",
                shown = %"10.0.0.7",
                debugged = ?Some("x"),
                negative = -1_i64,
                large = u64::MAX,
                fraction = 0.5,
                yes = true,
                nothing,
                error,
                "values of {}",
                "each kind"
            );
        });
        let fields = [
            ("DEBUGGED", "Some(\"x\")"),
            ("ERROR", "refused: no such service"),
            ("FRACTION", "0.5"),
            ("LARGE", "18446744073709551615"),
            ("NEGATIVE", "-1"),
            ("SHOWN", "10.0.0.7"),
            ("TEXT", "two\\nlines"),
            ("YES", "true"),
        ];
        assert_eq!(entries, [entry(Level::Warn, "values of each kind", &fields)]);
    }

    #[test]
    fn a_message_is_one_line_and_does_nothing_to_a_terminal() {
        let evil = "a\nb\u{1b}[2J\u{202e}";
        let entries = logged(|| info!(service = %evil, "read {evil}"));
        let shown = "a\\nb\\x1b[2J\\u{202e}";
        assert_eq!(entries, [entry(Level::Info, &format!("read {shown}"), &[("SERVICE", shown)])]);
    }

    #[test]
    fn a_field_cannot_replace_one_of_the_journal() {
        let entries = logged(|| info!(priority = 0, r#type = "rr", a.b = 1, "names"));
        let fields = [("A_B", "1"), ("FIELD_PRIORITY", "0"), ("TYPE", "rr")];
        assert_eq!(entries, [entry(Level::Info, "names", &fields)]);
    }

    #[test]
    fn levels_and_origin_are_kept() {
        let fake = FakeJournal::default();
        with_default(Registry::default().with(JournalLayer::new(fake.clone())), || {
            error!("1");
            warn!("2");
            info!("3");
            debug!("4");
            trace!(target: "elsewhere", "5");
        });
        let levels: Vec<Level> = fake.0.lock().unwrap().iter().map(|(level, ..)| *level).collect();
        assert_eq!(levels, [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]);
        let (here, file) = (module_path!(), file!());
        let origins = fake.1.lock().unwrap();
        assert_eq!(origins[0], format!("{here} {file} {here} true"));
        assert_eq!(origins[4], format!("elsewhere {file} {here} true"));
    }
}
