//! Files of tensors written, whole or not at all.

use crate::computation::Gradients;
use crate::episodes::{Episodes, Mask, Objective};
use crate::error::Result;
use crate::file::write_atomically;
use crate::memory;
use crate::network::{Layer, Network};
use crate::number::Real;
use crate::parameters::{Layout, Parameters};
use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Writes every parameter, rates that are not learned included.
///
/// # Errors
/// If the file cannot be written.
pub fn write_parameters<R: Real>(path: impl AsRef<Path>, parameters: &Parameters<R>) -> Result<()> {
    write_parameters_with(path, parameters, [])
}

/// As [`write_parameters`], with `metadata` in the file's header: pairs of a key and a text.
///
/// # Errors
/// If the file cannot be written.
pub fn write_parameters_with<R: Real>(
    path: impl AsRef<Path>,
    parameters: &Parameters<R>,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Result<()> {
    let metadata = metadata.into_iter().collect();
    write(path.as_ref(), of_parameters(parameters), metadata)
}

/// The bytes of the file that [`write_parameters_with`] writes.
///
/// # Errors
/// If memory is short.
pub fn parameters_to_bytes<R: Real>(
    parameters: &Parameters<R>,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<u8>> {
    let metadata = metadata.into_iter().collect();
    to_bytes("the parameters' file", of_parameters(parameters), metadata)
}

fn of_parameters<R: Real>(parameters: &Parameters<R>) -> Vec<(String, Stored<'_, R>)> {
    let tensors = parameters
        .layout()
        .tensors()
        .iter()
        .map(|tensor| (tensor.name(), Stored(parameters.tensor(tensor))));
    tensors.collect()
}

/// Writes episodes as [`read_episodes`](super::read_episodes) reads them. Where the gradient of nothing is taken, so does the file say
/// nothing of it.
///
/// # Errors
/// If the file cannot be written.
pub fn write_episodes<R: Real>(path: impl AsRef<Path>, episodes: &Episodes<'_, R>) -> Result<()> {
    write(path.as_ref(), of_episodes(episodes), HashMap::new())
}

/// The bytes of the file that [`write_episodes`] writes.
///
/// # Errors
/// If memory is short.
pub fn episodes_to_bytes<R: Real>(episodes: &Episodes<'_, R>) -> Result<Vec<u8>> {
    to_bytes("the episodes' file", of_episodes(episodes), HashMap::new())
}

fn of_episodes<'a, R: Real>(episodes: &'a Episodes<'_, R>) -> Vec<(String, Stored<'a, R>)> {
    let mut tensors = vec![("input".to_owned(), stored(&episodes.input))];
    match &episodes.objective {
        Objective::Target { target, mask } => {
            tensors.push(("target".to_owned(), stored(target)));
            match mask {
                Mask::All => {}
                Mask::Steps(mask) => tensors.push(("mask".to_owned(), stored(mask))),
                Mask::Episodes(mask) => tensors.push(("mask".to_owned(), stored(mask))),
            }
        }
        Objective::OutputGradient(gradient) => {
            tensors.push(("output_gradient".to_owned(), stored(gradient)));
        }
        Objective::None => {}
    }
    for (suffix, dynamics) in [
        ("", &episodes.given),
        ("_gradient", &episodes.final_gradients),
    ] {
        for (index, dynamic, array) in dynamics.iter() {
            tensors.push((format!("layer{index}.{dynamic}{suffix}"), Stored(array)));
        }
    }
    tensors
}

/// Writes what a network did and every gradient there is; no gradient of rates that are not learned.
///
/// # Errors
/// If the file cannot be written.
pub fn write_gradients<R: Real>(path: impl AsRef<Path>, gradients: &Gradients<R>) -> Result<()> {
    write(path.as_ref(), of_gradients(gradients), HashMap::new())
}

/// The bytes of the file that [`write_gradients`] writes.
///
/// # Errors
/// If memory is short.
pub fn gradients_to_bytes<R: Real>(gradients: &Gradients<R>) -> Result<Vec<u8>> {
    to_bytes(
        "the gradients' file",
        of_gradients(gradients),
        HashMap::new(),
    )
}

fn of_gradients<R: Real>(gradients: &Gradients<R>) -> Vec<(String, Stored<'_, R>)> {
    let outcome = &gradients.outcome;
    let mut tensors = Vec::new();
    if let Some(output) = &outcome.output {
        tensors.push(("output".to_owned(), stored(output)));
    }
    if let Some(loss) = &outcome.loss {
        tensors.push(("loss".to_owned(), stored(loss)));
    }
    if let Some(input) = &gradients.input {
        tensors.push(("gradient.input".to_owned(), stored(input)));
    }
    let parameters = &gradients.parameters;
    for tensor in parameters.layout().tensors().iter().filter(|t| t.learned) {
        let gradient = Stored(parameters.tensor(tensor));
        tensors.push((format!("gradient.{}", tensor.name()), gradient));
    }
    for (prefix, dynamics) in [("", &outcome.finals), ("gradient.", &gradients.given)] {
        for (index, dynamic, array) in dynamics.iter() {
            tensors.push((format!("{prefix}layer{index}.{dynamic}"), Stored(array)));
        }
    }
    tensors
}

/// Writes arrays by name, and the steps that some of them are of as `steps`, I64 `[S]`.
///
/// # Errors
/// If memory is short or the file cannot be written.
pub fn write_recorded(
    path: impl AsRef<Path>,
    tensors: &[(String, ArrayD<f32>)],
    steps: &[usize],
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Result<()> {
    let values = tensors.iter().map(|(_, array)| array.len()).sum::<usize>();
    let bytes = 2 * values as u128 * size_of::<f32>() as u128;
    memory::require("what is recorded", bytes)?;
    let steps = steps.iter().flat_map(|step| (*step as i64).to_le_bytes());
    let mut columns = vec![(
        "steps",
        Dtype::I64,
        vec![steps.clone().count() / 8],
        steps.collect::<Vec<u8>>(),
    )];
    columns.extend(tensors.iter().map(|(name, array)| {
        let bytes = array.iter().flat_map(|value| value.to_le_bytes());
        (
            name.as_str(),
            Dtype::F32,
            array.shape().to_vec(),
            bytes.collect(),
        )
    }));
    let views = columns.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (*name, view.expect("an array is as long as its shape says"))
    });
    let metadata = metadata.into_iter().collect();
    let bytes = safetensors::serialize(views, Some(metadata)).expect("every name is there once");
    write_atomically(path.as_ref(), |file| file.write_all(&bytes))
}

/// Fails unless memory holds what [`write_gradients`] writes for these episodes twice, as arrays and as a file. To be
/// asked before the gradients are computed.
///
/// # Errors
/// If memory is short.
pub fn require_room_for_gradients<R: Real>(
    network: &Network,
    population: usize,
    episodes: &Episodes<'_, R>,
) -> Result<()> {
    let states = network.layers().iter().flat_map(Layer::states);
    let states: u128 = states
        .map(|(_, shape)| shape.iter().map(|&size| size as u128).product::<u128>())
        .sum();
    let modulators = episodes.steps() * (1 + network.layers().len());
    let activity = episodes.steps() as u128 * (network.inputs() + network.outputs()) as u128;
    let values = episodes.batch() as u128 * (activity + 2 * states + modulators as u128)
        + Layout::new(network)?.size() as u128;
    memory::require(
        "the results and their file",
        2 * size_of::<R>() as u128 * population as u128 * values,
    )
}

fn write<R: Real>(
    path: &Path,
    tensors: Vec<(String, Stored<'_, R>)>,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let bytes = to_bytes(&format!("what {} holds", path.display()), tensors, metadata)?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// `what` the bytes are for is named where memory is short.
fn to_bytes<R: Real>(
    what: &str,
    tensors: Vec<(String, Stored<'_, R>)>,
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>> {
    // The file as it will be, and one tensor of it.
    let sizes = || tensors.iter().map(|(_, tensor)| tensor.data_len());
    let bytes = sizes().sum::<usize>() + sizes().max().unwrap_or(0);
    memory::require(what, bytes as u128)?;
    let metadata = Some(metadata).filter(|metadata| !metadata.is_empty());
    Ok(safetensors::serialize(tensors, metadata).expect("arrays are as long as their shapes say"))
}

/// An array as the format's writer wants it; its bytes are made when they are asked for, one tensor at a time.
struct Stored<'a, R>(ArrayViewD<'a, R>);

fn stored<R: Real, S: Data<Elem = R>, D: Dimension>(array: &ArrayBase<S, D, R>) -> Stored<'_, R> {
    Stored(array.view().into_dyn())
}

impl<R: Real> View for Stored<'_, R> {
    fn dtype(&self) -> Dtype {
        if R::NAME == "f64" {
            Dtype::F64
        } else {
            Dtype::F32
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // The bytes of the file are those in memory, where a tensor lies in one piece: that of a single network.
        if cfg!(target_endian = "little")
            && let Some(values) = self.0.as_slice()
        {
            return Cow::Borrowed(bytemuck::cast_slice(values));
        }
        let values = self.0.iter().map(|value| value.as_f64());
        let mut bytes = Vec::with_capacity(self.data_len());
        match self.dtype() {
            Dtype::F64 => values.for_each(|value| bytes.extend(value.to_le_bytes())),
            _ => values.for_each(|value| bytes.extend((value as f32).to_le_bytes())),
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.0.len() * size_of::<R>()
    }
}
