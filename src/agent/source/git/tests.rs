//! Which commits of a repository are taken, with a real git on files, and keys of ssh that are made for it.

mod openpgp;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::agent::settings::{Follow, Signers, Verify};

/// A repository, as others work with it, with the keys of two people.
struct Repository {
    directory: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { directory: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.git(&["config", "uploadpack.allowFilter", "true"]);
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.directory.path());
        command.env("GNUPGHOME", self.path("people"));
        for of in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{of}_NAME"), of).env(format!("GIT_{of}_EMAIL"), "a@example");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let work = self.path("work");
        fs::create_dir_all(&work).unwrap();
        self.run("git", &[&["-C", work.to_str().unwrap()], arguments].concat())
    }

    /// Commits a file, signed by a key where there is one, and gives the commit.
    fn commit(&self, file: &str, text: &str, key: Option<&str>) -> String {
        let path = self.path("work").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.git(&["add", "-A"]);
        self.commit_what_is_added(key)
    }

    fn commit_what_is_added(&self, key: Option<&str>) -> String {
        let key = key.map(|key| format!("user.signingKey={}", self.path(key).display()));
        let signed: Vec<&str> = key
            .iter()
            .flat_map(|key| ["-c", "gpg.format=ssh", "-c", key, "-c", "commit.gpgSign=true"])
            .collect();
        self.git(&[signed.as_slice(), &["commit", "--quiet", "--allow-empty", "--message=change"]].concat());
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a key, and lets it sign where `counts` is set.
    fn key(&self, name: &str, counts: bool) {
        let path = self.path(name);
        self.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path.to_str().unwrap()]);
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let mut signers = fs::read_to_string(self.path("signers")).unwrap_or_default();
        if counts {
            signers.push_str(&format!("{name} namespaces=\"git\" {public}"));
        }
        fs::write(self.path("signers"), signers).unwrap();
    }

    fn settings(&self, verify: Verify) -> GitSettings {
        GitSettings {
            repository: format!("file://{}", self.path("work").display()),
            follow: Follow::Branch("main".to_owned()),
            paths: vec!["directors/lb1.yaml".to_owned(), "site.yaml".to_owned()],
            interval: Duration::from_secs(30),
            verify,
            signers: Some(Signers::Ssh(self.path("signers"))),
            identity: None,
            known_hosts: None,
        }
    }

    /// An agent's side of it, with a directory of its own.
    fn source(&self, settings: GitSettings) -> Git {
        let agent = self.path("agent");
        fs::create_dir_all(&agent).unwrap();
        Git::new(settings, agent)
    }
}

fn text(result: Result<String, SourceError>) -> String {
    match result {
        Ok(text) => text,
        Err(SourceError::Unreachable(text)) => format!("unreachable: {text}"),
        Err(SourceError::Refused(text)) => format!("refused: {text}"),
        Err(SourceError::Missing(text)) => format!("missing: {text}"),
        Err(SourceError::Etcd(error)) => format!("{error:?}"),
    }
}

async fn newest(git: &mut Git, applied: Option<&str>) -> String {
    text(git.newest(applied, None).await)
}

async fn content(git: &mut Git, revision: &str, applied: Option<&str>) -> String {
    let content = git.content(revision, applied, false).await;
    text(content.map(|content| format!("{}: {}", content.path, content.text)))
}

#[tokio::test]
async fn the_first_path_that_a_commit_has_is_taken_and_nothing_else_of_it() {
    let repository = Repository::new();
    let first = repository.commit("other.yaml", "other", None);
    let second = repository.commit("site.yaml", "site", None);
    let third = repository.commit("directors/lb1.yaml", "lb1", None);
    let mut git = repository.source(repository.settings(Verify::Off));
    assert_eq!(newest(&mut git, None).await, third);
    assert_eq!(content(&mut git, &third, None).await, "directors/lb1.yaml: lb1");
    assert_eq!(content(&mut git, &second, None).await, "site.yaml: site");
    let missing = format!("missing: commit {first} has no directors/lb1.yaml and no site.yaml");
    assert_eq!(content(&mut git, &first, None).await, missing);
    // What was not read is not in the mirror.
    let count = repository.run("git", &["--git-dir", "agent/mirror.git", "count-objects", "-v"]);
    assert!(!count.contains("in-pack: 0\n"), "{count}");
    let other = repository.git(&["rev-parse", &format!("{first}:other.yaml")]);
    let listed = repository.run(
        "git",
        &[
            "--git-dir",
            "agent/mirror.git",
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname) %(objecttype)",
        ],
    );
    assert!(!listed.contains(&other) && listed.matches(" blob").count() == 2, "{listed}");
    // A link would lead elsewhere, and the path behind it would be a file for others.
    fs::remove_file(repository.path("work/directors/lb1.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repository.path("work/directors/lb1.yaml")).unwrap();
    let link = repository.commit("a", "", None);
    let refused = format!("refused: directors/lb1.yaml in commit {link} is not a file");
    assert_eq!(newest(&mut git, Some(&third)).await, link);
    assert_eq!(content(&mut git, &link, Some(&third)).await, refused);
    for odd in ["-x", "main", &third.to_uppercase(), &third[..39], "--output=/tmp/x"] {
        assert_eq!(content(&mut git, odd, None).await, format!("missing: {odd} is not a commit"));
    }
}

// "Server does not allow request for unadvertised object", at each try: an sshd without `AcceptEnv GIT_PROTOCOL`.
#[tokio::test]
async fn a_server_that_filters_and_gives_no_single_files_is_fetched_whole() {
    let repository = Repository::new();
    let first = repository.commit("site.yaml", "1", None);
    let source = || {
        let mut git = repository.source(repository.settings(Verify::Off));
        let runner = &mut git.mirror.as_mut().unwrap().runner;
        runner.configuration.push("protocol.version=0".to_owned());
        git
    };
    let mut git = source();
    assert_eq!(newest(&mut git, None).await, first);
    assert_eq!(content(&mut git, &first, None).await, "site.yaml: 1");
    let second = repository.commit("site.yaml", "2", None);
    // Also after a new start.
    let mut git = source();
    assert_eq!(newest(&mut git, None).await, second);
    let blob = repository.git(&["rev-parse", &format!("{second}:site.yaml")]);
    fs::rename(repository.path("work"), repository.path("away")).unwrap();
    assert_eq!(repository.run("git", &["--git-dir", "agent/mirror.git", "cat-file", "blob", &blob]), "2");
    assert_eq!(content(&mut git, &second, None).await, "site.yaml: 2");
}

#[tokio::test]
async fn only_what_a_listed_key_has_signed_is_taken() {
    let repository = Repository::new();
    repository.key("alice", true);
    repository.key("mallory", false);
    let (settings, every) = (repository.settings(Verify::Head), repository.settings(Verify::Every));
    let signed = repository.commit("site.yaml", "1", Some("alice"));
    let mut git = repository.source(settings);
    assert_eq!(newest(&mut git, None).await, signed);
    let foreign = repository.commit("site.yaml", "2", Some("mallory"));
    let signers = repository.path("signers").display().to_string();
    let not_listed = format!("refused: commit {foreign} is signed by a key that is not in {signers}");
    assert_eq!(newest(&mut git, Some(&signed)).await, not_listed);
    assert_eq!(content(&mut git, &foreign, Some(&signed)).await, not_listed);
    assert_eq!(content(&mut git, &signed, Some(&signed)).await, "site.yaml: 1");
    let unsigned = repository.commit("site.yaml", "3", None);
    let not_signed = format!("refused: commit {unsigned} is not signed with ssh");
    assert_eq!(newest(&mut git, Some(&signed)).await, not_signed);
    // On top of these two, a good one: `head` takes it, `every` does not, but where none is in force yet.
    let top = repository.commit("site.yaml", "4", Some("alice"));
    assert_eq!(newest(&mut git, Some(&signed)).await, top);
    let mut git = repository.source(every);
    assert_eq!(newest(&mut git, Some(&signed)).await, not_signed);
    assert_eq!(content(&mut git, &top, Some(&signed)).await, not_signed);
    assert_eq!(newest(&mut git, None).await, top);
    assert_eq!(newest(&mut git, Some(&top)).await, top);
    // A rollback is signed as well, and where the keys cannot be read, nothing is.
    assert_eq!(text(git.content(&signed, Some(&top), true).await.map(|file| file.text)), "1");
    assert_eq!(text(git.content(&unsigned, Some(&top), true).await.map(|file| file.text)), not_signed);
    fs::remove_file(&signers).unwrap();
    let unknown = format!("unreachable: {signers}: No such file or directory (os error 2)");
    assert_eq!(newest(&mut git, None).await, unknown);
}

#[tokio::test]
async fn what_does_not_descend_from_the_commit_in_force_needs_an_operator() {
    let repository = Repository::new();
    let first = repository.commit("site.yaml", "1", None);
    let second = repository.commit("site.yaml", "2", None);
    let mut git = repository.source(repository.settings(Verify::Off));
    assert_eq!(newest(&mut git, Some(&first)).await, second);
    repository.git(&["reset", "--quiet", "--hard", &first]);
    let other = repository.commit("site.yaml", "3", None);
    let refused = |commit: &str, applied: &str| {
        format!(
            "refused: commit {commit} does not descend from {applied}, which is in force; lbd agent allow-rewind {commit}"
        )
    };
    assert_eq!(newest(&mut git, Some(&second)).await, refused(&other, &second));
    assert_eq!(content(&mut git, &other, Some(&second)).await, refused(&other, &second));
    assert_eq!(text(git.newest(Some(&second), Some(&second)).await), refused(&other, &second));
    assert_eq!(text(git.newest(Some(&second), Some(&other)).await), other);
    assert_eq!(content(&mut git, &other, Some(&second)).await, "site.yaml: 3");
    // What was dropped there is none of the commits that led to the head, however it is wanted.
    let missing = format!("unreachable: commit {second} is none of those that led to what is followed");
    assert_eq!(text(git.content(&second, None, true).await.map(|file| file.text)), missing);
    // One that the mirror never had.
    let unknown = "0123456789".repeat(4);
    assert_eq!(newest(&mut git, Some(&unknown)).await, refused(&other, &unknown));
    // Older ones only as a rollback.
    assert_eq!(content(&mut git, &first, Some(&other)).await, refused(&first, &other));
    assert_eq!(text(git.content(&first, Some(&other), true).await.map(|file| file.text)), "1");
    // A commit that is newer than the last fetch is fetched.
    let fourth = repository.commit("site.yaml", "4", None);
    assert_eq!(content(&mut git, &fourth, Some(&other)).await, "site.yaml: 4");
}

#[tokio::test]
async fn the_newest_tag_by_its_version_is_followed_and_its_signature_counts_for_its_commit() {
    let repository = Repository::new();
    repository.key("alice", true);
    let follow = |verify| GitSettings { follow: Follow::Tag("v*".to_owned()), ..repository.settings(verify) };
    let tag = |name: &str| {
        let key = format!("user.signingKey={}", repository.path("alice").display());
        repository.git(&["-c", "gpg.format=ssh", "-c", &key, "tag", "-s", "-m", name, name]);
    };
    repository.commit("site.yaml", "1", None);
    let mut git = repository.source(follow(Verify::Head));
    assert_eq!(newest(&mut git, None).await, "missing: the repository has no such tag");
    repository.git(&["tag", "v1.9"]);
    let second = repository.commit("site.yaml", "2", None);
    tag("v1.10");
    repository.commit("site.yaml", "3", None);
    repository.git(&["tag", "v1.10-rc1"]);
    assert_eq!(newest(&mut git, None).await, second);
    assert_eq!(content(&mut git, &second, None).await, "site.yaml: 2");
    let not_signed = format!("refused: commit {second} is not signed with ssh");
    assert_eq!(newest(&mut repository.source(follow(Verify::Every)), None).await, not_signed);
    // The object of the tag under another name is not the word of whoever signed it.
    let fourth = repository.commit("site.yaml", "4", None);
    tag("other");
    repository.git(&["update-ref", "refs/tags/v2", "refs/tags/other"]);
    let not_signed = format!("refused: commit {fourth} is not signed with ssh");
    assert_eq!(newest(&mut repository.source(follow(Verify::Head)), Some(&second)).await, not_signed);
}

#[tokio::test]
async fn a_mirror_is_only_a_cache() {
    let repository = Repository::new();
    let first = repository.commit("site.yaml", "1", None);
    let mut git = repository.source(repository.settings(Verify::Off));
    assert_eq!(newest(&mut git, None).await, first);
    // The server is gone: nothing is lost.
    let mirror = repository.path("agent/mirror.git");
    fs::rename(repository.path("work"), repository.path("away")).unwrap();
    let gone = newest(&mut git, None).await;
    assert!(gone.starts_with("unreachable: git fetch: ") && gone.contains("work"), "{gone}");
    assert_eq!(repository.run("git", &["-C", "agent/mirror.git", "rev-parse", "refs/lbd/branch"]), first);
    fs::rename(repository.path("away"), repository.path("work")).unwrap();
    // What a git that was killed has left.
    fs::write(mirror.join("refs/lbd/branch.lock"), "").unwrap();
    fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    fs::write(mirror.join("objects/pack/tmp_pack_x"), "").unwrap();
    let second = repository.commit("site.yaml", "2", None);
    assert_eq!(newest(&mut git, Some(&first)).await, second);
    assert!(!mirror.join("objects/pack/tmp_pack_x").exists());
    // Broken in three ways, and one of a mirror that was not finished.
    fs::write(mirror.join("HEAD"), "").unwrap();
    assert_eq!(newest(&mut git, Some(&first)).await, second);
    for entry in fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "not a pack").unwrap();
    }
    assert_eq!(newest(&mut git, Some(&first)).await, second);
    fs::remove_dir_all(mirror.join("objects")).unwrap();
    fs::create_dir_all(repository.path("agent/mirror.new/objects")).unwrap();
    assert_eq!(newest(&mut git, Some(&first)).await, second);
    assert_eq!(content(&mut git, &second, Some(&first)).await, "site.yaml: 2");
    // Of another branch: nothing of the old one is left.
    repository.git(&["branch", "other", &first]);
    let settings =
        GitSettings { follow: Follow::Branch("other".to_owned()), ..repository.settings(Verify::Off) };
    assert_eq!(newest(&mut repository.source(settings), None).await, first);
}

#[tokio::test]
async fn what_is_too_large_or_no_text_is_refused() {
    let repository = Repository::new();
    let limits = Limits { content: 1 << 20, file: 2 << 20, ..Limits::default() };
    let source = || {
        fs::create_dir_all(repository.path("agent")).unwrap();
        Git::with_limits(repository.settings(Verify::Off), repository.path("agent"), limits)
    };
    let large = repository.commit("site.yaml", &"x".repeat(limits.content as usize + 1), None);
    let mut git = source();
    assert_eq!(newest(&mut git, None).await, large);
    let refused = "refused: site.yaml is larger than the limit of 1 MiB";
    assert_eq!(content(&mut git, &large, None).await, refused);
    fs::write(repository.path("work/site.yaml"), b"\xff").unwrap();
    let odd = repository.commit("a", "", None);
    assert_eq!(content(&mut git, &odd, None).await, "refused: site.yaml is not text in UTF-8");
    // Noise that cannot be compressed: more than git may write into one file.
    let mut noise = vec![0; 3 << 20];
    let mut random = fastrand::Rng::with_seed(1);
    random.fill(&mut noise);
    fs::write(repository.path("work/site.yaml"), &noise).unwrap();
    let noisy = repository.commit("b", "", None);
    assert_eq!(content(&mut git, &noisy, None).await, refused);
    // A server that does not know filters sends it with the commits.
    repository.git(&["config", "uploadpack.allowFilter", "false"]);
    fs::remove_dir_all(repository.path("agent")).unwrap();
    assert_eq!(newest(&mut source(), None).await, "refused: git fetch: the repository sends more than 2 MiB");
    assert!(!repository.path("agent/mirror.git").exists());
    repository.git(&["reset", "--quiet", "--hard", &odd]);
    assert_eq!(newest(&mut source(), None).await, odd);
}

#[tokio::test]
async fn nothing_of_a_repository_or_of_the_host_is_executed() {
    let repository = Repository::new();
    let witness = repository.path("witness");
    let script = format!("#!/bin/sh\ntouch {}\n", witness.display());
    let program = repository.path("program");
    fs::write(&program, &script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.display().to_string();
    let head = repository.commit("site.yaml", "1", None);
    let mut git = repository.source(repository.settings(Verify::Off));
    // What a user's configuration would do, with this directory as the home.
    fs::write(
        repository.path("agent/.gitconfig"),
        format!("[core]\n\tsshCommand = {program}\n\tfsmonitor = {program}\n[protocol \"ext\"]\n\tallow = always\n"),
    )
    .unwrap();
    assert_eq!(newest(&mut git, None).await, head);
    // Hooks in the mirror itself.
    let hooks = repository.path("agent/mirror.git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["reference-transaction", "post-checkout", "pre-auto-gc"] {
        fs::copy(&program, hooks.join(hook)).unwrap();
    }
    // A submodule that would be a program, and one by an option.
    let modules = format!(
        "[submodule \"a\"]\n\tpath = a\n\turl = ext::{program}\n[submodule \"b\"]\n\tpath = b\n\turl = file:///x\n"
    );
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},a")]);
    let next = repository.commit(".gitmodules", &modules, None);
    assert_eq!(newest(&mut git, Some(&head)).await, next);
    assert_eq!(content(&mut git, &next, None).await, "site.yaml: 1");
    let refused = "unreachable: the address of the repository has a protocol that is not allowed";
    for address in
        [format!("ext::{program}"), format!("--upload-pack={program}"), format!("ftp://{program}"), program]
    {
        let settings = GitSettings { repository: address, ..repository.settings(Verify::Off) };
        assert_eq!(newest(&mut repository.source(settings), None).await, refused);
    }
    // As an address of ssh, which is run with this PATH: git refuses the host.
    let settings = GitSettings {
        repository: "ssh://-oProxyCommand=x/lvs".to_owned(),
        ..repository.settings(Verify::Off)
    };
    let strange = newest(&mut repository.source(settings), None).await;
    assert!(strange.contains("strange hostname"), "{strange}");
    let settings =
        GitSettings { follow: Follow::Branch("-x".to_owned()), ..repository.settings(Verify::Off) };
    let none = newest(&mut repository.source(settings), None).await;
    assert_eq!(none, "unreachable: git fetch: fatal: couldn't find remote ref refs/heads/-x");
    assert!(!witness.exists());
}
