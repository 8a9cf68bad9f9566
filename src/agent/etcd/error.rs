//! Defines what etcd can answer besides what was wanted, and sorts its own errors by what they mean for who calls.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::escape;
use crate::files::UntrustedFileError;

/// The most letters of a message of etcd that are shown.
const MOST_LETTERS: usize = 300;

/// Why etcd has not done what was wanted.
///
/// After [`Self::Unreachable`], [`Self::Interrupted`], [`Self::Compacted`] and [`Self::LeaseLost`] it is worth trying again, with a pause before
/// it; the others need an operator, or another request.
#[derive(Debug)]
pub enum EtcdError {
    /// No member answers: the address of each, and why.
    Unreachable(Vec<(String, String)>),
    /// A member did not answer to the end. Whether it has written is not known. The next request goes to the next member.
    Interrupted {
        /// What was wanted
        action: String,
        /// The address of the member
        member: String,
        /// What happened
        why: String,
    },
    /// The user of this program may not do that, or etcd does not know who it is.
    Denied {
        /// What was wanted
        action: String,
        /// The file with the certificate that names the user; none where there is none in the settings
        certificate: Option<PathBuf>,
        /// What etcd says
        why: String,
    },
    /// The request, or a value that was to be read, is larger than etcd or this program takes.
    TooLarge(String),
    /// The members have no space left. What was wanted.
    NoSpace(String),
    /// What was to be read or watched is so old that etcd has forgotten it: to be read anew. What was wanted.
    Compacted(String),
    /// The lease, and what was written under it, is gone.
    LeaseLost,
    /// A file with a certificate or a key cannot be read.
    Certificate {
        /// The file
        path: PathBuf,
        /// Why
        cause: UntrustedFileError,
    },
    /// Something else.
    Refused {
        /// What was wanted
        action: String,
        /// What etcd says
        why: String,
    },
}

impl EtcdError {
    /// Whether another member may do what this one did not.
    pub(super) fn is_of_member(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(members) => {
                f.write_str("no member of etcd can be used")?;
                for (number, (member, why)) in members.iter().enumerate() {
                    write!(f, "{} {member}: {why}", if number == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::Interrupted { action, member, why } => write!(f, "{action}: {member}: {why}"),
            Self::Denied { action, certificate: Some(path), why } => write!(
                f,
                "{action}: {why}; the user is the name (CN) in {}, and `lbd fleet roles` prints what makes users and their roles",
                escape::text(&path.to_string_lossy())
            ),
            Self::Denied { action, certificate: None, why } => {
                write!(
                    f,
                    "{action}: {why}; the settings name no client certificate, which says who the user is"
                )
            }
            Self::TooLarge(action) => {
                write!(f, "{action}: too large for etcd; use git as the source of large files")
            }
            Self::NoSpace(action) => write!(f, "{action}: {NO_SPACE}"),
            Self::Compacted(action) => write!(f, "{action}: etcd has forgotten this revision (compacted)"),
            Self::LeaseLost => f.write_str("the lease in etcd has ended, and the report with it"),
            Self::Certificate { path, .. } => {
                write!(f, "cannot read {}", escape::text(&path.to_string_lossy()))
            }
            Self::Refused { action, why } => write!(f, "{action}: {why}"),
        }
    }
}

impl Error for EtcdError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Certificate { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// What is known about a request, for its error.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// What is wanted: `read slots/`
    pub(super) action: String,
    /// The address of the member
    pub(super) member: String,
    /// The file that says who the user is
    pub(super) certificate: Option<PathBuf>,
}

impl Attempt {
    /// The member did not answer to the end.
    pub(super) fn interrupted(&self, why: impl Into<String>) -> EtcdError {
        EtcdError::Interrupted { action: self.action.clone(), member: self.member.clone(), why: why.into() }
    }

    /// What an error of the library means. The numbers are those of gRPC, the texts those of etcd (api/v3rpc/rpctypes/error.go).
    pub(super) fn failed(&self, error: &etcd_client::Error) -> EtcdError {
        let status = match error {
            etcd_client::Error::GRpcStatus(status) => status,
            etcd_client::Error::TransportError(error) => return self.interrupted(innermost(error)),
            other => return self.interrupted(shown(&other.to_string())),
        };
        match (i32::from(status.code()), status.message()) {
            (7 | 16, message) => self.denied(message),
            (3 | 9, message) if message.contains("user name") => self.denied(message),
            (3, message) if message.contains("auth store is old") => self.interrupted(shown(message)),
            (3, message) if message.contains("request is too large") => {
                EtcdError::TooLarge(self.action.clone())
            }
            (5, message) if message.contains("lease not found") => EtcdError::LeaseLost,
            (8, message) if message.contains("database space exceeded") => {
                EtcdError::NoSpace(self.action.clone())
            }
            (8, message) if message.contains("larger than max") => EtcdError::TooLarge(self.action.clone()),
            (11, message) if message.contains("compacted") => EtcdError::Compacted(self.action.clone()),
            // The limit of this side for a message (tonic).
            (11, message) if message.contains("message length too large") => {
                EtcdError::TooLarge(self.action.clone())
            }
            (3 | 5 | 6 | 9 | 11 | 12, message) => {
                EtcdError::Refused { action: self.action.clone(), why: shown(message) }
            }
            // A connection that ended says why only at the end of its causes.
            _ => self.interrupted(status.source().map_or_else(|| shown(status.message()), innermost)),
        }
    }

    pub(super) fn denied(&self, message: &str) -> EtcdError {
        EtcdError::Denied {
            action: self.action.clone(),
            certificate: self.certificate.clone(),
            why: shown(message),
        }
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    let text = error.to_string();
    // What hyper says when its own probe was not answered, or the other side went.
    if text.contains("broken pipe") { "the connection has ended".to_owned() } else { shown(&text) }
}

/// What is said where etcd is full.
pub(super) const NO_SPACE: &str = "etcd has no space left (alarm NOSPACE), so that only reading is possible: compact and defragment its members or \
                                   raise --quota-backend-bytes, then `etcdctl alarm disarm`";

/// A message of etcd, made harmless.
pub(super) fn shown(message: &str) -> String {
    let some: String = message.trim_start_matches("etcdserver: ").chars().take(MOST_LETTERS).collect();
    escape::text(&some).into_owned()
}
