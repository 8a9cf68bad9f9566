//! `lbd history --events`: lists what happened, and with `--follow` what happens.

use std::future::Future;
use std::io::Write;
use std::time::{Duration, SystemTime};

use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::{CommandError, Console, DONE};
use crate::api::{Client, ClientError};
use crate::cli::{HistoryOptions, ReportOutput};
use crate::daemon::StartError;
use crate::history::HistoryEvent;
use crate::report;
use crate::status::Timestamp;
use crate::store::Store;

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(200);
/// How often it is tried to connect again.
const AGAIN: Duration = Duration::from_secs(1);

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
    if options.follow {
        return follow(store, options, console);
    }
    let (events, skipped) = store.load_events()?;
    note_skipped(skipped, console);
    list(events, options, console)
}

/// Lists those of these events that are wanted.
pub(super) fn list(
    mut events: Vec<HistoryEvent>,
    options: &HistoryOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let filter = Filter::new(options);
    events.retain(|event| filter.takes(event));
    if let Some(more) = options.last.and_then(|last| events.len().checked_sub(last)) {
        events.drain(..more);
    }
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
fn follow(store: &Store, options: &HistoryOptions, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let filter = Filter::new(options);
    let mut follower = store.follow_events().map_err(CommandError::StateFile)?;
    until_interrupted(
        async {
            loop {
                let (events, skipped) = follower.next_events().map_err(CommandError::StateFile)?;
                show(events, &filter, options.output, console)?;
                note_skipped(skipped, console);
                if console.out.is_closed() {
                    return Ok(DONE);
                }
                sleep(INTERVAL).await;
            }
        },
        DONE,
    )
}

/// The same from the socket of the daemon, also where that is started again meanwhile; `None` where nothing has come of it, and why.
pub(super) fn follow_socket(
    client: &Client,
    options: &HistoryOptions,
    console: &mut Console<'_>,
) -> Result<Result<u8, ClientError>, CommandError> {
    let filter = Filter::new(options);
    until_interrupted(
        async {
            // None has the number 0.
            let mut stream = match client.events(0).await {
                Ok(stream) => stream,
                Err(error) => return Ok(Err(error)),
            };
            loop {
                match stream.next_events().await {
                    Ok(events) => show(events, &filter, options.output, console)?,
                    Err(error) => {
                        console.warn(format_args!("{error}; waiting for the next daemon"));
                        stream = loop {
                            sleep(AGAIN).await;
                            if let Ok(stream) = client.events(stream.last()).await {
                                break stream;
                            }
                        };
                    }
                }
                if console.out.is_closed() {
                    return Ok(Ok(DONE));
                }
            }
        },
        Ok(DONE),
    )
}

/// Does something until Ctrl-C.
fn until_interrupted<T>(
    work: impl Future<Output = Result<T, CommandError>>,
    interrupted: T,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt());
        let mut interrupt = interrupt.map_err(|error| CommandError::Start(StartError::Signals(error)))?;
        select! {
            biased;
            _ = interrupt.recv() => Ok(interrupted),
            result = work => result,
        }
    })
}

/// Writes those of these events that are wanted.
fn show(
    mut events: Vec<HistoryEvent>,
    filter: &Filter<'_>,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<(), CommandError> {
    events.retain(|event| filter.takes(event));
    match output {
        ReportOutput::Json => report::event_lines(console.out, &events)?,
        ReportOutput::Text => report::events_text(console.out, &events)?,
    }
    Ok(console.out.flush()?)
}
