//! `metaplastic gradient`.

use super::engine::{EngineArguments, describe};
use super::input::read_network;
use super::output::{Ending, note, require_apart, say};
use clap::{Args, ValueEnum};
use metaplastic::engine::Gradients;
use metaplastic::file::require_writable;
use metaplastic::number::Real;
use metaplastic::tensors::{
    read_episodes, read_parameters, require_room_for_gradients, write_gradients,
};
use metaplastic::{Result, Want};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The network, as TOML
    #[arg(long, value_name = "FILE.toml")]
    network: PathBuf,

    /// Its parameters
    #[arg(long, value_name = "FILE.safetensors")]
    parameters: PathBuf,

    /// The episodes, and what is differentiated
    #[arg(long, value_name = "FILE.safetensors")]
    episodes: PathBuf,

    /// The file for the results
    #[arg(long, value_name = "FILE.safetensors")]
    output: PathBuf,

    #[command(flatten)]
    engine: EngineArguments,

    /// What is computed in and written; GPUs compute in f32 only
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,

    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Precision {
    #[default]
    F32,
    F64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    match arguments.precision {
        Precision::F32 => compute::<f32>(arguments),
        Precision::F64 => compute::<f64>(arguments),
    }
}

fn compute<R: Real>(arguments: &Arguments) -> Result<Ending> {
    let Arguments {
        network,
        parameters,
        episodes,
        output,
        ..
    } = arguments;
    let inputs = [network, parameters, episodes].map(PathBuf::clone);
    require_apart([("--output", output.as_path())], &inputs)?;
    require_writable(output)?;
    let network = read_network::<R>(network)?;
    let parameters = read_parameters::<R>(parameters, &network)?;
    let episodes = read_episodes::<R>(episodes, &network, parameters.population())?;
    require_room_for_gradients(&network, parameters.population(), &episodes)?;
    let synapse_steps = [episodes.batch(), episodes.steps(), network.synapses()]
        .iter()
        .fold(parameters.population() as u64, |product, &size| {
            product.saturating_mul(size as u64)
        });
    let double = arguments.precision == Precision::F64;
    let choice = arguments.engine.choose(synapse_steps, double)?;
    if !arguments.quiet {
        note(format_args!("engine: {}", describe(&choice)));
    }

    let gradients = choice
        .engine
        .gradient(&network, &parameters, &episodes, Want::ALL)?;
    write_gradients(output, &gradients)?;
    if !arguments.quiet {
        say(format_args!("wrote {}", output.display()))?;
    }
    let not_finite = not_finite(&gradients);
    if not_finite.is_empty() {
        return Ok(Ending::Done);
    }
    note(format_args!("not finite: {}", not_finite.join(", ")));
    Ok(Ending::NotFinite)
}

/// The names of the results that hold a value which is not finite.
fn not_finite<R: Real>(gradients: &Gradients<R>) -> Vec<String> {
    fn bad<'a, R: Real>(values: impl IntoIterator<Item = &'a R>) -> bool {
        values.into_iter().any(|value| !value.is_finite())
    }
    let outcome = &gradients.outcome;
    let mut names = Vec::new();
    if outcome.loss.as_ref().is_some_and(bad) {
        names.push("loss".to_owned());
    }
    if outcome.output.as_ref().is_some_and(bad) {
        names.push("output".to_owned());
    }
    let parameters = &gradients.parameters;
    for tensor in parameters.layout().tensors() {
        if bad(parameters.tensor(tensor)) {
            names.push(format!("gradient.{}", tensor.name()));
        }
    }
    if gradients.input.as_ref().is_some_and(bad) {
        names.push("gradient.input".to_owned());
    }
    for (prefix, dynamics) in [("", &outcome.finals), ("gradient.", &gradients.given)] {
        for (index, dynamic, array) in dynamics.iter() {
            if bad(&array) {
                names.push(format!("{prefix}layer{index}.{dynamic}"));
            }
        }
    }
    names
}
