//! Keeps a bare mirror of the repository: its commits and directories, and of its files those that were read. It is only a cache, made anew where it is
//! broken, worn, or of another repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::command::{CommandError, Output, Runner};
use crate::agent::settings::{Follow, GitSettings};
use crate::agent::source::SourceError;

/// The head of the branch in the mirror.
const BRANCH: &str = "refs/lbd/branch";
/// What the tags begin with in the mirror.
pub(super) const TAGS: &str = "refs/lbd/tags/";
/// The file in the mirror that says what it is one of.
const ORIGIN: &str = "lbd-origin";
/// The line behind, in a mirror that has all files.
const WHOLE: &str = "whole\n";
/// Each fetch with something new leaves one pack; with more than these, git becomes slow, and one fetch of all is cheap.
const MOST_PACKS: usize = 100;

/// The mirror of a repository.
#[derive(Debug)]
pub(super) struct Mirror {
    /// Runs git
    pub(super) runner: Runner,
    path: PathBuf,
    /// What is fetched, and by which name it is kept
    reference: String,
    /// What it is a mirror of
    origin: String,
    /// All files are fetched with their commits: the repository does not give single ones
    is_whole: bool,
    /// A command failed that only reads it
    is_suspect: bool,
    /// It was found sound since the last fetch that succeeded
    is_checked: bool,
}

impl Mirror {
    /// That in a directory, which is made when something is fetched.
    pub(super) fn new(settings: &GitSettings, directory: &Path, runner: Runner) -> Self {
        let reference = match &settings.follow {
            Follow::Branch(branch) => format!("+refs/heads/{branch}:{BRANCH}"),
            Follow::Tag(pattern) => format!("+refs/tags/{pattern}:{TAGS}{pattern}"),
        };
        let origin = format!("{}\n{reference}\n", settings.repository);
        let path = directory.join("mirror.git");
        Self { runner, path, reference, origin, is_whole: false, is_suspect: false, is_checked: false }
    }

    /// Runs git on it. That it fails is no error here.
    ///
    /// # Errors
    /// Where it does not end by itself within the limits.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Output, SourceError> {
        self.runner.git(&self.path, arguments).await.map_err(|error| failed(arguments, &error.to_string()))
    }

    /// What a command of git prints that reads the mirror alone.
    ///
    /// # Errors
    /// Where it fails: the mirror may be broken, which is looked into at the next fetch.
    pub(super) async fn read(&mut self, arguments: &[&str]) -> Result<String, SourceError> {
        let output = self.run(arguments).await?;
        if output.status.success() {
            return Ok(output.text());
        }
        self.is_suspect = true;
        Err(failed(arguments, &output.reason()))
    }

    /// The commit that is followed now: the head of the branch, or that of the newest tag by its version.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) async fn head(&mut self) -> Result<String, SourceError> {
        if self.reference.ends_with(BRANCH) {
            let commit = format!("{BRANCH}^{{commit}}");
            let head = self.read(&["rev-parse", "--verify", "--end-of-options", &commit]).await?;
            return Ok(head.trim_end().to_owned());
        }
        let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname)";
        let tags = self.read(&["for-each-ref", "--sort=-version:refname", format, TAGS]).await?;
        let commit = tags.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["commit", commit, ..] | ["tag", _, "commit", commit] => Some((*commit).to_owned()),
            _ => None,
        });
        commit.ok_or_else(|| SourceError::Missing("the repository has no such tag".to_owned()))
    }

    /// Whether a commit is one of those that led to what is followed.
    pub(super) async fn is_followed(&self, commit: &str) -> Result<bool, SourceError> {
        let places = if self.reference.ends_with(BRANCH) { BRANCH } else { TAGS };
        let found = self.run(&["for-each-ref", "--count=1", "--contains", commit, places]).await?;
        Ok(found.status.success() && !found.stdout.is_empty())
    }

    /// Whether a commit descends from an older one; `None` where the mirror has not both.
    pub(super) async fn descends(&self, commit: &str, older: &str) -> Result<Option<bool>, SourceError> {
        let output = self.run(&["merge-base", "--is-ancestor", older, commit]).await?;
        Ok(match output.status.code() {
            Some(0) => Some(true),
            Some(1) => Some(false),
            _ => None,
        })
    }

    /// Brings it up to date with the repository.
    ///
    /// # Errors
    /// Where the repository does not answer, or sends what is refused. The mirror is then as it was.
    pub(super) async fn fetch(&mut self) -> Result<(), SourceError> {
        let found = fs::read_to_string(self.path.join(ORIGIN)).unwrap_or_default();
        let rest = found.strip_prefix(&self.origin);
        self.is_whole |= rest == Some(WHOLE);
        if !matches!(rest, Some("" | WHOLE)) || self.is_worn() || (self.is_suspect && self.is_broken().await)
        {
            return self.renew().await;
        }
        self.is_suspect = false;
        clean(&self.path);
        match self.fetch_into(&self.path).await {
            Ok(()) => {
                self.is_checked = false;
                Ok(())
            }
            // Once while the repository does not answer: it reads the whole mirror.
            Err(_) if !self.is_checked && self.is_broken().await => self.renew().await,
            Err(error) => {
                self.is_checked = true;
                Err(error)
            }
        }
    }

    /// Fetches all files with their commits, from now on.
    ///
    /// # Errors
    /// As for [`Self::fetch`].
    pub(super) async fn fetch_whole(&mut self) -> Result<(), SourceError> {
        self.is_whole = true;
        self.renew().await
    }

    /// Puts a new mirror in place of the old one, once it is complete.
    async fn renew(&mut self) -> Result<(), SourceError> {
        let new = self.path.with_extension("new");
        let local = |error: io::Error| SourceError::Unreachable(format!("{}: {error}", self.path.display()));
        remove(&new).map_err(local)?;
        let init = ["init", "--quiet", "--bare", "--template="];
        let output = self.runner.git(&new, &init).await.map_err(|error| failed(&init, &error.to_string()))?;
        if !output.status.success() {
            return Err(failed(&init, &output.reason()));
        }
        self.fetch_into(&new).await?;
        let whole = if self.is_whole { WHOLE } else { "" };
        fs::write(new.join(ORIGIN), format!("{}{whole}", self.origin)).map_err(local)?;
        remove(&self.path).map_err(local)?;
        fs::rename(&new, &self.path).map_err(local)?;
        (self.is_suspect, self.is_checked) = (false, false);
        Ok(())
    }

    async fn fetch_into(&self, mirror: &Path) -> Result<(), SourceError> {
        // Commits as a whole: less would prove neither what a commit descends from nor that each was signed.
        let mut arguments = vec![
            "fetch",
            "--quiet",
            "--no-tags",
            "--prune",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ];
        arguments.extend((!self.is_whole).then_some("--filter=blob:none"));
        arguments.extend(["origin", &self.reference]);
        match self.runner.git(mirror, &arguments).await {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) if output.is_too_large => {
                let limit = self.runner.limits.file >> 20;
                Err(SourceError::Refused(format!("git fetch: the repository sends more than {limit} MiB")))
            }
            Ok(output) => Err(failed(&arguments, &output.reason())),
            Err(CommandError::TooMuch(_)) => Err(failed(&arguments, "it printed too much")),
            Err(error) => Err(failed(&arguments, &error.to_string())),
        }
    }

    /// Whether something is wrong with it. What takes too long is no proof.
    async fn is_broken(&self) -> bool {
        let output =
            self.runner.git(&self.path, &["fsck", "--no-dangling", "--no-reflogs", "--no-progress"]).await;
        output.is_ok_and(|output| !output.status.success())
    }

    /// Whether it has so many packs, or is so large, that it is better made anew.
    fn is_worn(&self) -> bool {
        let packs = entries(&self.path.join("objects/pack"));
        let size: u64 = packs.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
        let count = packs.iter().filter(|path| path.extension().is_some_and(|end| end == "pack")).count();
        count > MOST_PACKS || (count > 1 && size > 2 * self.runner.limits.file)
    }
}

/// That a command of git failed.
pub(super) fn failed(arguments: &[&str], reason: &str) -> SourceError {
    // Behind settings, which are `-c key=value`.
    let is_command = |word: &&&str| !word.starts_with('-') && !word.contains('=');
    let command = arguments.iter().find(is_command).copied().unwrap_or_default();
    SourceError::Unreachable(format!("git {command}: {reason}"))
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Removes what a git that was killed has left: locks, which nobody else has, and files that are not complete.
fn clean(mirror: &Path) {
    let mut directories =
        vec![mirror.to_owned(), mirror.join("objects"), mirror.join("objects/pack"), mirror.join("refs")];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && directory.starts_with(mirror.join("refs")) {
                directories.push(path);
            } else if name.ends_with(".lock") || name.starts_with("tmp_") {
                let _ = remove(&path);
            }
        }
    }
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
