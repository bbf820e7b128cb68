//! Files of tensors read, with everything checked.

use super::elements::{Accepted, Stored};
use crate::check::{require_shape_of_networks, shape_error};
use crate::dynamics::axes;
use crate::episodes::{Episodes, Mask};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Dynamic, Loss, Network};
use crate::number::Real;
use crate::parameters::Tensor;
use crate::parameters::{Layout, Parameters};
use ndarray::{Array4, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

/// What errors call bytes that came from no file.
const BYTES: &str = "the bytes given";

/// Reads the parameters of a population for `network`; their first axis says how many networks there are.
///
/// # Errors
/// If the file cannot be read or is malformed, a tensor is missing, unknown, of another type or shape than `network`
/// calls for, or has a value that is not finite in precision `R`.
pub fn read_parameters<R: Real>(
    path: impl AsRef<Path>,
    network: &Network,
) -> Result<Parameters<R>> {
    Ok(read_parameters_with(path, network)?.0)
}

/// As [`read_parameters`], with the metadata in the file's header.
///
/// # Errors
/// As [`read_parameters`].
pub fn read_parameters_with<R: Real>(
    path: impl AsRef<Path>,
    network: &Network,
) -> Result<(Parameters<R>, HashMap<String, String>)> {
    let path = path.as_ref();
    parameters(&path.display().to_string(), &read(path)?, network)
}

/// As [`read_parameters_with`], from the bytes of such a file.
///
/// # Errors
/// As [`read_parameters`].
pub fn parameters_from_bytes<R: Real>(
    bytes: &[u8],
    network: &Network,
) -> Result<(Parameters<R>, HashMap<String, String>)> {
    parameters(BYTES, bytes, network)
}

fn parameters<R: Real>(
    origin: &str,
    bytes: &[u8],
    network: &Network,
) -> Result<(Parameters<R>, HashMap<String, String>)> {
    let layout = Layout::new(network)?;
    let within = |error: Error| error.within(origin);
    let file = File::parse(origin, bytes)?;
    let population = population(&file, network, &layout).map_err(within)?;
    let mut parameters = Parameters::new(network, population)?;
    fill(&mut parameters, &file, &layout).map_err(within)?;
    Ok((parameters, file.metadata))
}

/// How many networks there are: the first axis of every tensor that `layout` calls for.
fn population(file: &File<'_>, network: &Network, layout: &Layout) -> Result<usize> {
    file.require_known(layout.tensors().iter().map(Tensor::name).collect())?;
    // The first tensor there is fixes the population for all.
    let mut population = None;
    for tensor in layout.tensors() {
        let name = tensor.name();
        let Some(found) = file.get(&name).map(|stored| stored.shape()) else {
            if has_value(network, tensor) {
                continue;
            }
            return Err(Error::MissingTensor {
                name,
                expected: expected(tensor, population),
            });
        };
        let fits = found.len() == tensor.shape.len() + 1
            && found[1..] == tensor.shape
            && population.is_none_or(|population| population == found[0]);
        if !fits {
            return Err(shape_error(&name, expected(tensor, population), found));
        }
        if found[0] == 0 {
            return Err(Error::ZeroSize {
                field: format!("population (axis 0 of {name})"),
            });
        }
        population = Some(found[0]);
    }
    Ok(population.expect("every layer has a parameter beside the rate"))
}

/// Whether the description says what the tensor's elements are.
fn has_value(network: &Network, tensor: &Tensor) -> bool {
    let mut specs = network.layers()[tensor.layer].tensors().into_iter();
    specs.any(|spec| spec.role == tensor.role && spec.value.is_some())
}

/// Puts the file's values in the place of those that parameters start with.
fn fill<R: Real>(parameters: &mut Parameters<R>, file: &File<'_>, layout: &Layout) -> Result<()> {
    for tensor in layout.tensors() {
        let name = tensor.name();
        if let Some(stored) = file.get(&name) {
            let values = stored.array::<R, IxDyn>("", Accepted::Floats)?;
            parameters.tensor_mut(tensor).assign(&values);
        }
    }
    Ok(())
}

/// Reads episodes for `population` networks and what is to be differentiated.
///
/// # Errors
/// As [`read_parameters`], if a size is zero, or if what is to be differentiated is not clear: a target together with
/// an output gradient, a target for a network without a loss, a mask without a target, or nothing at all.
pub fn read_episodes<R: Real>(
    path: impl AsRef<Path>,
    network: &Network,
    population: usize,
) -> Result<Episodes<'static, R>> {
    let path = path.as_ref();
    let origin = path.display().to_string();
    episodes_of(&origin, &read(path)?, network, population)
}

/// As [`read_episodes`], from the bytes of such a file.
///
/// # Errors
/// As [`read_episodes`].
pub fn episodes_from_bytes<R: Real>(
    bytes: &[u8],
    network: &Network,
    population: usize,
) -> Result<Episodes<'static, R>> {
    episodes_of(BYTES, bytes, network, population)
}

/// As [`episodes_from_bytes`], of a file that errors call `origin`.
pub(crate) fn episodes_of<R: Real>(
    origin: &str,
    bytes: &[u8],
    network: &Network,
    population: usize,
) -> Result<Episodes<'static, R>> {
    File::parse(origin, bytes)
        .and_then(|file| episodes(&file, network, population))
        .map_err(|error| error.within(origin))
}

fn episodes<R: Real>(
    file: &File<'_>,
    network: &Network,
    population: usize,
) -> Result<Episodes<'static, R>> {
    file.require_known(episode_names(network))?;
    require_one_objective(file, network)?;

    let Some(input) = file.get("input") else {
        return Err(Error::MissingTensor {
            name: "input".into(),
            expected: format!("[P = {population} or 1, B, T, I = {}]", network.inputs()),
        });
    };
    let mut episodes = Episodes::new(input.array::<R, _>("[P, B, T, I]", Accepted::Numbers)?);
    if let Some(stored) = file.get("target") {
        let sizes = [population, episodes.batch(), episodes.steps()];
        let target = target(&stored, network, &sizes)?;
        episodes = episodes.with_masked_target(target, mask(file)?);
    }
    if let Some(stored) = file.get("output_gradient") {
        let gradient = stored.array("[P, B, T, O]", Accepted::Floats)?;
        episodes = episodes.with_output_gradient(gradient);
    }
    for tensor in of_layers(network, episodes.steps()) {
        let name = tensor.name();
        let Some(stored) = file.get(&name) else {
            continue;
        };
        let array =
            stored.array::<R, IxDyn>(axes(tensor.dynamic, &tensor.shape), Accepted::Floats)?;
        let to = match tensor.is_gradient {
            false => &mut episodes.given,
            true => &mut episodes.final_gradients,
        };
        to.insert(tensor.layer, tensor.dynamic, array);
    }
    episodes.check(network, population)?;
    Ok(episodes)
}

/// The target, whose values may be classes where the loss is a softmax's; `sizes` are `[P, B, T]`.
fn target<R: Real>(
    stored: &Stored<'_>,
    network: &Network,
    sizes: &[usize; 3],
) -> Result<Array4<R>> {
    if network.loss() != Loss::SoftmaxCrossEntropy {
        return stored.array("[P, B, T, O]", Accepted::Numbers);
    }
    if stored.shape().len() != 3 {
        let axes = "[P, B, T, O], or [P, B, T] of classes";
        return stored.array(axes, Accepted::Numbers);
    }
    require_shape_of_networks("target", stored.shape(), "[P, B, T]", sizes)?;
    stored.one_hot(network.outputs())
}

/// Which steps count; all where the file has no mask.
fn mask<R: Real>(file: &File<'_>) -> Result<Mask<R>> {
    let Some(stored) = file.get("mask") else {
        return Ok(Mask::All);
    };
    let axes = "[T] or [P, B, T]";
    Ok(if stored.shape().len() == 1 {
        Mask::Steps(stored.array(axes, Accepted::Numbers)?)
    } else {
        Mask::Episodes(stored.array(axes, Accepted::Numbers)?)
    })
}

/// A tensor of what a layer has that changes over an episode.
struct OfLayer {
    layer: usize,
    dynamic: Dynamic,
    is_gradient: bool,
    /// For one episode.
    shape: Vec<usize>,
}

impl OfLayer {
    fn name(&self) -> String {
        let suffix = if self.is_gradient { "_gradient" } else { "" };
        format!("layer{}.{}{suffix}", self.layer, self.dynamic)
    }
}

/// Those that a file of episodes may have.
fn of_layers(network: &Network, steps: usize) -> impl Iterator<Item = OfLayer> {
    let layers = network.layers().iter().enumerate();
    layers.flat_map(move |(layer, its)| {
        let both = Dynamic::ALL.map(|dynamic| {
            let shapes = [its.given_shape(dynamic, steps), its.state_shape(dynamic)];
            let tensors = shapes.into_iter().zip([false, true]);
            tensors.filter_map(move |(shape, is_gradient)| {
                Some(OfLayer {
                    layer,
                    dynamic,
                    is_gradient,
                    shape: shape?,
                })
            })
        });
        both.into_iter().flatten()
    })
}

fn episode_names(network: &Network) -> BTreeSet<String> {
    let names = ["input", "target", "mask", "output_gradient"].map(str::to_owned);
    let of_layers = of_layers(network, 0).map(|tensor| tensor.name());
    names.into_iter().chain(of_layers).collect()
}

/// Fails unless the tensors that are there say what is differentiated.
fn require_one_objective(file: &File<'_>, network: &Network) -> Result<()> {
    let has = |name: &str| file.has(name);
    if has("target") && has("output_gradient") {
        return Err(Error::objective(
            "output_gradient",
            "given together with target: give one of them",
        ));
    }
    if has("target") && network.loss() == Loss::None {
        return Err(Error::objective(
            "target",
            "given, but the network's loss is \"none\": give output_gradient, or choose a loss",
        ));
    }
    if has("mask") && !has("target") {
        return Err(Error::objective(
            "mask",
            "given without a target: it says which steps count towards the loss",
        ));
    }
    let differentiated = has("target")
        || has("output_gradient")
        || of_layers(network, 0).any(|tensor| tensor.is_gradient && has(&tensor.name()));
    if !differentiated {
        return Err(Error::objective(
            "target",
            "nothing is differentiated: give target, output_gradient or a layer's trace_gradient",
        ));
    }
    Ok(())
}

fn expected(tensor: &Tensor, population: Option<usize>) -> String {
    let axes: Vec<_> = std::iter::once(match population {
        Some(population) => format!("P = {population}"),
        None => "P".to_owned(),
    })
    .chain(tensor.shape.iter().map(usize::to_string))
    .collect();
    format!("[{}]", axes.join(", "))
}

/// The bytes of a file, if memory has room for what is made of them.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let error = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let require = |bytes: u64| {
        let bytes = u128::from(bytes).saturating_mul(4);
        memory::require(&path.display().to_string(), bytes)
    };
    let mut file = std::fs::File::open(path).map_err(error)?;
    let length = file.metadata().map_err(error)?.len();
    let mut bytes = Vec::new();
    let mut read_on = |bytes: &mut Vec<u8>, count: u64| {
        require((bytes.len() as u64).saturating_add(count))?;
        bytes.reserve_exact(count as usize);
        let read = (&mut file).take(count).read_to_end(bytes);
        read.map(drop).map_err(error)
    };
    if length > 0 {
        read_on(&mut bytes, length.saturating_add(1))?;
        return Ok(bytes);
    }
    // A pipe or a device does not say how long it is, and may have no end: what its header says is read, and a byte more.
    read_on(&mut bytes, 8)?;
    let Ok(header) = bytes.as_slice().try_into().map(u64::from_le_bytes) else {
        return Ok(bytes);
    };
    if header > LONGEST_HEADER {
        return Ok(bytes);
    }
    read_on(&mut bytes, header)?;
    if let Ok(metadata) = serde_json::from_slice::<Metadata>(&bytes[8..]) {
        read_on(&mut bytes, (metadata.data_len() as u64).saturating_add(1))?;
    }
    Ok(bytes)
}

/// The format's limit on the length of a header, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open file.
struct File<'a> {
    tensors: std::collections::BTreeMap<String, safetensors::tensor::TensorView<'a>>,
    metadata: HashMap<String, String>,
}

impl<'a> File<'a> {
    fn parse(origin: &str, bytes: &'a [u8]) -> Result<Self> {
        let invalid = |source| Error::Tensors {
            origin: origin.to_owned(),
            source: Box::new(source),
        };
        let parsed = SafeTensors::deserialize(bytes).map_err(invalid)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(invalid)?;
        Ok(Self {
            tensors: parsed.tensors().into_iter().collect(),
            metadata: header.metadata().clone().unwrap_or_default(),
        })
    }

    fn require_known(&self, known: BTreeSet<String>) -> Result<()> {
        match self.tensors.keys().find(|name| !known.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(Error::UnknownTensor {
                name: name.clone(),
                known: known.into_iter().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn get<'b>(&'b self, name: &'b str) -> Option<Stored<'b>> {
        self.tensors
            .get(name)
            .map(|tensor| Stored::new(name, tensor))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}
