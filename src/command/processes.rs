//! The processes that the command runs as: one, or those that `mpirun` started.

use super::output::note;
use metaplastic::ranks::mpi::World;
use metaplastic::{Engine, Result};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The environment variables by which MPI libraries tell a process that it is one of several: Open MPI's, those of MPICH and its
/// kin, and that of PMIx.
const STARTED_BY_MPI: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_RANK",
    "MPI_LOCALRANKID",
    "PMIX_RANK",
];

static WORLD: Mutex<Option<World>> = Mutex::new(None);

fn world() -> MutexGuard<'static, Option<World>> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `main` in this process, or in rank 0 of several, which the others serve, once they have started their threads.
pub(super) fn run(
    main: impl FnOnce() -> ExitCode,
    start_threads: impl FnOnce() -> Result<()>,
) -> ExitCode {
    if !STARTED_BY_MPI
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        return main();
    }
    let started = match World::start() {
        Ok(world) => world,
        Err(error) => {
            note(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let is_first = started.rank() == 0;
    *world() = Some(started);
    let code = match is_first {
        true => main(),
        false => serve(start_threads),
    };
    // The processes take leave of each other.
    *world() = None;
    code
}

fn serve(start_threads: impl FnOnce() -> Result<()>) -> ExitCode {
    // What a person or a scheduler tells the whole program is for rank 0, which ends the others.
    #[cfg(unix)]
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGUSR1,
    ] {
        // Where it cannot be ignored, the process ends with the signal, and MPI the program.
        let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
    }
    let served = start_threads().and_then(|()| match &*world() {
        Some(world) => world.serve(),
        None => Ok(()),
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The same engine in every process, as one.
pub(super) fn spread(engine: Engine) -> Result<Engine> {
    match &*world() {
        Some(world) if world.ranks() > 1 => world.engine(engine),
        _ => Ok(engine),
    }
}

/// Threads for this process, of so many cores that it may use.
pub(super) fn threads(cores: usize) -> usize {
    match &*world() {
        Some(world) => world.threads(cores, cores_of_machine()),
        None => cores,
    }
}

/// Cores of this machine, whoever may use them.
fn cores_of_machine() -> usize {
    let online = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    online
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count()
}
