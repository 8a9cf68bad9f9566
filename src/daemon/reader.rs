//! Reads the desired file when its watch requests it, and parses it ahead as soon as it is complete.

use std::path::{Path, PathBuf};

use super::goal::{Goal, UnusableFile};
use crate::config::{self, Source};
use crate::watch::{Mode, ReadRequest, Watch};

/// Reads one file repeatedly. A text that was just parsed is not parsed again.
pub(super) struct FileReader {
    file: PathBuf,
    /// The last valid text that was parsed
    parsed: Option<Goal>,
    /// How many texts were parsed
    revision: u64,
}

impl FileReader {
    /// Reads nothing yet.
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), parsed: None, revision: 0 }
    }

    /// Parses the file, which is complete but may change again before its reading is due: a large file takes longer to parse than
    /// the watch waits for another change.
    pub(super) fn prepare(&mut self) {
        if self.known().is_none() {
            // An error counts only if it is still there when the reading is due.
            let _ = config::read_closed(&self.file).map(|source| self.parse(source));
        }
    }

    /// Reads the file because of a request; gives nothing where a process was writing it.
    pub(super) async fn read(
        &mut self,
        watch: &mut Watch,
        request: &ReadRequest,
    ) -> Option<Result<Goal, UnusableFile>> {
        if let Some(known) = self.known() {
            watch.set_beside(config::includes(config::main_text(&known.text)));
            return watch.confirms(request).await.then_some(Ok(known));
        }
        let is_closed = watch.mode() == Mode::Inotify && request.is_complete_file();
        let source = if is_closed { config::read_closed(&self.file) } else { config::read(&self.file) };
        match &source {
            Ok(source) => watch.set_beside(config::includes(config::main_text(&source.text))),
            // One of those that are included may be the one that is missing.
            Err(_) => {
                if let Ok(main) = config::read_alone(&self.file) {
                    watch.set_beside(config::includes(&main.text));
                }
            }
        }
        if !watch.confirms(request).await {
            return None;
        }
        Some(match source {
            Ok(source) => self.parse(source),
            Err(error) => Err(UnusableFile::Unreadable(error)),
        })
    }

    /// The goal that was parsed last, if the file still has the same text.
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
    use crate::watch::ReadReason;

    fn text(weight: u32) -> String {
        format!(
            "version: 1\nclusters:\n- name: web\n  listen: tcp://192.0.2.1:80\n  forward: nat\n  \
             servers: [{{ address: 10.0.0.1, weight: {weight} }}]\n"
        )
    }

    /// Replaces the watched file by another.
    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_text_is_parsed_ahead_of_its_reading_and_only_once_and_the_last_one_counts() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("desired.yaml");
        fs::write(&path, text(1)).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut watch, mut reader) = (Watch::new(&path), FileReader::new(&path));
            let completion = watch.completion();
            let is_complete = async || timeout(Duration::from_secs(5), completion.wait()).await.unwrap();
            let request = watch.changed().await;
            let first = reader.read(&mut watch, &request).await.unwrap().unwrap();

            replace(&path, &text(2));
            is_complete().await;
            reader.prepare();
            let prepared = reader.parsed.clone().unwrap();
            assert_eq!(*prepared.text, text(2));
            let request = watch.changed().await;
            let second = reader.read(&mut watch, &request).await.unwrap().unwrap();
            assert_eq!(request.reason, ReadReason::Replaced);
            assert_eq!((second.revision, first.revision), (prepared.revision, 1));

            // Not the prepared text counts.
            replace(&path, &text(3));
            is_complete().await;
            reader.prepare();
            replace(&path, &text(4));
            let request = watch.changed().await;
            let fourth = reader.read(&mut watch, &request).await.unwrap().unwrap();
            assert_eq!(*fourth.text, text(4));

            // An invalid file is reported at its reading.
            replace(&path, "version: 1\n");
            is_complete().await;
            reader.prepare();
            let request = watch.changed().await;
            let problem = reader.read(&mut watch, &request).await.unwrap().unwrap_err();
            assert_eq!(problem.to_string(), format!("{}:1:1: `clusters` is missing", path.display()));
        });
    }
}
