//! Writes connections one by one, each as a line, and how many there are.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::json::VERSION;
use super::output::Output;
use super::styled::{PLAIN, line};
use super::text::{HEAD, NOTE};
use crate::connections::{Belonging, Counted};
use crate::escape;
use crate::kernel::connections::{ANY_PROTOCOL, ConnectionEntry, VirtualEnd};
use crate::model::{Family, Prefix, ServiceKey};

/// A connection as a line of JSON.
#[derive(Serialize)]
struct Row<'a> {
    protocol: String,
    client: String,
    #[serde(rename = "virtual")]
    to: String,
    server: String,
    state: &'a str,
    expires_in: u64,
    cluster: Option<&'a str>,
    service: Option<String>,
    template: bool,
}

/// Where a client connects to, as the `listen` URL of a service would have it.
fn destination(entry: &ConnectionEntry) -> ServiceKey {
    match entry.to {
        VirtualEnd::Mark(mark) => ServiceKey::FirewallMark { family: Family::of(entry.client.ip()), mark },
        VirtualEnd::Address(to) => {
            ServiceKey::Address { protocol: entry.protocol, address: to.ip(), port: to.port() }
        }
    }
}

/// The client, or the clients that share a template.
fn client(entry: &ConnectionEntry, clients: Prefix) -> String {
    match entry.is_template {
        true if clients.length == Family::of(clients.address).bits() => clients.address.to_string(),
        true => clients.to_string(),
        false => entry.client.to_string(),
    }
}

/// Writes a connection as a line of JSON.
///
/// # Errors
/// Those of `out`.
pub fn connection_json(
    out: &mut dyn Write,
    entry: &ConnectionEntry,
    belonging: &Belonging<'_>,
) -> io::Result<()> {
    let row = Row {
        protocol: if entry.protocol == ANY_PROTOCOL { "any".to_owned() } else { entry.protocol.to_string() },
        client: client(entry, belonging.clients),
        to: match entry.to {
            VirtualEnd::Mark(_) => destination(entry).to_string(),
            VirtualEnd::Address(to) => to.to_string(),
        },
        server: entry.server.to_string(),
        state: &entry.state,
        expires_in: entry.expires_in,
        cluster: belonging.cluster,
        service: belonging.service.map(|service| service.to_string()),
        template: entry.is_template,
    };
    escape::json_line(out, &row)?;
    out.write_all(b"\n")
}

/// Writes a connection as a line of text: `192.0.2.7:51234 -> tcp://10.0.0.13:80 (web) -> 192.168.8.14:80  ESTABLISHED, 14m 57s`.
///
/// # Errors
/// Those of `out`.
pub fn connection_text(
    out: &mut Output,
    entry: &ConnectionEntry,
    belonging: &Belonging<'_>,
) -> io::Result<()> {
    let destination = destination(entry);
    // A connection to a mark, or to each port of an address, does not name its service.
    let service = belonging.service.filter(|service| *service != destination);
    let names = [belonging.cluster.map(str::to_owned), service.map(|service| service.to_string())];
    let names: Vec<String> = names.into_iter().flatten().collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let state = if entry.is_template { "persistence" } else { entry.state.as_str() };
    let left = humantime::format_duration(Duration::from_secs(entry.expires_in));
    let client = client(entry, belonging.clients);
    line(
        out,
        &[
            (PLAIN, &format_args!("{client} -> {destination}{names} -> ")),
            (HEAD, &entry.server),
            (NOTE, &format_args!("  {state}, {left}")),
        ],
    )
}

/// The number of connections and templates.
struct Numbers {
    connections: u64,
    templates: u64,
}

impl Numbers {
    fn of<'a>(counted: impl IntoIterator<Item = &'a Counted>) -> Self {
        let mut numbers = Self { connections: 0, templates: 0 };
        for of in counted {
            numbers.connections += of.states.iter().map(|(_, number)| number).sum::<u64>();
            numbers.templates += of.templates;
        }
        numbers
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |number: u64| if number == 1 { "" } else { "s" };
        write!(f, "{} connection{}", self.connections, plural(self.connections))?;
        match self.templates {
            0 => Ok(()),
            number => write!(f, ", {number} persistence template{}", plural(number)),
        }
    }
}

/// Writes how many connections there are: of all, of each cluster and service, and of each server by state.
///
/// # Errors
/// Those of `out`.
pub fn connection_counts_text(out: &mut Output, counted: &[Counted]) -> io::Result<()> {
    for of_cluster in counted.chunk_by(|one, next| one.cluster == next.cluster) {
        let Some(first) = of_cluster.first() else { continue };
        let name = first.cluster.as_deref().unwrap_or("of no cluster");
        line(out, &[(HEAD, &name), (PLAIN, &format_args!("  {}", Numbers::of(of_cluster)))])?;
        for of_service in of_cluster.chunk_by(|one, next| one.service == next.service) {
            let Some(first) = of_service.first() else { continue };
            let name = first.service.map_or("of no service".to_owned(), |service| service.to_string());
            line(out, &[(PLAIN, &format_args!("  {name}  {}", Numbers::of(of_service)))])?;
            for Counted { server, states, templates, .. } in of_service {
                let states = states.iter().map(|(state, number)| format!("{number} {state}"));
                let templates = (*templates > 0).then(|| format!("{templates} persistence"));
                let numbers: Vec<String> = states.chain(templates).collect();
                let numbers = numbers.join(", ");
                line(out, &[(PLAIN, &format_args!("    {server}  ")), (NOTE, &numbers)])?;
            }
        }
    }
    line(out, &[(HEAD, &"all:"), (PLAIN, &format_args!(" {}", Numbers::of(counted)))])
}

/// Writes the same as a document.
///
/// # Errors
/// Those of `out`.
pub fn connection_counts_json(out: &mut dyn Write, counted: &[Counted]) -> io::Result<()> {
    let row = |of: &Counted| -> Value {
        let Numbers { connections, templates } = Numbers::of([of]);
        let states: serde_json::Map<String, Value> =
            of.states.iter().map(|(state, number)| (state.to_string(), json!(number))).collect();
        json!({
            "cluster": of.cluster.as_deref(),
            "service": of.service.map(|service| service.to_string()),
            "server": of.server.to_string(),
            "connections": connections,
            "templates": templates,
            "states": states,
        })
    };
    let Numbers { connections, templates } = Numbers::of(counted);
    let document = json!({
        "version": VERSION,
        "connections": connections,
        "templates": templates,
        "servers": counted.iter().map(row).collect::<Vec<_>>(),
    });
    escape::json(out, &document)?;
    writeln!(out)
}
