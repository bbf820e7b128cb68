//! The right to write into a folder, which one process has at a time.

use super::staging::LOCK;
use crate::error::{Error, Result};
use same_file::Handle;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder that no other process claims for as long as this value lives. The system ends the claim of a process that
/// dies, since it is a lock on an open file.
#[derive(Debug)]
pub(super) struct Claim {
    folder: PathBuf,
    lock: File,
    /// Whether the folder was not there before.
    made: bool,
}

impl Claim {
    /// Makes the folder if there is none, and claims it; `None` where another process has.
    pub fn take(folder: &Path) -> Result<Option<Self>> {
        let made = !folder.exists();
        take(folder, made).map_err(|source| Error::Write {
            path: folder.to_owned(),
            source: match is_in_nothing(folder) {
                true => io::Error::other("the working directory has been removed"),
                false => source,
            },
        })
    }

    /// Whether the folder is still the one that was claimed. It may have been removed, and another be in its place.
    pub fn holds(&self) -> bool {
        is_at(&self.lock, &self.folder.join(LOCK))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What cannot be removed is no claim any more, and in nobody's way.
        if self.holds() {
            let _ = std::fs::remove_file(self.folder.join(LOCK));
            if self.made {
                // Fails if there is anything in it.
                let _ = std::fs::remove_dir(&self.folder);
            }
        }
    }
}

/// Whether a process has claimed the folder. Changes nothing.
pub(super) fn is_claimed(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK)) else {
        return false;
    };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// How often a lock is tried for again: one who looks whether a folder is claimed has it for a moment.
const LOOKS: usize = 5;
const LOOK: Duration = Duration::from_millis(4);

/// Locks a file, if no other process has.
fn try_lock(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            other => return other,
        }
    }
    lock.try_lock()
}

/// How often a lock's file may be gone again at most. In a folder that is removed, but the working directory still, it
/// never appears.
const TRIES: usize = 1000;

fn take(folder: &Path, made: bool) -> io::Result<Option<Claim>> {
    let path = folder.join(LOCK);
    let mut tries = 1..TRIES;
    loop {
        std::fs::create_dir_all(folder)?;
        let (lock, is_new) = match open(&path) {
            // Another process has removed the file or the folder in between.
            Err(error) if error.kind() == ErrorKind::NotFound && tries.next().is_some() => continue,
            other => other?,
        };
        match try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Some network file systems have no locks: there the file itself is the claim.
            Err(TryLockError::Error(_)) if is_new => {}
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        // Who had the claim before may have removed the file between its opening and its locking.
        if is_at(&lock, &path) {
            let folder = folder.to_owned();
            return Ok(Some(Claim { folder, lock, made }));
        }
    }
}

/// Whether a path begins in a folder that is no more, though processes are in it.
fn is_in_nothing(path: &Path) -> bool {
    let working = std::env::current_dir();
    path.is_relative() && working.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// The lock's file, and whether it was not there before.
fn open(path: &Path) -> io::Result<(File, bool)> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Ok((OpenOptions::new().write(true).open(path)?, false))
        }
        other => Ok((other?, true)),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let open = file.try_clone().and_then(Handle::from_file);
    matches!((open, Handle::from_path(path)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_a_folder_at_a_time_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = Claim::take(&path).unwrap().unwrap();
        assert!(first.holds());
        assert!(Claim::take(&path).unwrap().is_none());
        assert!(is_claimed(&path));
        drop(first);
        assert!(!path.exists() && !is_claimed(&path));

        std::fs::create_dir(&path).unwrap();
        let second = Claim::take(&path).unwrap().unwrap();
        drop(second);
        assert_eq!(path.read_dir().unwrap().count(), 0);
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        for _ in 0..50 {
            let claims: Vec<_> = std::thread::scope(|scope| {
                let claim = || Claim::take(&path).unwrap();
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(claims.iter().flatten().count(), 1);
        }
    }

    #[test]
    fn a_folder_that_is_another_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = Claim::take(&path).unwrap().unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        assert!(!first.holds());
        let second = Claim::take(&path).unwrap().unwrap();
        assert!(second.holds() && !first.holds());
        // The lock of the new folder is not the old claim's to remove.
        drop(first);
        assert!(second.holds());
    }
}
