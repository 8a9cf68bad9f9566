//! Names the orders of the rows.

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// By name
    Name,
    /// The most new connections per second
    Connections,
    /// The most bytes per second
    Bytes,
    /// The most servers that fail or are missing
    Failing,
}

impl Sort {
    /// The one that the next press of the key gives.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Name => Self::Connections,
            Self::Connections => Self::Bytes,
            Self::Bytes => Self::Failing,
            Self::Failing => Self::Name,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connections => "connections/s",
            Self::Bytes => "bytes/s",
            Self::Failing => "failing first",
        }
    }
}
