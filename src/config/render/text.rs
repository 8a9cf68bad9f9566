//! Writes a rendered state as YAML, with comments where something is left out.

use super::{Rendered, Rewritten};
use crate::config::format::document::Cluster;
use crate::escape;

/// The line by which editors find the schema.
const MODELINE: &str = "# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json\n";

/// The file. Its comments make it necessary to write it piece by piece.
pub(super) fn yaml(rendered: &Rendered) -> Result<String, serde_yaml::Error> {
    let mut text = MODELINE.to_owned();
    for comment in &rendered.head_comments {
        text.push_str(&prefixed(&format!("Left out: {}", escape::text(comment)), "# "));
    }
    let head = serde_yaml::to_string(&rendered.head)?;
    let empty = "clusters: []\n";
    text.push_str(head.strip_suffix(empty).unwrap_or(&head));
    let sound = rendered.clusters.iter().any(|rewritten| rewritten.wrong.is_empty());
    text.push_str(if sound { "clusters:\n" } else { empty });
    for (index, Rewritten { listen, cluster, wrong }) in rendered.clusters.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let entry = entry(cluster)?;
        if wrong.is_empty() {
            text.push_str(&entry);
            continue;
        }
        let why: Vec<_> = wrong.iter().map(|why| format!("- {}", escape::text(why))).collect();
        let comment = format!(
            "Left out, so that applying this file does not change it: {}\n{}",
            escape::text(listen),
            why.join("\n")
        );
        text.push_str(&prefixed(&comment, "# "));
        text.push_str(&prefixed(&entry, "# "));
    }
    Ok(text)
}

/// A cluster as an entry of a list.
fn entry(cluster: &Cluster) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(std::slice::from_ref(cluster))
}

/// Every line with something before it, and nothing in it that would break out of a comment: a kernel stores names with any
/// bytes, and YAML knows many line breaks.
fn prefixed(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{}\n", escape::text(line))).collect()
}
