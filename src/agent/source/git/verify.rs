//! Decides whether commits are signed by keys that count.
//!
//! Whose signature counts is in one file of the settings, and nowhere else: of ssh in `allowed_signers`; of OpenPGP in a keyring, from which a home of gpg
//! is made that has only these keys. There, all of them count whatever their owner is trusted with, but none that is revoked or has expired.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::command::gnupg;
use super::mirror::{Mirror, TAGS};
use crate::agent::settings::{Follow, GitSettings, Signers, Verify};
use crate::agent::source::SourceError;
use crate::files::{open_regular, read_regular};

/// The largest keyring, in bytes.
const LARGEST: u64 = 8 << 20;
/// How gpg is set up: without trust, and without programs in the background that would find more keys.
const GPG: &str =
    "trust-model always\nno-autostart\nno-auto-key-retrieve\nno-auto-key-import\ndisable-dirmngr\n";

/// Which commits have to be signed, and by whom.
#[derive(Debug)]
pub(super) struct Signatures {
    verify: Verify,
    signers: Option<Signers>,
    follows_tags: bool,
    /// The keyring that gpg has now
    imported: Option<Vec<u8>>,
}

impl Signatures {
    /// Those of the settings.
    pub(super) fn new(settings: &GitSettings) -> Self {
        Self {
            verify: settings.verify,
            signers: settings.signers.clone(),
            follows_tags: matches!(settings.follow, Follow::Tag(_)),
            imported: None,
        }
    }

    /// Checks a commit, and with [`Verify::Every`] all that it has and the commit in force has not, merged ones too. With [`Verify::Head`] the signature of
    /// a tag that is followed counts for its commit.
    ///
    /// # Errors
    /// Where one of them is not signed by a key that counts, or that cannot be found out.
    pub(super) async fn check(
        &mut self,
        mirror: &mut Mirror,
        commit: &str,
        applied: Option<&str>,
        home: &Path,
    ) -> Result<(), SourceError> {
        if self.verify == Verify::Off {
            return Ok(());
        }
        let Some(signers) = self.signers.clone() else {
            return Err(SourceError::Refused(
                "there are no keys by which a commit could be verified".to_owned(),
            ));
        };
        let programs = self.prepare(&signers, mirror, home).await?;
        if self.verify == Verify::Head && self.follows_tags && is_tagged(mirror, commit, &programs).await? {
            return Ok(());
        }
        let mut grades = grades(mirror, &["--no-walk=unsorted", commit], &programs).await?;
        if let Some(applied) = applied.filter(|_| self.verify == Verify::Every) {
            // Where the mirror has no such commit, it is none of those that led to this one either, and was let go by an operator.
            if mirror.descends(commit, applied).await?.is_some() {
                let range = format!("{applied}..{commit}");
                grades.extend(self::grades(mirror, &[&range], &programs).await?);
            }
        }
        match grades.iter().find(|(_, grade)| !counts(grade, &signers)) {
            None => Ok(()),
            Some((commit, grade)) => Err(SourceError::Refused(wrong(commit, grade, &signers))),
        }
    }

    /// What git is to be called with so that the keys of the settings count and no others.
    async fn prepare(
        &mut self,
        signers: &Signers,
        mirror: &Mirror,
        home: &Path,
    ) -> Result<Vec<String>, SourceError> {
        let none = |kind: &str| format!("gpg.{kind}program=/bin/false");
        match signers {
            Signers::Ssh(path) => {
                // Else each commit would be of an unknown key.
                open_regular(path).map_err(|error| unreadable(path, &error.to_string()))?;
                let signers = format!("gpg.ssh.allowedSignersFile={}", path.display());
                Ok(vec![signers, none(""), none("openpgp."), none("x509.")])
            }
            Signers::OpenPgp(path) => {
                let keyring =
                    read_regular(path, LARGEST).map_err(|error| unreadable(path, &error.to_string()))?;
                if self.imported.as_ref() != Some(&keyring) {
                    self.imported = None;
                    import(&keyring, path, mirror, home).await?;
                    self.imported = Some(keyring);
                }
                Ok(vec![none("ssh."), none("x509.")])
            }
        }
    }
}

fn unreadable(path: &Path, reason: &str) -> SourceError {
    SourceError::Unreachable(format!("{}: {reason}", path.display()))
}

/// Makes a home for gpg that has the keys of a keyring and no others.
async fn import(keyring: &[u8], path: &Path, mirror: &Mirror, home: &Path) -> Result<(), SourceError> {
    let directory = gnupg(home);
    let made = match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .and_then(|()| fs::write(directory.join("gpg.conf"), GPG)),
    };
    made.map_err(|error| unreadable(&directory, &error.to_string()))?;
    let arguments = ["--batch", "--no-tty", "--quiet", "--import"].map(AsRef::as_ref);
    let output = mirror.runner.run("gpg", &arguments, Some(keyring)).await;
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(unreadable(path, &format!("gpg: {}", output.reason()))),
        Err(error) => Err(unreadable(path, &format!("gpg: {error}"))),
    }
}

/// The commits that git lists, each with the letter for its signature.
async fn grades(
    mirror: &mut Mirror,
    which: &[&str],
    programs: &[String],
) -> Result<Vec<(String, String)>, SourceError> {
    let mut arguments = with(programs);
    arguments.extend(["log", "--format=%H %G?"]);
    arguments.extend(which);
    let listed = mirror.read(&arguments).await?;
    let pair = |line: &str| line.split_once(' ').map(|(commit, grade)| (commit.to_owned(), grade.to_owned()));
    Ok(listed.lines().filter_map(pair).collect())
}

/// Whether one of the tags at a commit is signed by a key that counts. A tag that was signed by another name says nothing of this one.
async fn is_tagged(mirror: &mut Mirror, commit: &str, programs: &[String]) -> Result<bool, SourceError> {
    let format = "--format=%(objecttype) %(refname) %(tag)";
    let tags = mirror.read(&["for-each-ref", "--points-at", commit, format, TAGS]).await?;
    for line in tags.lines() {
        let ["tag", reference, name] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
        let mut arguments = with(programs);
        arguments.extend(["verify-tag", reference]);
        if reference.strip_prefix(TAGS) == Some(name) && mirror.run(&arguments).await?.status.success() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn with(programs: &[String]) -> Vec<&str> {
    programs.iter().flat_map(|setting| ["-c", setting]).collect()
}

/// Whether a signature counts. Of ssh, `U` is that of a key which is not listed; of OpenPGP, that of one in the keyring whose owner is not trusted.
fn counts(grade: &str, signers: &Signers) -> bool {
    match signers {
        Signers::Ssh(_) => grade == "G",
        Signers::OpenPgp(_) => matches!(grade, "G" | "U"),
    }
}

fn wrong(commit: &str, grade: &str, signers: &Signers) -> String {
    let (path, kind) = match signers {
        Signers::Ssh(path) => (path, "ssh"),
        Signers::OpenPgp(path) => (path, "OpenPGP"),
    };
    let wrong = match grade {
        "N" => format!("is not signed with {kind}"),
        "B" => "has a signature that is wrong".to_owned(),
        "R" => "is signed by a key that was revoked".to_owned(),
        "X" | "Y" => "has a signature or a key that has expired".to_owned(),
        _ => format!("is signed by a key that is not in {}", path.display()),
    };
    format!("commit {commit} {wrong}")
}
