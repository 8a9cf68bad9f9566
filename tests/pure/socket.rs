//! The socket of the daemon with documents in the hands of the test: what is shared, what is refused, and who is disconnected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use lbd::api::{
    Api, BoundSocket, Client, ConnectionQuestion, Document, Documents, FileProblem, MOST_CONNECTIONS,
    Problem, ProblemKind, Question, Reply, Scope, Service, TimeLimits,
};
use lbd::files::Origin;
use lbd::history::{EventKind, HistoryEvent};
use lbd::metrics::Format;
use lbd::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Short ones.
const LIMITS: TimeLimits = TimeLimits {
    request: Duration::from_millis(300),
    pause: Duration::from_millis(600),
    reading: Duration::from_millis(300),
    document: Duration::from_millis(500),
};

/// Documents that note what they were made for.
struct Noting {
    made: Arc<Mutex<Vec<Question>>>,
}

impl Documents for Noting {
    fn make(&mut self, question: &Question) -> Result<Reply, Problem> {
        self.made.lock().unwrap().push(question.clone());
        let reply = |body: Vec<u8>| {
            Ok(Reply { body: body.into(), exit_code: Some(1), messages: vec!["warning: ü\n".into()] })
        };
        match &question.document {
            Document::Status { .. } => reply(b"status\n".to_vec()),
            Document::History => reply(vec![b'x'; 8 << 20]),
            Document::Plan { file: Some(file), .. } => {
                let (file, line, column) = (file.clone(), 3, 1);
                let (message, suggestion) =
                    ("unknown key `clutsers`".to_owned(), Some("clusters".to_owned()));
                let problem = FileProblem { file, line, column, message, expected: None, suggestion };
                Err(Problem {
                    problems: vec![problem],
                    ..Problem::new(ProblemKind::Invalid, "a:3:1: it is wrong")
                })
            }
            Document::Plan { .. } => {
                thread::sleep(Duration::from_secs(1));
                reply(b"plan\n".to_vec())
            }
            Document::Table { .. } => Err(Problem::new(ProblemKind::Failed, "no kernel: \u{1b}[1m")),
            Document::Metrics { .. } => reply(b"lbd_in_sync 1\n".to_vec()),
            Document::Events { .. } => Err(Problem::new(ProblemKind::NotFound, "none")),
        }
    }

    fn rest(&mut self) {}

    fn connections(
        &mut self,
        question: &ConnectionQuestion,
        mut out: Box<dyn Write + Send>,
    ) -> Result<(), Problem> {
        match question.state.as_deref() {
            None => (0..LINES)
                .try_for_each(|line| writeln!(out, "{line}"))
                .map_err(|_| Problem::new(ProblemKind::Failed, "gone")),
            Some(state) => Err(Problem::new(ProblemKind::BadRequest, state)),
        }
    }
}

/// How many lines a list has: more than a client's connection takes.
const LINES: usize = 1_000_000;

/// A socket that is served in a thread.
struct Served {
    directory: TempDir,
    store: Store,
    made: Arc<Mutex<Vec<Question>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn scope(state_dir: &str) -> Scope {
    let origin = Origin { boot: "boot".into(), namespace: "4:1".into(), cookie: None };
    Scope::new(Path::new(state_dir), Some(Path::new("/etc/lbd/desired.yaml")), &origin)
}

impl Served {
    fn new(refused_user: Option<u32>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("state"), None).unwrap();
        let (made, (stop, stopped)) = (Arc::default(), oneshot::channel());
        let (path, served_store, noted) =
            (directory.path().join("lbd.sock"), store.clone(), Arc::clone(&made));
        let (ready, is_ready): (Sender<()>, _) = channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let service =
                    Service { scope: scope("/state"), store: served_store, limits: LIMITS, refused_user };
                let socket = BoundSocket::bind(&path, None).unwrap();
                let _api = Api::start(socket, service, move || Noting { made: Arc::clone(&noted) }).unwrap();
                ready.send(()).unwrap();
                let _ = stopped.await;
            });
        };
        let thread = Some(thread::spawn(serve));
        is_ready.recv().unwrap();
        Self { directory, store, made, stop: Some(stop), thread }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("lbd.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// What comes for this request until the connection ends.
    fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    }

    fn get(&self, target: &str) -> String {
        self.exchange(&format!("GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n"))
    }

    fn client(&self, state_dir: &str) -> Client {
        Client::new(&self.directory.path().join("lbd.sock"), scope(state_dir))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn rest(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8(bytes).unwrap()
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn a_reply_says_whose_it_is_and_a_document_is_made_once_a_second_for_all_clients() {
    let served = Served::new(None);
    let reply = served.get("/v1/status");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 OK",
            "cache-control: no-store",
            "connection: close",
            "content-length: 7",
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "content-type: application/json",
            "lbd-boot: boot",
            "lbd-exit-code: 1",
            "lbd-file: /etc/lbd/desired.yaml",
            "lbd-message: warning: ü\\n",
            "lbd-namespace: 4:1",
            "lbd-state-dir: /state",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
        ]
    );
    assert_eq!(body, "status\n");
    let all: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| served.get("/v1/status"))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(all.iter().all(|one| *one == reply));
    assert_eq!(served.made.lock().unwrap().len(), 1);
    // Another question is another document.
    assert!(served.get("/v1/status?cluster=web").ends_with("status\n"));
    thread::sleep(Duration::from_millis(1_100));
    served.get("/v1/status");
    assert_eq!(served.made.lock().unwrap().len(), 3);
}

// An agent renames the next file to the name of the one before.
#[test]
fn a_plan_of_a_file_is_made_anew_for_each_client_and_says_what_is_wrong_with_it() {
    let served = Served::new(None);
    let replies = [served.get("/v1/plan?file=/agent/a"), served.get("/v1/plan?file=/agent/a")];
    assert_eq!(replies[0], replies[1]);
    let file = Some("/agent/a".to_owned());
    let question = Question { document: Document::Plan { clusters: vec![], file }, is_text: false };
    assert_eq!(*served.made.lock().unwrap(), [question.clone(), question.clone()]);
    let (head, body) = replies[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 422 Unprocessable Entity\r\n"), "{head}");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/api/invalid.json");
    let example: Value = serde_json::from_str(&std::fs::read_to_string(example).unwrap()).unwrap();
    let document: Value = serde_json::from_str(body).unwrap();
    assert_eq!(document, example["application/problem+json"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(served.client("/state").document(&question)).unwrap_err();
    assert_eq!(serde_json::to_value(error.problem().unwrap()).unwrap(), document);
}

#[test]
fn metrics_are_in_the_format_that_is_accepted() {
    let served = Served::new(None);
    let get = |target: &str, accept: &str| {
        served.exchange(&format!("GET {target} HTTP/1.1\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"))
    };
    let openmetrics = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (target, accept, kind) in [
        ("/metrics", "*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics?servers=0", "application/json", "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics?servers=1", openmetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let reply = get(target, accept);
        assert!(reply.contains(&format!("content-type: {kind}\r\n")), "{reply}");
        assert!(reply.ends_with("\r\n\r\nlbd_in_sync 1\n"), "{reply}");
    }
    let metrics =
        |has_servers, format| Question { document: Document::Metrics { has_servers, format }, is_text: true };
    let made = served.made.lock().unwrap().clone();
    assert_eq!(made, [metrics(false, Format::Prometheus), metrics(true, Format::OpenMetrics)]);
    assert!(get("/metrics?server=1", "*/*").starts_with("HTTP/1.1 400 "));
}

#[test]
fn what_is_no_request_for_a_document_is_a_problem_and_head_has_no_body() {
    let served = Served::new(None);
    let problem = |request: &str| {
        let reply = served.exchange(request);
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"), "{reply}");
        let document: Value = serde_json::from_str(body).unwrap();
        (head.to_owned(), document)
    };
    let (head, document) = problem("POST /v1/status HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody");
    assert!(
        head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n") && head.contains("\r\nallow: GET, HEAD\r\n")
    );
    assert_eq!(
        document,
        json!({
            "version": 1, "status": 405, "title": "Method Not Allowed",
            "detail": "only GET and HEAD: nothing can be changed here"
        })
    );
    for (request, status) in [
        ("GET /v1/status HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", 421),
        ("GET /v1/status HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET /v1/none HTTP/1.1\r\nconnection: close\r\n\r\n", 404),
        ("GET /v1/table HTTP/1.1\r\nconnection: close\r\n\r\n", 500),
    ] {
        assert_eq!(problem(request).1["status"], json!(status), "{request}");
    }
    // What is not read as a request has a document, too.
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20 << 10));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (request, status) in
        [(long.as_str(), 431), (&many, 431), ("\x16\x03\x01\r\n\r\n", 400), ("GET / HTTP/9.9\r\n\r\n", 400)]
    {
        let (head, document) = problem(request);
        assert_eq!(document["status"], json!(status), "{request}");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.ends_with("\r\nconnection: close"), "{head}");
    }
    assert!(["400", ""].contains(&status(&served.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))));
    let head = served.exchange("HEAD /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert!(head.contains("\r\ncontent-length: 7\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    // Pipelined requests have their replies in their order.
    let three = served.exchange(
        "GET /v1/status HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /v1/none HTTP/1.1\r\nconnection: close\r\n\r\n",
    );
    let codes: Vec<&str> = three.match_indices("HTTP/1.1 ").map(|(at, _)| status(&three[at..])).collect();
    assert_eq!(codes, ["200", "200", "404"]);
}

#[test]
fn a_client_that_does_not_send_or_does_not_read_is_disconnected() {
    let served = Served::new(None);
    let began = Instant::now();
    let slow = thread::scope(|scope| {
        let nothing = scope.spawn(|| served.exchange(""));
        let half = scope.spawn(|| served.exchange("GET /v1/status HTTP/1.1\r\nx:"));
        // A byte each moment does not begin the time anew.
        let drops = scope.spawn(|| {
            let mut stream = served.connect();
            while stream.write_all(b"G").is_ok() && began.elapsed() < Duration::from_secs(8) {
                thread::sleep(Duration::from_millis(50));
            }
            String::new()
        });
        let paused = scope.spawn(|| served.exchange("GET /v1/status HTTP/1.1\r\n\r\n"));
        let unread = scope.spawn(|| {
            let mut stream = served.connect();
            stream.write_all(b"GET /v1/history HTTP/1.1\r\n\r\n").unwrap();
            thread::sleep(Duration::from_millis(1_500));
            rest(&mut stream)
        });
        [nothing, half, drops, paused, unread].map(|client| client.join().unwrap())
    });
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!([&slow[0], &slow[1], &slow[2]], ["", "", ""]);
    assert!(slow[3].ends_with("status\n"));
    assert!(slow[4].starts_with("HTTP/1.1 200") && slow[4].len() < 8 << 20);
    // Who reads gets all of it.
    assert!(served.get("/v1/history").len() > 8 << 20);
}

#[test]
fn there_are_so_many_connections_and_a_document_that_takes_long_delays_no_other_reply() {
    let served = Served::new(None);
    let mut busy = served.connect();
    busy.write_all(b"GET /v1/plan HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    let began = Instant::now();
    assert_eq!(status(&served.get("/")), "200");
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    let late = rest(&mut busy);
    assert!(status(&late) == "503" && late.contains("no reply within 0 s"), "{late}");
    let mut all: Vec<UnixStream> = (0..MOST_CONNECTIONS).map(|_| served.connect()).collect();
    for stream in &mut all {
        stream.write_all(b"GET /v1/events HTTP/1.1\r\n\r\n").unwrap();
        // The reply has begun.
        stream.read_exact(&mut [0; 15]).unwrap();
    }
    let refused = served.get("/v1/status");
    assert!(status(&refused) == "503" && refused.contains("there are 16 connections already"), "{refused}");
    all.pop();
    let end = Instant::now() + Duration::from_secs(5);
    while status(&served.get("/")) != "200" {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status(&Served::new(Some(nix::unistd::getuid().as_raw())).get("/v1/status")), "403");
}

#[test]
fn a_list_is_streamed_and_only_two_at_once() {
    let served = Served::new(None);
    let reply = served.get("/v1/connections");
    assert!(reply.contains("\r\ncontent-type: application/x-ndjson\r\n") && reply.contains("\n999999\n"));
    let problem = served.get("/v1/connections?state=x");
    assert!(status(&problem) == "400" && problem.contains("\"detail\": \"x\""), "{problem}");
    let mut busy = [served.connect(), served.connect()];
    for stream in &mut busy {
        stream.write_all(b"GET /v1/connections HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
    }
    assert_eq!(status(&served.get("/v1/connections")), "503");
    // Who does not read is disconnected, and the list ends.
    let end = Instant::now() + Duration::from_secs(5);
    while status(&served.get("/v1/connections")) != "200" {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_takes_no_reply_of_another_daemon_and_events_go_on_where_they_ended() {
    let served = Served::new(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let note = |text: &str| {
        let event = HistoryEvent::new(UNIX_EPOCH, EventKind::Applied, text);
        served.store.note_event(&event).unwrap();
        event
    };
    let question = |document| Question { document, is_text: false };
    let history = question(Document::Plan { clusters: vec![], file: None });
    runtime.block_on(async {
        let (own, others) = (served.client("/state"), served.client("/elsewhere"));
        let error = others.document(&question(Document::History)).await.unwrap_err().to_string();
        assert!(
            error.ends_with("the daemon there has another state directory: /state, and not /elsewhere"),
            "{error}"
        );
        let received = own.document(&question(Document::History)).await.unwrap();
        assert_eq!((received.text.len(), received.exit_code), (8 << 20, Some(1)));
        assert_eq!(received.messages, ["warning: ü\\n"]);
        let problem = own.document(&history).await.unwrap_err();
        assert!(problem.is_problem() && problem.to_string().starts_with("no reply within"), "{problem}");
        // What another one cannot do is no reply either.
        let theirs = others.document(&history).await.unwrap_err();
        assert!(!theirs.is_problem() && theirs.to_string().contains("another state directory"), "{theirs}");
        let (first, second) = (note("one\n\"<"), note("two"));
        let mut stream = own.events(0).await.unwrap();
        let mut come = Vec::new();
        while come.len() < 2 {
            come.extend(stream.next_events().await.unwrap());
        }
        assert_eq!(come, [first, second]);
        let third = note("three");
        let mut again = own.events(stream.last()).await.unwrap();
        let mut come = Vec::new();
        while come.is_empty() {
            come.extend(again.next_events().await.unwrap());
        }
        assert_eq!(come, [third]);
    });
    let nowhere = Client::new(Path::new("/no/such/lbd.sock"), scope("/state"));
    let error = runtime.block_on(nowhere.document(&history)).unwrap_err();
    assert!(
        error.is_absent() && error.to_string() == "/no/such/lbd.sock: there is no socket of a daemon",
        "{error}"
    );
}
