//! Probes by a program: never a shell, in a process group of its own, which ends with the time-out.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use compact_str::{CompactString, format_compact};
use rustix::process::{Pid, Signal as Kill, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdout, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::health::{Endpoint, ExecWeight, Outcome};
use crate::model::Exec;

/// How many programs run at once.
const AT_ONCE: usize = 64;
/// So much of the output is kept; the rest is read and dropped.
const KEPT: usize = 1024;
/// How long the output of a program that has ended may still arrive: a process that it left may have it open.
const LAST_OUTPUT: Duration = Duration::from_millis(50);
/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(AT_ONCE));

/// A check of type `exec`.
#[derive(Debug)]
pub(super) struct ExecCheck {
    command: Vec<String>,
    is_weight_wanted: bool,
    cluster: CompactString,
}

/// Ends a process group when it is dropped. Its first process must not be waited for before: until then its number is no other's.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(first) = self.0 {
            let _ = kill_process_group(first, Kill::KILL);
        }
    }
}

impl ExecCheck {
    pub(super) fn new(exec: &Exec, cluster: Option<&CompactString>) -> Self {
        Self {
            command: exec.command.clone(),
            is_weight_wanted: exec.weight_from_output,
            cluster: cluster.cloned().unwrap_or_default(),
        }
    }

    /// Waits until a program may run; that is no time of the server's.
    pub(super) async fn turn() -> Option<SemaphorePermit<'static>> {
        RUNNING.acquire().await.ok()
    }

    pub(super) async fn probe(&self, target: Endpoint) -> Result<Outcome, Outcome> {
        let (address, port) = (target.ip().to_string(), target.port().to_string());
        let mut words = self.command.iter().map(|word| self.replaced(word, &address, &port));
        let Some(program) = words.next() else { return Err(Outcome::Own("no program".into())) };
        let mut command = Command::new(&program);
        command.args(words).env_clear().env("PATH", PATH).env("LBD_ADDRESS", &address).env("LBD_PORT", &port);
        command.env("LBD_CLUSTER", self.cluster.as_str()).env("LBD_SERVER", server(target));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.current_dir("/").process_group(0).kill_on_drop(true);
        // What the checker lacks, a program too, is no failure of the server.
        let own = |error: std::io::Error| Outcome::Own(format_compact!("{program}: {error}"));
        let mut children = signal(SignalKind::child()).map_err(own)?;
        let mut child = command.spawn().map_err(own)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = Group(id);
        let mut output = Output { stdout: child.stdout.take(), kept: Vec::new() };
        loop {
            tokio::select! {
                () = end_of(id, &mut children) => break,
                () = output.read(), if output.stdout.is_some() => {}
            }
        }
        // What it has left running ends with it.
        drop(group);
        let _ = timeout(LAST_OUTPUT, async {
            while output.stdout.is_some() {
                output.read().await;
            }
        })
        .await;
        Ok(self.outcome(child.wait().await.map_err(own)?, &output.first_line()))
    }

    fn replaced(&self, word: &str, address: &str, port: &str) -> String {
        word.replace("{address}", address).replace("{port}", port).replace("{cluster}", &self.cluster)
    }

    fn outcome(&self, status: ExitStatus, line: &str) -> Outcome {
        let failed = |why: CompactString| {
            Outcome::Failed(if line.is_empty() { why } else { format_compact!("{why}: {line}") })
        };
        match (status.code(), status.signal()) {
            (Some(0), _) if self.is_weight_wanted => weight(line),
            (Some(0), _) => Outcome::PASSED,
            (Some(code), _) => failed(format_compact!("exit code {code}")),
            (None, signal) => failed(format_compact!("ended by signal {}", signal.unwrap_or_default())),
        }
    }
}

/// Waits until a process has ended, without taking its status: its number stays its own.
async fn end_of(process: Option<Pid>, children: &mut Signal) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    // An error says that it is no child any more.
    while let Some(process) = process
        && matches!(waitid(WaitId::Pid(process), options), Ok(None))
    {
        children.recv().await;
    }
}

/// `192.168.8.14:80`, or the address alone where there is no port.
fn server(target: Endpoint) -> String {
    if target.port() == 0 { target.ip().to_string() } else { target.to_string() }
}

/// What a line of output makes of the weight. What means 0 is a failure.
fn weight(line: &str) -> Outcome {
    let passed = |weight| Outcome::Passed { weight, warning: None };
    let unclear = || Outcome::Failed(format_compact!("no weight in the output: `{line}`"));
    let number = |digits: &str| digits.parse::<u32>().ok();
    match line {
        "up" => passed(None),
        "down" | "drain" | "maint" => Outcome::Failed(format_compact!("the program says {line}")),
        _ => match (line.strip_suffix('%').and_then(number), line.strip_prefix("weight:").and_then(number)) {
            (Some(0), _) | (_, Some(0)) => Outcome::Failed("the program says weight 0".into()),
            (Some(share), _) if share <= 1_000 => passed(Some(ExecWeight::Percent(share))),
            (_, Some(weight)) if weight <= MAX_WEIGHT => passed(Some(ExecWeight::Weight(weight))),
            _ => unclear(),
        },
    }
}

/// The highest weight that the kernel takes.
const MAX_WEIGHT: u32 = 65_535;

/// The output of a program.
struct Output {
    /// Where more may come from
    stdout: Option<ChildStdout>,
    kept: Vec<u8>,
}

impl Output {
    /// Reads some more.
    async fn read(&mut self) {
        let mut piece = [0; 1024];
        let length = match &mut self.stdout {
            Some(stdout) => stdout.read(&mut piece).await.unwrap_or_default(),
            None => 0,
        };
        if length == 0 {
            self.stdout = None;
        }
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend(piece.iter().take(length.min(room)));
    }

    fn first_line(&self) -> String {
        String::from_utf8_lossy(&self.kept).lines().next().unwrap_or_default().trim().to_owned()
    }
}
