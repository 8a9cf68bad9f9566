//! Reads the desired file when its look comes, and parses it as soon as it is whole.

use std::path::{Path, PathBuf};

use super::goal::{Goal, UnusableFile};
use crate::config::{self, Source};
use crate::watch::{Look, Mode, Watch};

/// Reads one file, again and again. A text that has just been parsed is not parsed again.
pub(super) struct Reader {
    file: PathBuf,
    /// What was last parsed, and is valid
    parsed: Option<Goal>,
    /// How many were parsed
    revision: u64,
}

impl Reader {
    /// Nothing is read so far.
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), parsed: None, revision: 0 }
    }

    /// Parses the file, which is whole but may not be its writer's last word: its look will tell. A large file takes longer
    /// to parse than the look waits for another change.
    pub(super) fn prepare(&mut self) {
        if self.known().is_none() {
            // What is wrong with it may be right when the look comes.
            let _ = config::read_closed(&self.file).map(|source| self.parse(source));
        }
    }

    /// Reads the file because of a look, unless a writer is found in the middle of it.
    pub(super) async fn read(
        &mut self,
        watch: &mut Watch,
        look: &Look,
    ) -> Option<Result<Goal, UnusableFile>> {
        if let Some(known) = self.known() {
            return watch.confirms(look).await.then_some(Ok(known));
        }
        let is_closed = watch.mode() == Mode::Inotify && look.is_of_a_whole_file();
        let source = if is_closed { config::read_closed(&self.file) } else { config::read(&self.file) };
        if !watch.confirms(look).await {
            return None;
        }
        Some(match source {
            Ok(source) => self.parse(source),
            Err(error) => Err(UnusableFile::Unreadable(error)),
        })
    }

    /// What the file asks for, if it still is the text that was parsed last.
    fn known(&self) -> Option<Goal> {
        self.parsed.clone().filter(|parsed| config::is_still(&self.file, &parsed.text))
    }

    fn parse(&mut self, source: Source) -> Result<Goal, UnusableFile> {
        self.revision += 1;
        let goal = Goal::parse(source, self.revision)?;
        self.parsed = Some(goal.clone());
        Ok(goal)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;
    use crate::watch::Reason;

    fn text(weight: u32) -> String {
        format!(
            "version: 1\nclusters:\n- name: web\n  listen: tcp://192.0.2.1:80\n  forward: nat\n  \
             servers: [{{ address: 10.0.0.1, weight: {weight} }}]\n"
        )
    }

    /// Puts another file in the place of the watched one.
    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_text_is_parsed_ahead_of_its_look_and_only_once_and_the_last_word_counts() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("desired.yaml");
        fs::write(&path, text(1)).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut watch, mut reader) = (Watch::new(&path), Reader::new(&path));
            let ahead = watch.ahead();
            let is_whole = async || timeout(Duration::from_secs(5), ahead.whole()).await.unwrap();
            let look = watch.changed().await;
            let first = reader.read(&mut watch, &look).await.unwrap().unwrap();

            replace(&path, &text(2));
            is_whole().await;
            reader.prepare();
            let prepared = reader.parsed.clone().unwrap();
            assert_eq!(*prepared.text, text(2));
            let look = watch.changed().await;
            let second = reader.read(&mut watch, &look).await.unwrap().unwrap();
            assert_eq!(look.reason, Reason::Replaced);
            assert_eq!((second.revision, first.revision), (prepared.revision, 1));

            // What was prepared is not what counts.
            replace(&path, &text(3));
            is_whole().await;
            reader.prepare();
            replace(&path, &text(4));
            let look = watch.changed().await;
            let fourth = reader.read(&mut watch, &look).await.unwrap().unwrap();
            assert_eq!(*fourth.text, text(4));

            // A file that does not hold says so at its look.
            replace(&path, "version: 1\n");
            is_whole().await;
            reader.prepare();
            let look = watch.changed().await;
            let problem = reader.read(&mut watch, &look).await.unwrap().unwrap_err();
            assert_eq!(problem.to_string(), format!("{}:1:1: `clusters` is missing", path.display()));
        });
    }
}
