//! Refuses a change of the file that looks like an accident: one that would empty the director, or nearly.

use std::fmt;

use crate::model::{MaxDelete, Policy, ServiceKey, Services};

/// Why a change is not carried out without the operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// The file has no clusters, and lbd filled the table.
    Empties {
        /// How many services would be gone
        services: usize,
    },
    /// More services would be deleted than `policy.max_delete` allows.
    DeletesTooMany {
        /// How many would be gone
        deleted: usize,
        /// Of how many that lbd owns
        owned: usize,
        /// The limit
        limit: MaxDelete,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empties { services } => write!(
                f,
                "the file has no clusters, and would empty a table that lbd filled (virtual services: {services}); if \
                 that is meant, say `--allow-empty`, or `policy: {{ allow_empty: true }}` in the file"
            ),
            Self::DeletesTooMany { deleted, owned, limit } => write!(
                f,
                "of {owned} virtual services that lbd owns {deleted} would be deleted, and `policy.max_delete` is \
                 {limit}; if that is meant, say `--allow-deletes`, or raise `max_delete` in the file"
            ),
        }
    }
}

/// Looks at the services that lbd answers for and tells whether too many of them would be gone.
///
/// `answers_for` are those that it owns in the kernel and those of the last verified state: the latter so that an
/// emptied file after a reboot, with an empty kernel, is still seen for what it is. What `stays` in the kernel though it
/// is not in the file is not lost.
pub fn objection<'a>(
    answers_for: impl Iterator<Item = &'a ServiceKey>,
    desired: &Services,
    stays: &Services,
    policy: &Policy,
) -> Option<Objection> {
    let (mut owned, mut deleted) = (0, 0);
    for service in answers_for {
        owned += 1;
        deleted += usize::from(!desired.contains_key(service) && !stays.contains_key(service));
    }
    if deleted == 0 {
        None
    } else if desired.is_empty() {
        (!policy.allow_empty).then_some(Objection::Empties { services: deleted })
    } else if policy.max_delete.allows(deleted, owned) {
        None
    } else {
        Some(Objection::DeletesTooMany { deleted, owned, limit: policy.max_delete })
    }
}
