//! Files that are whole or absent, and texts.

use crate::error::{Error, Result};
use std::fs::{DirEntry, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a text file: no description, recipe or summary is longer.
const LARGEST: u64 = 64 << 20;

/// The text of a file.
///
/// # Errors
/// If the file cannot be read, is larger than 64 MiB, or is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let error = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(error)?;
    let size = file
        .take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(error)?;
    if size as u64 > LARGEST {
        let reason = format!("larger than {LARGEST} bytes");
        return Err(error(io::Error::other(reason)));
    }
    Ok(text)
}

/// Writes a file through `fill`, beside its place, and then renames it, so that a reader never sees half of it and a
/// failure leaves what was there before. The file is on the disk when this returns.
///
/// A symbolic link keeps pointing where it points, also where nothing is there yet. What is no regular file (a pipe,
/// `/dev/stdout`) is written to directly.
///
/// # Errors
/// If the file cannot be written, or `fill` fails.
pub fn write_atomically(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    Place::of(path)
        .and_then(|place| place.write(fill))
        .map_err(|source| cannot_write(path, source))
}

/// Whether a name is of a pipe or a device, or of a stream in `/dev`, whatever that leads to: so that its ending says nothing.
pub fn is_special(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let is_other = |it: Metadata| !it.is_file() && !it.is_dir();
    path.starts_with("/dev") || path.metadata().is_ok_and(is_other)
}

/// Finds out whether [`write_atomically`] can write to `path`, before time is spent on what is to be written. Changes
/// nothing.
///
/// # Errors
/// If the file cannot be written.
pub fn require_writable(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    Place::of(path)
        .and_then(|place| place.require_writable())
        .map_err(|source| cannot_write(path, source))
}

/// Removes a file, if there is one.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(cannot_write(path, source)),
        _ => Ok(()),
    }
}

/// Finds out whether a new file can take the place of what is at `path`, if anything is. Changes nothing.
///
/// # Errors
/// If there is a folder, or another user's file in a folder where only its owner may replace it.
pub fn require_replaceable(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    own_file_beside(path)
        .and_then(|own| may_replace(path, &own))
        .map_err(|source| cannot_write(path, source))
}

/// Waits until the entries of a folder are on the disk, where the system can do that.
///
/// # Errors
/// If the folder cannot be read, or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match std::fs::File::open(folder)?.sync_all() {
        // Some file systems have no such request for folders.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn cannot_write(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}

/// Where a file is written.
enum Place {
    /// A pipe or a device.
    Direct(PathBuf),
    /// The name of a regular file, links followed; it need not exist.
    Renamed(PathBuf),
}

/// Links that are followed at most, as Linux does.
const LINKS: usize = 40;

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if metadata.is_file() => Ok(Self::Renamed(path.canonicalize()?)),
            Ok(_) => Ok(Self::Direct(path.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self::Renamed(follow_links(path)?))
            }
            Err(error) => Err(error),
        }
    }

    fn write(&self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let path = match self {
            Self::Direct(path) => {
                let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
                fill(&mut file)?;
                return file.flush();
            }
            Self::Renamed(path) => path,
        };
        let folder = folder_of(path);
        let mut builder = tempfile::Builder::new();
        // Temporary files are private by default; these become ordinary files.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        clear(folder);
        let file = builder.prefix(TEMPORARY).tempfile_in(folder)?;
        let mut writer = io::BufWriter::new(file);
        fill(&mut writer)?;
        let file = writer.into_inner().map_err(|error| error.into_error())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    }

    fn require_writable(&self) -> io::Result<()> {
        match self {
            Self::Direct(path) => may_open(path),
            Self::Renamed(path) => own_file_beside(path).and_then(|own| may_replace(path, &own)),
        }
    }
}

/// What a new file in the folder of `path` is like; none is left.
fn own_file_beside(path: &Path) -> io::Result<Metadata> {
    tempfile::tempfile_in(folder_of(path))?.metadata()
}

/// Fails if the file `own`, once it lies beside `path`, may not get that name.
#[cfg_attr(not(unix), expect(unused_variables))]
fn may_replace(path: &Path, own: &Metadata) -> io::Result<()> {
    let old = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if old.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // As folders for everybody are, `/tmp` for one. The superuser may.
        const STICKY: u32 = 0o1000;
        let folder = folder_of(path).metadata()?;
        let user = own.uid();
        let is_kept = folder.mode() & STICKY != 0;
        if is_kept && user != 0 && user != old.uid() && user != folder.uid() {
            let reason = "another user's file, in a folder where only its owner may replace it";
            return Err(io::Error::new(ErrorKind::PermissionDenied, reason));
        }
    }
    Ok(())
}

/// Fails if a pipe or a device may not be written to. It is not opened: that would wait for the pipe's reader, or be all
/// that the reader gets.
#[cfg_attr(not(unix), expect(unused_variables))]
fn may_open(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if path.metadata()?.file_type().is_socket() {
            return Err(io::Error::other("a socket"));
        }
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?;
    }
    Ok(())
}

/// What the names of temporary files begin with.
pub(crate) const TEMPORARY: &str = ".metaplastic-file-";

/// The age from which a temporary file is taken for that of a process that was killed.
pub const ABANDONED: Duration = Duration::from_secs(3600);

/// Removes temporary files that nobody writes any more, where that can be done.
fn clear(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_temporary = name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
        if is_temporary && is_abandoned(&entry).unwrap_or(false) {
            // It may be another user's.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(entry: &DirEntry) -> io::Result<bool> {
    let age = entry.metadata()?.modified()?.elapsed();
    Ok(age.is_ok_and(|age| age > ABANDONED))
}

/// The name that a link to nothing stands for; `path` itself if it is no link.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    // A separator at the end asks for a folder.
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(ErrorKind::NotFound.into());
    }
    let mut place = path.to_owned();
    for _ in 0..LINKS {
        if !place.is_symlink() {
            return Ok(place);
        }
        place = folder_of(&place).join(std::fs::read_link(&place)?);
    }
    Err(io::Error::other(format!("more than {LINKS} links")))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("no more"))
        })
        .unwrap_err();
        assert!(error.to_string().contains("no more"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_keeps_pointing_where_it_points() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("elsewhere")).unwrap();
        std::fs::write(path("old"), "old").unwrap();
        symlink(path("old"), path("to-old")).unwrap();
        // To nothing yet, over another link, relative.
        symlink("elsewhere/new", path("to-new")).unwrap();
        symlink("to-new", path("to-link")).unwrap();
        for (link, file) in [("to-old", "old"), ("to-link", "elsewhere/new")] {
            require_writable(path(link)).unwrap();
            write_atomically(path(link), |file| file.write_all(b"written")).unwrap();
            assert_eq!(std::fs::read(path(file)).unwrap(), b"written");
            assert!(path(link).is_symlink() && !path(file).is_symlink());
        }
        assert!(path("to-new").is_symlink());
    }

    #[test]
    fn what_cannot_be_written_is_found_out_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "").unwrap();
        let mut bad = vec![
            folder.path().to_owned(),
            path("no/such/folder"),
            path("file/in-a-file"),
            path("new/"),
            path(&"n".repeat(10_000)),
            PathBuf::new(),
        ];
        #[cfg(unix)]
        for (link, target) in [("loop", "loop"), ("to-nowhere", "no/such/folder")] {
            std::os::unix::fs::symlink(target, path(link)).unwrap();
            bad.push(path(link));
        }
        let before = folder.path().read_dir().unwrap().count();
        for path in bad {
            assert!(matches!(require_writable(&path), Err(Error::Write { .. })));
            assert!(write_atomically(&path, |_| Ok(())).is_err());
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), before);
        require_writable(path("new")).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), before);
    }
}
