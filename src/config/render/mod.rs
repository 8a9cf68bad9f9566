//! Turns a state into the desired file that describes it, for `export`, and names what no file can describe.

mod cluster;
mod converted;
mod settings;
mod text;
mod untracked;

pub use self::cluster::{bare_address, name as cluster_name};
pub use self::converted::{is_name, problem_of_check, render_document, state_of};
pub use self::settings::duration;
use super::format::document::{Cluster, Document, Number};
use super::format::issue::Issue;
use super::format::path::PathStep;
use super::resolve::resolve;
use crate::escape;
use crate::model::{ServiceKey, State, VirtualService};

/// A state as a desired file.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Everything but the clusters
    head: Document,
    /// What the head cannot express, in sentences; a comment for each
    head_lost: Vec<String>,
    /// More comments at the head
    head_comments: Vec<String>,
    /// The clusters in their order, with what is wrong with each
    clusters: Vec<Rewritten>,
    /// Comments behind the last cluster
    end_comments: Vec<String>,
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
    /// Comments before it, one for each
    before: Vec<String>,
}

/// The desired file that describes this state: one cluster for each virtual service, sorted, so that two exports of one
/// table are equal, its servers in the order in which they were added. Every mark that a service uses is declared.
///
/// It describes the state exactly: each entry is read back and compared, and left out where the file cannot
/// express it.
pub fn render(state: &State) -> Rendered {
    let mut services: Vec<_> = state.services.iter().collect();
    services.sort_by_key(|(key, _)| **key);
    rendered(state, services)
}

/// As [`render`], with the clusters in the order of the services of the state.
pub fn render_in_order(state: &State) -> Rendered {
    rendered(state, state.services.iter().collect())
}

fn rendered(state: &State, services: Vec<(&ServiceKey, &VirtualService)>) -> Rendered {
    let mut head = empty();
    let mut head_lost = Vec::new();
    settings::settings(state, &mut head, &mut head_lost);
    let untracked = untracked::Untracked::of(state);
    head_lost.extend(untracked.unexpressed());
    let rewritten =
        |(key, service): (&_, &_)| cluster::rewritten(*key, service, state, untracked.has(key, service));
    let clusters = services.into_iter().map(rewritten).collect();
    Rendered { head, head_lost, head_comments: Vec::new(), clusters, end_comments: Vec::new() }
}

impl Rendered {
    /// Adds a comment at the head of the file.
    pub fn comment(&mut self, comment: impl Into<String>) {
        self.head_comments.push(comment.into());
    }

    /// Adds a comment before the cluster of this position, or behind the last one where there is none.
    pub fn comment_before(&mut self, cluster: usize, comment: impl Into<String>) {
        let comments =
            self.clusters.get_mut(cluster).map_or(&mut self.end_comments, |cluster| &mut cluster.before);
        comments.push(comment.into());
    }

    /// Whether the file would ask for anything.
    pub fn has_content(&self) -> bool {
        self.document() != empty()
    }

    /// What the file cannot ask for, each in a sentence that names it.
    pub fn unexpressed(&self) -> Vec<String> {
        let of_clusters = self.clusters.iter().flat_map(|Rewritten { listen, wrong, .. }| {
            wrong.iter().map(move |why| format!("{listen}: {why}"))
        });
        self.head_lost.iter().cloned().chain(of_clusters).collect()
    }

    /// What each cluster listens on, in their order, and what the file cannot ask for of it: then it is left out.
    pub fn clusters(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.clusters.iter().map(|Rewritten { listen, wrong, .. }| (&**listen, &**wrong))
    }

    /// What the file cannot ask for beside the clusters.
    pub fn head_lost(&self) -> &[String] {
        &self.head_lost
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

    /// The comments alone, for a file that would ask for nothing.
    pub fn comments(&self) -> String {
        text::comments(self)
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
pub fn empty() -> Document {
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
