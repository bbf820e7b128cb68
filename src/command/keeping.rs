//! How runs are kept and told of, as arguments.

use super::watched::Telling;
use clap::Args;
use std::time::Duration;

/// How a run is kept and told of, the same for every command that trains into a folder.
#[derive(Args, Debug)]
pub(super) struct Keeping {
    /// Time between two checkpoints, from which `metaplastic resume` goes on; SIGUSR1 asks for one at once
    /// [default: 60s, or longer where writing takes more than a hundredth of that]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub checkpoint_every: Option<Duration>,

    /// Print the folder of the run and nothing else but errors
    #[arg(long)]
    pub quiet: bool,

    /// Print the summary as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

impl Keeping {
    pub fn telling(&self) -> Telling {
        Telling {
            quiet: self.quiet,
            json: self.json,
        }
    }
}

/// A time as people write it: `60s`, `5m`, `1h 30m`; for the argument parser, which names the option.
fn duration(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "not a time, such as 60s, 5m or 1h".to_owned())?;
    time.try_into()
        .map_err(|_| "expected a time of at least 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_people_write() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for text in ["60", "soon", "-5s", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
