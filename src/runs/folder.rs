//! The folder of a run: which one it is, and who may write to it.

use super::checkpoint::{self, CHECKPOINTS};
use super::claim::Claim;
use super::files::{FIGURES, FILES, REPORT, RUN, SWEEP, holds_a_run, is_report};
use super::run::Run;
use super::staging;
use super::stored::require_folder;
use super::summary::Summary;
use super::write::write;
use crate::error::{Error, Result};
use crate::file::{remove, require_replaceable};
use std::path::{Path, PathBuf};

/// Which folder is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The folder, if one was asked for.
    pub asked: Option<&'a Path>,
    /// The first free one of `runs/NAME`, `runs/NAME-2`, … is taken otherwise.
    pub name: String,
    /// Whether what it holds may be replaced.
    pub force: bool,
    /// Whether a folder holds what may be replaced by force only.
    pub is_taken: fn(&Path) -> bool,
}

impl<'a> Wanted<'a> {
    /// The folder at `path`, which must not hold a run yet.
    pub fn at(path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self {
            asked: Some(path.as_ref()),
            name: String::new(),
            force: false,
            is_taken: holds_a_run,
        }
    }

    /// Changes nothing.
    ///
    /// # Errors
    /// If the folder asked for is none or is taken.
    pub fn check(&self) -> Result<()> {
        match self.asked {
            Some(path) => self.require_free(path),
            None => Ok(()),
        }
    }

    /// Makes the folder and claims it, before any time is spent on what will lie there: no other process gets it, nor
    /// the name of it, for as long as the result lives.
    ///
    /// # Errors
    /// If the folder is taken, claimed by another process or cannot be written to. Without a folder asked for, the next
    /// number is tried.
    pub fn claim(&self) -> Result<Folder> {
        let first = Path::new("runs").join(&self.name);
        match self.asked {
            Some(path) => self.claim_at(path),
            None if self.force => self.claim_at(&first),
            None => self.claim_numbered(&first, 1),
        }
    }

    fn claim_at(&self, path: &Path) -> Result<Folder> {
        self.require_free(path)?;
        let Some(claim) = Claim::take(path)? else {
            return Err(Error::RunInProgress {
                path: path.to_owned(),
            });
        };
        staging::tidy(path)?;
        // What another process has put there in between.
        self.require_free(path)?;
        for name in FILES.iter().chain(&FIGURES).chain([&REPORT]) {
            require_replaceable(path.join(name))?;
        }
        Ok(Folder {
            replaces: holds_a_run(path),
            path: path.to_owned(),
            claim,
            force: self.force,
            beside: None,
        })
    }

    fn claim_numbered(&self, first: &Path, mut count: u32) -> Result<Folder> {
        loop {
            let path = numbered(first, count);
            let was_there = path.exists();
            match self.claim_at(&path) {
                Err(
                    Error::RunExists { .. } | Error::RunInProgress { .. } | Error::Setting { .. },
                ) => {}
                // Another user's, or one on a disk that is full: a new one may do better, or fail in its turn.
                Err(Error::Write { .. }) if was_there => {}
                other => return other,
            }
            count += 1;
        }
    }

    fn require_free(&self, path: &Path) -> Result<()> {
        if path.exists() && !path.is_dir() {
            return Err(Error::Setting {
                field: "--output".into(),
                reason: format!("{} is no folder", path.display()),
            });
        }
        if (self.is_taken)(path) && !self.force {
            return Err(Error::RunExists {
                path: path.to_owned(),
            });
        }
        if path.join(SWEEP).exists() {
            let reason = format!(
                "{} holds runs that were trained one after the other, which none replaces: choose another --output",
                path.display()
            );
            return Err(Error::setting("--force", reason));
        }
        Ok(())
    }
}

/// `runs/NAME`, `runs/NAME-2`, ….
fn numbered(first: &Path, count: u32) -> PathBuf {
    let Some(name) = first.file_name().filter(|_| count > 1) else {
        return first.to_owned();
    };
    let mut name = name.to_owned();
    name.push(format!("-{count}"));
    first.with_file_name(name)
}

/// A folder that this process has claimed.
#[derive(Debug)]
pub struct Folder {
    // Given up before the folder beside which it is.
    beside: Option<Box<Folder>>,
    path: PathBuf,
    claim: Claim,
    force: bool,
    /// Whether it holds another run, which is to be replaced.
    replaces: bool,
}

impl Folder {
    /// Claims the folder of a run, to go on with it.
    ///
    /// # Errors
    /// If there is no run in it, another process has claimed it, or it cannot be written to.
    pub fn reopen(path: &Path) -> Result<Self> {
        let none = || Error::NoRun {
            path: path.to_owned(),
        };
        require_folder(path)?;
        let Some(claim) = Claim::take(path)? else {
            return Err(Error::RunInProgress {
                path: path.to_owned(),
            });
        };
        staging::tidy(path)?;
        if !path.join(RUN).exists() {
            return Err(none());
        }
        Ok(Self {
            beside: None,
            path: path.to_owned(),
            claim,
            force: true,
            replaces: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a run that goes on lies: here, or beside it while a run is here that is to be replaced.
    pub(super) fn place(&self) -> &Path {
        self.beside
            .as_ref()
            .map_or(&self.path, |beside| &beside.path)
    }

    /// The same, made.
    pub(super) fn make_place(&mut self) -> Result<&Path> {
        if self.replaces && self.beside.is_none() {
            let beside = self.elsewhere(holds_a_run).next();
            self.beside = Some(Box::new(beside.ok_or_else(|| self.no_place())?));
        }
        Ok(self.place())
    }

    /// Fails if what is there is no more what was claimed.
    pub(super) fn require_place(&self) -> Result<()> {
        let claim = self.beside.as_ref().map_or(&self.claim, |it| &it.claim);
        if claim.holds() {
            return Ok(());
        }
        let reason = "the folder is gone, or another is in its place";
        Err(Error::Write {
            path: self.place().to_owned(),
            source: std::io::Error::other(reason),
        })
    }

    fn no_place(&self) -> Error {
        let reason = "the run that was there is kept, and no folder beside it can be written to";
        Error::Write {
            path: self.path.clone(),
            source: std::io::Error::other(reason),
        }
    }

    /// Claims a folder inside of this one.
    ///
    /// # Errors
    /// As [`Wanted::claim`].
    pub fn inside(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        let wanted = Wanted {
            asked: Some(&path),
            name: name.to_owned(),
            force: self.force,
            is_taken: holds_a_run,
        };
        wanted.claim()
    }

    /// Removes the files of a run.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn remove_run(&self) -> Result<()> {
        checkpoint::remove_all(&self.path)?;
        let mut names = FILES.iter().chain(&FIGURES);
        names.try_for_each(|name| remove(self.path.join(name)))
    }

    /// Writes every file of the run. A folder that is gone is made again; where it cannot be written to, the run is
    /// saved in another one, which the error names. A run that was stopped replaces none: it is saved in another folder,
    /// or not at all where nothing was learned.
    /// Whoever waits hears of it by `tell`.
    ///
    /// # Errors
    /// If the run is not in the folder now.
    pub fn save(&mut self, run: &Run<'_>, mut tell: impl FnMut(&str)) -> Result<Summary> {
        let claimed = self.claim_again(&mut tell);
        let is_part = run.trained.stopped || run.trained.history.is_empty();
        if claimed.is_ok() && is_part && self.replaces {
            return self.save_part(run, &mut tell);
        }
        let error = match claimed.and_then(|()| self.write(run)) {
            Err(error) => error,
            done => return done,
        };
        match self.save_elsewhere(run) {
            Some((_, path)) => Err(Error::SavedElsewhere {
                error: Box::new(error),
                path,
            }),
            None => Err(error),
        }
    }

    /// Writes the run in the place of what is here.
    fn write(&mut self, run: &Run<'_>) -> Result<Summary> {
        let summary = write(run, &self.path)?;
        if self.replaces {
            checkpoint::remove_all(&self.path)?;
            // It is on the run that was there.
            let report = self.path.join(REPORT);
            if is_report(&report) {
                remove(report)?;
            }
            self.replaces = false;
        }
        if let Some(beside) = self.beside.take() {
            let checkpoints = beside.path.join(CHECKPOINTS);
            if checkpoints.exists() {
                // From another file system they cannot be moved; the run is whole without.
                let _ = std::fs::rename(checkpoints, self.path.join(CHECKPOINTS));
            }
            beside.remove_run()?;
        }
        Ok(summary)
    }

    /// Saves a run that replaces none.
    fn save_part(&self, run: &Run<'_>, tell: &mut dyn FnMut(&str)) -> Result<Summary> {
        let path = self.path.display();
        if run.trained.history.is_empty() {
            if let Some(beside) = &self.beside {
                beside.remove_run()?;
            }
            tell(&format!(
                "{path}: nothing was learned; the run that was there is kept"
            ));
            return Ok(Summary::new(run, None));
        }
        let Some((summary, place)) = self.save_elsewhere(run) else {
            return Err(self.no_place());
        };
        tell(&format!(
            "{path}: the run that was there is kept; the one that was stopped is saved in {}",
            place.display()
        ));
        Ok(summary)
    }

    /// Writes the run into the folder beside this one that it has, or into another that is free.
    fn save_elsewhere(&self, run: &Run<'_>) -> Option<(Summary, PathBuf)> {
        if let Some(beside) = &self.beside
            && beside.claim.holds()
            && let Ok(summary) = write(run, &beside.path)
        {
            return Some((summary, beside.path.clone()));
        }
        self.elsewhere(holds_a_run)
            .find_map(|folder| Some((write(run, &folder.path).ok()?, folder.path.clone())))
    }

    /// Free folders to go to instead: one beside this one, and one among the temporary files.
    pub fn elsewhere(&self, is_taken: fn(&Path) -> bool) -> impl Iterator<Item = Self> + use<> {
        // A path like `.` has no name to number.
        let path = std::path::absolute(&self.path).unwrap_or_default();
        let name = path.file_name().unwrap_or("run".as_ref());
        let beside = path.file_name().map(|_| (path.clone(), 2));
        let temporary = (std::env::temp_dir().join(name), 1);
        let wanted = Wanted {
            asked: None,
            name: String::new(),
            force: false,
            is_taken,
        };
        beside
            .into_iter()
            .chain([temporary])
            .filter_map(move |(first, count)| wanted.claim_numbered(&first, count).ok())
    }

    /// Makes sure that the folder is still the one that was claimed.
    fn claim_again(&mut self, tell: &mut dyn FnMut(&str)) -> Result<()> {
        if self.claim.holds() {
            return Ok(());
        }
        tell(&format!(
            "{}: the folder is gone, or another is in its place; making it again",
            self.path.display()
        ));
        let wanted = Wanted {
            asked: Some(&self.path),
            name: String::new(),
            force: self.force,
            is_taken: holds_a_run,
        };
        let again = wanted.claim()?;
        let beside = self.beside.take();
        *self = Self { beside, ..again };
        Ok(())
    }
}
