//! Converts an ldirectord.cf: each virtual service becomes a cluster with its checks and its fallback.

mod address;
mod checks;
mod keys;
mod lines;
mod listening;
mod service;
mod sound;

use std::collections::HashSet;

use self::lines::{Remark, read};
use self::service::Converter;
use self::sound::named;
use super::{COMMANDS, Finding, Imported, Place};
use crate::config::document::MarkEntry;
use crate::config::{self, Document, Source};
use crate::ipvsadm::{Lookup, TableReader};

/// Converts a file; `names` looks up hosts and ports.
pub(super) fn import(source: &Source, names: &dyn Lookup) -> Imported {
    let lines = read(&source.text);
    let mut converter = Converter::new(&lines.globals, TableReader::new(names, COMMANDS), names);
    let (mut kept, mut marks): (Vec<usize>, Vec<Option<MarkEntry>>) = (Vec::new(), Vec::new());
    let mut document: Document = config::render_in_order(&Default::default()).document();
    let mut taken = HashSet::new();
    for (index, service) in lines.services.iter().enumerate() {
        let Some(converted) = converter.convert(index, service) else { continue };
        kept.push(index);
        document.marks.extend(converted.mark.clone().filter(|mark| !document.marks.contains(mark)));
        marks.push(converted.mark);
        document.clusters.push(named(converted.cluster, service, &mut taken));
    }
    // Mostly all are valid, which is found out at once.
    let rendered = config::render_document(document.clone());
    let wrong = rendered.clusters().enumerate().filter(|(_, (_, wrong))| !wrong.is_empty());
    for place in wrong.map(|(place, _)| place) {
        let (Some(cluster), Some(&index)) = (document.clusters.get_mut(place), kept.get(place)) else {
            continue;
        };
        let Some(service) = lines.services.get(index) else { continue };
        let mark = marks.get(place).and_then(Option::as_ref);
        *cluster = converter.sound(index, service, cluster.clone(), mark);
    }
    let mut remarks = lines.remarks;
    remarks.append(&mut converter.remarks);
    remarks.sort_by_key(|remark| remark.line);
    let texts: Vec<&str> = source.text.lines().collect();
    let finding = |Remark { line, message, effect, service }: Remark| Finding {
        file: source.name.clone(),
        line,
        text: line.checked_sub(1).and_then(|index| texts.get(index)).unwrap_or(&"").trim().to_owned(),
        message,
        effect,
        place: match service {
            None => Place::Head,
            Some(service) => Place::Before(kept.partition_point(|kept| *kept < service)),
        },
    };
    Imported { document, findings: remarks.into_iter().map(finding).collect() }
}
