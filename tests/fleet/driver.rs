//! Does in etcd what it reads from its standard input, one JSON document a line, and prints what came of it: for tests/long/fleet_etcd.

use std::io::BufRead;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use lbd::agent::etcd::{Changes, Etcd, EtcdError, LeaseState, Range, Write};
use lbd::agent::settings::{ClientCertificate, EtcdSettings, TlsSettings};
use lbd::error_chain::ErrorChain;
use lbd::fleet::fleet_roles;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// What the driver works with.
struct Driver {
    etcd: Etcd,
    changes: Option<Changes>,
}

fn text(command: &Value, key: &str) -> String {
    command[key].as_str().unwrap_or_default().to_owned()
}

fn settings(command: &Value) -> EtcdSettings {
    let path = |key| PathBuf::from(text(command, key));
    let client = command["key"]
        .is_string()
        .then(|| ClientCertificate { certificate: path("certificate"), key: path("key") });
    let tls = command["ca"].is_string().then(|| TlsSettings { ca: path("ca"), client });
    let endpoints =
        command["endpoints"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
    EtcdSettings { endpoints: endpoints.collect(), prefix: text(command, "prefix"), tls }
}

fn writes(command: &Value) -> Vec<Write> {
    let mut writes = Vec::new();
    for (key, value) in command["put"].as_object().into_iter().flatten() {
        // A number is that many bytes that cannot be compressed.
        let value = match value.as_u64() {
            Some(size) => (0..size).map(|_| fastrand::u8(..)).collect(),
            None => value.as_str().unwrap().as_bytes().to_vec(),
        };
        writes.push(Write::Put { key: key.clone(), value, is_leased: command["leased"] == true });
    }
    for key in command["delete"].as_array().into_iter().flatten() {
        writes.push(Write::Delete(key.as_str().unwrap().to_owned()));
    }
    writes
}

fn kind(error: &EtcdError) -> &'static str {
    match error {
        EtcdError::Unreachable(_) => "unreachable",
        EtcdError::Interrupted { .. } => "interrupted",
        EtcdError::Denied { .. } => "denied",
        EtcdError::TooLarge(_) => "too large",
        EtcdError::NoSpace(_) => "no space",
        EtcdError::Compacted(_) => "compacted",
        EtcdError::LeaseLost => "lease lost",
        EtcdError::Certificate { .. } => "certificate",
        EtcdError::Refused { .. } => "refused",
    }
}

impl Driver {
    async fn done(&mut self, command: &Value) -> Result<Value, EtcdError> {
        Ok(match command["do"].as_str().unwrap() {
            "open" => {
                *self = Self { etcd: Etcd::new(settings(command)), changes: None };
                json!(true)
            }
            "range" => {
                let range = self.etcd.range(&text(command, "folder")).await?;
                let entries = range.entries.iter().map(|entry| {
                    let value = String::from_utf8(entry.value.clone());
                    (entry.key.clone(), json!(value.unwrap_or_else(|_| entry.value.len().to_string())))
                });
                json!({ "revision": range.revision, "entries": entries.collect::<serde_json::Map<_, _>>() })
            }
            "write" => json!(self.etcd.transact(&[], &writes(command)).await?),
            "watch" => {
                self.changes = Some(self.etcd.watch(command["after"].as_i64().unwrap()).await?);
                json!(true)
            }
            // Whether something has changed.
            "next" => {
                let patience = Duration::from_secs_f64(command["seconds"].as_f64().unwrap());
                let changes = self.changes.as_mut().unwrap();
                timeout(patience, changes.next()).await.map_or(json!(false), |next| match next {
                    Ok(()) => json!(true),
                    Err(error) => json!({ "error": kind(&error), "text": ErrorChain(&error).to_string() }),
                })
            }
            "lease" => json!(format!("{:?}", self.etcd.keep_lease().await?)),
            "end lease" => json!(self.etcd.end_lease().await?),
            "crowd" => {
                let settings = settings(command);
                let number = command["number"].as_u64().unwrap();
                let mut crowd = JoinSet::new();
                for number in 0..number {
                    let (etcd, key) = (Etcd::new(settings.clone()), format!("reports/crowd{number}"));
                    crowd.spawn(one_of_many(etcd, key));
                }
                let begun = crowd.join_all().await;
                for (mut etcd, range, mut changes) in begun.into_iter().map(Result::unwrap) {
                    tokio::spawn(async move {
                        let mut range = range;
                        let mut keep = interval(Duration::from_secs(9));
                        loop {
                            tokio::select! {
                                followed = changes.follow(&mut range) => followed.unwrap(),
                                _ = keep.tick() => assert_eq!(etcd.keep_lease().await.unwrap(), LeaseState::Kept),
                            }
                        }
                    });
                }
                json!(true)
            }
            "roles" => {
                let names = command["directors"].as_array().unwrap().iter();
                let names: Vec<(&str, bool)> =
                    names.enumerate().map(|(number, name)| (name.as_str().unwrap(), number == 0)).collect();
                json!(fleet_roles(&text(command, "prefix"), &names, "operator"))
            }
            other => panic!("{other}"),
        })
    }
}

/// What an agent does first: reads all, watches, and writes its report.
async fn one_of_many(mut etcd: Etcd, key: String) -> Result<(Etcd, Range, Changes), EtcdError> {
    let range = etcd.range("").await?;
    let changes = etcd.watch(range.revision).await?;
    let _new = etcd.keep_lease().await?;
    etcd.transact(&[], &[Write::Put { key, value: vec![b'x'; 1000], is_leased: true }]).await?;
    Ok((etcd, range, changes))
}

#[tokio::test]
#[ignore = "the process that `tests/long/fleet_etcd` starts and gives its commands: without these it has nothing to do"]
async fn driver() {
    let etcd = Etcd::new(EtcdSettings { endpoints: Vec::new(), prefix: String::new(), tls: None });
    let mut driver = Driver { etcd, changes: None };
    println!();
    // Connections are probed while nothing is read here.
    let (sender, mut lines) = unbounded_channel();
    thread::spawn(move || std::io::stdin().lock().lines().try_for_each(|line| sender.send(line.unwrap())));
    while let Some(line) = lines.recv().await {
        let command: Value = serde_json::from_str(&line).unwrap();
        let began = Instant::now();
        let done = driver
            .done(&command)
            .await
            .unwrap_or_else(|error| json!({ "error": kind(&error), "text": ErrorChain(&error).to_string() }));
        let seconds = began.elapsed().as_secs_f64();
        println!("{}", json!({ "done": done, "seconds": seconds, "member": driver.etcd.member() }));
    }
}
