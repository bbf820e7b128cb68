//! `metaplastic report`: one HTML file on one run or several.

mod page;
mod section;

use super::engine::{EngineArguments, describe};
use super::number::whole;
use super::output::{Ending, note, require_apart, say};
use super::subject::each;
use clap::Args;
use metaplastic::file::{is_special, require_writable};
use metaplastic::runs::StoredRun;
use metaplastic::runs::files::{REPORT, is_report, own};
use metaplastic::runs::staging::write_text;
use metaplastic::{Error, Result};
pub(super) use page::Page;
pub(super) use section::{Section, episodes_of, evaluated, is_recurrent, typical};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folders of runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// The file [default: report.html in the run's folder; of several runs, in the current one]
    #[arg(long, value_name = "FILE.html")]
    output: Option<PathBuf>,

    /// Replace the file even if it is no report of metaplastic
    #[arg(long)]
    force: bool,

    /// Fresh episodes that each network is evaluated on [default: 1000]; of episodes of one's own, so many in their order [default:
    /// each once]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    episodes: Option<u64>,

    #[command(flatten)]
    engine: EngineArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let path = arguments.path();
    require_ending(&path)?;
    let mut work = 0;
    let runs = each(&arguments.runs)?;
    for folder in &runs {
        work = work.max(StoredRun::read(folder)?.recipe.synapse_steps());
    }
    let files: Vec<_> = runs.iter().flat_map(|folder| own(folder)).collect();
    require_apart([("--output", path.as_path())], &files)?;
    require_own(&path, arguments.force)?;
    require_writable(&path)?;
    let choice = arguments.engine.choose(work, false)?;
    note(format_args!("engine: {}", describe(&choice)));
    let sections = sections(&runs, &choice.engine, arguments.episodes)?;
    let page = Page {
        title: &match sections.as_slice() {
            [only] => only.heading.clone(),
            several => format!("{} runs", several.len()),
        },
        is_reproduction: false,
        command: &arguments.command(),
        seconds: None,
        sections: &sections,
    };
    write_text(&path, &page.html())?;
    say(format_args!("report: {}", path.display()))?;
    Ok(Ending::Done)
}

/// What a report says of the runs in these folders.
pub(super) fn sections(
    folders: &[PathBuf],
    engine: &metaplastic::Engine,
    episodes: Option<u64>,
) -> Result<Vec<Section>> {
    let numbered = folders.iter().zip(1..);
    let mut sections: Vec<Section> = numbered
        .map(|(folder, number)| Section::of(folder, number, engine, episodes))
        .collect::<Result<_>>()?;
    let headings: Vec<_> = sections.iter().map(|one| one.heading.clone()).collect();
    for (section, folder) in sections.iter_mut().zip(folders) {
        let alike = headings.iter().filter(|one| **one == section.heading);
        if alike.count() > 1 {
            section.heading += &format!(" ({})", folder.display());
        }
    }
    Ok(sections)
}

impl Arguments {
    fn path(&self) -> PathBuf {
        match (&self.output, self.runs.as_slice()) {
            (Some(path), _) => path.clone(),
            (None, [only]) => only.join(REPORT),
            (None, _) => REPORT.into(),
        }
    }

    /// As it would be typed.
    fn command(&self) -> String {
        let runs: Vec<_> = self
            .runs
            .iter()
            .map(|run| run.display().to_string())
            .collect();
        format!("metaplastic report {}", runs.join(" "))
    }
}

/// Fails unless a file of this name is for HTML. What is there and is no file, such as a pipe, may be called anything.
fn require_ending(path: &Path) -> Result<()> {
    let ending = path.extension().unwrap_or_default();
    let is_html = ["html", "htm"]
        .iter()
        .any(|it| ending.eq_ignore_ascii_case(it));
    if is_html || is_special(path) {
        return Ok(());
    }
    Err(Error::Setting {
        field: "--output".into(),
        reason: format!("{}: a report's name ends in .html", path.display()),
    })
}

/// Fails if a file is there that is not to be made again from runs.
fn require_own(path: &Path, force: bool) -> Result<()> {
    if force || !path.is_file() || is_report(path) {
        return Ok(());
    }
    Err(Error::Setting {
        field: "--output".into(),
        reason: format!(
            "{} is there, and is no report of metaplastic; --force replaces it",
            path.display()
        ),
    })
}
