//! Compares a conversion with the table that the real program made of the same file, as it was recorded (`tests/data/import`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use lbd::config::{Source, state_of};
use lbd::import::{Format, Imported, NoFiles, import_with};
use lbd::ipvsadm::ServiceNames;
use lbd::model::{
    Forwarding, Named, Persistence, PersistenceMask, RealServer, ServiceKey, State, SyncDaemon,
    VirtualService,
};
use serde_json::{Map, Value, json};

/// Converts a text, with the ports that the recorded files name.
pub(super) fn convert(text: &str, format: Format) -> Imported {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ports = "http 80/tcp\nhttps 443/tcp\nhttp-alt 8080/tcp\nmysql 3306/tcp\ndomain 53/udp\n";
    fs::write(&file, ports).unwrap();
    import_with(&Source::new("x", text), format, &NoFiles, &ServiceNames::from_file(file.path())).unwrap()
}

/// Every file of a folder makes the table that was recorded beside it.
pub(super) fn compare(folder: &str, format: Format) {
    let folder = Path::new("tests/data/import").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    assert!(!files.is_empty());
    for file in files {
        let recorded = fs::read_to_string(file.with_extension("expected.json")).unwrap();
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        let imported = convert(&fs::read_to_string(&file).unwrap(), format);
        let made = table(&state_of(imported.document));
        assert_eq!(made, recorded["table"], "{}", file.display());
    }
}

/// A state as the recorded tables have it.
fn table(state: &State) -> Value {
    let services: Map<String, Value> =
        state.services.iter().map(|(key, of)| (service_name(key), service(of))).collect();
    let times = state.timeouts;
    json!({
        "daemons": state.sync.iter().map(daemon).collect::<Vec<_>>(),
        "services": services,
        "timeouts": [times.tcp.unwrap_or(900), times.tcp_fin.unwrap_or(120), times.udp.unwrap_or(300)],
    })
}

fn service_name(key: &ServiceKey) -> String {
    let text = key.to_string();
    let (word, rest) = text.split_once("://").unwrap();
    let word = match word {
        "fwmark" => "fwm",
        "fwmark6" => "fwm6",
        word => word,
    };
    format!("{word} {rest}")
}

fn service(of: &VirtualService) -> Value {
    let scheduling = &of.scheduling;
    let mut flags = scheduling.flags.names(&scheduling.scheduler);
    flags.sort_unstable();
    let mask = |Persistence { mask, .. }| match mask {
        PersistenceMask::V4(mask) => mask.to_string(),
        PersistenceMask::V6(length) => length.to_string(),
    };
    let servers: Map<String, Value> =
        of.servers.iter().map(|(key, of)| (key.to_string(), server(of))).collect();
    json!({
        "engine": scheduling.engine.as_ref().map(ToString::to_string),
        "flags": flags,
        "netmask": scheduling.persistence.map(mask),
        "one_packet": scheduling.one_packet,
        "persistent": scheduling.persistence.map(|persistence| persistence.timeout),
        "scheduler": scheduling.scheduler.to_string(),
        "servers": servers,
    })
}

fn server(of: &RealServer) -> Value {
    let limit = |limit: Option<std::num::NonZeroU32>| limit.map_or(0, std::num::NonZeroU32::get);
    let mut server = json!({
        "forward": of.forwarding.method().and_then(|method| method.name()),
        "lower": limit(of.thresholds.lower),
        "upper": limit(of.thresholds.upper),
        "weight": of.weight,
    });
    if let Forwarding::Tunnel(tunnel) = of.forwarding {
        server["tunnel"] = json!({ "checksum": tunnel.checksum.name(), "type": tunnel.kind.name() });
        if tunnel.port != 0 {
            server["tunnel"]["port"] = tunnel.port.into();
        }
    }
    server
}

fn daemon(daemon: &SyncDaemon) -> String {
    let SyncDaemon { role, interface, id, max_length, group, port, ttl } = daemon;
    format!(
        "{} sync daemon (mcast={interface}, syncid={id}, maxlen={}, group={}, port={}, ttl={})",
        role.name().unwrap_or_default(),
        max_length.unwrap_or(1472),
        group.map_or("224.0.0.81".to_owned(), |group| group.to_string()),
        port.unwrap_or(8848),
        ttl.unwrap_or(1),
    )
}
