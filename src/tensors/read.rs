//! Reading, with everything checked.

use crate::episodes::{require_finite, shape_error};
use crate::parameters::Tensor;
use crate::{Episodes, Error, Layout, Loss, Mask, Network, Parameters, Real, Result, memory};
use ndarray::{Array4, ArrayD, Dimension, Ix1, Ix3, Ix4, IxDyn};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

/// Reads the parameters of a population for `network`; their first axis says how many networks there are.
///
/// # Errors
/// If the file cannot be read or is malformed, a tensor is missing, unknown, of another type or shape than `network`
/// calls for, or has a value that is not finite in precision `R`.
pub fn read_parameters<R: Real>(path: &Path, network: &Network) -> Result<Parameters<R>> {
    Ok(read_parameters_with(path, network)?.0)
}

/// As [`read_parameters`], with the metadata in the file's header.
///
/// # Errors
/// As [`read_parameters`].
pub fn read_parameters_with<R: Real>(
    path: &Path,
    network: &Network,
) -> Result<(Parameters<R>, HashMap<String, String>)> {
    let bytes = read(path)?;
    let file = File::parse(path, &bytes)?;
    let layout = Layout::new(network)?;
    file.require_known(layout.tensors().iter().map(Tensor::name).collect())?;

    // The first tensor there is fixes the population for all.
    let mut population = None;
    for tensor in layout.tensors() {
        let name = tensor.name();
        let Some(found) = file.shape(&name) else {
            if tensor.role == crate::Role::Rate {
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
    let population = population.expect("every layer has a parameter beside the rate");

    let mut parameters = Parameters::new(network, population)?;
    for tensor in layout.tensors() {
        if let Some(values) = file.array::<R, IxDyn>(&tensor.name(), "")? {
            parameters
                .view_mut(tensor.layer, tensor.role)
                .expect("the layout lists it")
                .assign(&values);
        }
    }
    Ok((parameters, file.metadata))
}

/// Reads episodes for `population` networks and what is to be differentiated.
///
/// # Errors
/// As [`read_parameters`], if a size is zero, or if what is to be differentiated is not clear: a target together with
/// an output gradient, a target for a network without a loss, a mask without a target, or nothing at all.
pub fn read_episodes<R: Real>(
    path: &Path,
    network: &Network,
    population: usize,
) -> Result<Episodes<R>> {
    let bytes = read(path)?;
    let file = File::parse(path, &bytes)?;
    file.require_known(episode_names(network))?;
    require_one_objective(&file, network)?;

    let Some(input) = file.array::<R, Ix4>("input", "[P, B, T, I]")? else {
        return Err(Error::MissingTensor {
            name: "input".into(),
            expected: format!("[P = {population}, B, T, I = {}]", network.inputs()),
        });
    };
    let mut episodes = Episodes::new(input);
    if let Some(target) = file.array::<R, Ix4>("target", "[P, B, T, O]")? {
        let axes = "[T] or [P, B, T]";
        let mask = match file.shape("mask").map(<[usize]>::len) {
            None => Mask::All,
            Some(1) => Mask::Steps(file.array::<R, Ix1>("mask", axes)?.expect("it has a shape")),
            Some(_) => Mask::Episodes(file.array::<R, Ix3>("mask", axes)?.expect("it has a shape")),
        };
        episodes = episodes.with_masked_target(target, mask);
    }
    if let Some(gradient) = file.array::<R, Ix4>("output_gradient", "[P, B, T, O]")? {
        episodes = episodes.with_output_gradient(gradient);
    }
    for index in plastic_layers(network) {
        let array = |suffix| -> Result<Option<Array4<R>>> {
            file.array::<R, Ix4>(&format!("layer{index}.{suffix}"), "[P, B, O, I]")
        };
        if let Some(trace) = array("trace")? {
            episodes = episodes.with_initial_trace(index, trace);
        }
        if let Some(gradient) = array("trace_gradient")? {
            episodes = episodes.with_trace_gradient(index, gradient);
        }
    }
    episodes.check(network, population)?;
    Ok(episodes)
}

fn plastic_layers(network: &Network) -> impl Iterator<Item = usize> {
    let layers = network.layers().iter().enumerate();
    layers.filter_map(|(index, layer)| layer.as_plastic().map(|_| index))
}

fn episode_names(network: &Network) -> BTreeSet<String> {
    let mut names: BTreeSet<_> = ["input", "target", "mask", "output_gradient"]
        .map(str::to_owned)
        .into();
    for index in plastic_layers(network) {
        names.insert(format!("layer{index}.trace"));
        names.insert(format!("layer{index}.trace_gradient"));
    }
    names
}

/// Fails unless the tensors that are there say what is differentiated.
fn require_one_objective(file: &File<'_>, network: &Network) -> Result<()> {
    let has = |name: &str| file.shape(name).is_some();
    if has("target") && has("output_gradient") {
        return Err(Error::setting(
            "output_gradient",
            "given together with target: give one of them",
        ));
    }
    if has("target") && network.loss() == Loss::None {
        return Err(Error::setting(
            "target",
            "given, but the network's loss is \"none\": give output_gradient, or choose a loss",
        ));
    }
    if has("mask") && !has("target") {
        return Err(Error::setting(
            "mask",
            "given without a target: it says which steps count towards the loss",
        ));
    }
    let differentiated = has("target")
        || has("output_gradient")
        || plastic_layers(network).any(|index| has(&format!("layer{index}.trace_gradient")));
    if !differentiated {
        return Err(Error::setting(
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

fn read(path: &Path) -> Result<Vec<u8>> {
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
    fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let invalid = |source| Error::Tensors {
            path: path.to_owned(),
            source,
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

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape())
    }

    /// A tensor's values, finite in precision `R`; `axes` says in errors how many axes it should have.
    fn array<R: Real, D: Dimension>(
        &self,
        name: &str,
        axes: &str,
    ) -> Result<Option<ndarray::Array<R, D>>> {
        let Some(tensor) = self.tensors.get(name) else {
            return Ok(None);
        };
        let shape = tensor.shape();
        if D::NDIM.is_some_and(|axes| axes != shape.len()) {
            return Err(shape_error(name, axes, shape));
        }
        let array = match tensor.dtype() {
            Dtype::F32 => decode::<4>(tensor.data(), shape, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => decode::<8>(tensor.data(), shape, f64::from_le_bytes),
            other => {
                return Err(Error::ElementType {
                    name: name.to_owned(),
                    actual: format!("{other:?}"),
                });
            }
        };
        require_finite(name, &array)?;
        let converted = array.map(|&value| R::from_f64(value));
        if let Some((index, _)) = converted
            .indexed_iter()
            .find(|(_, value)| !value.is_finite())
        {
            return Err(Error::setting(
                name,
                format!(
                    "element {:?} is {:e}, beyond the range of {} (up to {:e})",
                    index.slice(),
                    array[index.clone()],
                    R::NAME,
                    R::max_value().as_f64()
                ),
            ));
        }
        Ok(Some(
            converted
                .into_dimensionality()
                .expect("the number of axes was checked"),
        ))
    }
}

fn decode<const SIZE: usize>(
    bytes: &[u8],
    shape: &[usize],
    value: impl Fn([u8; SIZE]) -> f64,
) -> ArrayD<f64> {
    let values = bytes
        .chunks_exact(SIZE)
        .map(|bytes| value(bytes.try_into().expect("chunks have that size")));
    ArrayD::from_shape_vec(IxDyn(shape), values.collect())
        .expect("the format's reader checks sizes against shapes")
}
