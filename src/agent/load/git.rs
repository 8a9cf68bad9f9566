//! Resolves which repository of git is followed, and whose signatures count.

use std::path::PathBuf;

use super::address::{self, Protocol};
use super::paths::{Placeholders, absolute};
use super::{at, resolve_interval};
use crate::agent::format::{GitEntry, TagText};
use crate::agent::settings::{Follow, GitSettings, Signers, Verify};
use crate::config::document::{Choice, PathText};
use crate::config::other::{Issue, Issues, KeyPath};

/// The branch where the file does not say it.
const BRANCH: &str = "main";
/// The longest name of a branch or tag, in bytes.
const LONGEST: usize = 200;

/// What the entry says.
pub(super) fn resolve(entry: GitEntry, placeholders: &Placeholders<'_>, issues: &mut Issues) -> GitSettings {
    let GitEntry {
        repository,
        branch,
        tag,
        paths,
        interval,
        verify,
        allowed_signers,
        keyring,
        identity,
        known_hosts,
    } = entry;
    let here = at(&["source", "git"]);
    let protocol = address::check(repository.as_str(), here.then("repository"), issues);
    if branch.is_some() && tag.is_some() {
        issues.push(
            Issue::new(here.then("tag"), "there is `branch` already")
                .at_key()
                .expected("one of `branch` and `tag`")
                .first(here.then("branch")),
        );
    }
    let follow = match (branch, tag) {
        (_, Some(tag)) => follow_tag(&tag, &here, issues),
        (Some(branch), None) => follow_branch(branch.as_str(), &here, issues),
        (None, None) => Follow::Branch(BRANCH.to_owned()),
    };
    let files = Files { here: &here, protocol };
    let (verify, signers) = resolve_signers(verify, allowed_signers, keyring, &here, issues);
    GitSettings {
        repository: repository.as_str().to_owned(),
        follow,
        paths: placeholders.fill(&paths, &here.then("paths"), issues),
        interval: resolve_interval(interval.as_ref(), &here, issues),
        verify,
        signers,
        identity: files.of_ssh("identity", identity, true, issues),
        known_hosts: files.of_ssh("known_hosts", known_hosts, false, issues),
    }
}

fn follow_branch(branch: &str, here: &KeyPath, issues: &mut Issues) -> Follow {
    if !is_reference(branch) {
        let short = branch.strip_prefix("refs/heads/").filter(|short| is_reference(short));
        issues.push(
            Issue::new(here.then("branch"), format!("`{branch}` cannot be the name of a branch"))
                .expected("a name such as `main`")
                .suggest(short),
        );
    }
    Follow::Branch(branch.to_owned())
}

fn follow_tag(tag: &TagText, here: &KeyPath, issues: &mut Issues) -> Follow {
    let tag = tag.as_str();
    // With something in place of the star it has to be a name.
    if tag.matches('*').count() > 1 || !is_reference(&tag.replacen('*', "1", 1)) {
        issues.push(
            Issue::new(here.then("tag"), format!("`{tag}` is neither a tag nor a pattern of tags"))
                .expected("a name or a pattern with one `*`, such as `v*`"),
        );
    }
    Follow::Tag(tag.to_owned())
}

/// Whether git takes it for the short name of a branch or tag: `git check-ref-format`, and no option.
fn is_reference(name: &str) -> bool {
    let is_odd = |letter: char| {
        letter.is_control()
            || letter.is_whitespace()
            || matches!(letter, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.len() <= LONGEST
        && !name.starts_with(['-', '+'])
        && !name.starts_with("refs/")
        && name != "@"
        && !name.contains(is_odd)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(is_part)
}

fn resolve_signers(
    verify: Option<Choice<Verify>>,
    allowed_signers: Option<PathText>,
    keyring: Option<PathText>,
    here: &KeyPath,
    issues: &mut Issues,
) -> (Verify, Option<Signers>) {
    let mut path = |key: &'static str, path: Option<PathText>| {
        path.map(|path| absolute(path.as_str(), here.then(key), issues))
    };
    let (ssh, pgp) = (path("allowed_signers", allowed_signers), path("keyring", keyring));
    if ssh.is_some() && pgp.is_some() {
        issues.push(
            Issue::new(here.then("keyring"), "there is `allowed_signers` already")
                .at_key()
                .expected("one of `allowed_signers` and `keyring`")
                .first(here.then("allowed_signers")),
        );
    }
    let given = if ssh.is_some() { "allowed_signers" } else { "keyring" };
    let signers = ssh.map(Signers::Ssh).or(pgp.map(Signers::OpenPgp));
    match verify.map(|Choice(verify)| verify) {
        None if signers.is_some() => {
            issues.push(
                Issue::new(here.then(given), format!("`{given}` without `verify` has no effect"))
                    .at_key()
                    .expected("`verify: every`, `verify: head` or `verify: off` beside it")
                    .involving(here.then("verify")),
            );
            (Verify::Off, None)
        }
        // To switch it off for a while, the keys may stay in the file.
        None | Some(Verify::Off) => (Verify::Off, None),
        Some(verify) => {
            if signers.is_none() {
                issues.push(
                    Issue::new(here.then("verify"), format!("`{verify}` needs keys by which it verifies"))
                        .expected("`allowed_signers` (ssh) or `keyring` (OpenPGP) beside it")
                        .involving(here.then("allowed_signers"))
                        .involving(here.then("keyring")),
                );
            }
            (verify, signers)
        }
    }
}

/// The files of ssh.
struct Files<'a> {
    here: &'a KeyPath,
    /// `None` where the address could not be read
    protocol: Option<Protocol>,
}

impl Files<'_> {
    /// The file of this key, which `ssh://` alone may have, and needs where `is_needed` is set.
    fn of_ssh(
        &self,
        key: &'static str,
        path: Option<PathText>,
        is_needed: bool,
        issues: &mut Issues,
    ) -> Option<PathBuf> {
        let Self { here, protocol } = self;
        let path = path.map(|path| absolute(path.as_str(), here.then(key), issues));
        // To ssh these are quotes, the end of a word, and what it replaces.
        let is_odd = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '\\' | '%' | '$');
        if path.as_ref().is_some_and(|path| path.to_string_lossy().contains(is_odd)) {
            issues.push(
                Issue::new(here.then(key), "ssh does not take every path")
                    .expected("a path without spaces, quotes, backslashes, `%` and `$`"),
            );
        }
        match (protocol, &path) {
            (Some(Protocol::Ssh), None) if is_needed => issues.push(
                Issue::new(here.then("repository"), format!("`ssh://` needs `{key}`"))
                    .expected(format!("`{key}`, the absolute path of a private key, beside it"))
                    .involving(here.then(key)),
            ),
            (Some(Protocol::Http | Protocol::File), Some(_)) => issues.push(
                Issue::new(here.then(key), format!("`{key}` is for `ssh://`"))
                    .at_key()
                    .expected("an address with `ssh://`, or no such key"),
            ),
            _ => {}
        }
        path
    }
}
