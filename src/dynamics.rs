//! What layers have that changes over an episode, as arrays.

use crate::check::{require_finite, require_shape_of_networks};
use crate::error::{Error, Result};
use crate::network::{Dynamic, Layer, ModulatorFrom, Network};
use crate::number::Real;
use ndarray::{
    ArrayBase, ArrayD, ArrayView4, ArrayViewD, Axis, CowArray, Data, Dimension, Ix4, IxDyn,
};
#[cfg(feature = "gpu")]
use ndarray::{ArrayViewMut4, ArrayViewMutD};
use std::collections::BTreeMap;
use std::ops::Range;

/// Arrays of what layers have that changes over an episode, by layer and [`Dynamic`]. `P` networks of `B` episodes:
///
/// | | |
/// |---|---|
/// | trace, eligibility trace | `[P, B, O, J]` |
/// | activity | `[P, B, O]` |
/// | modulator | `[P, B, T]`, or `[P, B, T, O]` where episodes are given one per neuron |
///
/// ```
/// use metaplastic::{Dynamic, Dynamics};
/// use ndarray::Array3;
///
/// let activity = Array3::<f32>::zeros((1, 4, 100));
/// let start = Dynamics::new().with(0, Dynamic::Activity, &activity);
/// assert_eq!(start.get(0, Dynamic::Activity).unwrap().shape(), [1, 4, 100]);
/// assert!(start.trace(0).is_none());
/// let arrays: Vec<_> = start.into_arrays().collect();
/// assert_eq!(arrays, [(0, Dynamic::Activity, activity.into_dyn())]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamics<'a, R>(BTreeMap<(usize, Dynamic), CowArray<'a, R, IxDyn>>);

impl<R> Default for Dynamics<'_, R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'a, R: Real> Dynamics<'a, R> {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more, in the place of what was there.
    #[must_use]
    pub fn with<D: Dimension>(
        mut self,
        layer: usize,
        dynamic: Dynamic,
        array: impl Into<CowArray<'a, R, D>>,
    ) -> Self {
        self.insert(layer, dynamic, array);
        self
    }

    /// One more, in the place of what was there.
    pub fn insert<D: Dimension>(
        &mut self,
        layer: usize,
        dynamic: Dynamic,
        array: impl Into<CowArray<'a, R, D>>,
    ) {
        self.0.insert((layer, dynamic), array.into().into_dyn());
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of a layer, if it is there.
    pub fn get(&self, layer: usize, dynamic: Dynamic) -> Option<ArrayViewD<'_, R>> {
        self.0.get(&(layer, dynamic)).map(|array| array.view())
    }

    /// A layer's trace, `[P, B, O, J]`, if it is there.
    pub fn trace(&self, layer: usize) -> Option<ArrayView4<'_, R>> {
        let trace = self.get(layer, Dynamic::Trace)?;
        trace.into_dimensionality::<Ix4>().ok()
    }

    /// That of a layer, to be changed, if it is there.
    #[cfg(feature = "gpu")]
    pub(crate) fn get_mut(
        &mut self,
        layer: usize,
        dynamic: Dynamic,
    ) -> Option<ArrayViewMutD<'_, R>> {
        let array = self.0.get_mut(&(layer, dynamic))?;
        Some(array.view_mut())
    }

    /// A layer's trace, to be changed, if it is there.
    #[cfg(feature = "gpu")]
    pub(crate) fn trace_mut(&mut self, layer: usize) -> Option<ArrayViewMut4<'_, R>> {
        let trace = self.get_mut(layer, Dynamic::Trace)?;
        trace.into_dimensionality::<Ix4>().ok()
    }

    /// All of them, in order of layers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Dynamic, ArrayViewD<'_, R>)> {
        let arrays = self.0.iter();
        arrays.map(|(&(layer, dynamic), array)| (layer, dynamic, array.view()))
    }

    /// The same as arrays of their own, which are copied only where they belong to someone else.
    pub fn into_arrays(self) -> impl Iterator<Item = (usize, Dynamic, ArrayD<R>)> {
        let arrays = self.0.into_iter();
        arrays.map(|((layer, dynamic), array)| (layer, dynamic, array.into_owned()))
    }

    /// Those that go on from step to step: all but the modulators.
    pub fn states(&self) -> Dynamics<'_, R> {
        let mut states = self.views();
        states
            .0
            .retain(|(_, dynamic), _| *dynamic != Dynamic::Modulator);
        states
    }

    /// The same without others, where they belong to no one else.
    #[cfg(feature = "gpu")]
    pub(crate) fn into_states(mut self) -> Self {
        self.0
            .retain(|(_, dynamic), _| *dynamic != Dynamic::Modulator);
        self
    }

    /// The same values in another precision, as arrays of their own.
    pub fn cast<S: Real>(&self) -> Dynamics<'static, S> {
        self.map(|array| CowArray::from(array.map(|value| S::from_f64(value.as_f64()))))
    }

    /// The same values as arrays of their own, in standard layout.
    pub fn to_owned<'c>(&self) -> Dynamics<'c, R> {
        self.map(|array| array.as_standard_layout().into_owned().into())
    }

    /// Views of them.
    pub fn views(&self) -> Dynamics<'_, R> {
        self.map(|array| array.view().into())
    }

    /// In standard layout, copied only where they are not.
    pub(crate) fn contiguous(&self) -> Dynamics<'_, R> {
        self.map(|array| array.as_standard_layout())
    }

    /// What some networks have of them.
    pub(crate) fn of_networks(&self, networks: &Range<usize>) -> Dynamics<'_, R> {
        self.map(|array| of_networks(array, networks))
    }

    fn map<'b, 'c, S>(
        &'b self,
        change: impl Fn(&'b CowArray<'a, R, IxDyn>) -> CowArray<'c, S, IxDyn>,
    ) -> Dynamics<'c, S> {
        let arrays = self.0.iter();
        Dynamics(arrays.map(|(&of, array)| (of, change(array))).collect())
    }

    pub(crate) fn has(&self, layer: usize, dynamic: Dynamic) -> bool {
        self.0.contains_key(&(layer, dynamic))
    }

    /// The first of which this is so.
    pub(crate) fn first(&self) -> Option<(usize, Dynamic)> {
        self.0.keys().next().copied()
    }

    /// Elements of all arrays.
    pub(crate) fn elements(&self) -> u128 {
        self.0.values().map(|array| array.len() as u128).sum()
    }

    /// Fails unless they are what episodes of these `[P, B, T]` may be given, and finite.
    pub(crate) fn check_given(&self, network: &Network, sizes: [usize; 3]) -> Result<()> {
        self.check("", network, sizes, |layer, dynamic| {
            layer.given_shape(dynamic, sizes[2])
        })
    }

    /// Fails unless they fit the states after the last step, and are finite.
    pub(crate) fn check_gradients(&self, network: &Network, sizes: [usize; 3]) -> Result<()> {
        self.check("_gradient", network, sizes, Layer::state_shape)
    }

    fn check(
        &self,
        suffix: &str,
        network: &Network,
        [population, batch, _]: [usize; 3],
        shape_of: impl Fn(&Layer, Dynamic) -> Option<Vec<usize>>,
    ) -> Result<()> {
        for (index, dynamic, array) in self.iter() {
            let name = format!("layer{index}.{dynamic}{suffix}");
            let layer = network.layers().get(index);
            let Some(shape) = layer.and_then(|layer| shape_of(layer, dynamic)) else {
                let layers = network.layers().iter().enumerate();
                let has = |(_, layer): &(usize, &Layer)| shape_of(layer, dynamic).is_some();
                let names = layers.filter(has).map(|(index, _)| format!("layer{index}"));
                let names: Vec<_> = names.collect();
                return Err(Error::UnknownTensor {
                    name,
                    known: match names.is_empty() {
                        true => "none of this kind".to_owned(),
                        false => format!("that of {} only", names.join(", ")),
                    },
                });
            };
            let expected = [&[population, batch], &shape[..]].concat();
            require_shape_of_networks(&name, array.shape(), axes(dynamic, &shape), &expected)?;
            require_finite(&name, &array)?;
        }
        Ok(())
    }

    /// Fails unless every layer whose modulator comes from the episodes has one.
    pub(crate) fn require_modulators(
        &self,
        network: &Network,
        [population, batch, steps]: [usize; 3],
    ) -> Result<()> {
        for (index, layer) in network.layers().iter().enumerate() {
            let Some(shape) = layer.modulator_shape(ModulatorFrom::Episodes, steps) else {
                continue;
            };
            if !self.has(index, Dynamic::Modulator) {
                let expected = [&[population, batch], &shape[..]].concat();
                return Err(Error::MissingTensor {
                    name: format!("layer{index}.modulator"),
                    expected: format!("{} = {expected:?}", axes(Dynamic::Modulator, &shape)),
                });
            }
        }
        Ok(())
    }
}

/// What some networks have of an array; all of it, where it is common to them.
pub(crate) fn of_networks<'b, R, T: Data<Elem = R>, D: Dimension>(
    array: &'b ArrayBase<T, D>,
    networks: &Range<usize>,
) -> CowArray<'b, R, D> {
    let mut view = array.view();
    if view.shape()[0] > 1 {
        view.slice_axis_inplace(Axis(0), networks.clone().into());
    }
    view.into()
}

/// The axes of such an array, of this shape for one episode.
pub(crate) fn axes(dynamic: Dynamic, shape: &[usize]) -> &'static str {
    match dynamic {
        Dynamic::Trace | Dynamic::Eligibility => "[P, B, O, J]",
        Dynamic::Activity => "[P, B, O]",
        Dynamic::Modulator if shape.len() == 1 => "[P, B, T]",
        Dynamic::Modulator => "[P, B, T, O]",
    }
}
