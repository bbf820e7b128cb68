//! Files that are put into a folder together: a reader finds all old ones or all new ones, whenever the writer dies.
//!
//! They are written into a folder inside of the folder. Once they are all there and on the disk, that folder gets the
//! name `.metaplastic-complete`, and from then on they are the folder's files; moving them up is left to be done, by whoever
//! claims the folder next if need be.

use crate::error::{Error, Result};
use crate::file::{ABANDONED, sync_folder, write_atomically};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the names of temporary files begin with.
const PREFIX: &str = ".metaplastic-";
/// Files that belong to the folder around this one, in the place of those of the same name.
const COMPLETE: &str = ".metaplastic-complete";
/// The file that a claim locks.
pub(super) const LOCK: &str = ".metaplastic-lock";

/// Files that are being written. Dropped without [`Staging::commit`], they are gone.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    files: TempDir,
}

impl Staging {
    /// For files of `folder`, which the process must have claimed.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn new(folder: &Path) -> Result<Self> {
        let files = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder);
        Ok(Self {
            folder: folder.to_owned(),
            files: files.map_err(|source| in_folder(folder, source))?,
        })
    }

    /// Where the file `name` is to be written.
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a text file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_text(self.path(name), text)
    }

    /// Puts the files into the folder.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn commit(self) -> Result<()> {
        let Self { folder, files } = self;
        let put = || {
            sync_folder(files.path())?;
            std::fs::rename(files.path(), folder.join(COMPLETE))?;
            sync_folder(&folder)
        };
        put().map_err(|source| in_folder(&folder, source))?;
        // Nothing of that name is left to be removed.
        let _ = files.keep();
        finish(&folder).map_err(|source| in_folder(&folder, source))
    }
}

/// Where the file `name` of a folder lies.
pub fn find(folder: &Path, name: &str) -> PathBuf {
    let complete = folder.join(COMPLETE).join(name);
    if complete.exists() {
        complete
    } else {
        folder.join(name)
    }
}

/// Finishes what a writer that died had begun, or removes it. For who has claimed the folder.
pub(super) fn tidy(folder: &Path) -> Result<()> {
    let tidy = || {
        if folder.join(COMPLETE).is_dir() {
            finish(folder)?;
        }
        for entry in folder.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            let is_temporary = name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
            if !is_temporary || name == LOCK {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else if metadata
                .modified()?
                .elapsed()
                .is_ok_and(|age| age > ABANDONED)
            {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    tidy().map_err(|source| in_folder(folder, source))
}

/// Moves the complete files up.
fn finish(folder: &Path) -> io::Result<()> {
    let complete = folder.join(COMPLETE);
    for entry in complete.read_dir()? {
        let entry = entry?;
        std::fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    sync_folder(folder)?;
    std::fs::remove_dir(complete)
}

/// Writes a text file, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_text(path: impl AsRef<Path>, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

fn in_folder(folder: &Path, source: io::Error) -> Error {
    Error::Write {
        path: folder.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(folder: &Path, name: &str) -> String {
        std::fs::read_to_string(find(folder, name)).unwrap()
    }

    #[test]
    fn a_writer_may_die_at_any_moment() {
        for moved in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            for name in ["a", "b"] {
                write_text(folder.join(name), "old").unwrap();
            }
            // Before the files are complete.
            let staging = Staging::new(folder).unwrap();
            staging.write_text("a", "new").unwrap();
            let dead = staging.files.keep();
            assert_eq!(text(folder, "a"), "old");
            // After that, with some of them moved.
            staging_of(folder);
            for name in ["a", "b"].iter().take(moved) {
                std::fs::rename(find(folder, name), folder.join(name)).unwrap();
            }
            for tidied in [false, true] {
                if tidied {
                    tidy(folder).unwrap();
                    assert!(!dead.exists());
                    assert_eq!(folder.read_dir().unwrap().count(), 2);
                }
                assert_eq!(text(folder, "a"), "new");
                assert_eq!(text(folder, "b"), "new");
            }
        }
    }

    /// New files, complete and not yet moved.
    fn staging_of(folder: &Path) {
        std::fs::create_dir(folder.join(COMPLETE)).unwrap();
        for name in ["a", "b"] {
            write_text(folder.join(COMPLETE).join(name), "new").unwrap();
        }
    }

    #[test]
    fn files_of_dead_processes_go_and_those_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [".metaplastic-old", ".metaplastic-new", LOCK, "notes.txt"] {
            let file = std::fs::File::create(path(name)).unwrap();
            if name != ".metaplastic-new" {
                let before = std::time::SystemTime::now() - 2 * ABANDONED;
                file.set_modified(before).unwrap();
            }
        }
        tidy(folder.path()).unwrap();
        assert!(!path(".metaplastic-old").exists());
        for name in [".metaplastic-new", LOCK, "notes.txt"] {
            assert!(path(name).exists(), "{name}");
        }
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(folder.path()).unwrap();
        staging.write_text("a", "new").unwrap();
        drop(staging);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        let staging = Staging::new(folder.path()).unwrap();
        staging.write_text("a", "new").unwrap();
        staging.commit().unwrap();
        assert_eq!(text(folder.path(), "a"), "new");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
