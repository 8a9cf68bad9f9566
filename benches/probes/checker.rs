//! Hands the checks of a desired file to a checker as the daemon does, and measures the checker.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use lbd::config::{self, Source};
use lbd::health::{Probes, RunDirs, SharedFiles, Verdict};

/// Writes what is to be probed for a desired file into the directory of a daemon; gives how many probes there are.
pub(crate) fn write(directory: &str, file: &str) -> Result<usize, Box<dyn Error>> {
    let source = Source::new(file, fs::read_to_string(file)?);
    let desired = config::load(&source).map_err(|problems| problems.to_string())?;
    let probes = Probes::of(&desired);
    shared(directory)?.save_probes(&probes)?;
    Ok(probes.len())
}

/// Measures a checker over so many seconds, at so many probes a second: `cpu_us_per_probe N rss_kb N failing N`.
pub(crate) fn measure(
    directory: &str,
    process: &str,
    rate: f64,
    seconds: u64,
) -> Result<String, Box<dyn Error>> {
    let before = ticks(process)?;
    thread::sleep(Duration::from_secs(seconds));
    // A tick is 10 ms on every Linux.
    let used = (ticks(process)? - before) as f64 * 10_000.0;
    let shared = shared(directory)?;
    let probes = shared.load_probes()?.ok_or("there are no probes")?.len();
    let verdicts = shared.load_verdicts(probes)?.ok_or("there are no verdicts")?;
    let is_failing = |verdict: &Verdict| matches!(verdict, Verdict::Failing(_));
    let failing = verdicts.findings.values().filter(|finding| is_failing(&finding.verdict)).count();
    let unknown = verdicts.findings.values().filter(|finding| finding.verdict == Verdict::Unknown).count();
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map_or("", str::trim);
    let frozen = verdicts.frozen.as_deref().unwrap_or("no");
    let per_probe = used / (rate * seconds as f64);
    Ok(format!(
        "cpu_us_per_probe {per_probe:.1} memory {rss}, failing {failing}, unknown {unknown}, frozen: {frozen}"
    ))
}

fn shared(directory: &str) -> Result<SharedFiles, Box<dyn Error>> {
    Ok(SharedFiles::new(&RunDirs::new(Path::new(directory)), None)?)
}

/// The processor's time of a process in user and kernel mode, in ticks.
fn ticks(process: &str) -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may contain spaces: fields 14 and 15 of proc(5).
    let fields = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().skip(11).take(2);
    fields.map(|field| Ok(field.parse::<u64>()?)).sum()
}
