//! `lbd top`: the table with its rates on a terminal, from the daemon's socket, or as kernel and state directory have it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use compact_str::CompactString;

use super::documents::CommandDocuments;
use super::{CommandError, Console, DONE, by_socket, connections};
use crate::api::{Client, Document, Documents, Question};
use crate::cli::{Arguments, ReportOutput, TopOptions};
use crate::escape;
use crate::metrics::PassCounters;
use crate::model::{ServiceKey, Table};
use crate::top::{self, Model, Palette, Reading, Source, TableReading, View, Wanted};

/// Shows it until a key ends it, or writes it once.
pub(super) fn run(
    arguments: &Arguments,
    options: &TopOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if options.once {
        return once(arguments, options.output, console);
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(CommandError::NoScreen);
    }
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    console.progress.wipe();
    let (of_thread, is_coloured) = (arguments.clone(), console.out.is_coloured());
    top::run(move || Daemon::new(&of_thread), Palette { is_coloured })?;
    Ok(DONE)
}

fn once(arguments: &Arguments, output: ReportOutput, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let mut daemon = Daemon::new(arguments);
    let table = Document::Table { clusters: Vec::new(), has_servers: true };
    let text = daemon.document(table, false).map_err(CommandError::NoTable)?;
    if output == ReportOutput::Json {
        for line in text.lines() {
            writeln!(console.out, "{}", escape::text(line))?;
        }
        return Ok(DONE);
    }
    let mut model = Model::default();
    model.take(reading(&text).map_err(CommandError::NoTable)?);
    let mut view = View::new(0);
    view.unfold_all(&model);
    for line in top::lines(&model, &view, WIDTH) {
        writeln!(console.out, "{line}")?;
        // The rest of a long table is for nobody.
        if console.out.is_closed() {
            return Ok(DONE);
        }
    }
    Ok(DONE)
}

/// How wide the text of `--once` is, in cells, whatever the terminal: it is for files and mails.
const WIDTH: u16 = 140;

/// Where the documents come from: the daemon's socket, or where there is none for this user this process itself.
struct Daemon {
    client: Option<Client>,
    own: CommandDocuments,
    /// The cluster of each service, as the last table had them
    clusters: Table<ServiceKey, CompactString>,
}

impl Daemon {
    fn new(arguments: &Arguments) -> Self {
        let own = CommandDocuments::new(arguments.clone(), Arc::new(PassCounters::default()));
        let client = by_socket::client_of(arguments, by_socket::Needs::Kernel).ok();
        Self { client, own, clusters: Table::default() }
    }

    fn document(&mut self, document: Document, is_text: bool) -> Result<String, String> {
        let question = Question { document, is_text };
        let mut socket = None;
        if let Some(client) = &self.client {
            match by_socket::request(client, &question).map_err(|error| error.line())? {
                Ok(received) => return Ok(received.text),
                Err(error) if error.is_problem() => return Err(error.to_string()),
                Err(error) if error.is_absent() => {}
                Err(error) => socket = Some(error.to_string()),
            }
        }
        let reply = self.own.make(&question).map_err(|problem| match socket {
            Some(socket) => format!("{socket}; {}", problem.detail),
            None => problem.detail,
        })?;
        String::from_utf8(reply.body.to_bytes()).map_err(|error| error.to_string())
    }

    fn table(&mut self, clusters: Vec<String>, has_servers: bool) -> Result<TableReading, String> {
        reading(&self.document(Document::Table { clusters, has_servers }, false)?)
    }
}

fn reading(text: &str) -> Result<TableReading, String> {
    serde_json::from_str(text).map_err(|error| format!("the reply is no table: {error}"))
}

impl Source for Daemon {
    fn read(&mut self, wanted: &Wanted, has_table: bool) -> Result<Reading, String> {
        let Wanted { clusters, server, connections: most, plan } = wanted;
        let table = has_table.then(|| self.table(Vec::new(), false)).transpose()?;
        if let Some(table) = &table {
            let services = table.services.iter();
            let named =
                services.filter_map(|of| Some((of.name.parse().ok()?, of.cluster.as_deref()?.into())));
            self.clusters = named.collect();
        }
        // (A cluster may have left the file since it was seen; its servers are gone then.)
        let servers = match clusters.is_empty() {
            true => None,
            false => self.table(clusters.clone(), true).ok(),
        };
        let connections = match server {
            Some((_, server)) => {
                connections::first(server, *most, &self.clusters).map_err(|error| error.line())?
            }
            None => Vec::new(),
        };
        let plan = match plan {
            true => self.document(Document::Plan { clusters: Vec::new(), file: None }, true)?,
            false => String::new(),
        };
        Ok(Reading { table, servers, connections, plan: plan.lines().map(str::to_owned).collect() })
    }
}
