//! Measures single processes: how long, how much memory, and what they say of themselves.

use std::fs::File;
use std::io::{self, Error};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What one process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// From before its start to after its end
    pub(crate) wall: Duration,
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
    let begin = Instant::now();
    let ended = command.spawn()?.wait_with_output()?;
    let wall = begin.elapsed();
    if !ended.status.success() {
        return Err(Error::other(format!("{words:?}: {}", ended.status)));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let said = if inner { said.trim() } else { "0 0 0" };
    Ok(format!("{} {} {said}", wall.as_nanos(), usage.max_rss()))
}

/// Measures a command in the network namespace of this thread.
pub(crate) fn measure(words: &[&str]) -> io::Result<Taken> {
    let timed =
        Command::new(std::env::current_exe()?).arg("timed").args(words).stderr(Stdio::inherit()).output()?;
    let line = String::from_utf8_lossy(&timed.stdout);
    let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [wall, peak_kb, kernel, calls, _] = numbers.as_slice() else {
        return Err(Error::other(format!("{words:?} failed: {line}")));
    };
    let (wall, kernel) = (Duration::from_nanos(*wall), Duration::from_nanos(*kernel));
    Ok(Taken { wall, peak_kb: *peak_kb, kernel, calls: *calls })
}

/// Waits until the machine has nothing else to do: the kernel takes a namespace down long after its last process.
pub(crate) fn settle() {
    let idle = || -> Option<u64> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
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
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// What the threads of a process have spent on the processor; those that have ended are not in it.
pub(crate) fn cpu_of(process: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| -> Option<u64> {
        let schedstat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The same of this thread alone.
pub(crate) fn own_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(time.num_microseconds().unsigned_abs()))
}
