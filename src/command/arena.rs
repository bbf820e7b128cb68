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
    if std::env::var_os(ARENAS).is_some() || limit().is_none() {
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

/// Bytes of addresses that this process may have; none where there is no limit.
#[cfg(target_os = "linux")]
fn limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let mut lines = limits.lines();
    let space = lines.find_map(|line| line.strip_prefix("Max address space"))?;
    space.split_whitespace().next()?.parse().ok()
}

/// Fails, with the numbers, if a limit on addresses has no room for the stacks of so many threads. A thread that is started where
/// it has none ends the program, so that starting them is no way to find out.
#[cfg(target_os = "linux")]
pub(super) fn require_stacks(threads: usize) -> Result<(), String> {
    // As Rust has it, and what a thread needs beside it.
    const STACK: u64 = (2 << 20) + (64 << 10);
    let Some(limit) = limit() else {
        return Ok(());
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let used = lines.find_map(|line| line.strip_prefix("VmSize:"));
    let used = used.and_then(|used| used.split_whitespace().next()?.parse::<u64>().ok());
    let left = limit.saturating_sub(1024 * used.unwrap_or(0));
    let stacks = (threads as u64).saturating_mul(STACK);
    match stacks > left {
        true => Err(format!(
            "their stacks: {stacks} bytes requested, {left} bytes available"
        )),
        false => Ok(()),
    }
}

/// Other systems have no such limit, or no such arenas.
#[cfg(not(target_os = "linux"))]
pub(super) fn have_one() {}

/// Other systems say so themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn require_stacks(_threads: usize) -> Result<(), String> {
    Ok(())
}
