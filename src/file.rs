//! Files that are whole or absent.

use crate::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a file through `fill`, beside its place, and then renames it, so that a reader never sees half of it and a
/// failure leaves what was there before.
///
/// A symbolic link keeps pointing where it points. What is no regular file (a pipe, `/dev/stdout`) is written to
/// directly.
///
/// # Errors
/// If the file cannot be written, or `fill` fails.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    write(path, fill).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Ok(metadata) = place.metadata()
        && !metadata.is_file()
        && !metadata.is_dir()
    {
        let mut file = std::fs::OpenOptions::new().write(true).open(&place)?;
        fill(&mut file)?;
        return file.flush();
    }
    let folder = match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; these become ordinary files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.prefix(".metaplastic-").tempfile_in(folder)?;
    let mut writer = std::io::BufWriter::new(file);
    fill(&mut writer)?;
    let file = writer.into_inner().map_err(|error| error.into_error())?;
    file.persist(&place).map_err(|error| error.error)?;
    Ok(())
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
            Err(std::io::Error::other("no more"))
        })
        .unwrap_err();
        assert!(error.to_string().contains("no more"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_keeps_pointing_where_it_points() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
    }
}
