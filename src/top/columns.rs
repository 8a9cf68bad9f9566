//! Decides which columns the width of a terminal has room for, and where they begin.

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The name of the cluster, the service or the server
    Name,
    /// How many servers get new connections, or the state of one
    State,
    /// The weight of a server
    Weight,
    /// New connections per second
    Connections,
    /// Bytes from clients per second
    Incoming,
    /// Bytes to clients per second
    Outgoing,
    /// Established connections
    Active,
    /// The share, as a bar
    Share,
    /// Why a server is not what the file says
    Reason,
}

impl Column {
    /// As they are on the screen.
    const ALL: [Self; 9] = [
        Self::Name,
        Self::State,
        Self::Weight,
        Self::Connections,
        Self::Incoming,
        Self::Outgoing,
        Self::Active,
        Self::Share,
        Self::Reason,
    ];
    /// As they get room; the name has what is left.
    const BY_RANK: [Self; 8] = [
        Self::State,
        Self::Connections,
        Self::Outgoing,
        Self::Incoming,
        Self::Active,
        Self::Share,
        Self::Weight,
        Self::Reason,
    ];

    /// What is above it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "servers",
            Self::Weight => "weight",
            Self::Connections => "conn/s",
            Self::Incoming => "in B/s",
            Self::Outgoing => "out B/s",
            Self::Active => "active",
            Self::Share => "share",
            Self::Reason => "why",
        }
    }

    /// Whether it ends, and does not begin, at the same place in each row.
    pub(super) fn is_number(self) -> bool {
        match self {
            Self::Weight | Self::Connections | Self::Incoming | Self::Outgoing | Self::Active => true,
            Self::Name | Self::State | Self::Share | Self::Reason => false,
        }
    }

    fn width(self) -> u16 {
        match self {
            Self::Name => 0,
            Self::State | Self::Share => 9,
            Self::Weight => 6,
            Self::Connections | Self::Incoming | Self::Outgoing | Self::Active => 7,
            Self::Reason => 24,
        }
    }
}

/// The columns that there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Each with its place and its width, in cells
    columns: Vec<(Column, u16, u16)>,
}

impl Columns {
    /// Those of a terminal of this width.
    pub(super) fn new(width: u16) -> Self {
        let least = (width / 3).clamp(18, 24);
        let mut left = width;
        let mut taken = vec![Column::Name];
        for column in Column::BY_RANK {
            let Some(rest) = left.checked_sub(column.width() + 1).filter(|rest| *rest >= least) else {
                break;
            };
            left = rest;
            taken.push(column);
        }
        // The reason, where there is one, has the larger part of what is left.
        let has_reason = taken.contains(&Column::Reason);
        let name = if has_reason { left.min(24 + left.saturating_sub(24) / 3) } else { left };
        let mut columns = Vec::new();
        let mut place = 0;
        for column in Column::ALL.into_iter().filter(|column| taken.contains(column)) {
            let width = match column {
                Column::Name => name,
                Column::Reason => column.width() + (left - name),
                _ => column.width(),
            };
            columns.push((column, place, width));
            place += width + 1;
        }
        Self { columns }
    }

    /// Each with its place and its width, in cells.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Column, u16, u16)> {
        self.columns.iter().copied()
    }
}
