//! Memory of threads where the address space is limited.

/// Starts the program anew where the address space is limited (`ulimit -v`), with memory of one arena for all threads.
///
/// glibc sets 64 MiB of addresses aside for each thread that allocates, as long as the limit has room for them. They count
/// as used, and whether large arrays fit into what is left does not grow with the limit: a run that 150 MB are enough for
/// finds no memory in 160 MB. glibc reads the number of arenas when a program starts, and at no other time that safe
/// code reaches.
#[cfg(target_os = "linux")]
pub(super) fn have_one() {
    use std::os::unix::process::CommandExt;
    /// See <https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html>.
    const ARENAS: &str = "MALLOC_ARENA_MAX";
    if std::env::var_os(ARENAS).is_some() || !is_limited() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It returns only where it fails, and then the program goes on as it is.
    let _ = command.args(arguments).env(ARENAS, "1").exec();
}

#[cfg(target_os = "linux")]
fn is_limited() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let space = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"));
    space.is_some_and(|space| !space.trim_start().starts_with("unlimited"))
}

/// Other systems have no such limit, or no such arenas.
#[cfg(not(target_os = "linux"))]
pub(super) fn have_one() {}
