//! Makes the documents of the socket: each is what a command writes, by the command itself.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::candidate::Candidate;
use super::collected::{Round, collected, collected_in};
use super::kernel_reader::KernelReader;
use super::{CommandError, Console, DONE, connections, diff, history, metrics, status};
use crate::api::{ConnectionQuestion, Counted, Document, Documents, Problem, ProblemKind, Question, Reply};
use crate::cli::{
    Arguments, ConnectionsOptions, Diff, DiffOutput, HistoryOptions, ReportOutput, StatusOptions,
};
use crate::connections::{Endpoint, NoEndpoint};
use crate::files::AGENT_DIR;
use crate::host;
use crate::metrics::{PassCounters, write};
use crate::progress::Progress;
use crate::report::{self, Observed, Output, TableQuestion};

/// The documents of a daemon, with a connection to the kernel of their own.
pub(super) struct CommandDocuments {
    arguments: Arguments,
    /// Below which files of an agent are planned
    agent_dir: PathBuf,
    kernel: KernelReader,
    /// What the daemon counts
    counters: Arc<PassCounters>,
}

impl CommandDocuments {
    /// Those of the daemon with these arguments. Nothing is connected yet.
    pub(super) fn new(arguments: Arguments, counters: Arc<PassCounters>) -> Self {
        Self { arguments, agent_dir: AGENT_DIR.into(), kernel: KernelReader::lasting(), counters }
    }

    /// The same with another directory of an agent; it is absolute.
    pub(super) fn planning_below(self, agent_dir: &Path) -> Self {
        Self { agent_dir: agent_dir.to_owned(), ..self }
    }

    fn run(
        &mut self,
        question: &Question,
        candidate: Option<Candidate>,
        console: &mut Console<'_>,
    ) -> Result<u8, CommandError> {
        let Self { arguments, agent_dir: _, kernel, counters } = self;
        let output = if question.is_text { ReportOutput::Text } else { ReportOutput::Json };
        match &question.document {
            Document::Status { clusters, counted: Counted { stats, rates, exact }, has_services } => {
                let (clusters, stats, rates, exact) = (clusters.clone(), *stats, *rates, *exact);
                let options =
                    StatusOptions { clusters, stats, rates, exact, output, ..StatusOptions::plain() };
                status::direct(arguments, &options, *has_services, kernel, console)
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
                    let (at, has_servers) = (SystemTime::now().into(), *has_servers);
                    let (report, host) = (&above_table(observed), &host::name());
                    let question = TableQuestion { report, at, host, clusters, has_servers };
                    report::table_json(out, observed, &question)
                })
            }
            Document::Plan { clusters, file: _ } => {
                let output = if question.is_text { DiffOutput::Text } else { DiffOutput::Json };
                let options = Diff { clusters: clusters.clone(), output, ..Diff::plain() };
                match candidate {
                    Some(candidate) => diff::of_candidate(arguments, &options, candidate, console),
                    None => diff::direct(arguments, &options, console),
                }
            }
            Document::History => {
                history::direct(arguments, &HistoryOptions { output, ..HistoryOptions::plain() }, console)
            }
            Document::Metrics { has_servers, format } => {
                let counts = Some(counters.counts());
                let snapshot = metrics::snapshot(arguments, *has_servers, counts, kernel, console)?;
                // (What it was made of is gone by now.)
                write(console.out, snapshot, *format)?;
                Ok(DONE)
            }
            Document::Events { last } => {
                let last = last.map(|last| usize::try_from(last).unwrap_or(usize::MAX));
                let options = HistoryOptions { events: true, last, output, ..HistoryOptions::plain() };
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
        let candidate = match &question.document {
            Document::Plan { file: Some(file), .. } => Some(Candidate::read(file, &self.agent_dir)?),
            _ => None,
        };
        let Round { result, text: body, messages } =
            collected_in(false, false, |console| self.run(question, candidate, console));
        match result {
            Ok(code) => Ok(Reply {
                body,
                exit_code: Some(code),
                messages: messages.lines().map(str::to_owned).collect(),
            }),
            Err(error) => {
                // The next document has a new connection, in case that this one is the cause.
                self.kernel = KernelReader::lasting();
                Err(problem(&error))
            }
        }
    }

    fn rest(&mut self) {
        self.kernel = KernelReader::lasting();
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
