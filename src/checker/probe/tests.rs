//! Every type of check against servers on the loopback interface that behave in each way.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::health::{Digest, ExecWeight, ProbedCheck};
use crate::model::{Body, Dns, Exchange, Exec, Http, RecordType, Timing};

mod tls;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Of servers that never answer.
const SHORT: Duration = Duration::from_millis(200);
/// Of servers that answer at once, on however slow a machine.
const LONG: Duration = Duration::from_secs(20);

fn probed(kind: CheckKind, timeout: Duration) -> ProbedCheck {
    ProbedCheck {
        what: Digest::try_from("1".to_owned()).unwrap(),
        name: "web".into(),
        cluster: Some("shop".into()),
        source: None,
        kind,
        timing: Timing { timeout, ..Timing::DEFAULT },
        targets: Vec::new(),
    }
}

async fn outcome_of(kind: CheckKind, timeout: Duration, target: SocketAddr) -> Outcome {
    let Probed { outcome, took, .. } = Prober::new(&probed(kind, timeout)).probe(target).await;
    assert!(took < timeout + Duration::from_secs(5), "{took:?}");
    outcome
}

fn failed(text: &str) -> Outcome {
    Outcome::Failed(text.into())
}

fn exchange(send: Option<&str>, expect: Option<&str>) -> Exchange {
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    Exchange { send: bytes(send), expect: bytes(expect) }
}

fn get(body: Option<Body>) -> Http {
    Http {
        path: "/healthz?deep".to_owned(),
        host: Some("www.example.com".to_owned()),
        method: "GET".to_owned(),
        headers: vec![("X-Check".to_owned(), "yes".to_owned())],
        status: vec![(200, 299)],
        body,
    }
}

/// How a server behaves after it was sent something, or at once where it speaks first.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    /// Sends this, and closes.
    Says(&'static str),
    /// Closes.
    Closes,
    /// Never says anything.
    Hangs,
    /// Resets.
    Resets,
    /// Sends this, and then a byte now and then, for ever.
    Trickles(&'static str),
    /// Sends this, and then as much as is taken.
    Floods(&'static str),
}

/// Behaves so on a connection, over which a request has come.
async fn behave(mut stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour) {
    let mut request = Vec::<u8>::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(length) if length > 0 => request.extend(&piece[..length]),
            _ => break,
        }
    }
    match behaviour {
        Behaviour::Says(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Behaviour::Closes | Behaviour::Resets => {}
        Behaviour::Hangs => std::future::pending().await,
        Behaviour::Trickles(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Behaviour::Floods(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    }
}

/// Starts a server that has something done on each connection.
async fn listen<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn server(behaviour: Behaviour) -> SocketAddr {
    listen(move |stream| async move {
        if matches!(behaviour, Behaviour::Resets) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        behave(stream, behaviour).await;
    })
    .await
}

/// A port at which nothing listens.
async fn closed_port() -> SocketAddr {
    TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn tcp_says_what_it_saw() {
    let sends = |expect| CheckKind::Tcp(exchange(Some("hello\r\n\r\n"), Some(expect)));
    let missing = failed("the answer does not contain what is expected");
    let cases = [
        (CheckKind::Tcp(Exchange::default()), LONG, Behaviour::Hangs, Outcome::PASSED),
        (sends("220 "), LONG, Behaviour::Says("220 ready"), Outcome::PASSED),
        (sends("220 "), LONG, Behaviour::Says("421 busy"), missing.clone()),
        (sends("220 "), LONG, Behaviour::Closes, missing.clone()),
        (sends("220 "), LONG, Behaviour::Floods("no"), missing),
        (sends("220 "), LONG, Behaviour::Floods("xxx220 "), Outcome::PASSED),
        (sends("220 "), LONG, Behaviour::Resets, failed("connection reset")),
        (sends("220 "), SHORT, Behaviour::Hangs, failed("no answer within 200 ms")),
        (sends("220 "), SHORT, Behaviour::Trickles("22"), failed("no answer within 200 ms")),
    ];
    for (kind, timeout, behaviour, expected) in cases {
        let target = server(behaviour).await;
        assert_eq!(outcome_of(kind, timeout, target).await, expected, "{behaviour:?}");
    }
    let refused = outcome_of(CheckKind::Tcp(Exchange::default()), LONG, closed_port().await).await;
    assert_eq!(refused, failed("connection refused"));
}

#[tokio::test]
async fn what_is_expected_is_found_where_it_arrives_in_two_pieces() {
    let target = listen(|mut stream| async move {
        for piece in ["...re", "ady"] {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending().await
    });
    let kind = CheckKind::Tcp(exchange(None, Some("ready")));
    assert_eq!(outcome_of(kind, LONG, target.await).await, Outcome::PASSED);
}

#[tokio::test]
async fn a_probe_is_closed_by_a_reset_and_comes_from_its_source() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let source = IpAddr::from([127, 0, 0, 9]);
    let check = ProbedCheck { source: Some(source), ..probed(CheckKind::Tcp(Exchange::default()), LONG) };
    let target = listener.local_addr().unwrap();
    assert_eq!(Prober::new(&check).probe(target).await.outcome, Outcome::PASSED);
    let (mut stream, peer) = listener.accept().await.unwrap();
    let end = stream.read(&mut [0; 8]).await.map_err(|error| error.kind());
    assert_eq!((peer.ip(), end), (source, Err(std::io::ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn what_the_checker_lacks_is_no_failure() {
    let nowhere = ProbedCheck {
        source: Some(IpAddr::from([192, 0, 2, 200])),
        ..probed(CheckKind::Tcp(Exchange::default()), LONG)
    };
    assert_eq!(
        Prober::new(&nowhere).probe(closed_port().await).await.outcome,
        Outcome::Own("no free local address or port (EADDRNOTAVAIL)".into())
    );
    let invalid = Http { method: "GE T".to_owned(), ..get(None) };
    let invalid = outcome_of(CheckKind::Http(invalid), LONG, closed_port().await).await;
    assert_eq!(invalid, Outcome::Own("method GE T: invalid HTTP method".into()));
}

#[tokio::test]
async fn http_says_what_it_saw() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine";
    const PIECES: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n_fi\r\n1\r\nn\r\n1\r\ne\r\n0\r\n\r\n";
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\n";
    let text = |text: &str| Some(Body::Text(text.to_owned()));
    let pattern = |text: &str| Some(Body::Regex(text.to_owned()));
    let missing = failed("the body does not contain what is expected");
    let late = failed("no answer within 200 ms");
    let closed = failed("connection closed before the answer ended");
    let cases = [
        (None, LONG, Behaviour::Says(OK), Outcome::PASSED),
        (text("fine"), LONG, Behaviour::Says(OK), Outcome::PASSED),
        (text("ill"), LONG, Behaviour::Says(OK), missing.clone()),
        (pattern("^all [a-z]+$"), LONG, Behaviour::Says(OK), Outcome::PASSED),
        (pattern("^fine$"), LONG, Behaviour::Says(OK), missing.clone()),
        (text("fine"), LONG, Behaviour::Says(PIECES), Outcome::PASSED),
        (text("ne_"), LONG, Behaviour::Says(PIECES), missing.clone()),
        (None, LONG, Behaviour::Says("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), failed("status 503")),
        // A redirect is an answer like others, and not followed.
        (None, LONG, Behaviour::Says("HTTP/1.1 302 Go\r\nLocation: /login\r\n\r\n"), failed("status 302")),
        (
            None,
            LONG,
            Behaviour::Says("SSH-2.0-OpenSSH_9.2\r\n"),
            failed("the answer is not HTTP: invalid HTTP version parsed"),
        ),
        (None, LONG, Behaviour::Says("HTTP/1.1 200"), closed.clone()),
        (None, LONG, Behaviour::Closes, closed.clone()),
        (None, LONG, Behaviour::Resets, failed("connection reset")),
        (None, SHORT, Behaviour::Hangs, late.clone()),
        (None, SHORT, Behaviour::Trickles("HTTP/1.1 200 OK\r\nX: "), late.clone()),
        (
            None,
            LONG,
            Behaviour::Floods("HTTP/1.1 200 OK\r\nX: "),
            failed("the answer is not HTTP: message head is too large"),
        ),
        // Without an expectation of it, the body is not waited for.
        (None, LONG, Behaviour::Trickles(ENDLESS), Outcome::PASSED),
        (text("fine"), SHORT, Behaviour::Trickles(ENDLESS), late),
        (text("fine"), LONG, Behaviour::Floods(ENDLESS), missing.clone()),
        (pattern("x+"), LONG, Behaviour::Floods(ENDLESS), Outcome::PASSED),
        (
            text("fine"),
            LONG,
            Behaviour::Says("HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\nall"),
            failed("connection closed"),
        ),
    ];
    for (body, timeout, behaviour, expected) in cases {
        let target = server(behaviour).await;
        assert_eq!(outcome_of(CheckKind::Http(get(body)), timeout, target).await, expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_request_is_as_the_file_says() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let target = listen(move |mut stream| {
        let sender = sender.clone();
        async move {
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            sender.send(String::from_utf8(request[..length].to_vec()).unwrap()).unwrap();
        }
    })
    .await;
    for host in [Some("www.example.com:8080".to_owned()), None] {
        let http = Http { host, method: "HEAD".to_owned(), ..get(None) };
        outcome_of(CheckKind::Http(http), LONG, target).await;
    }
    let expected = |host: String| {
        format!(
            "HEAD /healthz?deep HTTP/1.1\r\nuser-agent: lbd-check/{}\r\naccept: */*\r\nconnection: close\r\nhost: {host}\r\nx-check: yes\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
    };
    let lines = |text: String| {
        let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    for host in ["www.example.com:8080".to_owned(), target.to_string()] {
        assert_eq!(lines(received.recv().await.unwrap()), lines(expected(host)));
    }
}

/// A server of datagrams that answers each by what a function makes of it.
async fn udp_server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            for answer in answer(&question[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn udp_says_what_it_saw() {
    let echo = udp_server(|question| vec![question.to_vec()]).await;
    let silent = udp_server(|_| Vec::new()).await;
    let closed = UdpSocket::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
    let udp = |send, expect| CheckKind::Udp(exchange(send, expect));
    let cases = [
        (udp(Some("ping"), Some("pin")), LONG, echo, Outcome::PASSED),
        (udp(Some("ping"), Some("pong")), LONG, echo, failed("the answer does not contain what is expected")),
        (udp(Some("ping"), Some("ping")), SHORT, silent, failed("no answer within 200 ms")),
        (udp(Some("ping"), None), SHORT, silent, Outcome::PASSED),
        (udp(None, None), LONG, echo, Outcome::PASSED),
        (udp(None, None), LONG, closed, failed("connection refused")),
    ];
    for (kind, timeout, target, expected) in cases {
        assert_eq!(outcome_of(kind.clone(), timeout, target).await, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn dns_says_what_it_saw() {
    fn reply(question: &[u8], code: u8, records: &[&[u8]]) -> Vec<u8> {
        let mut reply = question.to_vec();
        (reply[2], reply[3], reply[7]) = (0x81, 0x80 | code, u8::try_from(records.len()).unwrap());
        records.iter().for_each(|record| reply.extend(*record));
        reply
    }
    // The name of the question, type A, class IN, a minute, and 192.0.2.1.
    const RECORD: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
    let right = udp_server(|question| vec![reply(question, 0, &[RECORD])]).await;
    let refusing = udp_server(|question| vec![reply(question, 5, &[])]).await;
    let garbage = udp_server(|question| vec![[&question[..2], &[0xff; 40]].concat()]).await;
    // Answers to other questions come first.
    let forged = udp_server(|question| {
        let mut number = reply(question, 5, &[]);
        number[0] ^= 1;
        let mut name = reply(question, 5, &[]);
        name[13] ^= 1;
        vec![number, name, reply(question, 0, &[RECORD])]
    })
    .await;
    let silent = udp_server(|_| Vec::new()).await;
    let dns = |answer: Option<&str>| {
        let answer = answer.map(str::to_owned);
        CheckKind::Dns(Dns { name: "www.example.com.".to_owned(), record: RecordType::A, answer })
    };
    let cases = [
        (dns(None), LONG, right, Outcome::PASSED),
        (dns(Some("192.0.2.1")), LONG, right, Outcome::PASSED),
        (dns(Some("192.0.2.2")), LONG, right, failed("answer 192.0.2.1")),
        (dns(Some("192.0.2.1")), LONG, forged, Outcome::PASSED),
        (dns(None), LONG, refusing, failed("answer REFUSED")),
        (dns(None), LONG, garbage, failed("the answer is not DNS")),
        (dns(None), SHORT, silent, failed("no answer within 200 ms")),
    ];
    for (kind, timeout, target, expected) in cases {
        assert_eq!(outcome_of(kind.clone(), timeout, target).await, expected, "{kind:?}");
    }
    let root = Dns { name: ".".to_owned(), record: RecordType::Soa, answer: None };
    assert_eq!(outcome_of(CheckKind::Dns(root), LONG, right).await, Outcome::PASSED);
}

#[tokio::test]
async fn ping_passes_or_names_the_setting() {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap();
    let limits: Vec<u32> = range.split_whitespace().map(|limit| limit.parse().unwrap()).collect();
    let group = rustix::process::getegid().as_raw();
    let expected = match (limits[0]..=limits[1]).contains(&group) {
        true => Outcome::PASSED,
        false => Outcome::Own(format_compact!(
            "echo not permitted: net.ipv4.ping_group_range is without group {group}"
        )),
    };
    for target in [LOOPBACK, IpAddr::from(std::net::Ipv6Addr::LOCALHOST)] {
        if std::net::UdpSocket::bind((target, 0)).is_ok() {
            assert_eq!(outcome_of(CheckKind::Ping, LONG, (target, 0).into()).await, expected);
        }
    }
}

fn shell(script: &str, weight_from_output: bool) -> CheckKind {
    let words = ["/bin/sh", "-c", script, "sh", "{address}", "{port}", "{cluster}"];
    CheckKind::Exec(Exec { command: words.map(str::to_owned).to_vec(), weight_from_output })
}

#[tokio::test]
async fn a_program_says_what_it_saw() {
    let target = SocketAddr::from(([192, 0, 2, 1], 80));
    let weight = |weight| Outcome::Passed { weight: Some(weight), warning: None };
    let environment = "env -0 | tr '\\0' ' ' | grep -q 'LBD_SERVER=192.0.2.1:80' && [ \"$LBD_CLUSTER$LBD_ADDRESS$LBD_PORT\" = shop192.0.2.180 ] && [ -z \"$HOME\" ]";
    let cases = [
        ("exit 0", false, Outcome::PASSED),
        ("[ \"$1 $2 $3\" = '192.0.2.1 80 shop' ]", false, Outcome::PASSED),
        (environment, false, Outcome::PASSED),
        ("echo disk full; echo more; exit 3", false, failed("exit code 3: disk full")),
        ("kill -9 $$", false, failed("ended by signal 9")),
        ("head -c 1000000 /dev/zero; exit 1", false, failed(&format!("exit code 1: {}…", "\0".repeat(106)))),
        ("sleep 100 & exit 0", false, Outcome::PASSED),
        ("echo 75%", true, weight(ExecWeight::Percent(75))),
        ("echo weight:3", true, weight(ExecWeight::Weight(3))),
        ("echo up", true, Outcome::PASSED),
        ("echo drain", true, failed("the program says drain")),
        ("echo 0%", true, failed("the program says weight 0")),
        ("echo weight:70000", true, failed("no weight in the output: `weight:70000`")),
        ("echo; exit 0", true, failed("no weight in the output: ``")),
        ("echo 75%; exit 1", true, failed("exit code 1: 75%")),
    ];
    for (script, weight_from_output, expected) in cases {
        assert_eq!(outcome_of(shell(script, weight_from_output), LONG, target).await, expected, "{script}");
    }
    let missing = Exec { command: vec!["/nowhere/check".to_owned()], weight_from_output: false };
    let missing = outcome_of(CheckKind::Exec(missing), LONG, target).await;
    assert_eq!(missing, Outcome::Own("/nowhere/check: No such file or directory (os error 2)".into()));
}

#[tokio::test]
async fn a_program_ends_with_all_that_it_started_at_its_end_and_at_the_time_out() {
    left_running("", LONG, Outcome::PASSED).await;
    left_running("; wait", Duration::from_secs(1), failed("no answer within 1 s")).await;
}

async fn left_running(then: &str, time: Duration, expected: Outcome) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}{then}", file.display());
    let target = SocketAddr::from(([192, 0, 2, 1], 80));
    assert_eq!(outcome_of(shell(&script, false), time, target).await, expected);
    let started: u32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    // What has ended may not be waited for yet by who adopted it.
    let is_gone = || match std::fs::read_to_string(format!("/proc/{started}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    while !is_gone() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
