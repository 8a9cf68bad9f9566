//! Tests what nft is run with around the edits of IPVS, with an nft and an IPVS that only take notes.

use std::collections::VecDeque;
use std::io;
use std::process::Command;
use std::time::Instant;

use super::*;
use crate::kernel::netlink::Transport;
use crate::kernel::netlink::message::Messages;
use crate::model::{RealServer, ServerKey, ServerOp, ServiceKey, ServiceOp, Thresholds};

/// An IPVS that does whatever it is told, but for the servers with port 13.
#[derive(Default)]
struct Obliging {
    replies: VecDeque<Vec<u8>>,
    received: Vec<u8>,
}

const CTRL: u16 = 0x10;
const ERROR: u16 = 2;

impl Transport for Obliging {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        for request in Messages::new(datagram) {
            let request = request.map_err(io::Error::other)?;
            let mut reply = |kind: u16, body: &[u8]| {
                let length = 16 + body.len() as u32;
                let mut message = length.to_ne_bytes().to_vec();
                message.extend(kind.to_ne_bytes());
                message.extend([0; 2]);
                message.extend(request.sequence.to_ne_bytes());
                message.extend([0; 4]);
                message.extend(body);
                self.replies.push_back(message);
            };
            if request.kind == CTRL {
                let family_id =
                    [[6, 0].as_slice(), &1_u16.to_ne_bytes(), &29_u16.to_ne_bytes(), &[0, 0]].concat();
                reply(CTRL, &[[1, 2, 0, 0].as_slice(), &family_id].concat());
            }
            // The attribute of a server's port: length, kind 2, 13 as the network writes it.
            let is_refused = request.payload.windows(6).any(|part| part == [6, 0, 2, 0, 0, 13]);
            let errno = if is_refused { -libc::EINVAL } else { 0 };
            reply(ERROR, &errno.to_ne_bytes());
        }
        Ok(())
    }

    fn receive(&mut self, _room: usize) -> io::Result<usize> {
        self.received = self.replies.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok(self.received.len())
    }

    fn datagram(&self) -> &[u8] {
        &self.received
    }

    fn wait(&mut self, _: Instant) -> io::Result<bool> {
        Ok(!self.replies.is_empty())
    }
}

/// A director whose nft keeps each script, and refuses one where there is a file `refuse`.
struct Lab {
    files: tempfile::TempDir,
    director: Director,
}

impl Lab {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let nft = files.path().join("nft");
        let text = "#!/bin/sh\ncd \"${0%/*}\"\n[ -e refuse ] && { echo no >&2; exit 1; }\nn=$(ls | wc -l)\ncat > $n\n";
        // Another test might start a program while this one has the file open for writing, and hold it open.
        let write = ["-c", "printf %s \"$1\" > \"$2\"; chmod 755 \"$2\"", "sh", text, nft.to_str().unwrap()];
        assert!(Command::new("sh").args(write).status().unwrap().success());
        let mut director = Director::over(Ipvs::over(Box::<Obliging>::default()).unwrap());
        director.filter = NftClient::with_program(nft);
        Self { files, director }
    }

    fn execute(&mut self, operations: &[Operation]) -> Refusals {
        self.director.execute(operations).unwrap()
    }

    /// The tables that nft was told to make since the last time, each as the source NAT in it.
    fn told(&self) -> Vec<String> {
        let mut scripts: Vec<_> =
            std::fs::read_dir(self.files.path()).unwrap().map(|file| file.unwrap().path()).collect();
        scripts.retain(|path| path.file_name().is_some_and(|name| name != "nft" && name != "refuse"));
        scripts.sort();
        let told = scripts.iter().map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            std::fs::remove_file(path).unwrap();
            let elements = text.lines().filter(|line| line.contains("elements"));
            elements.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join(" ")
        });
        told.collect()
    }
}

fn service() -> ServiceKey {
    "tcp://10.0.0.13:80".parse().unwrap()
}

fn server(last: u8, port: u16) -> ServerKey {
    ServerKey { address: [192, 168, 8, last].into(), port }
}

fn real(forwarding: Forwarding) -> RealServer {
    RealServer { weight: 1, forwarding, thresholds: Thresholds::default() }
}

fn add(last: u8, port: u16, forwarding: Forwarding) -> Operation {
    Operation::Server(ServerOp::Add { service: service(), server: server(last, port), to: real(forwarding) })
}

fn delete(last: u8, port: u16) -> Operation {
    Operation::Server(ServerOp::Delete { service: service(), server: server(last, port) })
}

const FOURTEEN: &str = "elements = { 10.0.0.13 . 80 . 192.168.8.14 };";
const BOTH: &str = "elements = { 10.0.0.13 . 80 . 192.168.8.14, 10.0.0.13 . 80 . 192.168.8.15 };";

#[test]
fn a_rule_comes_with_its_first_server_and_goes_with_its_last() {
    let mut lab = Lab::new();
    assert_eq!(
        lab.execute(&[add(14, 80, Forwarding::FullNat), add(14, 81, Forwarding::FullNat)]),
        Refusals::new()
    );
    assert_eq!(lab.told(), [FOURTEEN]);
    lab.execute(&[add(16, 80, Forwarding::Nat), delete(14, 80)]);
    assert_eq!(lab.told(), Vec::<String>::new());
    lab.execute(&[add(15, 80, Forwarding::FullNat), delete(14, 81)]);
    assert_eq!(lab.told(), [BOTH, "elements = { 10.0.0.13 . 80 . 192.168.8.15 };"]);
    lab.execute(&[Operation::Service(ServiceOp::Delete { service: service() })]);
    assert_eq!(lab.told(), [""]);
    assert_eq!(lab.director.table, Table::default());
}

#[test]
fn the_rule_of_a_server_that_ipvs_refuses_does_not_stay() {
    let mut lab = Lab::new();
    let refusals = lab.execute(&[add(14, 80, Forwarding::FullNat), add(15, 13, Forwarding::FullNat)]);
    assert_eq!(refusals.into_keys().collect::<Vec<_>>(), [1]);
    assert_eq!(lab.told(), [BOTH, FOURTEEN]);
}

// Its answers would go past the director, and its clients wait for nothing.
#[test]
fn no_server_comes_without_the_rule_that_it_needs() {
    let mut lab = Lab::new();
    lab.execute(&[add(14, 80, Forwarding::FullNat)]);
    lab.told();
    std::fs::write(lab.files.path().join("refuse"), "").unwrap();
    let refusals = lab.execute(&[
        add(15, 80, Forwarding::FullNat),
        add(16, 80, Forwarding::Nat),
        add(14, 81, Forwarding::FullNat),
        delete(14, 80),
    ]);
    let message = "nft cannot change table inet lbd: no".to_owned();
    assert_eq!(refusals, Refusals::from([(0, Refusal { errno: 0, message })]));
    assert_eq!(lab.director.full_nat.rules(), HashSet::from([SourceNat::of(&service(), &server(14, 81))]));
}

#[test]
fn rules_for_nobody_go_with_the_strays() {
    let mut lab = Lab::new();
    lab.execute(&[add(14, 80, Forwarding::FullNat)]);
    lab.told();
    lab.director.table.source_nat.insert(SourceNat::of(&service(), &server(99, 0)));
    lab.director.table.strays.push("chain mine".to_owned());
    let strays = vec!["chain mine".to_owned(), "source NAT of tcp://10.0.0.13:80 to 192.168.8.99".to_owned()];
    assert_eq!(
        lab.execute(&[Operation::Marks(ReplaceMarks {
            from: vec![].into(),
            to: vec![].into(),
            strays: strays.into()
        })]),
        Refusals::new()
    );
    assert_eq!(lab.told(), [FOURTEEN]);
    assert_eq!(lab.director.table.strays, Vec::<String>::new());
}

#[test]
fn servers_behind_a_rule_are_read_as_fullnat() {
    let mut services = Services::default();
    let servers = [
        (server(14, 80), real(Forwarding::Nat)),
        (server(15, 80), real(Forwarding::Nat)),
        (server(16, 80), real(Forwarding::DirectRouting)),
    ];
    let scheduling = crate::model::Scheduling {
        scheduler: crate::model::SchedulerName::new("rr").unwrap(),
        flags: Default::default(),
        persistence: None,
        engine: None,
        one_packet: false,
    };
    let contents = crate::model::VirtualService::new(scheduling, crate::model::Servers::from_iter(servers));
    services.insert(service(), contents);
    let rules = [14, 16].map(|last| SourceNat::of(&service(), &server(last, 0)));
    full_nat(&mut services, &HashSet::from(rules));
    let methods: Vec<Forwarding> =
        services.get(&service()).unwrap().servers.values().map(|real| real.forwarding).collect();
    assert_eq!(methods, [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting]);
}
