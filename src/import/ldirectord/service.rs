//! Turns one virtual service of ldirectord into a cluster, by way of the commands that ldirectord gives to ipvsadm.

use std::collections::HashSet;
use std::net::IpAddr;

use super::address::{Finder, Method, Real, fallback, real, with_port};
use super::checks::{Checking, How, Server, how, service};
use super::lines::{Remark, Setting, Settings, Virtual, refused};
use super::listening::{Listening, add_service, is_mark_alone, listening};
use super::sound::{has_check, without_checks, wrong};
use crate::config;
use crate::config::document::{
    Address, CheckList, Choice, Cluster, FullServer, MarkEntry, MinServingText, ServerEntry,
};
use crate::import::Effect;
use crate::ipvsadm::{LineError, Lookup, TableReader};
use crate::model::{FailurePolicy, ForwardingMethod, Protocol, ServiceKey, State, refuses_clients};

/// A virtual service as a part of a desired file.
pub(super) struct Converted {
    pub(super) cluster: Cluster,
    /// The mark that it listens on
    pub(super) mark: Option<MarkEntry>,
}

/// Converts virtual services, one after the other.
pub(super) struct Converter<'a> {
    globals: &'a Settings,
    table: TableReader<'a>,
    finder: Finder<'a>,
    pub(super) remarks: Vec<Remark>,
    /// What was said once already
    said: HashSet<&'static str>,
}

/// A server that is in the table, with what its check needs.
struct Known {
    written: u16,
    own: Option<(String, String)>,
}

impl<'a> Converter<'a> {
    /// A converter with the global settings of the file.
    pub(super) fn new(globals: &'a Settings, table: TableReader<'a>, names: &'a dyn Lookup) -> Self {
        let finder = Finder { names, notes: Vec::new() };
        Self { globals, table, finder, remarks: Vec::new(), said: HashSet::new() }
    }

    fn remark(&mut self, index: usize, line: usize, effect: Effect, message: impl Into<String>) {
        self.remarks.push(Remark { line, message: message.into(), effect, service: Some(index) });
        for note in self.finder.notes.drain(..) {
            self.remarks.push(Remark { line, message: note, effect: Effect::Note, service: Some(index) });
        }
    }

    /// Says what the finder and the table have noted.
    fn notes(&mut self, index: usize, line: usize) {
        let of_table = self.table.take_notes();
        for note in self.finder.notes.drain(..).chain(of_table) {
            self.remarks.push(Remark { line, message: note, effect: Effect::Note, service: Some(index) });
        }
    }

    /// Converts a virtual service, the one at this place of the file; none where ipvsadm would refuse it.
    pub(super) fn convert(&mut self, index: usize, of: &Virtual) -> Option<Converted> {
        let listening = match listening(of, &mut self.finder) {
            Ok(listening) => listening,
            Err(why) => {
                self.remark(index, of.line, Effect::Lost, refused(why));
                return None;
            }
        };
        self.notes(index, of.line);
        if listening.protocol.is_none() && listening.address.is_none() && !is_mark_alone(&of.target) {
            let message = format!(
                "there is no port in `{}`, so ldirectord reads it as the firewall mark {}",
                of.target, listening.shown
            );
            self.remark(index, of.line, Effect::Note, message);
        }
        // One table for each, so that its servers are its own.
        self.table.state = State::default();
        if let Err(error) = self.table.run(of.line, add_service(&listening, of)) {
            let line = line_of(&error, of);
            self.remark(
                index,
                line,
                Effect::Lost,
                format!("ipvsadm refuses the virtual service, so ldirectord has none: {error}"),
            );
            return None;
        }
        let line = of.settings.get("scheduler").map_or(of.line, |setting| setting.line);
        self.notes(index, line);
        let how = how(of.settings.get("checktype")).unwrap_or_else(|why| {
            let line = of.settings.get("checktype").map_or(of.line, |setting| setting.line);
            self.remark(index, line, Effect::Lost, refused(why));
            How::On
        });
        let is_off = how == How::Off && !self.is_quiescent(of);
        let mut known = Vec::new();
        if is_off {
            let line = of.settings.get("checktype").map_or(of.line, |setting| setting.line);
            let message = "with `checktype = off` ldirectord adds none of the servers, and only a fallback";
            self.remark(index, line, Effect::Note, message);
        } else {
            known = self.servers(index, of, &listening, how == How::Off);
        }
        // Then the fallback serves from the start.
        let is_empty = known.is_empty();
        if is_empty {
            self.only_fallback(index, of, &listening);
        }
        let (key, table) = self.table.state.services.first().map(|(key, service)| (*key, service.clone()))?;
        let rendered = config::render_in_order(&self.table.state);
        let wrong: Vec<String> = rendered.clusters().flat_map(|(_, wrong)| wrong.to_vec()).collect();
        if !wrong.is_empty() {
            self.remark(index, of.line, Effect::Lost, wrong.join("; "));
            return None;
        }
        let mut document = rendered.document();
        let mut cluster = document.clusters.pop()?;
        let mark = document.marks.pop();
        let checking = self.checking(index, of, &listening, how, known.len());
        if let Some(checking) = checking {
            let ports = table.servers.keys().map(|server| server.port);
            self.check(index, &mut cluster, &checking, ports.zip(&known).collect());
        }
        let has_check = has_check(&cluster);
        if has_check {
            cluster.min_serving = Some(MinServingText::from(0_u32));
            let policy = if !self.is_quiescent(of) {
                FailurePolicy::Remove
            } else if refuses_clients(&table.scheduling) {
                let message = "with this scheduler a server of weight 0 refuses its clients; `on_failure: remove` deletes it in place of `quiescent`";
                self.remark(index, of.line, Effect::Note, message);
                FailurePolicy::Remove
            } else {
                FailurePolicy::Quiesce
            };
            cluster.on_failure = Some(Choice(policy));
        }
        if !is_empty {
            cluster.fallback = self.fallback(index, of, &listening, key);
        }
        Some(Converted { cluster, mark })
    }

    fn is_quiescent(&self, of: &Virtual) -> bool {
        let setting = of.settings.get("quiescent").or_else(|| self.globals.get("quiescent"));
        setting.is_some_and(|setting| setting.value == "yes")
    }

    /// Adds the servers to the table. `are_off` is whether they have no weight.
    fn servers(&mut self, index: usize, of: &Virtual, listening: &Listening, are_off: bool) -> Vec<Known> {
        let mut known = Vec::new();
        for Setting { value, line } in &of.reals {
            let found = real(value).and_then(|real| {
                let port = match &real.port {
                    Some(port) => self.finder.port(port, &[Protocol::Tcp, Protocol::Udp])?,
                    None => 0,
                };
                let addresses = self.finder.range(&real, of.is_v6)?;
                Ok((real, addresses, port))
            });
            self.notes(index, *line);
            let (real, addresses, port) = match found {
                Ok(found) => found,
                Err(why) => {
                    self.remark(index, *line, Effect::Lost, refused(why));
                    continue;
                }
            };
            for address in addresses {
                let weight = if are_off { "0" } else { real.weight.as_str() };
                if self.add_server(index, *line, listening, &real, with_port(address, port), weight) {
                    known.push(Known { written: port, own: real.own.clone() });
                }
            }
        }
        known
    }

    /// Adds a server, and returns whether it is a new one.
    fn add_server(
        &mut self,
        index: usize,
        line: usize,
        listening: &Listening,
        real: &Real,
        address: String,
        weight: &str,
    ) -> bool {
        let words = |command: &str| {
            let mut words = vec![command.to_owned()];
            words.extend(listening.words.iter().cloned());
            let text =
                ["-x", &real.upper, "-y", &real.lower, "-r", &address, real.method.option(), "-w", weight];
            words.extend(text.map(str::to_owned));
            words
        };
        match self.table.run(line, words("-a")) {
            Ok(()) => return true,
            Err(LineError::ServerExists(_, server)) if server.to_string() == address => {
                // It is the same server in another line.
                let message = format!("{address} is there twice; the last line counts");
                self.remark(index, line, Effect::Note, message);
                if let Err(error) = self.table.run(line, words("-e")) {
                    self.remark(index, line, Effect::Lost, error.to_string());
                }
            }
            Err(LineError::ServerExists(_, server)) => {
                let message = format!(
                    "without `masq` a server has the port of the service, and {server} is there already; ipvsadm refuses it again"
                );
                self.remark(index, line, Effect::Note, message);
            }
            Err(error) => {
                self.remark(index, line, Effect::Lost, format!("ipvsadm refuses the server: {error}"));
            }
        }
        false
    }

    /// Adds the fallback to a table that has no server.
    fn only_fallback(&mut self, index: usize, of: &Virtual, listening: &Listening) {
        let Some((address, port, method, line)) = self.fallback_server(index, of, listening) else { return };
        let mut words = vec!["-a".to_owned()];
        words.extend(listening.words.iter().cloned());
        words.extend([
            "-r".to_owned(),
            with_port(address, port),
            method.option().to_owned(),
            "-w".to_owned(),
            "1".to_owned(),
        ]);
        if let Err(error) = self.table.run(line, words) {
            self.remark(index, line, Effect::Lost, format!("ipvsadm refuses the fallback: {error}"));
        }
    }

    fn checking<'b>(
        &mut self,
        index: usize,
        of: &'b Virtual,
        listening: &Listening,
        how: How,
        servers: usize,
    ) -> Option<Checking<'b>>
    where
        'a: 'b,
    {
        if servers == 0 || how == How::Off {
            return None;
        }
        let is_address = listening.address.is_some();
        let service = service(of.settings.get("service"), is_address.then_some(listening.port));
        let service = service.unwrap_or_else(|why| {
            let line = of.settings.get("service").map_or(of.line, |setting| setting.line);
            self.remark(index, line, Effect::Lost, refused(why));
            "none"
        });
        Some(Checking {
            how,
            service,
            is_udp: listening.protocol == Some(Protocol::Udp),
            address: listening.shown.clone(),
            port: listening.port,
            of,
            globals: self.globals,
        })
    }

    /// Gives the cluster its check, or each server its own where they differ.
    fn check(
        &mut self,
        index: usize,
        cluster: &mut Cluster,
        checking: &Checking<'_>,
        servers: Vec<(u16, &Known)>,
    ) {
        let mut checks: Vec<Option<CheckList>> = Vec::new();
        let mut said: HashSet<(&str, String)> = HashSet::new();
        for (port, Known { written, own }) in servers {
            let server = Server { written: *written, port, own: own.as_ref() };
            let (check, remarks) = checking.of_server(server);
            checks.push(check);
            for (key, effect, message) in remarks {
                if !said.insert((key, message.clone())) {
                    continue;
                }
                let is_of_all = effect == Effect::Note && matches!(key, "timeout" | "service");
                if is_of_all && !self.said.insert(key) {
                    continue;
                }
                let of = checking.of;
                let setting = of.settings.get(key).or_else(|| self.globals.get(key));
                self.remark(index, setting.map_or(of.line, |setting| setting.line), effect, message);
            }
        }
        let Some(first) = checks.first().cloned() else { return };
        if checks.iter().all(|check| *check == first) {
            cluster.check = first;
            return;
        }
        for (entry, check) in cluster.servers.iter_mut().zip(checks) {
            let mut full = match &*entry {
                ServerEntry::Short(address) => FullServer::new(address.clone()),
                ServerEntry::Full(full) => full.clone(),
            };
            full.check = check.map(Box::new);
            *entry = ServerEntry::Full(full);
        }
    }

    /// The fallback of a virtual service as ldirectord finds it: its address, port, method and line.
    fn fallback_server(
        &mut self,
        index: usize,
        of: &Virtual,
        listening: &Listening,
    ) -> Option<(IpAddr, u16, Method, usize)> {
        let (right, wrong) = if of.is_v6 { ("fallback6", "fallback") } else { ("fallback", "fallback6") };
        if let Some(setting) = of.settings.get(wrong) {
            self.remark(index, setting.line, Effect::Lost, refused(format!("it wants `{right}` here")));
        }
        let own = of.settings.get(right);
        let setting = own.or_else(|| self.globals.get(right))?.clone();
        if own.is_none() && listening.address.is_none() {
            let message =
                "ldirectord has the global fallback for addresses only, and none for a firewall mark";
            self.remark(index, of.line, Effect::Note, message);
            return None;
        }
        let found = fallback(&setting.value).and_then(|(host, port, method)| {
            let address = self.finder.host(host, of.is_v6)?;
            let port = match port {
                Some(port) => self.finder.port(port, &[listening.protocol.unwrap_or(Protocol::Tcp)])?,
                None => listening.port,
            };
            Ok((address, port, method, setting.line))
        });
        match found {
            Ok(found) => {
                self.notes(index, setting.line);
                Some(found)
            }
            Err(why) => {
                self.remark(index, setting.line, Effect::Lost, refused(why));
                None
            }
        }
    }

    fn fallback(
        &mut self,
        index: usize,
        of: &Virtual,
        listening: &Listening,
        key: ServiceKey,
    ) -> Option<ServerEntry> {
        let (address, port, method, _) = self.fallback_server(index, of, listening)?;
        // Without NAT it has the port of the service.
        let own = key.default_server_port();
        let is_own = port == own || (key.mark().is_none() && method != Method::Masq);
        let text = if is_own { address.to_string() } else { with_port(address, port) };
        let forward = match method {
            Method::Gate => ForwardingMethod::DirectRouting,
            Method::Masq => ForwardingMethod::Nat,
            Method::Ipip => ForwardingMethod::Tunnel,
        };
        Some(ServerEntry::Full(FullServer {
            forward: Some(Choice(forward)),
            ..FullServer::new(Address::from(text))
        }))
    }

    /// A cluster that was found to be wrong as far as it is valid by itself: without the fallback or the checks that a desired file cannot have, which are named.
    pub(super) fn sound(
        &mut self,
        index: usize,
        of: &Virtual,
        cluster: Cluster,
        mark: Option<&MarkEntry>,
    ) -> Cluster {
        let Some(why) = wrong(&cluster, mark) else { return cluster };
        let without_fallback = Cluster { fallback: None, ..cluster.clone() };
        let setting =
            |key: &str| of.settings.get(key).or_else(|| self.globals.get(key)).map(|setting| setting.line);
        let line_of_fallback = setting("fallback").unwrap_or(of.line);
        if cluster.fallback.is_some() && wrong(&without_fallback, mark).is_none() {
            self.remark(index, line_of_fallback, Effect::Lost, format!("no fallback: {why}"));
            return without_fallback;
        }
        let without_checks = without_checks(&cluster);
        if wrong(&without_checks, mark).is_none() {
            self.remark(index, of.line, Effect::Lost, format!("no check: {why}"));
            return without_checks;
        }
        self.remark(index, of.line, Effect::Lost, format!("neither check nor fallback: {why}"));
        Cluster { fallback: None, ..without_checks }
    }
}

/// The line that an error of the virtual service is about.
fn line_of(error: &LineError, of: &Virtual) -> usize {
    let text = error.to_string();
    let words = [
        ("scheduler", "scheduler"),
        ("persist", "persistent"),
        ("netmask", "netmask"),
        ("prefix length", "netmask"),
        ("flag", "schedflags"),
    ];
    let key = words.into_iter().find(|(word, _)| text.contains(word)).map(|(_, key)| key);
    key.and_then(|key| of.settings.get(key)).map_or(of.line, |setting| setting.line)
}
