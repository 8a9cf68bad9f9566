//! Parses the log level.

use std::ffi::OsString;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};

use super::error::{LevelError, LoggingError};

/// Which events are logged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels(Targets);

impl Levels {
    /// The level of the command line, else that of the environment (empty counts as unset), else `info`.
    pub(super) fn choose(option: Option<&str>, variable: Option<OsString>) -> Result<Self, LoggingError> {
        let variable = variable.filter(|text| !text.is_empty());
        match (option, variable) {
            (Some(text), _) => {
                Self::parse(text).map_err(|cause| LoggingError::Level { origin: "--log-level", cause })
            }
            (None, Some(text)) => Self::parse(&text.to_string_lossy())
                .map_err(|cause| LoggingError::Level { origin: "LBD_LOG", cause }),
            (None, None) => Ok(Self(Targets::new().with_default(LevelFilter::INFO))),
        }
    }

    /// A level for everything, or for the modules whose path begins so: `warn`, `lbd::watch=debug`, `warn,lbd=info`.
    // Not the parser of `Targets`: it treats a misspelt level as the name of a module to be traced.
    fn parse(text: &str) -> Result<Self, LevelError> {
        let mut default = LevelFilter::INFO;
        let mut modules = Vec::new();
        for directive in text.split(',').map(str::trim) {
            match directive.split_once('=') {
                None => default = level(directive)?,
                Some((name, word)) => modules.push((module(name.trim())?, level(word.trim())?)),
            }
        }
        Ok(Self(Targets::new().with_default(default).with_targets(modules)))
    }

    /// The filter of a layer.
    pub(super) fn filter(&self) -> FilterFn<impl Fn(&Metadata<'_>) -> bool + use<>> {
        let Self(targets) = self.clone();
        let most = targets.iter().map(|(_, level)| level).chain(targets.default_level()).max();
        let hint = most.unwrap_or(LevelFilter::INFO).max(LevelFilter::INFO);
        filter_fn(move |metadata| {
            // Spans stay enabled, so that an error has their fields also where only errors are logged.
            (metadata.is_span() && *metadata.level() <= LevelFilter::INFO)
                || targets.would_enable(metadata.target(), metadata.level())
        })
        .with_max_level_hint(hint)
    }
}

fn level(word: &str) -> Result<LevelFilter, LevelError> {
    match word.to_ascii_lowercase().as_str() {
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        "off" => Ok(LevelFilter::OFF),
        _ => Err(LevelError::NotALevel(word.to_owned())),
    }
}

fn module(name: &str) -> Result<&str, LevelError> {
    let is_path = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    if is_path { Ok(name) } else { Err(LevelError::NotAModule(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::error_chain::ErrorChain;

    fn chosen(option: Option<&str>, variable: Option<&str>) -> Result<Levels, String> {
        Levels::choose(option, variable.map(OsString::from)).map_err(|error| ErrorChain(&error).to_string())
    }

    fn everything(level: LevelFilter) -> Result<Levels, String> {
        Ok(Levels(Targets::new().with_default(level)))
    }

    #[test]
    fn the_option_goes_before_the_variable_and_info_is_the_rest() {
        assert_eq!(chosen(None, None), everything(LevelFilter::INFO));
        assert_eq!(chosen(None, Some("")), everything(LevelFilter::INFO));
        assert_eq!(chosen(None, Some("warn")), everything(LevelFilter::WARN));
        assert_eq!(chosen(Some("debug"), Some("nonsense")), everything(LevelFilter::DEBUG));
    }

    #[test]
    fn every_level_is_parsed_in_any_case() {
        let words = [
            ("off", LevelFilter::OFF),
            ("error", LevelFilter::ERROR),
            ("WARN", LevelFilter::WARN),
            ("Info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ];
        for (word, level) in words {
            assert_eq!(chosen(Some(word), None), everything(level), "{word}");
        }
    }

    #[test]
    fn a_module_can_have_a_level_of_its_own() {
        let Levels(targets) = chosen(Some("warn, lbd::watch=debug"), None).unwrap();
        assert!(targets.would_enable("lbd::watch::inotify", &Level::DEBUG));
        assert!(!targets.would_enable("lbd::watch", &Level::TRACE));
        assert!(targets.would_enable("lbd::daemon", &Level::WARN));
        assert!(!targets.would_enable("lbd::daemon", &Level::INFO));
    }

    #[test]
    fn a_directive_alone_leaves_the_others_at_info() {
        let Levels(targets) = chosen(None, Some("lbd::watch=off")).unwrap();
        assert!(!targets.would_enable("lbd::watch", &Level::ERROR));
        assert!(targets.would_enable("lbd::daemon", &Level::INFO));
        assert!(!targets.would_enable("lbd::daemon", &Level::DEBUG));
    }

    #[test]
    fn an_invalid_level_is_answered_with_the_valid_ones() {
        let words = "is not a level; use error, warn, info, debug, trace or off, or the level of a module, such as \
                     `lbd::watch=debug`";
        assert_eq!(chosen(Some("inof"), None), Err(format!("--log-level: `inof` {words}")));
        assert_eq!(chosen(Some(""), None), Err(format!("--log-level: `` {words}")));
        assert_eq!(chosen(None, Some("lbd=loud")), Err(format!("LBD_LOG: `loud` {words}")));
        assert_eq!(chosen(None, Some("info,")), Err(format!("LBD_LOG: `` {words}")));
        assert_eq!(
            chosen(None, Some("=info")),
            Err("LBD_LOG: `` is not a module's name; use, for example, `lbd::watch=debug`".to_owned())
        );
    }
}
