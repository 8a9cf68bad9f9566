//! Defines the documents that a request can be for, and reads which one it is from the target and the headers of a request.

use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Uri};

use super::page::{self, PageFile};
use super::problem::{Problem, ProblemKind};
use super::query::{Query, encoded};
use crate::metrics::Format;

/// How long a target is at most, in bytes.
const LONGEST_TARGET: usize = 8 << 10;

/// A document that a request can have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Document {
    /// What `lbd status` shows
    Status {
        /// Only these clusters; all where there are none
        clusters: Vec<String>,
        /// What is shown of what the kernel has counted
        counted: Counted,
        /// Whether its JSON has the services, each with its servers
        has_services: bool,
    },
    /// The table of the kernel beside the file
    Table {
        /// Only these clusters; all where there are none
        clusters: Vec<String>,
        /// Whether each server has a row
        has_servers: bool,
    },
    /// What `lbd diff` shows
    Plan {
        /// Only these clusters; all where there are none
        clusters: Vec<String>,
        /// What it would show if this were the desired file: one below the directory of an agent
        file: Option<String>,
    },
    /// What `lbd history` shows
    History,
    /// What `lbd history --events` shows
    Events {
        /// How many of them, the last ones; all where there is no number
        last: Option<u64>,
    },
    /// What monitoring reads
    Metrics {
        /// Whether each server has numbers
        has_servers: bool,
        /// The format of the text
        format: Format,
    },
}

/// What is shown of what the kernel has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counted {
    /// The counters
    pub stats: bool,
    /// The rates
    pub rates: bool,
    /// Each digit, in the text
    pub exact: bool,
}

/// A document and its form. The same question of two clients has one reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The document
    pub document: Document,
    /// Whether it is the text for people, and not JSON
    pub is_text: bool,
}

/// Which connections a request is for; what is not there does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionQuestion {
    /// Those of these clusters
    pub clusters: Vec<String>,
    /// Those of this client, as `lbd connections --client` has it
    pub client: Option<String>,
    /// Those to this real server
    pub server: Option<String>,
    /// Those in this state
    pub state: Option<String>,
}

/// What a request is replied with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Document(Question),
    /// The events that come, after the one of this number where there is one
    Live(Option<u64>),
    Connections(ConnectionQuestion),
    Page(&'static PageFile),
}

impl Route {
    /// Reads a request.
    ///
    /// # Errors
    /// Where it has no reply.
    pub(super) fn of(request: &Parts) -> Result<Self, Problem> {
        check_host(&request.headers, &request.uri)?;
        if request.method != Method::GET && request.method != Method::HEAD {
            let detail = "only GET and HEAD: nothing can be changed here";
            return Err(Problem::new(ProblemKind::MethodNotAllowed, detail));
        }
        let length = request.headers.get(CONTENT_LENGTH).filter(|length| *length != "0");
        if length.is_some() || request.headers.contains_key(TRANSFER_ENCODING) {
            return Err(Problem::new(ProblemKind::BadRequest, "a request has no body here"));
        }
        let path = request.uri.path();
        let target = request.uri.path_and_query().map_or(path, |target| target.as_str());
        if target.len() > LONGEST_TARGET {
            return Err(Problem::new(ProblemKind::TooLong, format_args!("more than {LONGEST_TARGET} bytes")));
        }
        let mut query = Query::read(request.uri.query().unwrap_or_default())?;
        let is_text = wants_text(&request.headers);
        let document = match path {
            "/v1/status" => {
                let (stats, rates) = (query.flag("stats", false)?, query.flag("rates", false)?);
                let counted = Counted { stats, rates, exact: query.flag("exact", false)? };
                let has_services = query.flag("services", true)?;
                Document::Status { clusters: query.all("cluster"), counted, has_services }
            }
            "/v1/table" => {
                let has_servers = query.flag("servers", true)?;
                Document::Table { clusters: query.all("cluster"), has_servers }
            }
            "/v1/plan" => Document::Plan { clusters: query.all("cluster"), file: query.last("file") },
            "/v1/history" => match query.flag("events", false)? {
                true => Document::Events { last: query.number("last")? },
                false => Document::History,
            },
            "/metrics" => {
                let format = request.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
                let format = Format::of_accept(&format.collect::<Vec<_>>().join(","));
                Document::Metrics { has_servers: query.flag("servers", false)?, format }
            }
            "/v1/connections" => {
                let question = ConnectionQuestion {
                    clusters: query.all("cluster"),
                    client: query.last("client"),
                    server: query.last("server"),
                    state: query.last("state"),
                };
                query.end()?;
                return Ok(Self::Connections(question));
            }
            "/v1/events" => {
                let after = query.number("after")?;
                query.end()?;
                return Ok(Self::Live(last_event(&request.headers)?.or(after)));
            }
            _ => {
                let file = page::file(path);
                let file =
                    file.ok_or_else(|| Problem::new(ProblemKind::NotFound, "there is no such document"));
                query.end()?;
                return file.map(Self::Page);
            }
        };
        query.end()?;
        // Only what a command shows as text has one, and metrics have no other form.
        let is_text = match &document {
            Document::Table { .. } => false,
            Document::Metrics { .. } => true,
            Document::Status { .. } | Document::Plan { .. } | Document::History | Document::Events { .. } => {
                is_text
            }
        };
        Ok(Self::Document(Question { document, is_text }))
    }
}

/// Refuses the names of other hosts: a page of one, whose name was made to lead here, must not read anything.
fn check_host(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Problem::new(ProblemKind::BadRequest, "more than one Host"));
    }
    let is_own = host.is_none_or(|host| host.to_str().is_ok_and(is_own_host));
    let is_own_target = uri.authority().is_none_or(|authority| is_own_host(authority.as_str()));
    match is_own && is_own_target {
        true => Ok(()),
        false => Err(Problem::new(
            ProblemKind::Misdirected,
            "the Host is neither localhost nor 127.0.0.1 nor [::1] nor lbd",
        )),
    }
}

fn is_own_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    ["", "localhost", "127.0.0.1", "[::1]", "lbd"].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether text is accepted, and JSON is not named before it.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    let kind = |range: &str| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    types.find_map(|range| match kind(range).as_str() {
        "text/plain" => Some(true),
        "application/json" => Some(false),
        _ => None,
    }) == Some(true)
}

/// The number of the event that a client has had last.
fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = |value: &HeaderValue| value.to_str().ok()?.trim().parse().ok();
    let number =
        number(value).ok_or_else(|| Problem::new(ProblemKind::BadRequest, "Last-Event-ID: not a number"));
    number.map(Some)
}

impl Question {
    /// What its reply is, for the header `Content-Type`.
    pub(super) fn content_type(&self) -> &'static str {
        match &self.document {
            Document::Metrics { format, .. } => format.content_type(),
            _ if self.is_text => "text/plain; charset=utf-8",
            _ => "application/json",
        }
    }

    /// Whether a reply to it may be given to the next client, too. The file that it names may be another one a moment later, under the same name.
    pub(super) fn may_be_shared(&self) -> bool {
        !matches!(self.document, Document::Plan { file: Some(_), .. })
    }

    /// The target of a request for it.
    pub fn target(&self) -> String {
        let (path, mut pairs) = match &self.document {
            Document::Status { clusters, counted: Counted { stats, rates, exact }, has_services } => {
                let mut pairs = pairs_of(clusters);
                let without = !has_services;
                let flags =
                    [(stats, "stats=1"), (rates, "rates=1"), (exact, "exact=1"), (&without, "services=0")];
                pairs.extend(
                    flags.into_iter().filter(|(is_set, _)| **is_set).map(|(_, pair)| pair.to_owned()),
                );
                ("/v1/status", pairs)
            }
            Document::Table { clusters, has_servers } => {
                let mut pairs = pairs_of(clusters);
                pairs.extend((!has_servers).then(|| "servers=0".to_owned()));
                ("/v1/table", pairs)
            }
            Document::Plan { clusters, file } => {
                let mut pairs = pairs_of(clusters);
                pairs.extend(file.iter().map(|file| format!("file={}", encoded(file))));
                ("/v1/plan", pairs)
            }
            Document::History => ("/v1/history", Vec::new()),
            Document::Events { last } => {
                let last = last.map(|last| format!("last={last}"));
                ("/v1/history", ["events=1".to_owned()].into_iter().chain(last).collect())
            }
            // (The format is a matter of the header.)
            Document::Metrics { has_servers, format: _ } => {
                ("/metrics", has_servers.then(|| "servers=1".to_owned()).into_iter().collect())
            }
        };
        match pairs.is_empty() {
            true => path.to_owned(),
            false => {
                pairs.insert(0, path.to_owned());
                pairs.join("&").replacen('&', "?", 1)
            }
        }
    }
}

fn pairs_of(clusters: &[String]) -> Vec<String> {
    clusters.iter().map(|cluster| format!("cluster={}", encoded(cluster))).collect()
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use proptest::prelude::*;

    use super::*;

    fn route(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Route, (u16, String)> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Route::of(&parts).map_err(|problem| (problem.kind.status().as_u16(), problem.detail))
    }

    fn document(document: Document, is_text: bool) -> Result<Route, (u16, String)> {
        Ok(Route::Document(Question { document, is_text }))
    }

    #[test]
    fn each_document_has_a_target() {
        let get = |target: &str| route("GET", target, &[]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let status =
            |clusters| Document::Status { clusters, counted: Counted::default(), has_services: true };
        assert_eq!(get("/v1/status"), document(status(vec![]), false));
        let clusters = names(&["a b", "ü=&\"<", ""]);
        let target = "/v1/status?cluster=a+b&cluster=%c3%BC%3D%26%22%3C&cluster=";
        assert_eq!(get(target), document(status(clusters), false));
        let counted = Counted { stats: true, rates: true, exact: false };
        let document_of = Document::Status { clusters: vec![], counted, has_services: false };
        let question = Question { document: document_of, is_text: false };
        assert_eq!(question.target(), "/v1/status?stats=1&rates=1&services=0");
        assert_eq!(get(&question.target()), Ok(Route::Document(question)));
        let table = |clusters, has_servers| Document::Table { clusters, has_servers };
        assert_eq!(get("/v1/table"), document(table(vec![], true), false));
        assert_eq!(get("/v1/table?servers=0&cluster=web"), document(table(names(&["web"]), false), false));
        assert_eq!(get("/v1/plan?"), document(Document::Plan { clusters: vec![], file: None }, false));
        let file = Some("/var/lib/lbd-agent/a b&ü.yaml".to_owned());
        let plan = Question { document: Document::Plan { clusters: names(&["web"]), file }, is_text: false };
        assert_eq!(plan.target(), "/v1/plan?cluster=web&file=%2Fvar%2Flib%2Flbd-agent%2Fa%20b%26%C3%BC.yaml");
        assert_eq!(get(&plan.target()), Ok(Route::Document(plan)));
        assert_eq!(get("/v1/history"), document(Document::History, false));
        assert_eq!(get("/v1/history?events=1"), document(Document::Events { last: None }, false));
        assert_eq!(
            get("/v1/history?events=1&last=100"),
            document(Document::Events { last: Some(100) }, false)
        );
        assert_eq!(get("/v1/events"), Ok(Route::Live(None)));
        assert_eq!(get("/v1/events?after=7"), Ok(Route::Live(Some(7))));
        assert_eq!(route("GET", "/v1/events?after=7", &[("last-event-id", " 9")]), Ok(Route::Live(Some(9))));
        let connections = ConnectionQuestion {
            clusters: names(&["web"]),
            client: Some("[fd00::7]:80".to_owned()),
            ..ConnectionQuestion::default()
        };
        let target = "/v1/connections?client=%5bfd00::7%5d:80&cluster=web";
        assert_eq!(get(target), Ok(Route::Connections(connections)));
        assert!(matches!(get("/"), Ok(Route::Page(_))));
    }

    #[test]
    fn text_comes_where_it_is_accepted_before_json() {
        let text = |accept: &str| route("HEAD", "/v1/history", &[("accept", accept)]);
        for accept in ["text/plain", "text/html, Text/Plain;q=0.5, */*", "text/plain, application/json"] {
            assert_eq!(text(accept), document(Document::History, true), "{accept}");
        }
        for accept in ["*/*", "application/json, text/plain", "text/plainer", "text/*"] {
            assert_eq!(text(accept), document(Document::History, false), "{accept}");
        }
    }

    #[test]
    fn a_request_that_has_no_reply_is_a_problem() {
        let problem = |target: &str| route("GET", target, &[]).map_err(|(status, _)| status);
        for target in ["/v1", "/v1/status/", "/v2/status", "/../etc/passwd", "/V1/status", "/page", "*"] {
            assert_eq!(problem(target), Err(404), "{target}");
        }
        for target in [
            "/v1/status?clutser=web",
            "/v1/status?cluster=%",
            "/v1/status?cluster=%4",
            "/v1/status?cluster=%zz",
            "/v1/status?cluster=%ff",
            "/v1/table?servers=no",
            "/v1/events?after=-1",
            "/v1/history?since=1",
            "/v1/history?last=1",
            "/v1/history?events=1&last=many",
            "/v1/status?services=no",
            "/?x",
        ] {
            assert_eq!(problem(target), Err(400), "{target}");
        }
        assert_eq!(problem(&format!("/v1/status?cluster={}", "a".repeat(9000))), Err(414));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "GETT"] {
            let target = if method == "CONNECT" { "localhost:80" } else { "/v1/status" };
            assert_eq!(route(method, target, &[]).map_err(|(status, _)| status), Err(405), "{method}");
        }
        for header in [("content-length", "1"), ("transfer-encoding", "chunked"), ("last-event-id", "x")] {
            assert_eq!(route("GET", "/v1/events", &[header]).map_err(|(status, _)| status), Err(400));
        }
        assert!(route("GET", "/v1/status", &[("content-length", "0")]).is_ok());
    }

    // A page of another host, whose name its owner lets lead to 127.0.0.1, would read all of it through the browser of an operator.
    #[test]
    fn the_host_is_this_one() {
        let with = |host: &str| {
            route("GET", "/v1/history", &[("host", host)]).map(drop).map_err(|(status, _)| status)
        };
        for host in [
            "",
            "localhost",
            "LocalHost:8470",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8470",
            "lbd",
            "lbd:1",
        ] {
            assert_eq!(with(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8470",
            "127.0.0.2",
            "localhost:x",
            "[::2]",
            "localhost:80:80",
            "::1",
            "localhost@evil.example",
        ] {
            assert_eq!(with(host), Err(421), "{host}");
        }
        let hosts = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(route("GET", "/v1/history", &hosts).map_err(|(status, _)| status), Err(400));
        let absolute = |target: &str| route("GET", target, &[]).map(drop).map_err(|(status, _)| status);
        assert_eq!(absolute("http://localhost/v1/history"), Ok(()));
        assert_eq!(absolute("http://evil.example/v1/history"), Err(421));
    }

    proptest! {
        #[test]
        fn a_target_is_read_as_the_question_that_it_was_written_from(clusters in proptest::collection::vec(".{0,20}", 0..4), has_servers: bool) {
            let question = Question { document: Document::Table { clusters, has_servers }, is_text: false };
            prop_assert_eq!(route("GET", &question.target(), &[]), Ok(Route::Document(question)));
        }

        #[test]
        fn no_query_ends_in_a_panic(query in "[ -~]{0,40}") {
            if let Ok(uri) = format!("/v1/status?{query}").parse::<Uri>() {
                let _ = route("GET", &uri.to_string(), &[]);
            }
        }
    }
}
