//! Finds the file of several that a command line names, and puts another text in its place.

use std::env;
use std::fmt;
use std::path::Path;

use crate::config::{self, Source};
use crate::files::pattern::directory;

/// Why there is no such file. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FragmentError {
    /// The desired file includes nothing.
    NothingIncluded(String),
    /// It does not include a file of that name: the name, and the desired file.
    NotIncluded(String, String),
    /// What consists of several files cannot become the desired file by one rename.
    Several(String),
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingIncluded(main) => {
                write!(f, "{main}: includes no files, and `--fragment` names one of them; leave it out")
            }
            Self::NotIncluded(name, main) => write!(
                f,
                "{name}: {main} does not include a file of this name; give its path from the directory of that file on"
            ),
            Self::Several(what) => write!(
                f,
                "{what}: here, or now, the desired state consists of several files, and these are not replaced at once; `lbd rollback N --for 5m` \
                 tries it, `lbd history show N --to DIR` writes its files out; nothing was changed"
            ),
        }
    }
}

impl std::error::Error for FragmentError {}

/// The name of a file that the desired file includes, or could, from the one on the command line. `source` is the desired file.
pub(super) fn name(main: &Path, source: &Source, given: &Path) -> Result<String, FragmentError> {
    if !source.is_set() {
        return Err(FragmentError::NothingIncluded(source.name.clone()));
    }
    let patterns = config::includes(config::main_text(&source.text));
    let is_included = |name: &&str| patterns.iter().any(|pattern| pattern.is_match(name));
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let below = |path: &Path| {
        let below = path.strip_prefix(absolute(directory(main))).ok()?.to_str()?.to_owned();
        Some(below).filter(|name| is_included(&name.as_str()))
    };
    let by_name = given.to_str().filter(is_included).map(str::to_owned);
    // What the shell completes is a path from where the operator is.
    let found = by_name.or_else(|| below(&env::current_dir().unwrap_or_default().join(given)));
    found.ok_or_else(|| FragmentError::NotIncluded(given.display().to_string(), source.name.clone()))
}

/// The desired state with another text of one of its files; `None` is the main file, whose text may include others.
pub(super) fn replaced(
    main: &Path,
    source: &Source,
    name: Option<&str>,
    text: &str,
) -> Result<Source, config::ReadError> {
    match name.and_then(|name| config::with_part(&source.text, name, text)) {
        Some(text) => Ok(Source { text, ..source.clone() }),
        None => config::with_main(main, text),
    }
}
