//! Answers the connections of the socket on the daemon's loop, within limits of their number, size and time.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::lines::{self, Piece};
use super::live;
use super::problem::{MEDIA_TYPE, Problem, ProblemKind};
use super::question::Route;
use super::scope::Scope;
use super::text::Pieces;
use super::timed::{TimeLimits, Timed, Turn, Turns};
use super::worker::{Documents, MakeDocuments, Reply, Worker};
use crate::escape;
use crate::http_stream::HttpStream;
use crate::store::Store;

/// How many connections there are at once.
pub const MOST_CONNECTIONS: usize = 16;
/// How many lists of connections are written at once, each in a thread of its own.
pub(super) const MOST_LISTS: usize = 2;
/// How many more are replied to with a problem; those beyond are closed.
const MOST_REFUSED: usize = 16;
/// How long the head of a request is at most, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// How many messages of a command a reply has at most, and how long each is, in characters.
const MOST_MESSAGES: usize = 20;
const LONGEST_MESSAGE: usize = 600;

/// What a page may do, which needs nothing but its own files and this socket.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What all connections have in common.
pub(super) struct Shared<D> {
    pub(super) scope: Scope,
    pub(super) store: Store,
    pub(super) worker: Worker,
    pub(super) documents: Arc<MakeDocuments<D>>,
    /// How many more lists of connections are written at once
    pub(super) lists: Arc<Semaphore>,
    pub(super) limits: TimeLimits,
    /// The user that checks, where it is another one than this process's: what a server has made of it reads nothing here
    pub(super) refused_user: Option<u32>,
}

/// Accepts connections until it is dropped, and all of them with it.
pub(super) async fn serve<D: Documents + 'static>(listener: UnixListener, shared: Arc<Shared<D>>) {
    let (mut connections, mut refused) = (JoinSet::new(), JoinSet::new());
    loop {
        while connections.try_join_next().is_some() {}
        while refused.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if shared.refuses(&stream) => {
                let problem =
                    Problem::new(ProblemKind::Forbidden, "the user of the checker reads nothing here");
                refuse(&mut refused, stream, problem);
            }
            Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(connection(stream, Arc::clone(&shared)));
            }
            Ok((stream, _)) => {
                let detail = format_args!("there are {MOST_CONNECTIONS} connections already");
                refuse(&mut refused, stream, Problem::new(ProblemKind::Unavailable, detail));
            }
            Err(error) => {
                // Too many open files, for instance: waiting is all that helps.
                debug!("cannot accept a connection: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Replies with a problem, whatever is requested.
fn refuse(refused: &mut JoinSet<()>, mut stream: UnixStream, problem: Problem) {
    /// In which the request comes, and the reply is taken.
    const LIMIT: Duration = Duration::from_secs(1);
    if refused.len() >= MOST_REFUSED {
        return;
    }
    refused.spawn(async move {
        let reply = problem.reply();
        let exchange = async {
            // What was not read would be an error for the client, before the reply.
            let _ = stream.read(&mut [0; LONGEST_HEAD]).await;
            stream.write_all(reply.as_bytes()).await?;
            stream.shutdown().await
        };
        let _ = timeout(LIMIT, exchange).await;
    });
}

async fn connection<D: Documents + 'static>(stream: UnixStream, shared: Arc<Shared<D>>) {
    let turns = Turns::default();
    let timed = Timed::new(stream, shared.limits, turns.clone());
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, turn) = (Arc::clone(&shared), turns.begin());
        async move { Ok::<_, Infallible>(shared.respond(request, turn).await) }
    });
    let mut builder = http1::Builder::new();
    // (The limits of time are those of the stream.)
    builder.max_buf_size(LONGEST_HEAD).header_read_timeout(None).auto_date_header(false);
    if let Err(error) = builder.serve_connection(HttpStream(timed), service).await {
        debug!("a connection of the socket has ended: {error}");
    }
}

impl<D: Documents + 'static> Shared<D> {
    fn refuses(&self, stream: &UnixStream) -> bool {
        let Some(user) = self.refused_user else { return false };
        stream.peer_cred().map_or(true, |peer| peer.uid() == user)
    }

    async fn respond(&self, request: Request<Incoming>, turn: Turn) -> Response<ReplyBody> {
        let (parts, body) = request.into_parts();
        // None is read; a connection with one cannot go on.
        drop(body);
        let mut headers = HeaderMap::new();
        let made = match Route::of(&parts) {
            Ok(route) => self.reply(route, &mut headers).await,
            Err(problem) => Err(problem),
        };
        let (status, content) = match made {
            Ok(content) => (StatusCode::OK, content),
            Err(problem) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
                match problem.kind {
                    ProblemKind::MethodNotAllowed => {
                        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                        headers.insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    ProblemKind::BadRequest => {
                        headers.insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    ProblemKind::Forbidden
                    | ProblemKind::NotFound
                    | ProblemKind::TooLong
                    | ProblemKind::HeadTooLong
                    | ProblemKind::Misdirected
                    | ProblemKind::Invalid
                    | ProblemKind::Failed
                    | ProblemKind::Unavailable => {}
                }
                (problem.kind.status(), Content::whole(problem.text()))
            }
        };
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        self.scope.write(&mut headers);
        let mut response = Response::new(ReplyBody { content, _turn: turn });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    async fn reply(&self, route: Route, headers: &mut HeaderMap) -> Result<Content, Problem> {
        let mut set = |name, value: &'static str| drop(headers.insert(name, HeaderValue::from_static(value)));
        match route {
            Route::Page(file) => {
                set(CONTENT_TYPE, file.kind);
                Ok(Content::whole(file.content))
            }
            Route::Live(after) => {
                let events = live::events(&self.store, after);
                let events = events.map_err(|error| Problem::new(ProblemKind::Failed, error))?;
                set(CONTENT_TYPE, "text/event-stream");
                Ok(Content::Live(events))
            }
            Route::Connections(question) => {
                let busy = || {
                    let detail = format!("{MOST_LISTS} lists of connections are being written");
                    Problem::new(ProblemKind::Unavailable, detail)
                };
                let permit = Arc::clone(&self.lists).try_acquire_owned().map_err(|_| busy())?;
                let pieces = lines::connections(&self.documents, question, permit);
                let mut pieces = pieces.map_err(|error| Problem::new(ProblemKind::Failed, error))?;
                set(CONTENT_TYPE, "application/x-ndjson");
                // What is wrong with the question comes before the first line.
                match pieces.recv().await.transpose()? {
                    Some(first) => Ok(Content::List { first, pieces }),
                    None => Ok(Content::whole("")),
                }
            }
            Route::Document(question) => {
                let content_type = question.content_type();
                let Reply { body, exit_code, messages } =
                    self.worker.document(question, self.limits.document).await?;
                set(CONTENT_TYPE, content_type);
                if let Some(code) = exit_code {
                    headers.insert(EXIT_CODE, u16::from(code).into());
                }
                for message in messages.iter().take(MOST_MESSAGES) {
                    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
                    let message = escape::text(&message);
                    if let Ok(value) = HeaderValue::from_bytes(message.as_bytes()) {
                        headers.append(MESSAGE, value);
                    }
                }
                Ok(Content::Whole(body.into_pieces()))
            }
        }
    }
}

/// The exit code of the command that writes the same.
pub(super) const EXIT_CODE: HeaderName = HeaderName::from_static("lbd-exit-code");
/// A line that the command writes to standard error.
pub(super) const MESSAGE: HeaderName = HeaderName::from_static("lbd-message");

/// The headers of each reply.
const ALWAYS: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("content-security-policy"), CONTENT_SECURITY_POLICY),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// What a reply consists of.
enum Content {
    Whole(Pieces),
    Live(Receiver<Bytes>),
    List {
        /// Empty where it was sent
        first: Bytes,
        pieces: Receiver<Piece>,
    },
}

impl Content {
    fn whole(text: impl Into<Bytes>) -> Self {
        Self::Whole(text.into().into())
    }
}

/// The body of a reply, which is on its way until it is dropped.
struct ReplyBody {
    content: Content,
    _turn: Turn,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match &mut self.content {
            Content::Whole(pieces) => pieces.next_piece(),
            Content::Live(events) => ready!(events.poll_recv(context)),
            Content::List { first, .. } if !first.is_empty() => Some(std::mem::take(first)),
            Content::List { pieces, .. } => match ready!(pieces.poll_recv(context)) {
                // The client sees that the list is not whole.
                Some(Err(problem)) => return Poll::Ready(Some(Err(io::Error::other(problem.detail)))),
                Some(Ok(piece)) => Some(piece),
                None => None,
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(pieces) if pieces.left() == 0)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(pieces) => SizeHint::with_exact(pieces.left() as u64),
            Content::Live(_) | Content::List { .. } => SizeHint::default(),
        }
    }
}
