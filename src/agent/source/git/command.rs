//! Runs git with an environment of its own, without any configuration of the host, and within limits of time, output and files.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::agent::settings::GitSettings;
use crate::escape;

/// Where git, ssh and gpg are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What of the agent's own environment git gets: how http gets out, and whose certificates it believes.
const PASSED_ON: [&str; 6] =
    ["http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "GIT_SSL_CAINFO"];
/// No file may become larger. The shell sets it, since a limit is taken over by what is executed, and to set it between fork and exec is unsafe code.
/// Without the signal, which would end it without a word, git says what is wrong.
const LIMITED: &str = "trap '' XFSZ; ulimit -f \"$0\" && exec \"$@\"";
/// How many bytes at the end of the standard error are kept.
const KEPT: usize = 16 << 10;
/// How many characters of it are in an error.
const SHOWN: usize = 300;
/// What the C library says of a file beyond the limit (EFBIG).
const TOO_LARGE: &str = "File too large";
/// What git and ssh always say, or what says nothing.
const NOISE: [&str; 4] = [
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
    "fatal: the remote end hung up unexpectedly",
];
/// A repository on this host that the settings name may belong to another user; git takes this from nowhere but its command line.
const ANY_OWNER: &str = "remote.origin.uploadpack=git -c safe.directory=* upload-pack";
/// What is set for each command: no hooks, no programs, no upkeep in the background, no redirects, no objects that are malformed.
const CONFIGURATION: [&str; 18] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=1",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "protocol.allow=never",
    "protocol.ext.allow=never",
    "log.showSignature=false",
    "versionsort.suffix=-",
];

/// How far a command may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long it may take
    pub(super) time: Duration,
    /// The largest desired file, in bytes
    pub(super) content: u64,
    /// The largest file that it may write, in bytes: what one fetch brings is one file
    pub(super) file: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(120), content: 32 << 20, file: 512 << 20 }
    }
}

/// What a command that ended by itself left.
#[derive(Debug)]
pub(super) struct Output {
    /// How it ended
    pub(super) status: ExitStatus,
    /// Its standard output
    pub(super) stdout: Vec<u8>,
    /// The last of what it said about an error, fit to be shown
    pub(super) said: String,
    /// Whether it wrote a file beyond the limit
    pub(super) is_too_large: bool,
}

impl Output {
    /// Its standard output as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it said, or how it ended where it said nothing.
    pub(super) fn reason(&self) -> String {
        if self.said.is_empty() { self.status.to_string() } else { self.said.clone() }
    }
}

/// Why a command was not run to its end.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The program is not installed.
    NotInstalled(String),
    /// It cannot be started, or its output cannot be read.
    Io(io::Error),
    /// It took longer than this, and was ended.
    Slow(Duration),
    /// It printed more than so many bytes, and was ended.
    TooMuch(u64),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled(program) => write!(f, "{program} is not installed"),
            Self::Io(error) => error.fmt(f),
            Self::Slow(limit) => write!(f, "it took more than {} s and was ended", limit.as_secs()),
            Self::TooMuch(limit) => write!(f, "it printed more than {limit} bytes and was ended"),
        }
    }
}

/// Runs git.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    /// The home directory of what is run
    home: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// What is set for each command
    pub(super) configuration: Vec<String>,
    /// How far a command may go
    pub(super) limits: Limits,
}

impl Runner {
    /// For the repository of these settings; `home` has no configuration of anybody's. `None` where the address is none of those that are allowed.
    pub(super) fn new(settings: &GitSettings, home: &Path, limits: Limits) -> Option<Self> {
        let (scheme, _) = settings.repository.split_once("://")?;
        let scheme = ["ssh", "https", "http", "file"].into_iter().find(|allowed| *allowed == scheme)?;
        let mut environment: Vec<(&'static str, OsString)> = [
            ("PATH", PATH),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("XDG_CONFIG_HOME", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_ALLOW_PROTOCOL", scheme),
            ("GIT_SSH_VARIANT", "ssh"),
        ]
        .map(|(name, value)| (name, value.into()))
        .into();
        environment.push(("HOME", home.into()));
        environment.push(("GNUPGHOME", gnupg(home).into()));
        environment.push(("GIT_SSH_COMMAND", ssh_command(settings).into()));
        environment.extend(PASSED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let mut configuration: Vec<String> = CONFIGURATION.map(str::to_owned).into();
        configuration.push(format!("remote.origin.url={}", settings.repository));
        if scheme == "file" {
            configuration.push(ANY_OWNER.to_owned());
        }
        Some(Self { home: home.to_owned(), environment, configuration, limits })
    }

    /// Runs git on a mirror. That it fails is no error here.
    ///
    /// # Errors
    /// Where it does not end by itself within the limits.
    pub(super) async fn git(&self, mirror: &Path, arguments: &[&str]) -> Result<Output, CommandError> {
        let mut words: Vec<&OsStr> = vec!["--git-dir".as_ref(), mirror.as_os_str()];
        for setting in &self.configuration {
            words.extend([OsStr::new("-c"), setting.as_ref()]);
        }
        words.extend(arguments.iter().map(OsStr::new));
        self.run("git", &words, None).await
    }

    /// Runs a program with the environment of git. That it fails is no error here.
    ///
    /// # Errors
    /// Where it does not end by itself within the limits.
    pub(super) async fn run(
        &self,
        program: &str,
        arguments: &[&OsStr],
        input: Option<&[u8]>,
    ) -> Result<Output, CommandError> {
        let mut command = Command::new("/bin/sh");
        // In blocks of 512 bytes: POSIX.
        command.args(["-c", LIMITED, &(self.limits.file / 512).to_string(), program]).args(arguments);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.home).process_group(0).kill_on_drop(true);
        command.stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(CommandError::Io)?;
        // Dropped before the child: until that was waited for, its number is no other's.
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let ended = timeout(self.limits.time, end_of(&mut child, input, self.limits.content + 1)).await;
        let (status, stdout, stderr) = ended.map_err(|_| CommandError::Slow(self.limits.time))??;
        group.0 = None;
        let stderr = String::from_utf8_lossy(&stderr);
        match status.code() {
            // The shell's word for it.
            Some(127) => Err(CommandError::NotInstalled(program.to_owned())),
            _ => Ok(Output { status, stdout, said: said(&stderr), is_too_large: stderr.contains(TOO_LARGE) }),
        }
    }
}

/// Where the OpenPGP keys are that count.
pub(super) fn gnupg(home: &Path) -> PathBuf {
    home.join("gnupg")
}

/// Ends a process group when it is dropped: git starts programs, which do not end with it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(first) = self.0 {
            let _ = kill_process_group(first, Signal::KILL);
        }
    }
}

/// Writes the input, and reads all output until the child has ended: how it did, its standard output of at most `most` bytes, and the end of its
/// standard error.
async fn end_of(
    child: &mut Child,
    input: Option<&[u8]>,
    most: u64,
) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), CommandError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        // One that does not read all of it says why by itself.
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let ((), stdout, stderr) = tokio::try_join!(write, whole(stdout, most), tail(stderr))?;
    Ok((child.wait().await.map_err(CommandError::Io)?, stdout, stderr))
}

async fn whole(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    pipe.take(most + 1).read_to_end(&mut bytes).await.map_err(CommandError::Io)?;
    if bytes.len() as u64 > most { Err(CommandError::TooMuch(most)) } else { Ok(bytes) }
}

async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(bytes) };
    while pipe.read_buf(&mut bytes).await.map_err(CommandError::Io)? > 0 {
        bytes.drain(..bytes.len().saturating_sub(KEPT));
    }
    Ok(bytes)
}

/// The last lines of what a program said, as one, fit to be shown.
fn said(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !NOISE.contains(line));
    let lines: Vec<&str> = lines.collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
    let escaped = escape::text(&last);
    let more = escaped.chars().count().saturating_sub(SHOWN);
    escaped.chars().skip(more).collect()
}

/// How git starts ssh: with the keys of the settings and no others, without questions, without a configuration.
fn ssh_command(settings: &GitSettings) -> String {
    let word = |path: &Path| escape::word(&path.to_string_lossy()).into_owned();
    let mut command = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
                       -o PreferredAuthentications=publickey -o UpdateHostKeys=no -o ClearAllForwardings=yes -o ControlPath=none \
                       -o PermitLocalCommand=no -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=2"
        .to_owned();
    match &settings.known_hosts {
        Some(path) => {
            command.push_str(" -o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile=");
            command.push_str(&word(path));
        }
        None => command.push_str(" -o UserKnownHostsFile=/dev/null"),
    }
    if let Some(path) = &settings.identity {
        command.push_str(" -i ");
        command.push_str(&word(path));
    }
    command
}
