//! Measures single processes: how long, how much memory, and what they say of themselves.

use std::fs::{self, File};
use std::io::{self, Error};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The control group of what is measured by instructions; there is none by other clocks.
const GROUP: &str = "/sys/fs/cgroup/race";

/// Makes the group. In a guest whose time is instructions, what its processes spend on the processor is counted exactly, with
/// their children, whether they have ended or not; and neither pauses nor those that look on count. What the kernel's own
/// threads do for them later is not in it.
pub(crate) fn count_instructions() -> io::Result<()> {
    let mounted = Command::new("mount").args(["-t", "cgroup2", "none", "/sys/fs/cgroup"]).status()?;
    if mounted.success() { fs::create_dir(GROUP) } else { Err(Error::other("no control groups")) }
}

/// What the group has spent on the processor, if there is one.
fn spent() -> Option<Duration> {
    let stat = fs::read_to_string(format!("{GROUP}/cpu.stat")).ok()?;
    let microseconds = stat.strip_prefix("usage_usec ")?.lines().next()?.parse().ok()?;
    Some(Duration::from_micros(microseconds))
}

/// Counts what the group spends on the processor, or else the time.
pub(crate) struct Stopwatch(Instant, Option<Duration>);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now(), spent())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        spent().zip(self.1).map_or_else(|| self.0.elapsed(), |(after, before)| after - before)
    }
}

/// A command that runs in the group, if there is one. The shell has joined it when it becomes the program.
pub(crate) fn in_group(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let join = format!("[ ! -d {GROUP} ] || echo $$ > {GROUP}/cgroup.procs; exec \"$@\"");
    command.args(["-c", &join, "sh"]).args(words);
    command
}

/// What one process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// From before its start to after its end; by instructions, what it and its children spent
    pub(crate) time: Duration,
    /// Its peak of resident memory
    pub(crate) peak_kb: u64,
    /// From its first send to its last reply, if it says so
    pub(crate) kernel: Duration,
    /// System calls on its socket, if it says so
    pub(crate) calls: u64,
}

/// Runs a command and tells in one line what it took. A process of its own, since the kernel has the peak of memory only
/// for all children together.
pub(crate) fn timed(words: &[&str]) -> io::Result<String> {
    let (inner, words) = match words {
        ["--inner", rest @ ..] => (true, rest),
        _ => (false, words),
    };
    let (input, words) = match words {
        ["--stdin", file, rest @ ..] => (Stdio::from(File::open(file)?), rest),
        _ => (Stdio::null(), words),
    };
    let (program, arguments) = words.split_first().ok_or(Error::other("no command"))?;
    let output = if inner { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.args(arguments).stdin(input).stdout(output);
    if Path::new(GROUP).exists() {
        fs::write(format!("{GROUP}/cgroup.procs"), "0")?;
    }
    let watch = Stopwatch::start();
    let ended = command.spawn()?.wait_with_output()?;
    let time = watch.elapsed();
    if !ended.status.success() {
        return Err(Error::other(format!("{words:?}: {}", ended.status)));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let said = if inner { said.trim() } else { "0 0 0" };
    Ok(format!("{} {} {said}", time.as_nanos(), usage.max_rss()))
}

/// Measures a command in the network namespace of this thread.
pub(crate) fn measure(words: &[&str]) -> io::Result<Taken> {
    let timed =
        Command::new(std::env::current_exe()?).arg("timed").args(words).stderr(Stdio::inherit()).output()?;
    let line = String::from_utf8_lossy(&timed.stdout);
    let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [time, peak_kb, kernel, calls, _] = numbers.as_slice() else {
        return Err(Error::other(format!("{words:?} failed: {line}")));
    };
    let (time, kernel) = (Duration::from_nanos(*time), Duration::from_nanos(*kernel));
    Ok(Taken { time, peak_kb: *peak_kb, kernel, calls: *calls })
}

/// Waits until the machine has nothing else to do: the kernel takes a namespace down long after its last process.
pub(crate) fn settle() {
    let idle = || -> Option<u64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().next()?.split_whitespace().nth(4)?.parse().ok()
    };
    for _ in 0..100 {
        let before = idle();
        thread::sleep(Duration::from_millis(200));
        // Hundredths of a second; 20 would be all of it.
        if idle().zip(before).is_none_or(|(after, before)| after - before >= 16) {
            return;
        }
    }
}

/// A number of a process's status, in kB.
pub(crate) fn peak_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
