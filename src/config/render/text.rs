//! Writes a rendered state as YAML, with comments where something is left out.

use super::{Rendered, Rewritten};
use crate::config::format::document::Cluster;
use crate::escape;

/// The line by which editors find the schema.
const MODELINE: &str = "# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json\n";

/// The file. Its comments make it necessary to write it piece by piece.
pub(super) fn yaml(rendered: &Rendered) -> Result<String, serde_yaml::Error> {
    let mut text = MODELINE.to_owned();
    push_head_comments(&mut text, rendered);
    let head = serde_yaml::to_string(&rendered.head)?;
    let empty = "clusters: []\n";
    text.push_str(head.strip_suffix(empty).unwrap_or(&head));
    let sound = rendered.clusters.iter().any(|rewritten| rewritten.wrong.is_empty());
    text.push_str(if sound { "clusters:\n" } else { empty });
    for (index, Rewritten { listen, cluster, wrong, before }) in rendered.clusters.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        push_comments(&mut text, before);
        let entry = entry(cluster)?;
        if wrong.is_empty() {
            text.push_str(&entry);
            continue;
        }
        push_lost(&mut text, listen, wrong);
        text.push_str(&prefixed(&entry, "# "));
    }
    if !rendered.end_comments.is_empty() {
        text.push('\n');
        push_comments(&mut text, &rendered.end_comments);
    }
    Ok(text)
}

/// The comments of a file that would ask for nothing.
pub(super) fn comments(rendered: &Rendered) -> String {
    let mut text = String::new();
    push_head_comments(&mut text, rendered);
    for Rewritten { listen, wrong, before, .. } in &rendered.clusters {
        push_comments(&mut text, before);
        push_lost(&mut text, listen, wrong);
    }
    push_comments(&mut text, &rendered.end_comments);
    text
}

fn push_head_comments(text: &mut String, rendered: &Rendered) {
    for lost in &rendered.head_lost {
        text.push_str(&prefixed(&format!("Left out: {}", escape::text(lost)), "# "));
    }
    push_comments(text, &rendered.head_comments);
}

fn push_comments(text: &mut String, comments: &[String]) {
    for comment in comments {
        text.push_str(&prefixed(&escape::text(comment), "# "));
    }
}

/// Says why a cluster is left out.
fn push_lost(text: &mut String, listen: &str, wrong: &[String]) {
    let why: Vec<_> = wrong.iter().map(|why| format!("- {}", escape::text(why))).collect();
    let comment = format!(
        "Left out, so that applying this file does not change it: {}\n{}",
        escape::text(listen),
        why.join("\n")
    );
    text.push_str(&prefixed(&comment, "# "));
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
