//! Reads and writes the files of one directory, which another process of its owner may have prepared.
//!
//! Every file is opened relative to the directory, without following links and without blocking (on a pipe or a device), and is
//! trusted only where it is regular, has one name, and belongs to root or to the directory's owner. Every written file gets the
//! directory's owner and group and a fixed mode, whatever the umask and the user of the writer.

use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::fs::{fchmod, fchown, fstat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

use super::error::{FileCause, FileError};

/// Links are not followed, pipes do not block, children do not inherit, no terminal becomes the controlling one.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The mode of a directory that lbd creates: only its owner has access.
const DIRECTORY_MODE: u32 = 0o700;

/// A directory for lbd's own files. It need not exist.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
    /// Its name in another directory of lbd, whose owner may have put anything there
    inside: Option<&'static str>,
}

/// Identifies a file independently of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// The identity of an open file.
    ///
    /// # Errors
    /// Where the file cannot be examined.
    pub fn of_file(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// An open directory and its owner.
struct Opened {
    descriptor: OwnedFd,
    user: Uid,
    group: Gid,
}

impl Directory {
    /// Does not open it yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), inside: None }
    }

    /// A directory of this name in this one. It is no link, and belongs to root or to this one's owner.
    #[must_use]
    pub fn inside(&self, name: &'static str) -> Self {
        Self { path: self.path.join(name), inside: Some(name) }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, name: &str, cause: impl Into<FileCause>) -> FileError {
        FileError::new(self.path.join(name), cause)
    }

    fn open(&self) -> Result<Opened, FileError> {
        let Some(name) = self.inside else {
            return self.opened(Opened::at(CWD, &self.path, OFlags::empty()));
        };
        let outer = self.outer().open()?;
        let opened = match Opened::at(&outer.descriptor, name, OFlags::NOFOLLOW) {
            Err(Errno::NOTDIR) => return Err(FileError::new(self.path.clone(), FileCause::NotDirectory)),
            opened => self.opened(opened)?,
        };
        match opened.user {
            user if user.is_root() || user == outer.user || user == geteuid() => Ok(opened),
            user => Err(FileError::new(self.path.clone(), FileCause::Owner(user.as_raw()))),
        }
    }

    fn opened(&self, result: Result<Opened, Errno>) -> Result<Opened, FileError> {
        result.map_err(|error| match error {
            Errno::ACCESS => FileError::new(self.path.clone(), FileCause::Closed),
            error => FileError::new(self.path.clone(), error),
        })
    }

    /// The directory that this one is inside of.
    fn outer(&self) -> Self {
        Self { path: self.path.parent().unwrap_or(&self.path).to_owned(), inside: None }
    }

    /// Opens the directory; creates it where it is missing, for its owner alone.
    fn open_or_make(&self) -> Result<Opened, FileError> {
        match (self.open(), self.inside) {
            (Err(error), Some(name)) if error.is_absent() => {
                let outer = self.outer().open_or_make()?;
                match mkdirat(&outer.descriptor, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(FileError::new(self.path.clone(), error)),
                }
                let opened = self.open()?;
                // It belongs to whom that one belongs to, whoever writes there first.
                outer.take_over(&opened.descriptor, Mode::RWXU);
                self.open()
            }
            (Err(error), None) if error.is_absent() => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(DIRECTORY_MODE)
                    .create(&self.path)
                    .map_err(|error| FileError::new(self.path.clone(), error))?;
                self.open()
            }
            (opened, _) => opened,
        }
    }

    /// The content of a file of at most `limit` bytes; `None` where it or the directory does not exist.
    ///
    /// # Errors
    /// Where it exists and cannot be read, or cannot be trusted.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
        let file = match self.open_file(name) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = Vec::with_capacity(length.min(limit) as usize + 1);
        // One more than the limit, to see that there is more.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.error(name, error))?;
        if bytes.len() as u64 > limit {
            return Err(self.error(name, FileCause::TooLarge(limit)));
        }
        Ok(Some(bytes))
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// As for [`Self::read`]; also where it does not exist.
    pub fn open_file(&self, name: &str) -> Result<File, FileError> {
        let opened = self.open()?;
        self.open_in(&opened, name, OFlags::RDONLY)
    }

    fn open_in(&self, opened: &Opened, name: &str, flags: OFlags) -> Result<File, FileError> {
        // Examined before it is opened, since opening a device can have an effect.
        match statat(&opened.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => opened.check(&stat).map_err(|cause| self.error(name, cause))?,
            Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
            Err(error) => return Err(self.error(name, error)),
        }
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&opened.descriptor, name, flags | SAFELY, mode)
            .map_err(|error| self.error(name, error))?;
        // It may have been replaced meanwhile.
        let stat = fstat(&file).map_err(|error| self.error(name, error))?;
        opened.check(&stat).map_err(|cause| self.error(name, cause))?;
        Ok(File::from(file))
    }

    /// Opens a file to be locked. File and directory are created where they are missing, for their owner alone. Where it may only
    /// be read (on a read-only file system), it is opened for reading.
    ///
    /// # Errors
    /// Where it cannot be opened, or cannot be trusted.
    pub fn open_lock(&self, name: &str) -> Result<File, FileError> {
        let opened = self.open_or_make()?;
        match self.open_in(&opened, name, OFlags::RDWR | OFlags::CREATE) {
            Ok(file) => {
                opened.take_over(&file, Mode::RUSR | Mode::WUSR);
                Ok(file)
            }
            Err(error) if matches!(error.cause, FileCause::Io(_)) => {
                self.open_in(&opened, name, OFlags::RDONLY).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a new file for its owner alone, open to be read and written. One of this name that exists is removed.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn make(&self, name: &str) -> Result<File, FileError> {
        let opened = self.open_or_make()?;
        self.make_in(&opened, name, Mode::RUSR | Mode::WUSR)
    }

    fn make_in(&self, opened: &Opened, name: &str, mode: Mode) -> Result<File, FileError> {
        let make = || {
            // An interrupted writer's file, or a link: only the name is removed, never the target of a link.
            match unlinkat(&opened.descriptor, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | SAFELY;
            openat(&opened.descriptor, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
        };
        let file = make().map_err(|error| self.error(name, error))?;
        opened.take_over(&file, mode);
        Ok(file)
    }

    /// Writes a file, readable for all who may enter the directory, so that a reader, or a power failure, finds either the complete
    /// old content or the complete new one. The directory is created where it is missing.
    ///
    /// # Errors
    /// Where it cannot be written. The old content stays intact then.
    pub fn replace(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let opened = self.open_or_make()?;
        let new = format!("{name}.new");
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        // An error names the file itself, not the temporary one.
        let file = self.make_in(&opened, &new, mode).map_err(|error| self.error(name, error.cause))?;
        let write = || -> io::Result<()> {
            let mut file = BufWriter::with_capacity(64 * 1024, file);
            content(&mut file)?;
            file.into_inner()?.sync_all()?;
            renameat(&opened.descriptor, &new, &opened.descriptor, name)?;
            opened.sync()
        };
        write().map_err(|error| {
            // An incomplete file is useless; where it cannot be removed, the next writer does.
            let _ = unlinkat(&opened.descriptor, &new, AtFlags::empty());
            self.error(name, error)
        })
    }

    /// Opens a file to be read and to be written at its end, readable for all who may enter the directory. File and directory are
    /// created where they are missing.
    ///
    /// # Errors
    /// Where it cannot be opened, or cannot be trusted.
    pub fn open_to_append(&self, name: &str) -> Result<File, FileError> {
        let opened = self.open_or_make()?;
        let file = self.open_in(&opened, name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)?;
        opened.take_over(&file, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH);
        Ok(file)
    }

    /// The names of at most `limit` files; none where the directory does not exist.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn names(&self, limit: usize) -> Result<Vec<String>, FileError> {
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(error) if error.is_absent() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let entries =
            Dir::read_from(&opened.descriptor).map_err(|error| FileError::new(self.path.clone(), error))?;
        // What is no text is no name of lbd's.
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str().map(str::to_owned).ok());
        Ok(names.filter(|name| name != "." && name != "..").take(limit).collect())
    }

    /// Renames a file; a file of the new name is replaced.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let opened = self.open()?;
        let rename = || -> io::Result<()> {
            renameat(&opened.descriptor, from, &opened.descriptor, to)?;
            opened.sync()
        };
        rename().map_err(|error| self.error(to, error))
    }

    /// Removes a file, if it exists.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        let remove = |opened: Opened| match unlinkat(&opened.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error(name, error)),
        };
        match self.open() {
            Ok(opened) => remove(opened),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The identity of the file that has this name now; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be examined.
    pub fn identity(&self, name: &str) -> Result<Option<Identity>, FileError> {
        let look = || -> Result<Identity, FileError> {
            let opened = self.open()?;
            let stat = statat(&opened.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.error(name, error))?;
            Ok(Identity::of(&stat))
        };
        match look() {
            Ok(identity) => Ok(Some(identity)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a file that was written under another umask or by another user the owner, group and mode that it should have, as far
    /// as this process is permitted to.
    pub fn mend(&self, name: &str) {
        if let Ok(opened) = self.open()
            && let Ok(file) = self.open_in(&opened, name, OFlags::RDONLY)
        {
            opened.take_over(&file, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH);
        }
    }
}

impl Opened {
    /// Opens a directory.
    fn at(directory: impl AsFd, name: impl Arg, flags: OFlags) -> Result<Self, Errno> {
        let flags = flags | OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let descriptor = openat(directory, name, flags, Mode::empty())?;
        let stat = fstat(&descriptor)?;
        Ok(Self { descriptor, user: Uid::from_raw(stat.st_uid), group: Gid::from_raw(stat.st_gid) })
    }

    /// Checks whether a file can be trusted.
    fn check(&self, stat: &Stat) -> Result<(), FileCause> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(FileCause::NotRegular(kind));
        }
        // (Zero: it was removed a moment ago.)
        if stat.st_nlink > 1 {
            return Err(FileCause::HardLinks);
        }
        let owner = Uid::from_raw(stat.st_uid);
        // A user who runs lbd in the directory of another one has files of his own there.
        if !owner.is_root() && owner != self.user && owner != geteuid() {
            return Err(FileCause::Owner(stat.st_uid));
        }
        Ok(())
    }

    /// Gives a file the directory's owner and group, and a mode. Only root can change the owner; other writers need not, in their
    /// own directory.
    fn take_over(&self, file: impl AsFd, mode: Mode) {
        let file = file.as_fd();
        let Ok(stat) = fstat(file) else { return };
        let is_other = stat.st_uid != self.user.as_raw() || stat.st_gid != self.group.as_raw();
        if is_other {
            let _ = fchown(file, Some(self.user), Some(self.group));
        }
        if stat.st_mode & 0o7777 != mode.as_raw_mode() {
            let _ = fchmod(file, mode);
        }
    }

    /// Writes the directory to disk, without which a rename is not durable.
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }
}

#[cfg(test)]
mod tests;
