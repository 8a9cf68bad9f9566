//! Limits what `diff` and `status` show to the clusters that the operator names.

use std::fmt;

use super::CommandError;
use crate::advice::Advice;
use crate::cli;
use crate::config::{self, ReadCause, ReadError};
use crate::model::ServiceKey;
use crate::ownership::Owned;
use crate::reconcile::StateDiff;

/// A name that no cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCluster {
    name: String,
    /// The nearest name, where one is near
    nearest: Option<String>,
}

impl fmt::Display for UnknownCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, nearest } = self;
        match nearest {
            _ if cli::is_file_name(name) => {
                write!(f, "{name}: no cluster has this name; the desired file comes behind -f: `-f {name}`")
            }
            Some(nearest) => write!(f, "{name}: no cluster has this name; did you mean `{nearest}`?"),
            None => write!(
                f,
                "{name}: no cluster has this name, neither in the file nor in what lbd has set up; without a name, it is about all of them"
            ),
        }
    }
}

/// The clusters to which the output is limited; none of them where it is not.
pub(super) struct Part<'a> {
    names: &'a [String],
}

impl<'a> Part<'a> {
    /// Checks that each name is one of these clusters: those of the file, and those that lbd owns.
    ///
    /// # Errors
    /// Where one is not.
    pub(super) fn new(names: &'a [String], clusters: [&Owned; 2]) -> Result<Self, CommandError> {
        let known = || clusters.iter().flat_map(|clusters| clusters.values()).map(|name| name.as_str());
        for name in names {
            if !known().any(|known| known == name) {
                let nearest = config::nearest(name, known()).map(str::to_owned);
                return Err(CommandError::UnknownCluster(UnknownCluster { name: name.clone(), nearest }));
            }
        }
        Ok(Self { names })
    }

    /// The error of a desired file that cannot be read: where there is none and a name looks like a file, the file was meant by that.
    pub(super) fn explain(names: &[String], error: CommandError) -> CommandError {
        let is_missing =
            matches!(&error, CommandError::Unreadable(ReadError { cause: ReadCause::Missing, .. }));
        match names.iter().find(|name| is_missing && cli::is_file_name(name)) {
            Some(name) => CommandError::UnknownCluster(UnknownCluster { name: name.clone(), nearest: None }),
            None => error,
        }
    }

    /// Whether a service is of the part.
    pub(super) fn has(&self, service: &ServiceKey, comparison: &StateDiff) -> bool {
        let is_named = |cluster: &str| self.names.iter().any(|name| name == cluster);
        self.names.is_empty() || comparison.cluster(service).is_some_and(is_named)
    }

    /// Takes out what is not of the part: other services, and all that is of no service.
    pub(super) fn limit(&self, comparison: &mut StateDiff, warnings: &mut Vec<Advice>) {
        if self.names.is_empty() {
            return;
        }
        // Warnings about the host concern each part.
        warnings
            .retain(|warning| warning.subject.parse().map_or(true, |service| self.has(&service, comparison)));
        comparison.limit(&|cluster| self.names.iter().any(|name| name == cluster));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_gets_the_nearest_one_and_a_file_its_option() {
        let clusters = |names: &[(&str, &str)]| {
            names.iter().map(|(key, name)| (key.parse().unwrap(), (*name).into())).collect::<Owned>()
        };
        let (desired, owned) =
            (clusters(&[("tcp://10.0.0.1:80", "web")]), clusters(&[("tcp://10.0.0.2:80", "shop")]));
        let checked = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Part::new(&names, [&desired, &owned]).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&["web", "shop"]), Ok(()));
        for (name, says) in [
            ("wbe", "wbe: no cluster has this name; did you mean `web`?"),
            (
                "web.yaml",
                "web.yaml: no cluster has this name; the desired file comes behind -f: `-f web.yaml`",
            ),
            ("./web", "./web: no cluster has this name; the desired file comes behind -f: `-f ./web`"),
            (
                "mail",
                "mail: no cluster has this name, neither in the file nor in what lbd has set up; without a name, it is about all of them",
            ),
        ] {
            assert_eq!(checked(&["web", name]), Err(says.to_owned()));
        }
    }
}
