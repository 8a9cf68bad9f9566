//! Makes a cluster valid and gives it its name: what a desired file cannot have of it is found here.

use std::collections::HashSet;

use super::lines::Virtual;
use crate::config::document::{CheckList, CheckUse, Cluster, FullServer, MarkEntry, Name, ServerEntry};
use crate::config::{self, Document};
use crate::escape;
use crate::model::State;

/// What a desired file cannot have of a cluster.
pub(super) fn wrong(cluster: &Cluster, mark: Option<&MarkEntry>) -> Option<String> {
    let document = Document {
        clusters: vec![cluster.clone()],
        marks: mark.cloned().into_iter().collect(),
        ..config::render_in_order(&State::default()).document()
    };
    let rendered = config::render_document(document);
    let wrong: Vec<String> = rendered.unexpressed();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// A cluster without checks and what they do.
pub(super) fn without_checks(cluster: &Cluster) -> Cluster {
    let servers = cluster.servers.iter().map(|entry| match entry {
        ServerEntry::Short(address) => ServerEntry::Short(address.clone()),
        ServerEntry::Full(full) => ServerEntry::Full(FullServer { check: None, ..full.clone() }),
    });
    Cluster {
        check: None,
        on_failure: None,
        min_serving: None,
        servers: servers.collect(),
        ..cluster.clone()
    }
}

/// Whether any server of a cluster is checked.
pub(super) fn has_check(cluster: &Cluster) -> bool {
    let is_check = |list: &CheckList| {
        list.uses().iter().any(|check| match check {
            CheckUse::Name(name) => name.as_str() != "none",
            CheckUse::Inline(_) => true,
        })
    };
    let of_server = |entry: &ServerEntry| match entry {
        ServerEntry::Short(_) => false,
        ServerEntry::Full(full) => full.check.as_deref().is_some_and(is_check),
    };
    cluster.check.as_ref().is_some_and(is_check) || cluster.servers.iter().any(of_server)
}

/// A cluster by the name that the file gives it, where no other one has that.
pub(super) fn named(mut cluster: Cluster, of: &Virtual, taken: &mut HashSet<String>) -> Cluster {
    let given = of.settings.get("servicename").map(|setting| setting.value.trim().to_owned());
    let is_name = |name: &String| {
        (1..=255).contains(&name.len()) && !name.chars().any(|c| c.is_control() || escape::is_harmful(c))
    };
    if let Some(name) = given.filter(is_name)
        && taken.insert(name.clone())
    {
        cluster.name = Name::from(name);
    } else {
        taken.insert(cluster.name.as_str().to_owned());
    }
    cluster
}
