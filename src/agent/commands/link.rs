//! `lbd agent enable`, `disable`, `pause` and `resume`: whether the desired file is the agent's. Only root may change that.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{self, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::AgentError;
use super::small::{settings, wake_agent};
use crate::agent::pause::AgentPause;
use crate::agent::place::{AgentDirectory, Desired, LARGEST};
use crate::cli::{AgentOptions, Arguments};
use crate::commands::{Console, DONE, who};
use crate::config::{self, Source};
use crate::escape;
use crate::files::{beside, read_regular};
use crate::fleet::Version;

/// The unit of the agent.
const UNIT: &str = "lbd-agent.service";
/// The unit that ends a pause.
const RESUME: &str = "lbd-agent-resume";
/// The mode of a desired file.
const MODE: u32 = 0o644;

/// The files that these commands are about.
struct Place {
    desired: PathBuf,
    agent: AgentDirectory,
}

impl Place {
    fn new(arguments: &Arguments, options: &AgentOptions) -> Result<Self, AgentError> {
        let absolute = |path: &Path| path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let place = Self {
            desired: absolute(&arguments.file),
            agent: AgentDirectory::new(&absolute(&options.files.agent_dir)),
        };
        // What lies beside the desired file is root's, or others could replace the link.
        beside::check_place(&place.desired)?;
        Ok(place)
    }

    fn followed(&self) -> Desired {
        self.agent.followed_by(&self.desired)
    }

    fn error(&self, cause: io::Error) -> AgentError {
        AgentError::System { what: self.desired.display().to_string(), cause }
    }

    /// The name that what was there keeps.
    fn kept(&self) -> PathBuf {
        let mut name: OsString = self.desired.clone().into_os_string();
        name.push(".before-agent");
        name.into()
    }

    /// Makes the desired file the link. What was there stays under another name.
    fn link(&self) -> Result<Option<PathBuf>, AgentError> {
        let kept = (self.followed() == Desired::Elsewhere).then(|| self.kept());
        if let Some(kept) = &kept {
            // It has both names for a moment, so that there is a desired file at each.
            let _ = fs::remove_file(kept);
            match fs::symlink_metadata(&self.desired).map_err(|cause| self.error(cause))?.is_file() {
                true => fs::hard_link(&self.desired, kept).map_err(|cause| self.error(cause))?,
                false => symlink(fs::read_link(&self.desired).map_err(|cause| self.error(cause))?, kept)
                    .map_err(|cause| self.error(cause))?,
            }
        }
        let new = beside::beside(&self.desired, "new-link");
        let _ = fs::remove_file(&new);
        symlink(self.agent.desired(), &new).map_err(|cause| self.error(cause))?;
        fs::rename(&new, &self.desired).map_err(|cause| self.error(cause))?;
        Ok(kept)
    }

    /// Makes the desired file a plain one, with what is in place. That was written by another user: it is read with limits, and has to be valid.
    fn unlink(&self, console: &mut Console<'_>) -> Result<(), AgentError> {
        let from = self.agent.desired();
        let text = read_regular(&from, LARGEST)
            .map_err(io::Error::other)
            .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
            .map_err(|cause| AgentError::System { what: from.display().to_string(), cause })?;
        let shown = from.display().to_string();
        config::load(&Source::new(shown.as_str(), text.strip_prefix('\u{feff}').unwrap_or(&text)))?;
        let new = beside::beside(&self.desired, "new-file");
        let _ = fs::remove_file(&new);
        let write = || -> io::Result<()> {
            let mut file: File = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.set_permissions(Permissions::from_mode(MODE))?;
            file.sync_all()?;
            fs::rename(&new, &self.desired)
        };
        write().map_err(|cause| self.error(cause))?;
        let desired = self.desired.display().to_string();
        writeln!(console.out, "{} is a plain file, with what is in force", escape::text(&desired))?;
        Ok(())
    }
}

/// Runs `systemctl` or `systemd-run`; whether there is a service manager and it did it.
fn by_systemd(program: &str, arguments: &[&str], console: &mut Console<'_>) -> bool {
    if !Path::new("/run/systemd/system").exists() {
        return false;
    }
    let line = || format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            console.warn(format_args!("{}: {}", line(), String::from_utf8_lossy(&output.stderr).trim()));
            false
        }
        Err(error) => {
            console.warn(format_args!("{}: {error}", line()));
            false
        }
    }
}

pub(super) fn enable(
    arguments: &Arguments,
    options: &AgentOptions,
    no_start: bool,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    settings(&options.files.config)?;
    let place = Place::new(arguments, options)?;
    if place.followed() != Desired::Followed {
        // The first file in place is the one in force, until a revision comes: also where one of an earlier time is there.
        if place.followed() == Desired::Elsewhere {
            let source = config::read(&place.desired).map_err(crate::commands::CommandError::from)?;
            if source.is_set() {
                return Err(AgentError::Other(format!(
                    "{}: it includes other files, and the file of a fleet is complete; put all of it into one file first",
                    place.desired.display()
                )));
            }
            place.agent.put(&source.text)?;
        }
        let kept = place.link()?;
        let (desired, to) =
            (place.desired.display().to_string(), place.agent.desired().display().to_string());
        writeln!(console.out, "{} leads to {}", escape::text(&desired), escape::text(&to))?;
        if let Some(kept) = kept {
            console.note(format_args!("what was there is kept as {}", kept.display()));
        }
    }
    AgentPause::remove(&place.desired)?;
    if !no_start && !by_systemd("systemctl", &["enable", "--now", UNIT], console) {
        console.note("no service manager has started the agent: `lbd agent run`");
    }
    let _ = wake_agent(options);
    Ok(DONE)
}

pub(super) fn disable(
    arguments: &Arguments,
    options: &AgentOptions,
    no_stop: bool,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let place = Place::new(arguments, options)?;
    if place.followed() == Desired::Followed {
        place.unlink(console)?;
    }
    AgentPause::remove(&place.desired)?;
    if !no_stop {
        by_systemd("systemctl", &["disable", "--now", UNIT], console);
    }
    let _ = wake_agent(options);
    Ok(DONE)
}

pub(super) fn pause(
    arguments: &Arguments,
    options: &AgentOptions,
    length: Duration,
    reason: Option<&str>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let place = Place::new(arguments, options)?;
    let was_paused = AgentPause::load(&place.desired)?.is_some();
    if place.followed() != Desired::Followed && !was_paused {
        return Err(AgentError::Other(format!(
            "{}: it is no link to {}, so there is nothing to pause; `lbd agent enable` makes it one",
            place.desired.display(),
            place.agent.desired().display()
        )));
    }
    let now = SystemTime::now();
    let (since, until) = (now.into(), (now + length).into());
    let pause = AgentPause { version: Version, by: who(), since, until, reason: reason.map(str::to_owned) };
    pause.save(&place.desired)?;
    if place.followed() == Desired::Followed {
        place.unlink(console)?;
    }
    writeln!(console.out, "{}", escape::text(&pause.to_string()))?;
    end_in_time(arguments, options, length, console);
    let _ = wake_agent(options);
    Ok(DONE)
}

/// Has the service manager end the pause, as root.
fn end_in_time(arguments: &Arguments, options: &AgentOptions, length: Duration, console: &mut Console<'_>) {
    let own = std::env::current_exe().unwrap_or_default();
    let (own, file) = (own.display().to_string(), arguments.file.display().to_string());
    let agent_dir = options.files.agent_dir.display().to_string();
    let after = format!("--on-active={}s", length.as_secs().max(1));
    let _ = stop_timer(console);
    let words = [
        "--quiet",
        "--collect",
        "--unit",
        RESUME,
        &after,
        // Until it is stopped: where the clock was set back meanwhile, the pause lasts longer than the timer.
        "--on-unit-inactive=60s",
        "--timer-property=AccuracySec=1s",
        &own,
        "-f",
        &file,
        "agent",
        "--agent-dir",
        &agent_dir,
        "resume",
        "--due",
    ];
    if !by_systemd("systemd-run", &words, console) {
        console.warn("no service manager ends the pause in time; end it yourself: lbd agent resume");
    }
}

/// The timer that ends a pause, while there is one.
fn timer() -> PathBuf {
    Path::new("/run/systemd/transient").join(format!("{RESUME}.timer"))
}

fn stop_timer(console: &mut Console<'_>) -> bool {
    // A timer that is not there is not stopped.
    timer().exists() && by_systemd("systemctl", &["stop", &format!("{RESUME}.timer")], console)
}

pub(super) fn resume(
    arguments: &Arguments,
    options: &AgentOptions,
    due: bool,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let place = Place::new(arguments, options)?;
    let Some(pause) = AgentPause::load(&place.desired)? else {
        if !due {
            console.note("nothing was paused");
        }
        return Ok(DONE);
    };
    let now = SystemTime::now();
    if due && !pause.is_over(now) {
        // After a boot the timer has gone with the boot before.
        if !timer().exists() {
            let rest = SystemTime::from(pause.until).duration_since(now).unwrap_or_default();
            end_in_time(arguments, options, rest, console);
        }
        return Ok(DONE);
    }
    if place.followed() != Desired::Followed {
        let kept = place.link()?;
        if let Some(kept) = kept {
            console.note(format_args!(
                "what was edited meanwhile is kept as {}, and in `lbd history`",
                kept.display()
            ));
        }
    }
    AgentPause::remove(&place.desired)?;
    let _ = stop_timer(console);
    let desired = place.desired.display().to_string();
    writeln!(console.out, "resumed: {} is that of the fleet", escape::text(&desired))?;
    let _ = wake_agent(options);
    Ok(DONE)
}
