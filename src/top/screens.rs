//! Writes the screens beside the table, line by line: a server with its connections, what differs and the warnings, and the keys.

use super::model::{Model, Reason, Server};
use crate::model::Counters;
use crate::report::short_number;

/// A server of a service, with its connections.
pub(super) fn server(model: &Model, service: &str, name: &str, connections: &[String]) -> Vec<String> {
    let of = model.services().find(|(of, _)| of.name == service);
    let cluster = of.and_then(|(service, _)| service.cluster.as_deref()).unwrap_or("another program");
    let mut lines = vec![format!("{name} of {service} ({cluster})"), String::new()];
    let Some(server) = model.server(service, name) else {
        lines.push("no longer there".to_owned());
        return lines;
    };
    let Server {
        forward,
        weight,
        file_weight,
        active,
        inactive,
        persistent,
        statistics,
        rates,
        state,
        reason,
        ..
    } = server;
    let weight = weight.map_or_else(|| "none".to_owned(), |weight| weight.to_string());
    let file_weight = file_weight.map_or_else(|| "not in it".to_owned(), |weight| weight.to_string());
    lines.push(format!("state        {state}"));
    if let Some(Reason { text, since, until }) = reason {
        lines.push(format!("why          {text}"));
        lines.extend(since.as_ref().map(|since| format!("since        {since}")));
        lines.extend(until.as_ref().map(|until| format!("until        {until}")));
    }
    lines.push(format!("weight       {weight} (in the file: {file_weight}), {forward}"));
    let counted = |counters: &Option<Counters>| match counters {
        None => "not counted".to_owned(),
        Some(Counters {
            connections,
            incoming_packets,
            outgoing_packets,
            incoming_bytes,
            outgoing_bytes,
        }) => {
            format!(
                "{} connections, packets {} in, {} out, bytes {} in, {} out",
                short_number(*connections),
                short_number(*incoming_packets),
                short_number(*outgoing_packets),
                short_number(*incoming_bytes),
                short_number(*outgoing_bytes)
            )
        }
    };
    lines.push(format!("per second   {}", counted(rates)));
    lines.push(format!("until now    {}", counted(statistics)));
    lines.push(format!(
        "connections  {active} active, {inactive} inactive, {persistent} persistent; the first of them:"
    ));
    lines.extend(connections.iter().cloned());
    lines
}

/// The warnings, and what differs.
pub(super) fn report(model: &Model, plan: &[String]) -> Vec<String> {
    let mut lines = model.report.clone();
    lines.extend([String::new(), "what `lbd diff` shows:".to_owned()]);
    lines.extend(plan.iter().cloned());
    lines
}

/// The keys.
pub(super) fn help() -> Vec<String> {
    HELP.lines().map(str::to_owned).collect()
}

const HELP: &str = "\
arrows, j k      another row; PgUp, PgDn, Home, End, g, G
Enter, space     fold or unfold; of a server: its details
Left, Right      fold, unfold
d                details of a server, and its connections
s                next order: name, connections/s, bytes/s, failing first
r                the other way round
/                only what has this in a name or state; Esc: all
p                pause: nothing is read; again: go on
w                warnings, and what differs
q, Ctrl-C        quit

2/3!             two of three servers get new connections; `!`: some of
                 them fail, or are missing
share            of new connections per second, or of bytes where they are
                 sorted by: of all clusters, of the cluster, of the service
-                not counted
Rates are the kernel's estimate, new every two seconds.
";
