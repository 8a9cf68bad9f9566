//! Fetches a repository of git, and decides which of its commits may be taken.

mod command;
mod mirror;
#[cfg(test)]
mod tests;
mod verify;

use std::path::PathBuf;

use self::command::{Limits, Runner};
use self::mirror::Mirror;
use self::verify::Signatures;
use super::{Content, SourceError};
use crate::agent::settings::GitSettings;

/// What is said of a server that filters, but gives no single files.
const NOT_SINGLE: [&str; 2] = ["unadvertised object", "not our ref"];

/// A repository of git, by way of a mirror of its own (`mirror.git`), which the program `git` keeps.
///
/// A commit may be taken where it is signed as the settings say, and descends from the one in force. No file of a repository is executed or written:
/// there is no checkout, there are no hooks, no submodules, and no configuration of the system or of a user. A command takes two minutes at most; the
/// desired file has 32 MiB at most, and one fetch brings 512 MiB at most.
#[derive(Debug)]
pub struct Git {
    settings: GitSettings,
    /// Where the mirror is, and the home directory of git
    directory: PathBuf,
    /// `None` where the address is none that is allowed
    mirror: Option<Mirror>,
    signatures: Signatures,
    /// The commit that was found right last, and the one that was in force then
    accepted: Option<(String, Option<String>)>,
}

impl Git {
    /// Nothing is fetched yet; the mirror is made below `directory`, which nobody else may write to.
    pub fn new(settings: GitSettings, directory: PathBuf) -> Self {
        Self::with_limits(settings, directory, Limits::default())
    }

    fn with_limits(settings: GitSettings, directory: PathBuf, limits: Limits) -> Self {
        let runner = Runner::new(&settings, &directory, limits);
        let mirror = runner.map(|runner| Mirror::new(&settings, &directory, runner));
        let signatures = Signatures::new(&settings);
        Self { settings, directory, mirror, signatures, accepted: None }
    }

    /// Fetches, and gives the newest commit of the branch or tag, if it may be taken: signed as the settings say, and a descendant of the one in force
    /// or the one that an operator allows though it is none.
    ///
    /// # Errors
    /// Where the repository does not answer, or its newest commit may not be taken.
    pub(super) async fn newest(
        &mut self,
        applied: Option<&str>,
        allowed_rewind: Option<&str>,
    ) -> Result<String, SourceError> {
        let mirror = self.mirror.as_mut().ok_or_else(not_allowed)?;
        mirror.fetch().await?;
        let head = mirror.head().await?;
        // What is in force was right when it was taken; the keys may have changed since.
        if applied != Some(head.as_str()) {
            if allowed_rewind != Some(head.as_str()) {
                check_descent(mirror, &head, applied).await?;
            }
            self.signatures.check(mirror, &head, applied, &self.directory).await?;
        }
        self.accepted = Some((head.clone(), applied.map(str::to_owned)));
        Ok(head)
    }

    /// The file of a commit, which has to be one of those that led to the head of the branch or to a tag. With `is_rollback` it need not descend from the
    /// one in force.
    ///
    /// # Errors
    /// Where there is no such commit or no file for this director in it, where it may not be taken, and where the repository does not answer.
    pub(super) async fn content(
        &mut self,
        revision: &str,
        applied: Option<&str>,
        is_rollback: bool,
    ) -> Result<Content, SourceError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if revision.len() != 40 || !revision.bytes().all(is_digit) {
            return Err(SourceError::Missing(format!("{} is not a commit", crate::escape::text(revision))));
        }
        let mirror = self.mirror.as_mut().ok_or_else(not_allowed)?;
        let accepted = (revision.to_owned(), applied.map(str::to_owned));
        if self.accepted.as_ref() != Some(&accepted) {
            if !mirror.is_followed(revision).await? {
                mirror.fetch().await?;
                if !mirror.is_followed(revision).await? {
                    // Where a repository has copies, it may come yet: the revision is not a bad one for that.
                    return Err(SourceError::Unreachable(format!(
                        "commit {revision} is none of those that led to what is followed"
                    )));
                }
            }
            if !is_rollback {
                check_descent(mirror, revision, applied).await?;
            }
            self.signatures.check(mirror, revision, applied, &self.directory).await?;
            self.accepted = Some(accepted);
        }
        self.file(revision).await
    }

    /// The first of the paths that a commit has.
    async fn file(&mut self, commit: &str) -> Result<Content, SourceError> {
        let mirror = self.mirror.as_mut().ok_or_else(not_allowed)?;
        let mut arguments = vec!["ls-tree", "-z", "--full-tree", commit, "--"];
        arguments.extend(self.settings.paths.iter().map(String::as_str));
        let listed = mirror.read(&arguments).await?;
        let entries: Vec<(&str, &str)> =
            listed.split('\0').filter_map(|entry| entry.split_once('\t')).collect();
        let found = self.settings.paths.iter().find_map(|path| {
            let (entry, _) = entries.iter().find(|(_, name)| name == path)?;
            Some((path.clone(), entry.split(' ').collect::<Vec<_>>()))
        });
        let Some((path, entry)) = found else {
            let paths = self.settings.paths.join(" and no ");
            return Err(SourceError::Missing(format!("commit {commit} has no {paths}")));
        };
        let ["100644" | "100755" | "100664", "blob", blob] = entry[..] else {
            // The next path would be a file for others.
            return Err(SourceError::Refused(format!("{path} in commit {commit} is not a file")));
        };
        let text = read_blob(mirror, blob, &path).await?;
        Ok(Content { revision: commit.to_owned(), path, text })
    }
}

fn not_allowed() -> SourceError {
    SourceError::Unreachable("the address of the repository has a protocol that is not allowed".to_owned())
}

/// Checks that a commit is the one in force, or descends from it.
async fn check_descent(mirror: &Mirror, commit: &str, applied: Option<&str>) -> Result<(), SourceError> {
    let Some(applied) = applied else { return Ok(()) };
    if applied == commit || mirror.descends(commit, applied).await? == Some(true) {
        return Ok(());
    }
    Err(SourceError::Refused(format!(
        "commit {commit} does not descend from {applied}, which is in force; lbd agent allow-rewind {commit}"
    )))
}

/// The text of a file. Where the mirror has it not yet, git fetches it now, with the environment and within the limits of any other fetch.
async fn read_blob(mirror: &mut Mirror, blob: &str, path: &str) -> Result<String, SourceError> {
    let limit = mirror.runner.limits.content;
    let too_large =
        || SourceError::Refused(format!("{path} is larger than the limit of {} MiB", limit >> 20));
    let mut size = mirror.run(&["cat-file", "-s", blob]).await?;
    // So it is with a server of ssh that does not take over the variable by which git says that it knows version 2 of its protocol.
    if !size.status.success() && NOT_SINGLE.iter().any(|words| size.said.contains(words)) {
        mirror.fetch_whole().await?;
        size = mirror.run(&["cat-file", "-s", blob]).await?;
    }
    if size.is_too_large {
        return Err(too_large());
    }
    if !size.status.success() {
        return Err(mirror::failed(&["cat-file"], &size.reason()));
    }
    if size.text().trim_end().parse::<u64>().is_ok_and(|size| size > limit) {
        return Err(too_large());
    }
    let content = mirror.run(&["cat-file", "blob", blob]).await?;
    if !content.status.success() {
        return Err(mirror::failed(&["cat-file"], &content.reason()));
    }
    String::from_utf8(content.stdout)
        .map_err(|_| SourceError::Refused(format!("{path} is not text in UTF-8")))
}
