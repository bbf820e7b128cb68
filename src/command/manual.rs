//! `metaplastic completions` and `metaplastic man`.

use super::output::{Ending, say};
use clap::Args;
use clap_complete::Shell;
use clap_mangen::Man;
use metaplastic::file::write_atomically;
use metaplastic::{Error, Result};
use std::path::{Path, PathBuf};

const NAME: &str = "metaplastic";

#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

#[derive(Args, Debug)]
pub(super) struct ManArguments {
    /// A folder for a page about each command, as man(1) finds them
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn completions(
    arguments: &CompletionsArguments,
    mut whole: clap::Command,
) -> Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut whole, NAME, &mut script);
    say(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Ending::Done)
}

pub(super) fn man(arguments: &ManArguments, whole: clap::Command) -> Result<Ending> {
    let whole = whole.name(NAME);
    let Some(folder) = &arguments.output else {
        let page =
            page(whole).map_err(|source| cannot_write(Path::new("standard output"), source))?;
        say(String::from_utf8_lossy(&page).trim_end())?;
        return Ok(Ending::Done);
    };
    std::fs::create_dir_all(folder).map_err(|source| cannot_write(folder, source))?;
    for one in whole.get_subcommands().cloned() {
        let name = format!("{NAME}-{}", one.get_name());
        write_page(folder, one.display_name(&*name).name(name))?;
    }
    write_page(folder, whole)?;
    Ok(Ending::Done)
}

fn write_page(folder: &Path, command: clap::Command) -> Result<()> {
    let path = folder.join(format!("{}.1", command.get_name()));
    let page = page(command).map_err(|source| cannot_write(&path, source))?;
    write_atomically(&path, |file| file.write_all(&page))
}

fn page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

fn cannot_write(path: &Path, source: std::io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}
