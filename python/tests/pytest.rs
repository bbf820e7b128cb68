//! Lays the extension that Cargo has built into a package folder, and runs pytest on it and on the docstrings.
//!
//! The interpreter is the one that `METAPLASTIC_PYTHON` names, or `python3`; it needs what `tests/requirements.txt` lists.
//! An argument is a part of the names of tests, as for Cargo's own; those that begin with a hyphen are not for pytest.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pytest cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = env::current_exe()?;
    let built = built.parent().expect("a program lies in a folder");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metaplastic-python");
    let package = folder.join("metaplastic");
    fs::create_dir_all(&package)?;
    for file in fs::read_dir(here.join("metaplastic"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), package.join(file.file_name()))?;
        }
    }
    // A process that has the old one open keeps it.
    let extension = package.join("_native.abi3.so");
    let fresh = folder.join("fresh.so");
    fs::copy(built.join("lib_native.so"), &fresh)?;
    fs::rename(fresh, extension)?;
    let filter = env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let python = env::var_os("METAPLASTIC_PYTHON").unwrap_or_else(|| "python3".into());
    let status = Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .args(["-c", "../pyproject.toml", "--doctest-modules", "."])
        .arg(&package)
        .args(filter.iter().flat_map(|filter| ["-k", filter]))
        // Not the folder that has the package without the extension, which Python would take first.
        .current_dir(here.join("tests"))
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()?;
    // Pytest says 5 where a filter leaves no test.
    Ok(status.success() || filter.is_some() && status.code() == Some(5))
}
