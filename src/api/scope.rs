//! Says in the headers of each reply whose daemon it comes from, so that a command takes none of another's.

use std::fmt;
use std::path::Path;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::escape;
use crate::files::Origin;

/// The state directory and the desired file of a daemon, with its boot and network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    state_dir: String,
    /// None: whichever it is
    file: Option<String>,
    boot: String,
    namespace: String,
}

/// The headers, and what each is about.
const HEADERS: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("lbd-state-dir"), "state directory"),
    (HeaderName::from_static("lbd-file"), "desired file"),
    (HeaderName::from_static("lbd-boot"), "boot"),
    (HeaderName::from_static("lbd-namespace"), "network namespace"),
];

/// A reply of another daemon than the one that was meant. `Display` says whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherDaemon {
    what: &'static str,
    theirs: String,
    own: String,
}

impl fmt::Display for OtherDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, theirs, own } = self;
        write!(f, "the daemon there has another {what}: {theirs}, and not {own}")
    }
}

impl Scope {
    /// That of this process; both paths are absolute. Without a file, a daemon with whichever file is meant.
    pub fn new(state_dir: &Path, file: Option<&Path>, origin: &Origin) -> Self {
        let shown = |path: &Path| escape::text(&path.display().to_string()).into_owned();
        let cookie = origin.cookie.map(|cookie| format!("#{cookie}")).unwrap_or_default();
        Self {
            state_dir: shown(state_dir),
            file: file.map(shown),
            boot: origin.boot.clone(),
            namespace: format!("{}{cookie}", origin.namespace),
        }
    }

    fn values(&self) -> [Option<&str>; 4] {
        let Self { state_dir, file, boot, namespace } = self;
        [Some(state_dir), file.as_deref(), Some(boot), Some(namespace)]
    }

    /// Adds the headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for ((name, _), value) in HEADERS.into_iter().zip(self.values()) {
            // Escaped, it has no character that a header must not have.
            if let Some(Ok(value)) = value.map(|value| HeaderValue::from_bytes(value.as_bytes())) {
                headers.insert(name, value);
            }
        }
    }

    /// Whether the headers of a reply say whose it is.
    pub(super) fn is_in(headers: &HeaderMap) -> bool {
        HEADERS.iter().any(|(name, _)| headers.contains_key(name))
    }

    /// Checks the headers of a reply.
    ///
    /// # Errors
    /// Where it comes from another daemon, or from another program.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), OtherDaemon> {
        for ((name, what), own) in HEADERS.into_iter().zip(self.values()) {
            let Some(own) = own else { continue };
            let theirs = headers.get(name).map_or(&b"none"[..], HeaderValue::as_bytes);
            if theirs != own.as_bytes() {
                let theirs = String::from_utf8_lossy(theirs).into_owned();
                return Err(OtherDaemon { what, theirs, own: own.to_owned() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_another_daemon_is_seen() {
        let origin = Origin { boot: "b".into(), namespace: "4:1".into(), cookie: Some(7) };
        let scope = |state_dir: &str, origin: &Origin| {
            Scope::new(Path::new(state_dir), Some(Path::new("/etc/ü\n.yaml")), origin)
        };
        let mut headers = HeaderMap::new();
        let own = scope("/var/lib/lbd", &origin);
        own.write(&mut headers);
        assert_eq!(headers.len(), 4);
        assert_eq!(own.check(&headers), Ok(()));
        let error = |scope: Scope| scope.check(&headers).unwrap_err().to_string();
        assert_eq!(
            error(scope("/tmp/x", &origin)),
            "the daemon there has another state directory: /var/lib/lbd, and not /tmp/x"
        );
        let later = Origin { cookie: Some(8), ..origin };
        assert_eq!(
            error(scope("/var/lib/lbd", &later)),
            "the daemon there has another network namespace: 4:1#7, and not 4:1#8"
        );
        assert!(
            own.check(&HeaderMap::new()).unwrap_err().to_string().contains("another state directory: none, ")
        );
    }
}
