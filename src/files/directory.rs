//! Reads and writes the files of one directory as if somebody else had prepared it: another process of its owner may have.
//!
//! Every file is opened relative to the directory, without following links and without waiting (a pipe, a device), and is
//! believed only where it is regular, has one name, and belongs to root or to the directory's owner. What is written gets the
//! directory's owner and group and a fixed mode, whatever the umask and whoever writes.

use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::fs::{fchmod, fchown, fstat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::{FileCause, FileError};

/// Never followed, never waited for, never inherited, never anybody's terminal.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Who may look into a directory that lbd makes: its owner.
const DIRECTORY_MODE: u32 = 0o700;

/// A directory for lbd's own files. It need not exist.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

/// Which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// Of an open file.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn of_file(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// An open directory, and whose it is.
struct Opened {
    descriptor: OwnedFd,
    user: Uid,
    group: Gid,
}

impl Directory {
    /// Nothing is opened yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, name: &str, cause: impl Into<FileCause>) -> FileError {
        FileError::new(self.path.join(name), cause)
    }

    fn open(&self) -> Result<Opened, FileError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let open = || {
            let descriptor = openat(CWD, &self.path, flags, Mode::empty())?;
            let stat = fstat(&descriptor)?;
            Ok(Opened { descriptor, user: Uid::from_raw(stat.st_uid), group: Gid::from_raw(stat.st_gid) })
        };
        open().map_err(|error: Errno| match error {
            Errno::ACCESS => FileError::new(self.path.clone(), FileCause::Closed),
            error => FileError::new(self.path.clone(), error),
        })
    }

    /// The same; it is made where it is missing, for its owner alone.
    fn open_or_make(&self) -> Result<Opened, FileError> {
        match self.open() {
            Err(error) if error.is_absent() => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(DIRECTORY_MODE)
                    .create(&self.path)
                    .map_err(|error| FileError::new(self.path.clone(), error))?;
                self.open()
            }
            opened => opened,
        }
    }

    /// The content of a file of at most `limit` bytes; `None` where it or the directory does not exist.
    ///
    /// # Errors
    /// Where it exists and is not to be read, or not to be believed.
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
        // First a look from outside: to open a device can set something in motion.
        match statat(&opened.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => opened.check(&stat).map_err(|cause| self.error(name, cause))?,
            Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
            Err(error) => return Err(self.error(name, error)),
        }
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&opened.descriptor, name, flags | SAFELY, mode)
            .map_err(|error| self.error(name, error))?;
        // It may be another one by now.
        let stat = fstat(&file).map_err(|error| self.error(name, error))?;
        opened.check(&stat).map_err(|cause| self.error(name, cause))?;
        Ok(File::from(file))
    }

    /// Opens a file to be locked. It is made where it is missing, for its owner alone; the directory, too. Where it may only
    /// be read (a read-only disk), it is opened for that.
    ///
    /// # Errors
    /// Where it cannot be had, or not be believed.
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
    /// Where the disk takes none.
    pub fn make(&self, name: &str) -> Result<File, FileError> {
        let opened = self.open_or_make()?;
        self.make_in(&opened, name, Mode::RUSR | Mode::WUSR)
    }

    fn make_in(&self, opened: &Opened, name: &str, mode: Mode) -> Result<File, FileError> {
        let make = || {
            // What an interrupted writer left, or anybody's link: a name is removed, never what it leads to.
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

    /// Writes a file, readable for everybody who may look into the directory, so that a reader, or a power cut, meets the old
    /// content or the new, whole. The directory is made where it is missing.
    ///
    /// # Errors
    /// Where the disk will not take it. The old content is whole then.
    pub fn replace(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let opened = self.open_or_make()?;
        let new = format!("{name}.new");
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        // Whoever reads of it knows the file by its own name.
        let file = self.make_in(&opened, &new, mode).map_err(|error| self.error(name, error.cause))?;
        let write = || -> io::Result<()> {
            let mut file = BufWriter::with_capacity(64 * 1024, file);
            content(&mut file)?;
            file.into_inner()?.sync_all()?;
            renameat(&opened.descriptor, &new, &opened.descriptor, name)?;
            opened.sync()
        };
        write().map_err(|error| {
            // Half a file on a full disk is of use to nobody; where it cannot be removed, the next writer will.
            let _ = unlinkat(&opened.descriptor, &new, AtFlags::empty());
            self.error(name, error)
        })
    }

    /// Gives a file another name, in place of one that has it.
    ///
    /// # Errors
    /// Where the disk will not do it.
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
    /// Where the disk will not let go of it.
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

    /// Which file has this name now; `None` where none has.
    ///
    /// # Errors
    /// Where that cannot be seen.
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

    /// Gives a file that was written under another umask or by another user the owner, group and mode that it should have,
    /// as far as this process may.
    pub fn mend(&self, name: &str) {
        if let Ok(opened) = self.open()
            && let Ok(file) = self.open_in(&opened, name, OFlags::RDONLY)
        {
            opened.take_over(&file, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH);
        }
    }
}

impl Opened {
    /// Whether what has a name may be believed.
    fn check(&self, stat: &Stat) -> Result<(), FileCause> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(FileCause::NotRegular(kind));
        }
        // None: it was removed a moment ago.
        if stat.st_nlink > 1 {
            return Err(FileCause::HardLinks);
        }
        let owner = Uid::from_raw(stat.st_uid);
        // Whoever runs lbd for himself, in a directory of another, has files of his own there.
        if !owner.is_root() && owner != self.user && owner != geteuid() {
            return Err(FileCause::Owner(stat.st_uid));
        }
        Ok(())
    }

    /// Gives a file of ours the directory's owner and group, and a mode. Only root may do the former, and need not where the
    /// directory is the writer's own.
    fn take_over(&self, file: &File, mode: Mode) {
        let Ok(stat) = fstat(file) else { return };
        let is_other = stat.st_uid != self.user.as_raw() || stat.st_gid != self.group.as_raw();
        if is_other {
            let _ = fchown(file, Some(self.user), Some(self.group));
        }
        if stat.st_mode & 0o7777 != mode.as_raw_mode() {
            let _ = fchmod(file, mode);
        }
    }

    /// A rename is on disk only when the directory is.
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }
}

#[cfg(test)]
mod tests;
