//! Why a pass runs.

/// Why a pass runs, from the least to the most: where several wait for the same pass, the last of them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It was time to look
    Resync,
    /// Somebody changed the packet filter
    Ruleset,
    /// The pass before failed
    Retry,
    /// An interface is there that something waited for
    Link,
    /// The operator asked for it (SIGHUP)
    Requested,
    /// The file has changed
    File,
    /// The daemon has just started
    Start,
}

impl Cause {
    /// The word for logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::File => "file changed",
            Self::Requested => "asked",
            Self::Resync => "resync",
            Self::Retry => "retry",
            Self::Link => "interface appeared",
            Self::Ruleset => "packet filter changed",
        }
    }

    /// Whether a pass for this cause may end after a glance: nothing is known to have changed.
    pub(super) fn is_content_with_a_glance(self) -> bool {
        matches!(self, Self::Resync | Self::Ruleset)
    }
}
