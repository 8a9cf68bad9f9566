//! Reads a file that an agent would make the desired one, for `/v1/plan?file=`: below the agent's directory and nowhere else.

use std::io;
use std::path::{Component, Path};

use crate::api::{FileProblem, Problem, ProblemKind};
use crate::config::{self, Diagnostics, Source};
use crate::escape::{self, Escaped};
use crate::files::{FileCause, FileError, read_below};
use crate::model::Desired;

/// How many of its problems are in words.
const IN_WORDS: usize = 3;

/// A valid file that is not the desired one.
pub(super) struct Candidate {
    /// Its text
    pub(super) source: Source,
    /// The state that it describes
    pub(super) desired: Desired,
}

impl Candidate {
    /// Reads the file of a query.
    ///
    /// # Errors
    /// Where it is not below the directory, cannot be read, or is not valid.
    pub(super) fn read(path: &str, agent_dir: &Path) -> Result<Self, Problem> {
        let inside = inside(path, agent_dir)?;
        let bytes = read_below(agent_dir, inside, config::LARGEST).map_err(|error| unreadable(&error))?;
        let source = config::from_bytes(path, bytes);
        let source = source.map_err(|error| invalid(&Diagnostics::unreadable(&error)))?;
        let desired = config::load_alone(&source).map_err(|problems| invalid(&problems))?;
        Ok(Self { source, desired })
    }
}

/// The path of a file from the agent's directory on.
fn inside<'p>(path: &'p str, agent_dir: &Path) -> Result<&'p Path, Problem> {
    let path = Path::new(path);
    let is_clean = path.components().all(|step| matches!(step, Component::RootDir | Component::Normal(_)));
    let inside = path.strip_prefix(agent_dir).ok().filter(|inside| !inside.as_os_str().is_empty());
    inside.filter(|_| is_clean).ok_or_else(|| {
        let directory = agent_dir.display();
        let detail =
            format_args!("file: only a file below {directory} is planned, by its whole path without `..`");
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

/// Why a file is not read. Its name comes from the client.
fn unreadable(error: &FileError) -> Problem {
    let path = Escaped(error.path.display());
    let (kind, reason) = match &error.cause {
        FileCause::Io(cause) => match cause.kind() {
            io::ErrorKind::NotFound => (ProblemKind::NotFound, "there is no such file".to_owned()),
            io::ErrorKind::PermissionDenied => {
                let reason = "the user of the daemon may not read it, or not enter its directory";
                (ProblemKind::Failed, reason.to_owned())
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
                (ProblemKind::BadRequest, cause.to_string())
            }
            _ => (ProblemKind::Failed, cause.to_string()),
        },
        FileCause::TooLarge(limit) => {
            (ProblemKind::Invalid, format!("is larger than the limit of {} MiB", limit >> 20))
        }
        FileCause::NotRegular(_) | FileCause::NotDirectory | FileCause::HardLinks => {
            let reason = "is no regular file of one name, or there is a link on the way to it";
            (ProblemKind::BadRequest, reason.to_owned())
        }
        FileCause::Closed | FileCause::Owner(_) | FileCause::Writable(_) => {
            (ProblemKind::Failed, error.to_string())
        }
    };
    Problem::new(kind, format_args!("{path}: {reason}"))
}

/// What is wrong with a file, each problem at its place.
fn invalid(found: &Diagnostics) -> Problem {
    let name = &found.source.name;
    let problem = |problem: &config::Diagnostic| {
        let config::Diagnostic { file: _, line, column, width: _, message, expected, suggestion } =
            problem.clone();
        FileProblem { file: name.clone(), line, column, message, expected, suggestion }
    };
    let problems: Vec<FileProblem> = found.list.iter().map(problem).collect();
    let words = problems.iter().take(IN_WORDS).map(|FileProblem { file, line, column, message, .. }| {
        format!("{}:{line}:{column}: {}", escape::text(file), escape::text(message))
    });
    let mut detail = words.collect::<Vec<_>>().join("; ");
    match (problems.len() + found.more).saturating_sub(IN_WORDS) {
        0 => {}
        more => detail += &format!("; and {more} more"),
    }
    Problem { problems, ..Problem::new(ProblemKind::Invalid, detail) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const VALID: &str =
        "version: 1\nclusters: [{ name: web, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14] }]\n";

    #[test]
    fn only_a_whole_path_below_the_directory_is_taken() {
        let of = |path| inside(path, Path::new("/var/lib/lbd-agent")).map_err(|problem| problem.kind);
        for (path, expected) in
            [("/var/lib/lbd-agent/new.yaml", "new.yaml"), ("/var/lib/lbd-agent//a/./b", "a/b")]
        {
            assert_eq!(of(path), Ok(Path::new(expected)), "{path}");
        }
        for path in [
            "",
            "new.yaml",
            "lbd-agent/new.yaml",
            "/var/lib/lbd-agent",
            "/var/lib/lbd-agent/",
            "/var/lib/lbd-agent/.",
            "/var/lib/lbd-agent/..",
            "/var/lib/lbd-agent/../lbd/state.json",
            "/var/lib/lbd-agent/a/../b",
            "/var/lib/lbd-agent2/new.yaml",
            "/var/lib/../lib/lbd-agent/new.yaml",
            "/etc/shadow",
            "../var/lib/lbd-agent/new.yaml",
        ] {
            assert_eq!(of(path), Err(ProblemKind::BadRequest), "{path}");
        }
    }

    #[test]
    fn what_is_not_a_valid_file_says_why_and_where() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("valid"), VALID).unwrap();
        fs::write(path("invalid"), "version: 1\nclusters: []\na: 1\nb: 1\nc: 1\nd: 1\ne: 1\n").unwrap();
        fs::write(path("latin"), b"version: 1 # \xfc\n").unwrap();
        fs::write(path("several"), "version: 1\ninclude: ['*.yaml']\nclusters: []\n").unwrap();
        fs::File::create(path("long")).unwrap().set_len(config::LARGEST + 1).unwrap();
        symlink("valid", path("link")).unwrap();
        let read = |name: &str| {
            let read = Candidate::read(&path(name).display().to_string(), directory.path());
            read.map(|candidate| candidate.source.text)
        };
        let place = format!("{}/", directory.path().display());
        let failed = |name: &str| {
            let problem = read(name).unwrap_err();
            (problem.kind, problem.detail.replace(&place, ""), problem.problems.len())
        };
        assert_eq!(read("valid"), Ok(VALID.to_owned()));
        let link = "is no regular file of one name, or there is a link on the way to it";
        for (name, kind, detail, problems) in [
            ("none", ProblemKind::NotFound, "none: there is no such file", 0),
            ("link", ProblemKind::BadRequest, &format!("link: {link}"), 0),
            ("valid/in", ProblemKind::BadRequest, &format!("valid/in: {link}"), 0),
            ("long", ProblemKind::Invalid, "long: is larger than the limit of 32 MiB", 0),
            (
                "latin",
                ProblemKind::Invalid,
                "latin:1:14: the byte 0xfc is not UTF-8; save the file as UTF-8",
                1,
            ),
            ("several", ProblemKind::Invalid, "several:2:1: the file of a fleet includes nothing", 1),
            (
                "invalid",
                ProblemKind::Invalid,
                "invalid:3:1: unknown key `a`; invalid:4:1: unknown key `b`; invalid:5:1: unknown key `c`; and 2 more",
                5,
            ),
        ] {
            assert_eq!(failed(name), (kind, detail.to_owned(), problems), "{name}");
        }
        let name = "new\u{1b}[1m\n";
        assert_eq!(failed(name).1, "new\\x1b[1m\\n: there is no such file");
        assert_eq!(failed("a\0b").0, ProblemKind::BadRequest);
    }
}
