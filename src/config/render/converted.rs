//! Checks a document that was converted from another format, so that what is written of it is always a valid file.

use super::{Rendered, Rewritten, empty};
use crate::config::format::document::{CheckEntry, Cluster, Document};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::{KeyPath, PathStep};
use crate::config::resolve::{name, resolve};
use crate::model::State;

/// A document as a file. A cluster that is not valid becomes a comment, with what is wrong with it; so does each other section.
pub fn render_document(document: Document) -> Rendered {
    let mut head = Document { clusters: Vec::new(), ..document };
    let mut head_lost = Vec::new();
    let rewritten = |cluster: Cluster| Rewritten {
        listen: listeners(&cluster),
        cluster,
        wrong: Vec::new(),
        before: Vec::new(),
    };
    let mut clusters: Vec<Rewritten> = document.clusters.into_iter().map(rewritten).collect();
    // What is left out may make something else wrong, such as a fallback of a name that is gone; each turn leaves something out.
    loop {
        let sound: Vec<usize> = clusters
            .iter()
            .enumerate()
            .filter(|(_, cluster)| cluster.wrong.is_empty())
            .map(|(index, _)| index)
            .collect();
        let of = |index: &usize| clusters.get(*index).map(|rewritten| rewritten.cluster.clone());
        let whole = Document { clusters: sound.iter().filter_map(of).collect(), ..head.clone() };
        let (_, issues) = resolve(whole);
        if issues.list.is_empty() {
            return Rendered {
                head,
                head_lost,
                head_comments: Vec::new(),
                clusters,
                end_comments: Vec::new(),
            };
        }
        for issue in issues.list {
            let cluster = match issue.path.0.as_slice() {
                [PathStep::Key(key), PathStep::Index(index), ..] if key == "clusters" => {
                    sound.get(*index).and_then(|index| clusters.get_mut(*index))
                }
                _ => None,
            };
            match cluster {
                Some(cluster) => cluster.wrong.push(super::cluster::with_server(&issue, &cluster.cluster)),
                None => {
                    without(&mut head, &issue);
                    head_lost.push(issue.message);
                }
            }
        }
    }
}

/// The state that a document describes.
pub fn state_of(document: Document) -> State {
    resolve(document).0.state
}

/// What is wrong with a check, if anything is.
pub fn problem_of_check(entry: &CheckEntry) -> Option<String> {
    let checks = [("check".to_owned(), entry.clone())].into_iter().collect();
    let (_, issues) = resolve(Document { checks, ..empty() });
    issues.list.into_iter().next().map(|issue| issue.message)
}

/// Whether a text can be the name of a cluster.
pub fn is_name(text: &str) -> bool {
    let mut issues = Issues::default();
    name::check(text, "cluster", KeyPath::default(), false, &mut issues);
    issues.list.is_empty()
}

fn listeners(cluster: &Cluster) -> String {
    let urls: Vec<&str> = cluster.listen.urls().iter().map(|url| url.as_str()).collect();
    urls.join(", ")
}

/// Takes the section out that an issue is about; all but the clusters where it is about none.
fn without(head: &mut Document, issue: &Issue) {
    let Document {
        sysctls,
        marks,
        timeouts,
        sync,
        checks,
        defaults,
        policy,
        include,
        version: _,
        clusters: _,
    } = head;
    let section = issue.path.0.first().and_then(|step| match step {
        PathStep::Key(key) => Some(&**key),
        PathStep::File(_) | PathStep::Index(_) => None,
    });
    match section {
        Some("include") => include.clear(),
        Some("sysctls") => sysctls.clear(),
        Some("marks") => marks.clear(),
        Some("timeouts") => *timeouts = None,
        Some("sync") => sync.clear(),
        Some("checks") => checks.clear(),
        Some("defaults") => *defaults = None,
        Some("policy") => *policy = None,
        _ => *head = empty(),
    }
}
