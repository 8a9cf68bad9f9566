//! Makes the documents of the socket: each is what a command writes, by the command itself.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Bytes;

use super::collected::{Round, collected};
use super::inputs::KernelReader;
use super::{CommandError, Console, DONE, connections, diff, history, metrics, status};
use crate::api::{ConnectionQuestion, Counted, Document, Documents, Problem, ProblemKind, Question, Reply};
use crate::cli::{
    Arguments, ConnectionsOptions, Diff, DiffOutput, HistoryOptions, ReportOutput, StatusOptions,
};
use crate::connections::{Endpoint, NoEndpoint};
use crate::metrics::PassCounters;
use crate::progress::Progress;
use crate::report::{self, Observed, Output};

/// The documents of a daemon, with a connection to the kernel of their own.
pub(super) struct CommandDocuments {
    arguments: Arguments,
    kernel: KernelReader,
    /// What the daemon counts
    counters: Arc<PassCounters>,
}

impl CommandDocuments {
    /// Those of the daemon with these arguments. Nothing is connected yet.
    pub(super) fn new(arguments: Arguments, counters: Arc<PassCounters>) -> Self {
        Self { arguments, kernel: KernelReader::default(), counters }
    }

    fn run(&mut self, question: &Question, console: &mut Console<'_>) -> Result<u8, CommandError> {
        let Self { arguments, kernel, counters } = self;
        let output = if question.is_text { ReportOutput::Text } else { ReportOutput::Json };
        match &question.document {
            Document::Status { clusters, counted: Counted { stats, rates, exact } } => {
                let (clusters, stats, rates, exact) = (clusters.clone(), *stats, *rates, *exact);
                let options =
                    StatusOptions { clusters, stats, rates, exact, output, ..StatusOptions::plain() };
                status::direct(arguments, &options, kernel, console)
            }
            Document::Table { clusters, has_servers } => {
                let (stats, rates) = (true, true);
                let options = StatusOptions {
                    clusters: clusters.clone(),
                    stats,
                    rates,
                    output,
                    ..StatusOptions::plain()
                };
                status::observe(arguments, &options, *has_servers, kernel, console, &mut |out, observed| {
                    let now = SystemTime::now().into();
                    report::table_json(out, observed, &above_table(observed), now, clusters, *has_servers)
                })
            }
            Document::Plan { clusters } => {
                let output = if question.is_text { DiffOutput::Text } else { DiffOutput::Json };
                let options = Diff { clusters: clusters.clone(), output, ..Diff::plain() };
                diff::direct(arguments, &options, console)
            }
            Document::History => {
                history::direct(arguments, &HistoryOptions { output, ..HistoryOptions::plain() }, console)
            }
            Document::Metrics { has_servers, format } => {
                let exported = metrics::exported(
                    arguments,
                    *has_servers,
                    Some(counters.counts()),
                    *format,
                    kernel,
                    console,
                )?;
                console.out.write_all(exported.as_bytes())?;
                Ok(DONE)
            }
            Document::Events => {
                let options = HistoryOptions { events: true, output, ..HistoryOptions::plain() };
                history::direct(arguments, &options, console)
            }
        }
    }
}

/// What `lbd status` shows above the table, line by line.
fn above_table(observed: &Observed<'_>) -> Vec<String> {
    let head = collected(false, false, |console| {
        report::observed_head(console.out, observed)?;
        console.out.flush()?;
        Ok(DONE)
    });
    String::from_utf8_lossy(&head.text).lines().map(str::to_owned).collect()
}

impl Documents for CommandDocuments {
    fn make(&mut self, question: &Question) -> Result<Reply, Problem> {
        let Round { result, text, messages } = collected(false, false, |console| self.run(question, console));
        match result {
            Ok(code) => Ok(Reply {
                body: Bytes::from(text),
                exit_code: Some(code),
                messages: messages.lines().map(str::to_owned).collect(),
            }),
            Err(error) => {
                // The next document has a new connection, in case that this one is the cause.
                self.kernel = KernelReader::default();
                Err(problem(&error))
            }
        }
    }

    fn rest(&mut self) {
        self.kernel = KernelReader::default();
    }

    fn connections(
        &mut self,
        question: &ConnectionQuestion,
        out: Box<dyn Write + Send>,
    ) -> Result<(), Problem> {
        let ConnectionQuestion { clusters, client, server, state } = question.clone();
        let options = ConnectionsOptions {
            clusters,
            client: endpoint("client", client)?,
            server: endpoint("server", server)?,
            state,
            output: ReportOutput::Json,
            ..ConnectionsOptions::plain()
        };
        let mut console = Console {
            out: &mut Output::new(out, false),
            err: &mut io::sink(),
            is_err_coloured: false,
            progress: Progress::default(),
        };
        let written = connections::run(&self.arguments, &options, &mut console)
            .and_then(|_| Ok(console.out.flush()?));
        written.map_err(|error| problem(&error))
    }
}

/// The address of a filter.
fn endpoint(key: &str, text: Option<String>) -> Result<Option<Endpoint>, Problem> {
    let read = text.map(|text| text.parse()).transpose();
    read.map_err(|error: NoEndpoint| Problem::new(ProblemKind::BadRequest, format_args!("{key}: {error}")))
}

fn problem(error: &CommandError) -> Problem {
    let kind = match error {
        CommandError::UnknownCluster(_) => ProblemKind::NotFound,
        _ => ProblemKind::Failed,
    };
    Problem::new(kind, error.line())
}
