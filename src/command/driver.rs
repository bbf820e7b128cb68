//! What GPU drivers write to standard error of their own accord.

/// Does `work`, which may call drivers. What they write to standard error meanwhile is passed on afterwards, as theirs.
#[cfg(all(unix, feature = "gpu"))]
pub(super) fn hearing<T>(work: impl FnOnce() -> T) -> T {
    // Without a temporary file or another descriptor they speak for themselves.
    let _diverted = Diverted::begin().ok();
    work()
}

/// Does `work`.
#[cfg(not(all(unix, feature = "gpu")))]
pub(super) fn hearing<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Standard error while it goes to a file.
#[cfg(all(unix, feature = "gpu"))]
struct Diverted {
    stderr: std::os::fd::OwnedFd,
    heard: std::fs::File,
}

#[cfg(all(unix, feature = "gpu"))]
impl Diverted {
    fn begin() -> std::io::Result<Self> {
        use std::os::fd::AsFd;
        let heard = tempfile::tempfile()?;
        let stderr = std::io::stderr().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stderr(&heard)?;
        Ok(Self { stderr, heard })
    }
}

#[cfg(all(unix, feature = "gpu"))]
impl Drop for Diverted {
    fn drop(&mut self) {
        use std::io::{Read, Seek};
        // It was a descriptor a moment ago, and writes to it fail no worse than before.
        let _ = rustix::stdio::dup2_stderr(&self.stderr);
        let mut bytes = Vec::new();
        let read = self
            .heard
            .rewind()
            .and_then(|()| self.heard.read_to_end(&mut bytes));
        if read.is_ok() {
            for line in of_interest(&String::from_utf8_lossy(&bytes)) {
                super::output::note(format_args!("driver: {line}"));
            }
        }
    }
}

/// The lines that concern a program without windows: on Linux, Mesa's device selection asks the window system which GPU
/// it uses, and libwayland complains where there is none.
#[cfg(all(unix, feature = "gpu"))]
fn of_interest(heard: &str) -> impl Iterator<Item = &str> {
    let lines = heard.lines().map(str::trim_end);
    lines.filter(|line| !line.is_empty() && !line.contains("XDG_RUNTIME_DIR"))
}

#[cfg(all(test, unix, feature = "gpu"))]
mod tests {
    use super::*;

    #[test]
    fn complaints_about_windows_are_left_out() {
        let heard = "error: XDG_RUNTIME_DIR is invalid or not set in the environment.\n\nfailed to load x.so\n";
        assert_eq!(
            of_interest(heard).collect::<Vec<_>>(),
            ["failed to load x.so"]
        );
    }
}
