//! Who takes part: each load in a network namespace of its own, the contenders in turns, round after round.

use std::fs;
use std::io::{self, Error};
use std::iter;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::client::Client;
use crate::process::{Stopwatch, Taken, count_instructions, in_group, measure, peak_of, settle};
use crate::results::Sample;
use crate::table::Table;

/// The clock that counts instructions: guest time is nothing else, a nanosecond each.
const INSTRUCTIONS: &str = "minstr";
/// A table in the making is looked at so often, and less often by so much for each server that is seen: the looks shall not
/// take more than some tenth of the time.
const LOOK: Duration = Duration::from_millis(2);
const LOOK_AT_SERVER: Duration = Duration::from_micros(15);
/// A file that is older is not taken for one in the making.
const AGE: Duration = Duration::from_millis(1_200);
/// A table with fewer real servers is loaded in a few milliseconds, which differ most from time to time. Where time is what
/// counts, it is raced in so many times the rounds, and its bare loads are repeated so often in each.
const SHORT: u32 = 2_000;
const MORE_ROUNDS: usize = 2;
const REPEATS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(300);
/// The weight that one server gets in the middle of a race; none has it before.
const NEW_WEIGHT: u32 = 20;

/// What the contenders are given.
struct Course<'a> {
    table: Table,
    lbd: &'a str,
    limit: String,
    race: String,
    samples: Vec<Sample>,
}

type Leg<'a> = fn(&mut Course<'a>) -> io::Result<()>;

/// Measures everything at each size, `rounds` times.
pub(crate) fn race(clock: &str, lbd: &str, rounds: usize, tables: &[Table]) -> io::Result<Vec<Sample>> {
    if clock == INSTRUCTIONS {
        count_instructions()?;
    }
    let race = std::env::current_exe()?;
    let limit = race.with_file_name("limit").to_string_lossy().into_owned();
    let race = race.to_string_lossy().into_owned();
    // A lap that does not count: it brings programs and kernel modules from the disk into memory.
    let warm_up = (Table::new(1, 10), 1, false);
    let is_short = |table: Table| clock != INSTRUCTIONS && table.size() < SHORT;
    let rounds_of = |table| if is_short(table) { rounds * MORE_ROUNDS } else { rounds };
    let laps = iter::once(warm_up).chain(tables.iter().map(|&table| (table, rounds_of(table), true)));
    let mut samples = Vec::new();
    for (table, rounds, counts) in laps {
        write(Path::new("/tmp/desired.yaml"), &table.yaml())?;
        write(Path::new("/tmp/rules"), &table.ipvsadm())?;
        thread::sleep(AGE);
        let mut course = Course { table, lbd, limit: limit.clone(), race: race.clone(), samples: Vec::new() };
        let mut legs: Vec<Leg<'_>> = vec![
            Course::limit_and_readers,
            Course::lbd_apply,
            Course::lbd_load,
            Course::ipvsadm,
            Course::keepalived,
            Course::lbd_run,
        ];
        if counts && is_short(table) {
            let loads: [Leg<'_>; 2] = [Course::limit_load, Course::lbd_load];
            legs.extend(loads.repeat(REPEATS));
        }
        for round in 0..rounds {
            for leg in 0..legs.len() {
                settle();
                // Nobody always comes first.
                in_new_namespace(|| legs[(leg + round) % legs.len()](&mut course))?;
            }
            eprintln!("bench: {table}, round {} of {rounds}", round + 1);
        }
        if counts {
            samples.append(&mut course.samples);
        }
    }
    Ok(samples)
}

/// Runs something in a thread with a network namespace of its own, and an address in it.
fn in_new_namespace(run: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    thread::scope(|scope| {
        let leg = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
            if up.success() { run() } else { Err(Error::other("lo does not come up")) }
        });
        leg.join().expect("a leg that ends")
    })
}

impl Course<'_> {
    fn take(&mut self, task: &'static str, who: &'static str, taken: Taken) {
        self.samples.push(Sample { size: self.table.to_string(), task, who, taken });
    }

    /// A phase is what a process says of itself.
    fn take_phase(&mut self, task: &'static str, who: &'static str, taken: Taken) {
        self.take(task, who, Taken { time: taken.kernel, peak_kb: 0, ..taken });
    }

    fn limit_load(&mut self) -> io::Result<()> {
        let load = measure(&["--inner", &self.limit.clone(), "load", &self.table.to_string()])?;
        self.take("load", "limit", load);
        self.take_phase("load: kernel phase", "limit", load);
        self.check_loaded()
    }

    /// The limit loads the table; then everybody reads it.
    fn limit_and_readers(&mut self) -> io::Result<()> {
        self.limit_load()?;
        let (size, limit, race) = (self.table.to_string(), self.limit.clone(), self.race.clone());
        let read = measure(&["--inner", &limit, "read", &size])?;
        self.take("read", "limit", read);
        self.take_phase("read: kernel phase", "limit", read);
        let own = measure(&["--inner", &race, "phase", "read", &size])?;
        self.take_phase("read: kernel phase", "lbd", own);
        // What a daemon at rest does, against a whole reading.
        self.take_phase("glance: kernel phase", "limit", read);
        let glance = measure(&["--inner", &race, "phase", "glance", &size])?;
        self.take_phase("glance: kernel phase", "lbd", glance);
        let diff = measure(&[self.lbd, "diff", "-f", "/tmp/desired.yaml", "--state-dir", "/tmp/none"])?;
        self.take("read", "lbd", diff);
        let validate = measure(&[self.lbd, "validate", "-f", "/tmp/desired.yaml"])?;
        self.take("read", "lbd validate", validate);
        let save = measure(&["ipvsadm", "-Sn"])?;
        self.take("read", "ipvsadm -Sn", save);
        Ok(())
    }

    fn lbd_apply(&mut self) -> io::Result<()> {
        let _ = fs::remove_dir_all("/tmp/state");
        let apply = measure(&[self.lbd, "apply", "-f", "/tmp/desired.yaml", "--state-dir", "/tmp/state"])?;
        self.take("load", "lbd", apply);
        self.check_loaded()
    }

    fn lbd_load(&mut self) -> io::Result<()> {
        let load = measure(&["--inner", &self.race.clone(), "phase", "load", &self.table.to_string()])?;
        self.take_phase("load: kernel phase", "lbd", load);
        self.check_loaded()
    }

    fn ipvsadm(&mut self) -> io::Result<()> {
        let restore = measure(&["--stdin", "/tmp/rules", "ipvsadm", "-R"])?;
        self.take("load", "ipvsadm -R", restore);
        self.check_loaded()
    }

    /// keepalived starts, and is told to reload a file with one weight changed.
    fn keepalived(&mut self) -> io::Result<()> {
        let file = Path::new("/tmp/keepalived.conf");
        let text = self.table.keepalived();
        write(file, &text)?;
        let words = "keepalived -n -f /tmp/keepalived.conf -p /tmp/keepalived.pid -c /tmp/checkers.pid -G -C";
        self.race_of_a_daemon(words, file, &text, "    weight 10\n", "    weight 20\n", "keepalived", true)
    }

    /// The daemon starts, and finds one weight changed in its file.
    fn lbd_run(&mut self) -> io::Result<()> {
        let _ = fs::remove_dir_all("/tmp/state");
        let file = Path::new("/run/bench/desired.yaml");
        fs::create_dir_all("/run/bench")?;
        let text = self.table.yaml();
        write(file, &text)?;
        thread::sleep(AGE);
        let words =
            format!("{} run -f {} --state-dir /tmp/state --log-level error", self.lbd, file.display());
        self.race_of_a_daemon(&words, file, &text, "weight: 10\n", "weight: 20\n", "lbd run", false)
    }

    #[allow(clippy::too_many_arguments)]
    fn race_of_a_daemon(
        &mut self,
        words: &str,
        file: &Path,
        text: &str,
        old: &str,
        new: &str,
        who: &'static str,
        hang_up: bool,
    ) -> io::Result<()> {
        let last = self.table.services - 1;
        let mut client = Client::connect()?;
        let mut command = in_group(&words.split(' ').collect::<Vec<_>>());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watch = Stopwatch::start();
        let daemon = Daemon(command.spawn()?);
        let full = self.table.servers as usize;
        wait(&mut client, self.table, last, |weights| weights.len() == full)?;
        let time = watch.elapsed();
        self.check_loaded()?;
        self.take("load", who, Taken { time, peak_kb: daemon.peak(), ..Taken::default() });

        // Its work after the start (a second look, a state file) shall not be counted.
        thread::sleep(Duration::from_millis(1_500));
        settle();
        let at = text.rfind(old).ok_or(Error::other("no such weight in the file"))?;
        let changed = format!("{}{new}{}", &text[..at], &text[at + old.len()..]);
        write(file, &changed)?;
        let watch = Stopwatch::start();
        if hang_up {
            kill(Pid::from_raw(daemon.0.id() as i32), Signal::SIGHUP)?;
        }
        wait(&mut client, self.table, last, |weights| weights.contains(&NEW_WEIGHT))?;
        let time = watch.elapsed();
        self.take("one weight", who, Taken { time, peak_kb: daemon.peak(), ..Taken::default() });
        Ok(())
    }

    /// A load that is not whole counts for nothing.
    fn check_loaded(&self) -> io::Result<()> {
        let expected = u64::from(self.table.services) + u64::from(self.table.size());
        let lines = fs::read_to_string("/proc/thread-self/net/ip_vs")?.lines().count() as u64 - 3;
        if lines == expected {
            Ok(())
        } else {
            Err(Error::other(format!("{lines} entries instead of {expected}")))
        }
    }
}

/// Waits until the servers of a service are as they should be.
fn wait(
    client: &mut Client,
    table: Table,
    service: u32,
    mut is_there: impl FnMut(&[u32]) -> bool,
) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        let weights = client.weights(table, service)?;
        if is_there(&weights) {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(Error::other("the table does not come about"));
        }
        thread::sleep(LOOK + LOOK_AT_SERVER * weights.len() as u32);
    }
}

/// A daemon and its children, ended with this.
struct Daemon(Child);

impl Daemon {
    /// The peak of the process or of that of its children that has the highest.
    fn peak(&self) -> u64 {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        children.chain([id]).map(peak_of).max().unwrap_or(0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // At once: told to end politely, they would take their table down first.
        let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Writes a file whole.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}
