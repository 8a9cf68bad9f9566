//! Which file each cluster comes from, where a desired state consists of several.

use std::collections::HashMap;

use compact_str::CompactString;

/// The files of a desired state, and the clusters of each. Without any where it is one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterFiles {
    names: Vec<String>,
    clusters: HashMap<CompactString, usize>,
}

impl ClusterFiles {
    /// The next file: its name, and the clusters in it.
    pub fn begin<'a>(&mut self, name: &str, clusters: impl IntoIterator<Item = &'a str>) {
        let index = self.names.len();
        self.names.push(name.to_owned());
        self.clusters.extend(clusters.into_iter().map(|cluster| (cluster.into(), index)));
    }

    /// The file that a cluster comes from, where there are several files.
    pub fn of(&self, cluster: &str) -> Option<&str> {
        self.names.get(*self.clusters.get(cluster)?).map(String::as_str)
    }

    /// Whether there is nothing to say: the desired state is one file.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
