//! The parameters of a population of networks, and their gradients, in one array each.
//!
//! [`Parameters`] have a [`Layout`], which lists the [`Tensor`]s of one network: each layer has one for every [`Role`] that its
//! kind knows. [`Initial`] says how they start.

use crate::error::{Error, Result};
use crate::memory;
use crate::named::named;
pub use crate::network::tensors::Role;
use crate::network::tensors::{TensorSpec, name};
use crate::network::{Layer, Network};
use crate::number::Real;
use crate::number::require_in_range;
use crate::random::Stream;
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn, ShapeBuilder};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One parameter tensor of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tensor {
    /// Index of the layer.
    pub layer: usize,
    /// What it is to the layer.
    pub role: Role,
    /// Of a coefficient, its name.
    pub coefficient: Option<String>,
    /// Its shape for one network, without the population axis.
    pub shape: Vec<usize>,
    /// Index of its first element among the network's parameters.
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
    /// Whether the outer loop learns it.
    pub learned: bool,
}

impl Tensor {
    /// The name in files: `layer0.weight`, `layer0.coefficient.a`.
    pub fn name(&self) -> String {
        let name = name(self.role, self.coefficient.as_deref());
        format!("layer{}.{name}", self.layer)
    }

    /// The indices of its elements among a network's parameters.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// Which parameter tensors a network has and where each lies; the same for every network of a population.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    /// Index of each layer's first tensor, and the number of tensors.
    layers: Vec<usize>,
    size: usize,
}

impl Layout {
    /// The layout of `network`'s parameters: layer by layer, in the order of [`Role`].
    ///
    /// # Errors
    /// If the number of parameters overflows.
    pub fn new(network: &Network) -> Result<Self> {
        let mut layout = Self {
            tensors: Vec::new(),
            layers: vec![0],
            size: 0,
        };
        for (index, layer) in network.layers().iter().enumerate() {
            for tensor in layer.tensors() {
                let shape = tensor.shape(layer);
                layout.push(index, tensor, shape)?;
            }
            layout.layers.push(layout.tensors.len());
        }
        Ok(layout)
    }

    fn push(&mut self, layer: usize, spec: TensorSpec, shape: Vec<usize>) -> Result<()> {
        let what = format!("layer{layer}.{}", spec.name());
        let len = memory::elements(&what, &shape)?;
        self.tensors.push(Tensor {
            layer,
            role: spec.role,
            coefficient: spec.coefficient,
            shape,
            offset: self.size,
            len,
            learned: spec.learned,
        });
        self.size = memory::elements("parameters", &[self.size.saturating_add(len)])?;
        Ok(())
    }

    /// The tensors, in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Parameters of one network.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The tensors of a layer; none where there is no such layer.
    pub fn of_layer(&self, layer: usize) -> &[Tensor] {
        let at = |layer: usize| self.layers.get(layer).copied();
        match (at(layer), layer.checked_add(1).and_then(at)) {
            (Some(first), Some(end)) => &self.tensors[first..end],
            _ => &[],
        }
    }

    /// The tensor of a layer, if the network has it; of coefficients, the first by name.
    pub fn find(&self, layer: usize, role: Role) -> Option<&Tensor> {
        let mut tensors = self.of_layer(layer).iter();
        tensors.find(|tensor| tensor.role == role)
    }
}

/// What is said of each tensor, in the order of the layout.
fn specs(network: &Network) -> impl Iterator<Item = TensorSpec> {
    network.layers().iter().flat_map(Layer::tensors)
}

/// One value per parameter of each network of a population: the parameters themselves, or their gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<R> {
    layout: Arc<Layout>,
    population: usize,
    values: Vec<R>,
}

impl<R: Real> Parameters<R> {
    /// All zeros, except rates, coefficients and the modulator's fan-out, which have the description's values.
    ///
    /// # Errors
    /// If the population is empty, the parameters exceed the memory available, or a rate the range of `R`.
    pub fn new(network: &Network, population: usize) -> Result<Self> {
        network.require_range::<R>()?;
        let mut parameters = Self::zeros(Arc::new(Layout::new(network)?), population)?;
        for (spec, tensor) in specs(network).zip(parameters.layout.clone().tensors()) {
            if let Some(value) = spec.value {
                parameters.tensor_mut(tensor).fill(R::from_f64(value));
            }
        }
        Ok(parameters)
    }

    /// All zeros.
    pub(crate) fn zeros(layout: Arc<Layout>, population: usize) -> Result<Self> {
        if population == 0 {
            return Err(Error::ZeroSize {
                field: "population".into(),
            });
        }
        let len = memory::elements("parameters", &[population, layout.size()])?;
        memory::require("parameters", len as u128 * size_of::<R>() as u128)?;
        Ok(Self {
            values: vec![R::zero(); len],
            population,
            layout,
        })
    }

    /// Random initial parameters of `population` networks with seeds `seed`, `seed + 1`, ….
    ///
    /// Network `n` of seed `s` is network 0 of seed `s + n`.
    ///
    /// # Errors
    /// As [`Parameters::new`] and [`Initial::check`].
    pub fn initialise(
        network: &Network,
        initial: &Initial,
        population: usize,
        seed: u64,
    ) -> Result<Self> {
        initial.check()?;
        let mut parameters = Self::new(network, population)?;
        let last_dense = network
            .layers()
            .iter()
            .rposition(|layer| matches!(layer, Layer::Dense(_)))
            .filter(|&index| index + 1 == network.layers().len());
        let layout = parameters.layout.clone();
        parameters
            .values
            .par_chunks_mut(layout.size().max(1))
            .enumerate()
            .for_each(|(index, values)| {
                let mut stream = Stream::initial(seed.wrapping_add(index as u64));
                let drawn = specs(network).zip(layout.tensors());
                let drawn = drawn.filter(|(spec, _)| spec.value.is_none());
                for tensor in drawn.map(|(_, tensor)| tensor) {
                    let scale = match tensor.role {
                        Role::Plasticity => initial.plasticity_scale.unwrap_or(initial.scale),
                        _ => initial.scale,
                    };
                    let positive = initial.positive_output && Some(tensor.layer) == last_dense;
                    for value in &mut values[tensor.range()] {
                        let normal: f64 = StandardNormal.sample(&mut stream);
                        let drawn = scale * normal;
                        let drawn = match tensor.role {
                            Role::Plasticity => initial.plasticity_sign.of(drawn),
                            _ if positive => drawn.abs(),
                            _ => drawn,
                        };
                        *value = R::from_f64(drawn);
                    }
                }
            });
        Ok(parameters)
    }

    /// Number of networks `P`.
    pub fn population(&self) -> usize {
        self.population
    }

    /// Which tensors there are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn shared_layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values, `[P, parameters of one network]`.
    pub fn values(&self) -> &[R] {
        &self.values
    }

    /// All values, `[P, parameters of one network]`, to be changed.
    pub fn values_mut(&mut self) -> &mut [R] {
        &mut self.values
    }

    /// The parameters of network `index`.
    ///
    /// # Panics
    /// If there is no such network.
    pub fn network(&self, index: usize) -> &[R] {
        assert!(
            index < self.population,
            "network {index} of a population of {}",
            self.population
        );
        &self.values[index * self.layout.size()..][..self.layout.size()]
    }

    /// Networks `range` alone.
    ///
    /// # Panics
    /// If the range is empty, or has networks that there are not.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        assert!(
            !range.is_empty() && range.end <= self.population,
            "networks {range:?} of a population of {}",
            self.population
        );
        let size = self.layout.size();
        Self {
            layout: self.layout.clone(),
            population: range.len(),
            values: self.values[range.start * size..range.end * size].to_vec(),
        }
    }

    /// Populations of one layout as one, in order.
    pub(crate) fn join<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let first = parts.clone().next().expect("at least one population");
        let values: Vec<_> = parts.clone().map(|part| &*part.values).collect();
        Self {
            layout: first.layout.clone(),
            population: parts.map(|part| part.population).sum(),
            values: values.concat(),
        }
    }

    /// A tensor of all networks, `[P, …]`, without copying; `None` if the layer has none. Of coefficients, the first by name.
    pub fn view(&self, layer: usize, role: Role) -> Option<ArrayViewD<'_, R>> {
        Some(self.tensor(self.layout.find(layer, role)?))
    }

    /// As [`Parameters::view`], of a tensor of the layout.
    ///
    /// # Panics
    /// If the tensor is of another layout.
    pub fn tensor(&self, tensor: &Tensor) -> ArrayViewD<'_, R> {
        let (shape, strides) = self.strided(tensor);
        let values = &self.values[tensor.offset..];
        ArrayViewD::from_shape(shape.strides(strides), values)
            .expect("tensors lie within the values")
    }

    /// As [`Parameters::view`], to be changed.
    pub fn view_mut(&mut self, layer: usize, role: Role) -> Option<ArrayViewMutD<'_, R>> {
        let tensor = self.layout.find(layer, role)?.clone();
        Some(self.tensor_mut(&tensor))
    }

    /// As [`Parameters::tensor`], to be changed.
    ///
    /// # Panics
    /// If the tensor is of another layout.
    pub fn tensor_mut(&mut self, tensor: &Tensor) -> ArrayViewMutD<'_, R> {
        let (shape, strides) = self.strided(tensor);
        let values = &mut self.values[tensor.offset..];
        ArrayViewMutD::from_shape(shape.strides(strides), values)
            .expect("tensors lie within the values")
    }

    fn strided(&self, tensor: &Tensor) -> (ndarray::Shape<IxDyn>, IxDyn) {
        let mut shape = vec![self.population];
        shape.extend(&tensor.shape);
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * shape[axis + 1];
        }
        strides[0] = self.layout.size();
        (IxDyn(&shape).into_shape_with_order(), IxDyn(&strides))
    }

    /// Fails unless the parameters are those of `network` and finite.
    pub(crate) fn check(&self, network: &Network) -> Result<()> {
        if *self.layout != Layout::new(network)? {
            return Err(Error::other_network(
                "parameters",
                "they belong to another network description",
            ));
        }
        // Tensors of a population are strided views: they are gone through only to name what is not finite.
        if crate::check::all_finite(&self.values) {
            return Ok(());
        }
        for tensor in self.layout.tensors() {
            crate::check::require_finite(&tensor.name(), &self.tensor(tensor))?;
        }
        Ok(())
    }

    /// Fails unless they have this layout, and are of so many networks; `name` is what they are called in the error.
    pub(crate) fn check_shape(&self, name: &str, layout: &Layout, population: usize) -> Result<()> {
        if *self.layout != *layout {
            return Err(Error::other_network(
                name,
                "they belong to another network description",
            ));
        }
        if self.population != population {
            return Err(Error::other_network(
                name,
                format!(
                    "they are of {} networks, expected {population}",
                    self.population
                ),
            ));
        }
        Ok(())
    }

    /// The same networks `times` over, one copy of the population after the other: networks that start alike, say, to be
    /// trained with different settings.
    ///
    /// # Errors
    /// If `times` is zero, or memory is short.
    pub fn repeat(&self, times: usize) -> Result<Self> {
        let population = self.population.saturating_mul(times);
        if population == 0 {
            return Err(Error::ZeroSize {
                field: "times".into(),
            });
        }
        let mut repeated = Self::zeros(self.layout.clone(), population)?;
        for copy in repeated.values.chunks_exact_mut(self.values.len()) {
            copy.copy_from_slice(&self.values);
        }
        Ok(repeated)
    }

    /// The same values in another precision.
    pub fn cast<S: Real>(&self) -> Parameters<S> {
        Parameters {
            layout: self.layout.clone(),
            population: self.population,
            values: self
                .values
                .iter()
                .map(|value| S::from_f64(value.as_f64()))
                .collect(),
        }
    }
}

/// How parameters start: `scale · N(0, 1)`, rates at the description's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initial {
    /// Standard deviation of weights, plasticity coefficients and biases.
    pub scale: f64,
    /// Standard deviation of plasticity coefficients, if another.
    #[serde(default, with = "crate::optional")]
    pub plasticity_scale: Option<f64>,
    /// The sign of plasticity coefficients.
    #[serde(default)]
    pub plasticity_sign: Sign,
    /// Whether a final dense layer starts at the absolute values of its draws.
    #[serde(default)]
    pub positive_output: bool,
}

impl Initial {
    /// Fails unless every scale is finite and not negative, and its draws are finite in `f32`.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<()> {
        // No draw from N(0, 1) with 53 bits is as large.
        let largest_draw = 16.0;
        for (field, scale) in [
            ("initial.scale", self.scale),
            (
                "initial.plasticity_scale",
                self.plasticity_scale.unwrap_or(0.0),
            ),
        ] {
            require_in_range::<f32>(field, scale)?;
            if scale < 0.0 {
                let reason = format!("{scale}, expected at least 0: it is a standard deviation");
                return Err(Error::setting(field, reason));
            }
            if scale * largest_draw > f64::from(f32::MAX) {
                let reason = format!("{scale:e}, whose draws are beyond the range of f32");
                return Err(Error::setting(field, reason));
            }
        }
        Ok(())
    }
}

impl Default for Initial {
    /// `0.1 · N(0, 1)`, as in Miconi 2016.
    fn default() -> Self {
        Self {
            scale: 0.1,
            plasticity_scale: None,
            plasticity_sign: Sign::default(),
            positive_output: false,
        }
    }
}

named! {
    /// The sign of random values.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum Sign ("sign") {
        /// As drawn.
        #[default]
        Either = "either",
        /// Absolute values of the draws.
        Positive = "positive",
        /// Minus the absolute values of the draws.
        Negative = "negative",
    }
}

impl Sign {
    fn of(self, drawn: f64) -> f64 {
        match self {
            Self::Either => drawn,
            Self::Positive => drawn.abs(),
            Self::Negative => -drawn.abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Bias, Dense, Loss, Plastic, Rate};

    fn network() -> Network {
        Network::new(
            Loss::SquaredError,
            [
                Layer::from(Plastic::new(3, 2, Rate::fixed(0.25)).activation(Activation::Tanh)),
                Layer::from(Dense::new(2, 4)),
            ],
        )
        .unwrap()
    }

    #[test]
    fn initial_parameters_are_what_they_are_in_toml_where_nothing_is_said() {
        let read: Initial = toml::from_str("scale = 0.1").unwrap();
        assert_eq!(read, Initial::default());
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let mut parameters = Parameters::<f32>::new(&network(), 3).unwrap();
        parameters.check(&network()).unwrap();
        for (value, shown) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
            parameters.view_mut(0, Role::Weight).unwrap()[[2, 1, 0]] = value;
            let error = parameters.check(&network()).unwrap_err().to_string();
            for part in ["layer0.weight", "[2, 1, 0]", shown] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn views_are_the_tensors() {
        let mut parameters = Parameters::<f32>::new(&network(), 2).unwrap();
        parameters.view_mut(0, Role::Weight).unwrap()[[1, 1, 2]] = 7.0;
        let size = parameters.layout().size();
        assert_eq!(size, 6 + 6 + 2 + 1 + 8 + 4);
        assert_eq!(parameters.values()[size + 5], 7.0);
        assert_eq!(parameters.view(0, Role::Rate).unwrap().shape(), [2]);
        assert_eq!(parameters.view(0, Role::Rate).unwrap()[[1]], 0.25);
        assert!(parameters.view(1, Role::Plasticity).is_none());
    }

    #[test]
    fn network_n_of_seed_s_is_network_0_of_seed_s_plus_n() {
        let initial = Initial {
            positive_output: true,
            ..Initial::default()
        };
        let many = Parameters::<f32>::initialise(&network(), &initial, 3, 5).unwrap();
        let one = Parameters::<f32>::initialise(&network(), &initial, 1, 7).unwrap();
        assert_eq!(many.network(2), one.network(0));
        assert_ne!(many.network(0), many.network(1));
        assert!(
            many.view(1, Role::Weight)
                .unwrap()
                .iter()
                .all(|&w| w >= 0.0)
        );
        assert!(many.view(0, Role::Weight).unwrap().iter().any(|&w| w < 0.0));
    }

    #[test]
    fn plasticity_starts_with_the_sign_asked_for_and_nothing_else_changes() {
        let start = |plasticity_sign| {
            let initial = Initial {
                plasticity_sign,
                ..Initial::default()
            };
            Parameters::<f32>::initialise(&network(), &initial, 2, 5).unwrap()
        };
        let plasticity = |parameters: &Parameters<f32>| {
            let view = parameters.view(0, Role::Plasticity).unwrap();
            view.iter().copied().collect::<Vec<_>>()
        };
        let either = start(Sign::Either);
        for (sign, factor) in [(Sign::Positive, 1.0), (Sign::Negative, -1.0)] {
            let signed = start(sign);
            let expected: Vec<f32> = plasticity(&either)
                .iter()
                .map(|value| factor * value.abs())
                .collect();
            assert_eq!(plasticity(&signed), expected);
            for (layer, role) in [(0, Role::Weight), (0, Role::Bias), (1, Role::Weight)] {
                assert_eq!(signed.view(layer, role), either.view(layer, role));
            }
        }
    }

    #[test]
    fn parameters_that_no_memory_holds_are_refused() {
        let network =
            Network::new(Loss::None, [Layer::from(Dense::new(1 << 24, 1 << 24))]).unwrap();
        let error = Parameters::<f32>::new(&network, 1 << 12).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error}");
    }

    #[test]
    fn networks_are_repeated_in_order() {
        let network = Network::new(Loss::SquaredError, [Layer::from(Bias::new(2))]).unwrap();
        let mut two = Parameters::<f32>::new(&network, 2).unwrap();
        two.values_mut().copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        let six = two.repeat(3).unwrap();
        assert_eq!(six.population(), 6);
        for index in 0..6 {
            assert_eq!(six.network(index), two.network(index % 2));
        }
        let error = two.repeat(0).unwrap_err().to_string();
        assert!(error.contains("times: zero"), "{error}");
        let error = two.repeat(usize::MAX).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error}");
    }
}
