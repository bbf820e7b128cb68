//! The states of cells, and modulators, on their way to the device and back.

use super::arrays::{Lengths, Working};
use super::cell::CellLayout;
use super::transfer::Transfer;
use crate::dynamics::Dynamics;
use crate::error::Result;
use crate::network::Dynamic;
use ndarray::{Array4, ArrayBase, ArrayViewD, ArrayViewMutD, Axis, Ix4, IxDyn, RawData, Slice};

impl Transfer<'_> {
    /// Writes what a cell is given at the first step, where the plan takes it; zeros where there is nothing.
    pub(super) fn upload_cell_states(&self, layer: usize, given: &Dynamics<'_, f32>) -> Result<()> {
        let cell = self.layers()[layer].of_cell();
        let takes = self.plan().sweeps[layer].variant.given.initial;
        let mut at = 0;
        for state in Dynamic::STATES.into_iter().filter(|&it| takes.has(it)) {
            let array = given.get(layer, state);
            if state == Dynamic::Activity {
                self.write_state(Working::Before(layer, 0), 0, (layer, state), array)?;
            } else {
                self.write_state(Working::Initial(layer), at, (layer, state), array)?;
                at += self.state_size(cell, state);
            }
        }
        Ok(())
    }

    /// Writes the modulators of steps `first` and on that a layer is given.
    pub(super) fn upload_modulators(
        &self,
        layer: usize,
        given: &Dynamics<'_, f32>,
        first: usize,
    ) -> Result<()> {
        let Some(modulators) = given.get(layer, Dynamic::Modulator) else {
            return Ok(());
        };
        let count = self.layers()[layer].modulators;
        let modulators = of_four_axes(modulators, 3);
        let size = self.episodes_of_cut() * count;
        let segments = &self.plan().segments;
        for (step, modulator) in modulators.axis_chunks_iter(Axis(2), 1).enumerate() {
            let step = first + step;
            let segment = segments.partition_point(|steps| steps.end <= step);
            let at = ((step - segments[segment].start) * size) as u64;
            let array = Working::Modulators(layer, segment);
            self.write_part(array, at, &modulator, count)?;
        }
        Ok(())
    }

    /// Writes the gradients on a cell's states after the last step, where the plan takes them; zeros where there are none.
    pub(super) fn upload_cell_gradients(
        &self,
        layer: usize,
        gradients: &Dynamics<'_, f32>,
    ) -> Result<()> {
        let takes = self.plan().sweeps[layer].variant.given.gradient;
        for state in Dynamic::STATES.into_iter().filter(|&it| takes.has(it)) {
            let array = gradients.get(layer, state);
            let at = self.adjoint_at(layer, state);
            self.write_state(Working::Adjoint(layer), at, (layer, state), array)?;
        }
        Ok(())
    }

    /// Reads the gradients on what a cell was given.
    pub(super) fn download_cell_gradients(
        &self,
        layer: usize,
        gradients: &mut Dynamics<'_, f32>,
    ) -> Result<()> {
        for state in Dynamic::STATES {
            if let Some(gradient) = gradients.get_mut(layer, state) {
                let at = self.adjoint_at(layer, state);
                self.read_state(Working::Adjoint(layer), at, gradient)?;
            }
        }
        Ok(())
    }

    /// Reads the gradients on the modulators that a layer was given, if they are wanted.
    pub(super) fn download_modulator_gradients(
        &self,
        layer: usize,
        gradients: &mut Dynamics<'_, f32>,
    ) -> Result<()> {
        match gradients.get_mut(layer, Dynamic::Modulator) {
            Some(to) => self.read_modulators(Working::ModulatorSignal, layer, to),
            None => Ok(()),
        }
    }

    /// Reads a cell's states after the last step that was done, those that are wanted, and the modulators that it computed.
    pub(super) fn download_cell_states(
        &self,
        layer: usize,
        states: &mut Dynamics<'_, f32>,
    ) -> Result<()> {
        let cell = self.layers()[layer].of_cell();
        let mut at = 0;
        for state in [Dynamic::Trace, Dynamic::Eligibility] {
            if let Some(to) = states.get_mut(layer, state) {
                self.read_state(Working::Present(layer), at, to)?;
                at += self.state_size(cell, state);
            }
        }
        if let Some(to) = states.get_mut(layer, Dynamic::Activity) {
            let last = self.plan().segments.len();
            self.read_state(Working::Before(layer, last), 0, to)?;
        }
        match states.get_mut(layer, Dynamic::Modulator) {
            Some(to) => self.read_modulators(Working::Modulators, layer, to),
            None => Ok(()),
        }
    }

    /// Episodes of all networks.
    fn episodes_of_cut(&self) -> usize {
        self.networks().len() * self.episodes().len()
    }

    /// Elements of a state of all episodes.
    fn state_size(&self, cell: &CellLayout, state: Dynamic) -> usize {
        let of_episode = match state {
            Dynamic::Activity => cell.outputs,
            _ => cell.synapses(),
        };
        self.episodes_of_cut() * of_episode
    }

    /// Where the gradient on a state lies in the reverse sweep's array.
    fn adjoint_at(&self, layer: usize, state: Dynamic) -> usize {
        let plan = self.plan();
        let cell = self.layers()[layer].of_cell();
        match state {
            Dynamic::Eligibility => self.state_size(cell, Dynamic::Trace),
            Dynamic::Activity => {
                let shape = Working::Adjoint(layer).shape(&plan.layout, &plan.work, &plan.sweeps);
                let lengths = Lengths::new(&plan.work, self.episodes().len(), 0);
                shape.before(1, &lengths) as usize
            }
            _ => 0,
        }
    }

    /// Writes `[P, B, …]` from element `at` of an array on, or zeros.
    fn write_state(
        &self,
        array: Working,
        at: usize,
        (layer, state): (usize, Dynamic),
        values: Option<ArrayViewD<'_, f32>>,
    ) -> Result<()> {
        let Some(values) = values else {
            let cell = self.layers()[layer].of_cell();
            let bytes = 4 * self.state_size(cell, state) as u64;
            return self.clear(vec![(array, 4 * at as u64, Some(bytes))]);
        };
        let values = of_four_axes(values, 2);
        let row = values.dim().3;
        self.write_part(array, at as u64, &values, row)
    }

    /// Reads `[P, B, …]` from element `at` of an array on.
    fn read_state(&self, array: Working, at: usize, to: ArrayViewMutD<'_, f32>) -> Result<()> {
        let to = of_four_axes(to, 2);
        let (_, _, rows, row) = to.dim();
        self.read(array, row, &(0..rows), at, to)
    }

    /// Reads modulators or the gradient on them: `[T, P·B, 1 or O]`, to `[P, B, T]` or `[P, B, T, O]`.
    fn read_modulators(
        &self,
        array: impl Fn(usize, usize) -> Working,
        layer: usize,
        to: ArrayViewMutD<'_, f32>,
    ) -> Result<()> {
        let count = self.layers()[layer].modulators;
        let mut to = of_four_axes(to, 3);
        let size = self.episodes_of_cut() * count;
        let [networks, episodes] = [self.networks(), self.episodes()];
        to.slice_axis_inplace(Axis(0), Slice::from(networks.clone()));
        to.slice_axis_inplace(Axis(1), Slice::from(episodes.clone()));
        for (segment, steps) in self.plan().segments.iter().enumerate() {
            // Fewer where episodes ended early.
            let steps = steps.start..steps.end.min(to.dim().2);
            let buffer = self.loaded().buffer(array(layer, segment));
            let values: Vec<f32> = self.device().read_at(buffer, 0, steps.len() * size)?;
            let shape = (steps.len(), networks.len(), episodes.len(), count);
            let values = Array4::from_shape_vec(shape, values).expect("as many were read");
            let mut to = to.slice_axis_mut(Axis(2), Slice::from(steps));
            to.assign(&values.permuted_axes([1, 2, 0, 3]));
        }
        Ok(())
    }
}

/// An array of three or four axes with one of length 1 in place `axis` where it has three.
fn of_four_axes<S: RawData>(array: ArrayBase<S, IxDyn>, axis: usize) -> ArrayBase<S, Ix4> {
    let array = match array.ndim() {
        4 => array,
        _ => array.insert_axis(Axis(axis)),
    };
    array
        .into_dimensionality::<Ix4>()
        .expect("three axes and one more")
}
