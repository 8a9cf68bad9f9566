//! Requests from the daemon's socket how it is, and what it would do with another file.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::verdict::DaemonState;
use crate::api::{Client, ClientError, Counted, Document, Question, Scope};
use crate::fleet::PlanReport;

/// How many operations of a plan are reported.
const SHOWN: usize = 50;

/// The status of a reply that a file is not valid; any other problem is no fault of the file.
const INVALID: u16 = 422;

/// The daemon of this director.
#[derive(Debug, Clone)]
pub struct Daemon {
    client: Client,
}

/// Why nothing is known of the daemon.
#[derive(Debug)]
pub enum DaemonError {
    /// It does not answer, or says why it cannot
    Client(ClientError),
    /// What it answers is not what was expected
    Reply(serde_json::Error),
}

impl DaemonError {
    /// Whether it has answered that the file is not valid.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Client(error) if error.problem().is_some_and(|problem| problem.status == INVALID))
    }
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Reply(_) => {
                f.write_str("the reply of the daemon is not understood; are both of one version?")
            }
        }
    }
}

impl std::error::Error for DaemonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(error) => error.source(),
            Self::Reply(error) => Some(error),
        }
    }
}

impl Daemon {
    /// The one that listens on this socket; a reply of one that is not of `scope` is refused.
    pub fn new(socket: &Path, scope: Scope) -> Self {
        Self { client: Client::new(socket, scope) }
    }

    /// How it is.
    ///
    /// # Errors
    /// Where it does not answer, or what it answers is no status.
    pub async fn state(&self) -> Result<DaemonState, DaemonError> {
        let document =
            Document::Status { clusters: Vec::new(), counted: Counted::default(), has_services: false };
        let status: StatusReply = self.document(document).await?;
        let daemon = status.daemon.status.unwrap_or_default();
        Ok(DaemonState {
            file_sha256: status.file.sha256,
            verified_sha256: status.verified.sha256,
            in_sync: status.in_sync,
            problem: status.file.problem,
            refused: status.refused,
            failed: daemon.failed,
            down: daemon.health.open + daemon.health.on_fallback,
        })
    }

    /// What it would do with a file below the agent's directory; changes nothing.
    ///
    /// # Errors
    /// Where it does not answer. Where it answers that the file is not valid, [`DaemonError::is_invalid`].
    pub async fn plan(&self, file: &Path, revision: &str) -> Result<PlanReport, DaemonError> {
        let document = Document::Plan { clusters: Vec::new(), file: Some(file.display().to_string()) };
        let reply: PlanReply = self.document(document).await?;
        let operations = reply.operations.iter().take(SHOWN).map(Operation::line).collect();
        let PlanSummary { add, edit, delete } = reply.summary;
        let revision = revision.to_owned();
        Ok(PlanReport { revision, add, edit, delete, operations, refused: reply.refused })
    }

    async fn document<T: for<'de> Deserialize<'de>>(&self, document: Document) -> Result<T, DaemonError> {
        let question = Question { document, is_text: false };
        let received = self.client.document(&question).await.map_err(DaemonError::Client)?;
        serde_json::from_str(&received.text).map_err(DaemonError::Reply)
    }
}

#[derive(Deserialize)]
struct StatusReply {
    in_sync: bool,
    file: FileReply,
    verified: FileReply,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    daemon: DaemonReply,
}

#[derive(Default, Deserialize)]
struct FileReply {
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    problem: Option<String>,
}

#[derive(Default, Deserialize)]
struct DaemonReply {
    #[serde(default)]
    status: Option<DaemonStatus>,
}

#[derive(Default, Deserialize)]
struct DaemonStatus {
    #[serde(default)]
    failed: Vec<String>,
    #[serde(default)]
    health: HealthReply,
}

#[derive(Default, Deserialize)]
struct HealthReply {
    #[serde(default)]
    open: usize,
    #[serde(default)]
    on_fallback: usize,
}

#[derive(Deserialize)]
struct PlanReply {
    #[serde(default)]
    operations: Vec<Operation>,
    summary: PlanSummary,
    #[serde(default)]
    refused: Option<String>,
}

#[derive(Deserialize)]
struct PlanSummary {
    add: u64,
    edit: u64,
    delete: u64,
}

/// What is shown of an operation.
#[derive(Deserialize)]
struct Operation {
    action: String,
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    server: Option<String>,
}

impl Operation {
    fn line(&self) -> String {
        let Self { action, kind, name, service, server } = self;
        let mut words = vec![action.as_str(), kind.as_str()];
        words.extend(server.as_deref());
        words.extend(server.as_ref().and(service.as_ref()).map(|_| "of"));
        words.extend(service.as_deref().or(name.as_deref()));
        words.join(" ")
    }
}
