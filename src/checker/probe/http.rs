//! Probes by one HTTP request, over TCP or TLS.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;

use compact_str::{CompactString, format_compact};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use memchr::memmem::Finder;
use regex_lite::Regex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::LIMIT;
use super::socket::connect;
use super::tls::{TlsClient, tls_failure, with_warning};
use crate::health::{Endpoint, Outcome};
use crate::http_stream::HttpStream;
use crate::model::{Body, Http, Tls};

/// A check of type `http` or `https`.
#[derive(Debug)]
pub(super) struct HttpCheck {
    source: Option<IpAddr>,
    tls: Option<TlsClient>,
    request: Request<()>,
    has_host: bool,
    status: Vec<(u16, u16)>,
    body: Option<Wanted>,
}

/// What a body has to contain.
#[derive(Debug)]
enum Wanted {
    Text(Box<Finder<'static>>),
    Pattern(Regex),
}

impl HttpCheck {
    /// # Errors
    /// Why such a request cannot be made.
    pub(super) fn new(http: &Http, tls: Option<&Tls>, source: Option<IpAddr>) -> Result<Self, CompactString> {
        let request = request(http)?;
        let body = http.body.as_ref().map(Wanted::new).transpose()?;
        Ok(Self {
            source,
            tls: tls.map(|tls| TlsClient::new(tls, http.host.as_deref(), Some("http/1.1"))),
            has_host: request.headers().contains_key(HOST),
            request,
            status: http.status.clone(),
            body,
        })
    }

    pub(super) async fn probe(&self, target: Endpoint) -> Result<Outcome, Outcome> {
        match &self.tls {
            None => self.request_over(connect(target, self.source).await?, target).await,
            Some(tls) => {
                let (stream, warning) = tls.connect(target, self.source).await?;
                Ok(with_warning(self.request_over(stream, target).await?, warning))
            }
        }
    }

    async fn request_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        target: Endpoint,
    ) -> Result<Outcome, Outcome> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LIMIT);
        let (mut sender, connection) =
            builder.handshake(HttpStream(stream)).await.map_err(|error| http_failure(&error))?;
        // The connection does the work; it is driven beside what waits for it, so that no task of its own is needed.
        let mut connection = pin!(connection);
        let mut has_ended = false;
        let answer = sender.send_request(self.request_for(target));
        let mut answer: Response<Incoming> = beside(connection.as_mut(), &mut has_ended, answer)
            .await
            .map_err(|error| http_failure(&error))?;
        let status = answer.status().as_u16();
        if !self.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            return Err(Outcome::Failed(format_compact!("status {status}")));
        }
        let Some(wanted) = &self.body else { return Ok(Outcome::PASSED) };
        let mut body = Vec::new();
        while body.len() < LIMIT {
            let frame = answer.body_mut().frame();
            let Some(frame) = beside(connection.as_mut(), &mut has_ended, frame).await else { break };
            let frame = frame.map_err(|error| http_failure(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            let room = LIMIT.saturating_sub(body.len());
            // What was looked for may begin in the last piece. (A body of many small pieces is not searched again for each.)
            let start = body.len().saturating_sub(wanted.overlap());
            body.extend(data.iter().take(room));
            // The end of a body that never ends need not be waited for.
            if wanted.is_in_part(body.get(start..).unwrap_or_default()) {
                return Ok(Outcome::PASSED);
            }
        }
        match wanted.is_in(&body) {
            true => Ok(Outcome::PASSED),
            false => Err(Outcome::Failed("the body does not contain what is expected".into())),
        }
    }

    fn request_for(&self, target: Endpoint) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.request.method().clone();
        *request.uri_mut() = self.request.uri().clone();
        *request.headers_mut() = self.request.headers().clone();
        if !self.has_host {
            let usual = if self.tls.is_some() { 443 } else { 80 };
            let host = match target {
                SocketAddr::V4(address) if address.port() == usual => address.ip().to_string(),
                SocketAddr::V6(address) if address.port() == usual => format!("[{}]", address.ip()),
                SocketAddr::V4(_) | SocketAddr::V6(_) => target.to_string(),
            };
            if let Ok(host) = HeaderValue::from_str(&host) {
                request.headers_mut().insert(HOST, host);
            }
        }
        request
    }
}

/// The request, apart from the `Host` of the target.
fn request(http: &Http) -> Result<Request<()>, CompactString> {
    let mut request = Request::new(());
    *request.method_mut() =
        http.method.parse::<Method>().map_err(|error| format_compact!("method {}: {error}", http.method))?;
    *request.uri_mut() =
        http.path.parse::<Uri>().map_err(|error| format_compact!("path {}: {error}", http.path))?;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lbd-check/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let host = http.host.iter().map(|host| (HOST.as_str(), host));
    for (name, value) in host.chain(http.headers.iter().map(|(name, value)| (name.as_str(), value))) {
        let parsed = name.parse::<HeaderName>().map_err(|error| format_compact!("header {name}: {error}"))?;
        let value =
            HeaderValue::from_str(value).map_err(|error| format_compact!("header {name}: {error}"))?;
        headers.insert(parsed, value);
    }
    Ok(request)
}

impl Wanted {
    fn new(body: &Body) -> Result<Self, CompactString> {
        match body {
            Body::Text(text) => Ok(Self::Text(Box::new(Finder::new(text).into_owned()))),
            Body::Regex(pattern) => {
                Regex::new(pattern).map(Self::Pattern).map_err(|error| format_compact!("body: {error}"))
            }
        }
    }

    /// How much of what was searched is searched again with the next piece.
    fn overlap(&self) -> usize {
        match self {
            Self::Text(text) => text.needle().len(),
            Self::Pattern(_) => 0,
        }
    }

    /// Whether a part of a body has it already. What a pattern says may depend on the end.
    fn is_in_part(&self, body: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.find(body).is_some(),
            Self::Pattern(_) => false,
        }
    }

    fn is_in(&self, body: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.find(body).is_some(),
            Self::Pattern(pattern) => pattern.is_match(&String::from_utf8_lossy(body)),
        }
    }
}

/// Waits for something while a connection does its work.
async fn beside<C: Future, T>(
    mut connection: Pin<&mut C>,
    has_ended: &mut bool,
    wanted: impl Future<Output = T>,
) -> T {
    let mut wanted = pin!(wanted);
    poll_fn(|context| {
        if let Poll::Ready(value) = wanted.as_mut().poll(context) {
            return Poll::Ready(value);
        }
        if !*has_ended && connection.as_mut().poll(context).is_ready() {
            // How it has ended is what the wanted one says.
            *has_ended = true;
            return wanted.as_mut().poll(context);
        }
        Poll::Pending
    })
    .await
}

/// What an error of a request says.
fn http_failure(error: &hyper::Error) -> Outcome {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause {
        Some(cause) => tls_failure(cause),
        None if error.is_parse() => Outcome::Failed(format_compact!("the answer is not HTTP: {error}")),
        None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
            Outcome::Failed("connection closed before the answer ended".into())
        }
        None => Outcome::Failed(format_compact!("HTTP: {error}")),
    }
}
