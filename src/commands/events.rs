//! `lbd history --events`: lists what happened, and with `--follow` what happens.

use std::io::Write;
use std::time::{Duration, SystemTime};

use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::{CommandError, Console, DONE};
use crate::cli::{HistoryOptions, ReportOutput};
use crate::daemon::StartError;
use crate::history::HistoryEvent;
use crate::report;
use crate::status::Timestamp;
use crate::store::Store;

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(200);

/// Which events are listed.
struct Filter<'a> {
    /// Those of these clusters, or of none in particular; all where there are none
    clusters: &'a [String],
    /// Those since this time
    begin: Option<Timestamp>,
}

impl<'a> Filter<'a> {
    fn new(options: &'a HistoryOptions) -> Self {
        let begin = options.since.and_then(|since| SystemTime::now().checked_sub(since));
        Self { clusters: &options.clusters, begin: begin.map(Timestamp::from) }
    }

    fn takes(&self, event: &HistoryEvent) -> bool {
        let Self { clusters, begin } = self;
        let is_concerned = clusters.is_empty() || clusters.iter().any(|cluster| event.concerns(cluster));
        is_concerned && begin.is_none_or(|begin| event.at >= begin)
    }
}

/// Lists the events, the oldest first.
pub(super) fn run(
    store: &Store,
    options: &HistoryOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let filter = Filter::new(options);
    if options.follow {
        return follow(store, &filter, options.output, console);
    }
    let (mut events, skipped) = store.load_events()?;
    note_skipped(skipped, console);
    events.retain(|event| filter.takes(event));
    match options.output {
        ReportOutput::Json => report::events_json(console.out, &events)?,
        ReportOutput::Text if events.is_empty() => console.note("there are no such events"),
        ReportOutput::Text => report::events_text(console.out, &events)?,
    }
    Ok(DONE)
}

fn note_skipped(lines: usize, console: &mut Console<'_>) {
    if lines > 0 {
        console.warn(format_args!(
            "{} torn, or from another version of lbd: not shown",
            report::count(lines, "line")
        ));
    }
}

/// Lists the events that are kept, and then those that come. A reader that closes the pipe ends it, too.
fn follow(
    store: &Store,
    filter: &Filter<'_>,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let mut follower = store.follow_events().map_err(CommandError::StateFile)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt());
        let mut interrupt = interrupt.map_err(|error| CommandError::Start(StartError::Signals(error)))?;
        loop {
            let (mut events, skipped) = follower.next_events().map_err(CommandError::StateFile)?;
            events.retain(|event| filter.takes(event));
            match output {
                ReportOutput::Json => report::event_lines(console.out, &events)?,
                ReportOutput::Text => report::events_text(console.out, &events)?,
            }
            console.out.flush()?;
            note_skipped(skipped, console);
            if console.out.is_closed() {
                return Ok(DONE);
            }
            select! {
                biased;
                _ = interrupt.recv() => return Ok(DONE),
                () = sleep(INTERVAL) => {}
            }
        }
    })
}
