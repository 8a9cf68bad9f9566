//! Requests documents and events from the socket of a daemon, and believes none of another one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::problem::ProblemDocument;
use super::question::Question;
use super::scope::{OtherDaemon, Scope};
use super::server::{EXIT_CODE, MESSAGE};
use crate::history::{HistoryEvent, LONGEST_LINE};
use crate::http_stream::HttpStream;

/// How long a document is waited for: longer than the daemon waits for it.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a daemon may send nothing while events are followed: it sends a comment each 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a document is at most, in bytes: of a million servers.
const LARGEST: usize = 1 << 30;

/// Why there is no document.
#[derive(Debug)]
pub struct ClientError {
    path: PathBuf,
    cause: ClientCause,
}

#[derive(Debug)]
enum ClientCause {
    /// There is no daemon, or none that may be connected to.
    Connect(io::Error),
    /// The connection ends too early, or what comes is not HTTP.
    Exchange(hyper::Error),
    /// Nothing comes.
    Silent,
    /// The reply is of another daemon.
    Other(OtherDaemon),
    /// The daemon has a problem.
    Problem(Box<ProblemDocument>),
    /// The reply is no document.
    NoDocument,
}

impl ClientError {
    /// Whether there is no socket.
    pub fn is_absent(&self) -> bool {
        matches!(&self.cause, ClientCause::Connect(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the daemon has replied that it cannot do it.
    pub fn is_problem(&self) -> bool {
        self.problem().is_some()
    }

    /// What the daemon has replied where it cannot do it: its status says whether that lies in the request.
    pub fn problem(&self) -> Option<&ProblemDocument> {
        match &self.cause {
            ClientCause::Problem(problem) => Some(problem),
            ClientCause::Connect(_)
            | ClientCause::Exchange(_)
            | ClientCause::Silent
            | ClientCause::Other(_)
            | ClientCause::NoDocument => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the daemon cannot do is no matter of the socket.
        if let Some(problem) = self.problem() {
            return f.write_str(&problem.detail);
        }
        write!(f, "{}: ", self.path.display())?;
        match &self.cause {
            ClientCause::Connect(error) => match error.kind() {
                io::ErrorKind::NotFound => f.write_str("there is no socket of a daemon"),
                io::ErrorKind::ConnectionRefused => f.write_str("no daemon answers"),
                io::ErrorKind::PermissionDenied => f.write_str(
                    "may not be read; members of the group lbd may: `usermod -aG lbd USER`, and a new login",
                ),
                _ => f.write_str("cannot connect to the daemon"),
            },
            ClientCause::Exchange(_) => f.write_str("the daemon has ended the connection"),
            ClientCause::Silent => f.write_str("the daemon does not reply"),
            ClientCause::Other(other) => other.fmt(f),
            ClientCause::Problem(problem) => f.write_str(&problem.detail),
            ClientCause::NoDocument => f.write_str("the reply is no document of lbd"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ClientCause::Connect(error) => match error.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::PermissionDenied => None,
                _ => Some(error),
            },
            ClientCause::Exchange(error) => Some(error),
            ClientCause::Silent
            | ClientCause::Other(_)
            | ClientCause::Problem(_)
            | ClientCause::NoDocument => None,
        }
    }
}

/// A document, as the daemon has sent it. It is to be escaped where a terminal gets it: the daemon is another user's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its text
    pub text: String,
    /// The exit code of the command that writes it, where it says something
    pub exit_code: Option<u8>,
    /// What that command writes to standard error, line by line
    pub messages: Vec<String>,
}

/// The socket of the daemon of a state directory.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
    scope: Scope,
}

impl Client {
    /// Connects at each request; a reply that is not of `scope` is refused.
    pub fn new(path: &Path, scope: Scope) -> Self {
        Self { path: path.to_owned(), scope }
    }

    /// Requests a document.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn document(&self, question: &Question) -> Result<Received, ClientError> {
        let accept = if question.is_text { "text/plain" } else { "application/json" };
        let headers = [(ACCEPT.as_str(), accept.to_owned())];
        let exchange = async {
            let response = self.request(&question.target(), &headers).await?;
            let (head, body) = response.into_parts();
            let text = self.text(body).await?;
            Ok(Received { text, exit_code: exit_code(&head.headers), messages: messages(&head.headers) })
        };
        match timeout(PATIENCE, exchange).await {
            Ok(received) => received,
            Err(_) => Err(self.error(ClientCause::Silent)),
        }
    }

    /// Requests the events behind the one of this number.
    ///
    /// # Errors
    /// Where none can come.
    pub async fn events(&self, after: u64) -> Result<EventStream, ClientError> {
        let headers = [("last-event-id", after.to_string())];
        match timeout(SILENCE, self.request("/v1/events", &headers)).await {
            Ok(response) => Ok(EventStream {
                client: self.clone(),
                body: response?.into_body(),
                rest: Vec::new(),
                last: after,
            }),
            Err(_) => Err(self.error(ClientCause::Silent)),
        }
    }

    fn error(&self, cause: ClientCause) -> ClientError {
        ClientError { path: self.path.clone(), cause }
    }

    async fn request(
        &self,
        target: &str,
        headers: &[(&str, String)],
    ) -> Result<Response<Incoming>, ClientError> {
        let stream =
            UnixStream::connect(&self.path).await.map_err(|error| self.error(ClientCause::Connect(error)))?;
        let broken = |error| self.error(ClientCause::Exchange(error));
        let (mut sender, connection) =
            http1::Builder::new().handshake(HttpStream(stream)).await.map_err(broken)?;
        // How it ends is what the body says.
        tokio::spawn(connection);
        let mut request = Request::builder().uri(target).header(HOST, "lbd");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| self.error(ClientCause::NoDocument))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        // Who is refused before any request is read does not learn whose daemon it is.
        if response.status() == StatusCode::OK || Scope::is_in(response.headers()) {
            self.scope.check(response.headers()).map_err(|other| self.error(ClientCause::Other(other)))?;
        }
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let text = self.text(response.into_body()).await?;
        Err(self.error(match serde_json::from_str::<ProblemDocument>(&text) {
            Ok(problem) => ClientCause::Problem(Box::new(problem)),
            Err(_) => ClientCause::NoDocument,
        }))
    }

    async fn text(&self, mut body: Incoming) -> Result<String, ClientError> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.error(ClientCause::Exchange(error)))?;
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > LARGEST {
                return Err(self.error(ClientCause::NoDocument));
            }
        }
        String::from_utf8(bytes).map_err(|_| self.error(ClientCause::NoDocument))
    }
}

fn exit_code(headers: &HeaderMap) -> Option<u8> {
    headers.get(EXIT_CODE)?.to_str().ok()?.parse().ok()
}

fn messages(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.get_all(MESSAGE).iter().map(text).collect()
}

/// Events as they come.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    body: Incoming,
    /// What has come behind the last whole line
    rest: Vec<u8>,
    last: u64,
}

impl EventStream {
    /// The number of the last event that has come.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Waits for the next events; there may be none of them in what comes. Nothing is lost where the future is dropped.
    ///
    /// # Errors
    /// Where no more can come: the daemon has ended, or is silent.
    pub async fn next_events(&mut self) -> Result<Vec<HistoryEvent>, ClientError> {
        let frame = timeout(SILENCE, self.body.frame()).await;
        let frame = frame.map_err(|_| self.client.error(ClientCause::Silent))?;
        let ended = || {
            let error = io::Error::from(io::ErrorKind::ConnectionRefused);
            self.client.error(ClientCause::Connect(error))
        };
        let frame =
            frame.ok_or_else(ended)?.map_err(|error| self.client.error(ClientCause::Exchange(error)))?;
        self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        if self.rest.len() > 2 * LONGEST_LINE {
            return Err(self.client.error(ClientCause::NoDocument));
        }
        let mut events = Vec::new();
        for line in lines.split(|byte| *byte == b'\n') {
            if let Some(number) = line.strip_prefix(b"id: ") {
                let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
                self.last = number.unwrap_or(self.last);
            } else if let Some(event) = line.strip_prefix(b"data: ") {
                // (One of a newer lbd is left out, as it is on disk.)
                events.extend(HistoryEvent::read(event));
            }
        }
        Ok(events)
    }
}
