//! Reads kernel and file for a command that needs them again and again, and no more of both than has changed.

use super::{CommandError, inputs};
use crate::config::{self, Source};
use crate::files::sha256;
use crate::kernel::director::Director;
use crate::kernel::{Kernel, Live, ReadScope, StatisticsScope, TableStatistics};
use crate::model::{Desired, Services};
use crate::progress::Progress;

/// The kernel, connected at the first reading, and the file that it is compared with.
#[derive(Default)]
pub(super) struct KernelReader {
    director: Option<Director>,
    /// The last valid file
    parsed: Option<Parsed>,
    /// Whether readings are kept
    is_lasting: bool,
    /// The last reading, without what is counted
    last: Option<Live>,
}

struct Parsed {
    text: String,
    sha256: String,
    /// What it describes
    desired: Desired,
}

/// What to read of the kernel.
pub(super) struct Wanted<'a> {
    /// The part of the live state
    pub(super) question: &'a ReadScope,
    /// What the services are likely to be: what is the same is in memory once
    pub(super) expected: &'a Services,
    /// Whether what services have counted is wanted, and with that of each server (true)
    pub(super) statistics: Option<bool>,
    /// Whether the packets of connections matter
    pub(super) is_exact: bool,
}

impl KernelReader {
    /// One whose next readings cost little while nothing has changed but numbers: it keeps the last one in memory.
    pub(super) fn lasting() -> Self {
        Self { is_lasting: true, ..Self::default() }
    }

    /// Reads what is wanted. What services have counted may be missing in it.
    pub(super) fn read(&mut self, wanted: &Wanted<'_>, progress: &Progress) -> Result<Live, CommandError> {
        let Wanted { question, expected, statistics, is_exact } = *wanted;
        let with_servers = statistics == Some(true);
        let director = connected(&mut self.director, self.is_lasting, progress)?;
        let mut last = self.last.take().filter(|_| !with_servers && !is_exact);
        let is_same = match &mut last {
            Some(last) => director.refresh(question, last, statistics.is_some())?,
            None => false,
        };
        let mut live = match last.filter(|_| is_same) {
            Some(last) => last,
            None => {
                let question = ReadScope { statistics: with_servers, ..question.clone() };
                director.read_expecting(&question, expected)?
            }
        };
        if self.is_lasting {
            let counted = live.statistics.take();
            self.last = Some(live.clone());
            live.statistics = counted;
        }
        Ok(live)
    }

    /// Reads as much of what the kernel has counted as `scope` names.
    pub(super) fn read_statistics(
        &mut self,
        scope: &StatisticsScope,
        progress: &Progress,
    ) -> Result<TableStatistics, CommandError> {
        Ok(connected(&mut self.director, self.is_lasting, progress)?.read_statistics(scope)?)
    }

    /// What a desired file describes. A text that was parsed last is not parsed again.
    pub(super) fn load(&mut self, source: &Source) -> Result<Desired, CommandError> {
        if let Some(parsed) = self.parsed_as(&source.text) {
            return Ok(parsed.desired.clone());
        }
        // (What is forgotten first leaves room.)
        self.parsed = None;
        let desired = config::load(source)?;
        let (text, sha256) = (source.text.clone(), sha256(&source.text));
        self.parsed = Some(Parsed { text, sha256, desired: desired.clone() });
        Ok(desired)
    }

    /// The SHA-256 of the text of a desired file, which is known of the one that was parsed last.
    pub(super) fn sha256(&self, text: &str) -> String {
        self.parsed_as(text).map_or_else(|| sha256(text), |parsed| parsed.sha256.clone())
    }

    fn parsed_as(&self, text: &str) -> Option<&Parsed> {
        self.parsed.as_ref().filter(|parsed| parsed.text == text)
    }
}

fn connected<'a>(
    director: &'a mut Option<Director>,
    is_lasting: bool,
    progress: &Progress,
) -> Result<&'a mut Director, CommandError> {
    Ok(match director {
        Some(director) => director,
        none => {
            let mut director = inputs::kernel(progress)?;
            if is_lasting {
                director.remember();
            }
            none.insert(director)
        }
    })
}
