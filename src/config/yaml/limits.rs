//! How large and how deep a text may be.

/// How deep lists and mappings may lie in each other; the format of the desired file needs six.
pub(in crate::config) const DEEPEST: usize = 64;

/// How many values a text may have when every alias is replaced by its value, and how many values all aliases together may
/// have. The values of nested aliases are counted, not unfolded.
pub(in crate::config) const MOST_VALUES: usize = 4_000_000;

/// How many keys and values a text may have, lists and mappings among them, each counted once. A server takes one to ten;
/// each costs the tree, which explains what is wrong with a file, some 250 bytes.
pub(in crate::config) const MOST_NODES: usize = 2_000_000;
