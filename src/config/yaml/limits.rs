//! How large and how deep a text may be.

/// How deep lists and mappings may lie in each other; the format of the desired file needs six.
pub(in crate::config) const DEEPEST: usize = 64;

/// How many values a text may have when every alias is replaced by what it stands for, and how many all aliases may stand
/// for. What a bomb would unfold to is counted, not unfolded.
pub(in crate::config) const MOST_VALUES: usize = 4_000_000;

/// How many keys and entries a text may have, each counted once; a server takes two to six. Each costs the parsers up to
/// 500 bytes.
pub(in crate::config) const MOST_ENTRIES: usize = 1_000_000;
