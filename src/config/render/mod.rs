//! Turns a state into the desired file that describes it, for `export`, and names what no file can describe.

mod cluster;
mod settings;
mod text;
mod untracked;

use super::format::document::{Cluster, Document, Number};
use super::format::issue::Issue;
use super::format::path::PathStep;
use super::resolve::resolve;
use crate::escape;
use crate::model::State;

/// A state as a desired file.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Everything but the clusters
    head: Document,
    /// What the head cannot express, in sentences; a comment for each
    head_comments: Vec<String>,
    /// The clusters in their order, with what is wrong with each
    clusters: Vec<Rewritten>,
}

/// A virtual service as a cluster.
#[derive(Debug, Clone, PartialEq)]
struct Rewritten {
    /// What the service listens on
    listen: String,
    /// As much of the cluster as the file has words for
    cluster: Cluster,
    /// What it has no words for. Such a cluster becomes a comment as a whole: with a server missing, the file would
    /// ask for that server's deletion.
    wrong: Vec<String>,
}

/// The desired file that describes this state: one cluster for each virtual service, sorted, so that two exports of one
/// table are equal, its servers in the order in which they were added. Every mark that a service uses is declared.
///
/// It describes the state exactly: each entry is read back and compared, and left out where the file cannot
/// express it.
pub fn render(state: &State) -> Rendered {
    let mut head = empty();
    let mut head_comments = Vec::new();
    settings::settings(state, &mut head, &mut head_comments);
    let untracked = untracked::Untracked::of(state);
    head_comments.extend(untracked.unexpressed());
    let mut services: Vec<_> = state.services.iter().collect();
    services.sort_by_key(|(key, _)| **key);
    let rewritten =
        |(key, service): (&_, &_)| cluster::rewritten(*key, service, state, untracked.has(key, service));
    let clusters = services.into_iter().map(rewritten).collect();
    Rendered { head, head_comments, clusters }
}

impl Rendered {
    /// Adds a comment at the head of the file, for what was lost before there was a state: a line of saved rules, say.
    pub fn comment(&mut self, comment: impl Into<String>) {
        self.head_comments.push(comment.into());
    }

    /// What the file cannot ask for, each in a sentence that names it.
    pub fn unexpressed(&self) -> Vec<String> {
        let of_clusters = self.clusters.iter().flat_map(|Rewritten { listen, wrong, .. }| {
            wrong.iter().map(move |why| format!("{listen}: {why}"))
        });
        self.head_comments.iter().cloned().chain(of_clusters).collect()
    }

    /// The document, without what cannot be written.
    pub fn document(&self) -> Document {
        let sound = self.clusters.iter().filter(|rewritten| rewritten.wrong.is_empty());
        Document { clusters: sound.map(|rewritten| rewritten.cluster.clone()).collect(), ..self.head.clone() }
    }

    /// The file as YAML, with a comment where something cannot be written.
    ///
    /// # Errors
    /// None that is known; whatever the YAML writer has to say.
    pub fn yaml(&self) -> Result<String, serde_yaml::Error> {
        text::yaml(self)
    }

    /// The file as JSON, which has no comments.
    ///
    /// # Errors
    /// None that is known; whatever the JSON writer has to say.
    pub fn json(&self) -> std::io::Result<String> {
        escape::json_text(&self.document()).map(|text| text + "\n")
    }
}

/// A document without any entry.
fn empty() -> Document {
    Document {
        version: Number::default(),
        include: Vec::new(),
        sysctls: Default::default(),
        marks: Vec::new(),
        timeouts: None,
        sync: Vec::new(),
        checks: Default::default(),
        defaults: None,
        clusters: Vec::new(),
        policy: None,
    }
}

/// What is wrong with one section of a document.
fn wrong(document: Document, section: &'static str) -> Vec<Issue> {
    let (_, issues) = resolve(document);
    let mut list = issues.list;
    list.retain(|issue| issue.path.0.first() == Some(&PathStep::from(section)));
    list
}
