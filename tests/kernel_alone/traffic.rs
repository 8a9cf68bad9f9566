//! Real traffic through a director whose file is edited all the time: no request to what stays is lost.
//!
//! The full proof: `LBD_EDITS=1000 LAB_TIMEOUT=900 cargo test --test kernel_alone traffic:: -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Netns;
use crate::running::{Daemon, printed, soon, table};
use nix::sched::{CloneFlags, unshare};
use table::{Service, Services};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How often the file is edited, unless the environment's `LBD_EDITS` has another number.
const EDITS: u32 = 200;
/// Services with these numbers come and go.
const SERVICES: u16 = 8;
/// Requests at a time.
const CLIENTS: usize = 8;
/// After which a request is lost.
const PATIENCE: Duration = Duration::from_secs(6);
/// Those that serve whatever the weights are, if one is above 0.
const SCHEDULERS: [&str; 7] = ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo"];

/// What was asked for, from the moment when the file was written.
struct Asked {
    from: Instant,
    /// When the kernel had become so
    done: Instant,
    services: Services,
}

/// A request that got no answer.
#[derive(Debug)]
struct Unanswered {
    service: u16,
    began: Instant,
    ended: Instant,
    error: io::Error,
    /// Whom the kernel chose for it, by the last byte of its address
    server: Option<u8>,
}

/// The number of the calling thread, by which others find its network namespace.
fn thread_id() -> String {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A thread with a network namespace of its own.
fn host<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (thread::JoinHandle<T>, String, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let handle = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(thread_id()).unwrap();
        // Until its cable is plugged in.
        gone.recv().unwrap();
        work()
    });
    let id = told.recv().unwrap();
    (handle, id, go)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Answers each request with the address that it came to, and its own bytes.
async fn answer(stream: TcpStream) -> io::Result<()> {
    let SocketAddr::V4(address) = stream.local_addr()? else { return Ok(()) };
    let mut request = [0; 4];
    loop {
        timeout(PATIENCE, stream.readable()).await??;
        match stream.try_read(&mut request) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => {
                read?;
                break;
            }
        }
    }
    let mut reply = request.to_vec();
    reply.push(address.ip().octets()[3]);
    stream.writable().await?;
    stream.try_write(&reply).map(|_| ())
}

/// The real servers: all addresses of their namespace, the ports of all services.
fn serve(stop: &AtomicBool) {
    runtime().block_on(async {
        for number in 0..SERVICES {
            let listener = TcpListener::bind(("0.0.0.0", table::port(number))).await.unwrap();
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(answer(stream));
                }
            });
        }
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

/// One request; gives the server that answered.
async fn ask(service: u16, number: u32, from: &mut Option<SocketAddr>) -> io::Result<u8> {
    let stream = TcpStream::connect(("10.0.0.13", table::port(service))).await?;
    *from = Some(stream.local_addr()?);
    stream.writable().await?;
    stream.try_write(&number.to_ne_bytes())?;
    let mut reply = [0; 5];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut reply) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(5) if reply[..4] == number.to_ne_bytes() => return Ok(reply[4]),
            Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) => return Err(error),
        }
    }
}

/// Whom the director's kernel chose for a connection from this port.
fn chosen(director: &str, from: Option<SocketAddr>, service: u16) -> Option<u8> {
    let text = fs::read_to_string(format!("/proc/{director}/net/ip_vs_conn")).unwrap();
    let client = format!("{:04X}", from?.port());
    let port = format!("{:04X}", table::port(service));
    text.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["TCP", _, from, _, to, server, ..] if from == client && to == port => {
            u8::from_str_radix(&server[6..], 16).ok()
        }
        _ => None,
    })
}

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    unanswered: Vec<Unanswered>,
    /// Which service was answered for by which server, and when
    answered: Vec<(u16, u8, Instant, Instant)>,
}

/// Asks the services that are there, without end.
fn request(stop: &Arc<AtomicBool>, open: &Arc<Mutex<Services>>, director: &str) -> Seen {
    let seen = Arc::new(Mutex::new(Seen::default()));
    runtime().block_on(async {
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (stop, open, seen, director) =
                (Arc::clone(stop), Arc::clone(open), Arc::clone(&seen), director.to_owned());
            clients.push(tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(client as u64);
                while !stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(random.u64(..12))).await;
                    let services: Vec<u16> = open.lock().unwrap().keys().copied().collect();
                    let service = services[random.usize(..services.len())];
                    let (began, mut from) = (Instant::now(), None);
                    let reply = timeout(PATIENCE, ask(service, random.u32(..), &mut from)).await;
                    let ended = Instant::now();
                    let reply = reply.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
                    let mut seen = seen.lock().unwrap();
                    match reply {
                        Ok(server) => {
                            // Checked later, against what was asked for at that time.
                            seen.answered.push((service, server, began, ended));
                        }
                        Err(error) => {
                            let server = chosen(&director, from, service);
                            seen.unanswered.push(Unanswered { service, began, ended, error, server });
                        }
                    }
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
    });
    std::mem::take(&mut *seen.lock().unwrap())
}

/// One random edit: servers come and go, weights, a scheduler, a service; a service there is always a server for.
fn edit(random: &mut fastrand::Rng, services: &mut Services) {
    let number = random.u16(..SERVICES);
    let servers = |random: &mut fastrand::Rng| {
        let mut servers: std::collections::BTreeMap<u8, u32> =
            (0..random.u8(1..=4)).map(|_| (random.u8(1..=6), random.u32(0..4))).collect();
        servers.insert(random.u8(1..=6), random.u32(1..4));
        servers
    };
    let service = services.get_mut(&number);
    match (random.u8(..10), service) {
        // A service goes; the first ones stay for good.
        (0, Some(_)) if number >= 3 => drop(services.remove(&number)),
        (1 | 2, Some(service)) => service.scheduler = SCHEDULERS[random.usize(..SCHEDULERS.len())],
        (3 | 4, Some(service)) => service.servers = servers(random),
        (5 | 6, Some(service)) => {
            service.servers.insert(random.u8(1..=6), random.u32(1..4));
        }
        (_, Some(service)) => {
            let chosen: Vec<u8> = service.servers.keys().copied().collect();
            let server = chosen[random.usize(..chosen.len())];
            let others = service.servers.iter().any(|(other, weight)| *other != server && *weight > 0);
            if others && random.bool() {
                service.servers.remove(&server);
            } else {
                service.servers.insert(server, random.u32(u32::from(!others)..4));
            }
        }
        (_, None) => {
            let scheduler = SCHEDULERS[random.usize(..SCHEDULERS.len())];
            services.insert(number, Service { scheduler, servers: servers(random) });
        }
    }
}

#[test]
fn no_request_to_a_service_and_server_that_stay_is_lost() {
    let net = Netns::new();
    let director = thread_id();
    let stop = Arc::new(AtomicBool::new(false));
    let mut random = fastrand::Rng::with_seed(4711);
    let mut services = Services::new();
    for number in 0..SERVICES {
        services.insert(number, Service { scheduler: "rr", servers: [(1, 1), (2, 1)].into() });
    }
    let open = Arc::new(Mutex::new(services.clone()));

    // A client, a director, and real servers whose answers go back through the director.
    let closing = Arc::new(AtomicBool::new(false));
    let closed = Arc::clone(&closing);
    let (servers, servers_id, start_servers) = host(move || serve(&closed));
    let (stopping, asking, about) = (Arc::clone(&stop), Arc::clone(&open), director);
    let (clients, clients_id, start_clients) = host(move || request(&stopping, &asking, &about));
    for (id, name, theirs, ours) in [
        (&clients_id, "front", "10.0.0.12/24", "10.0.0.13/24"),
        (&servers_id, "back", "192.168.8.1/24", "192.168.8.254/24"),
    ] {
        net.sh(&format!(
            "ip link add {name} type veth peer name eth0 netns {id}; ip link set {name} up; ip addr add {ours} dev {name}
             nsenter --net=/proc/{id}/ns/net sh -ec 'ip link set lo up; ip link set eth0 up; ip addr add {theirs} dev eth0'"
        ));
    }
    net.sh(&format!(
        "nsenter --net=/proc/{servers_id}/ns/net sh -ec 'for i in 2 3 4 5 6; do ip addr add 192.168.8.$i/24 dev eth0; done
         ip route add default via 192.168.8.254'
         echo 1 > /proc/sys/net/ipv4/ip_forward"
    ));
    start_servers.send(()).unwrap();

    let policy = "resync: 1h, max_delete: 100%, allow_empty: true";
    let change = |services: &Services| {
        let new = net.write("new.yaml", &table::file(policy, services));
        let from = Instant::now();
        fs::rename(new, net.path("desired.yaml")).unwrap();
        from
    };
    let from = change(&services);
    let daemon = Daemon::start(&net);
    let follows = |services: &Services| {
        let wanted = table::printed(services);
        assert!(soon(Duration::from_secs(20), || printed() == wanted).is_some(), "{}", daemon.log());
        Instant::now()
    };
    let done = follows(&services);
    let mut asked = vec![Asked { from, done, services: services.clone() }];
    start_clients.send(()).unwrap();
    thread::sleep(Duration::from_millis(500));

    let edits = std::env::var("LBD_EDITS").map_or(EDITS, |number| number.parse().unwrap());
    let mut reconciled = 0;
    while reconciled < edits {
        let before = services.clone();
        edit(&mut random, &mut services);
        if services == before {
            continue;
        }
        // Nobody begins to ask for what goes.
        open.lock().unwrap().retain(|number, _| services.contains_key(number));
        let from = change(&services);
        let done = follows(&services);
        *open.lock().unwrap() = services.clone();
        asked.push(Asked { from, done, services: services.clone() });
        reconciled += 1;
    }
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    let seen = clients.join().unwrap();
    closing.store(true, Ordering::Relaxed);
    servers.join().unwrap();
    assert_eq!(net.ipvsadm_save(), table::rules(&services));
    assert!(daemon.stop().success());

    // What was true at some time between two moments: from the writing of the file until the next was in the kernel.
    let asked = &asked;
    let meanwhile = |began: Instant, ended: Instant| {
        asked
            .iter()
            .enumerate()
            .filter(move |(place, one)| {
                one.from <= ended && asked.get(place + 1).is_none_or(|next| next.done >= began)
            })
            .map(|(_, one)| &one.services)
            .collect::<Vec<_>>()
    };
    let misled: Vec<_> = seen
        .answered
        .iter()
        .filter(|(service, server, began, ended)| {
            let is_there = |services: &&Services| {
                services.get(service).is_some_and(|one| one.servers.contains_key(server))
            };
            !meanwhile(*began, *ended).iter().any(is_there)
        })
        .collect();
    let (mut no_service, mut no_server, mut windows, mut lost) = (0, 0, 0, Vec::new());
    for request in &seen.unanswered {
        let states: Vec<Option<&Service>> = meanwhile(request.began, request.ended)
            .iter()
            .map(|services| services.get(&request.service))
            .collect();
        let stays = |server: &u8| states.iter().flatten().all(|service| service.servers.contains_key(server));
        let schedulers: Vec<&str> = states.iter().flatten().map(|service| service.scheduler).collect();
        if states.iter().any(Option::is_none) {
            no_service += 1;
        } else if request.server.is_some_and(|server| !stays(&server)) {
            no_server += 1;
        } else if request.error.kind() == ErrorKind::ConnectionRefused
            && schedulers.iter().any(|scheduler| *scheduler != schedulers[0])
        {
            windows += 1;
        } else {
            lost.push((request, states));
        }
    }
    println!(
        "{reconciled} edits, each reconciled and seen in the kernel; {} requests: {} answered, {} lost, {windows} refused \
         while a scheduler was changed; not counted, since it went meanwhile: {no_server} whose server, {no_service} \
         whose service; {} answered by a server that was not asked for",
        seen.answered.len() + seen.unanswered.len(),
        seen.answered.len(),
        lost.len(),
        misled.len(),
    );
    assert!(lost.is_empty() && misled.is_empty(), "lost {lost:?}, misled {misled:?}");
    assert!(seen.answered.len() > edits as usize * 10, "too little traffic to prove anything");
}
