//! What a layer has that changes over an episode, as data: episodes, results, files and engines go by this list.

use super::layer::{Layer, ModulatorFrom, Plastic, RatePer};
use crate::named::named;

named! {
    /// What a layer has that changes over an episode, beside what goes in and comes out.
    #[non_exhaustive]
    pub enum Dynamic ("dynamic") {
        /// The Hebbian trace `H`, `[O, J]`, `J` presynaptic neurons.
        Trace = "trace",
        /// The eligibility trace of a rule that has one, `[O, J]`.
        Eligibility = "eligibility",
        /// The last output of a recurrent layer, `[O]`.
        Activity = "activity",
        /// The modulator, `[T]`, or `[T, O]` where episodes are given one per neuron.
        Modulator = "modulator",
    }
}

impl Dynamic {
    /// Those that go on from step to step.
    pub const STATES: [Self; 3] = [Self::Trace, Self::Eligibility, Self::Activity];
}

impl Layer {
    /// The shape for one episode of what goes on from step to step, if the layer has it.
    pub(crate) fn state_shape(&self, dynamic: Dynamic) -> Option<Vec<usize>> {
        let synapses = |plastic: &Plastic| vec![plastic.outputs, plastic.presynaptic()];
        match dynamic {
            Dynamic::Trace => self.with_trace().map(synapses),
            Dynamic::Eligibility => self
                .with_trace()
                .filter(|plastic| plastic.has_eligibility())
                .map(synapses),
            Dynamic::Activity => self.as_recurrent().map(|_| vec![self.outputs()]),
            Dynamic::Modulator => None,
        }
    }

    /// What of it the layer has.
    pub(crate) fn states(&self) -> impl Iterator<Item = (Dynamic, Vec<usize>)> {
        let states = Dynamic::STATES.into_iter();
        states.filter_map(|state| Some((state, self.state_shape(state)?)))
    }

    /// The shape for one episode of the modulator, if it comes from there.
    pub(crate) fn modulator_shape(&self, from: ModulatorFrom, steps: usize) -> Option<Vec<usize>> {
        let plastic = self.with_trace()?;
        if !plastic.is_modulated_from(from) {
            return None;
        }
        let is_per_neuron = plastic.modulation?.per == RatePer::Neuron;
        Some(match from {
            ModulatorFrom::Episodes if is_per_neuron => vec![steps, plastic.outputs],
            _ => vec![steps],
        })
    }

    /// The shape for one episode of what may be given: states at the first step, a modulator at every step.
    pub(crate) fn given_shape(&self, dynamic: Dynamic, steps: usize) -> Option<Vec<usize>> {
        match dynamic {
            Dynamic::Modulator => self.modulator_shape(ModulatorFrom::Episodes, steps),
            state => self.state_shape(state),
        }
    }

    /// The shape for one episode of what the layer has after the last of some steps, or of the modulators that it computes at each.
    pub(crate) fn final_shape(&self, dynamic: Dynamic, steps: usize) -> Option<Vec<usize>> {
        match dynamic {
            Dynamic::Modulator => self.modulator_shape(ModulatorFrom::Network, steps),
            state => self.state_shape(state),
        }
    }

    /// Whether rows of synapses go through all steps by themselves: the layer is feed-forward, and its rule row-affine with
    /// neither bound nor modulator nor plastic bias.
    pub(crate) fn is_row_affine(&self) -> bool {
        let is_plain = |plastic: &Plastic| {
            !plastic.has_trace()
                || plastic.rule.row().is_some()
                    && plastic.bound.is_none()
                    && plastic.modulation.is_none()
                    && !plastic.plastic_bias
        };
        self.as_recurrent().is_none() && self.as_plastic().is_none_or(is_plain)
    }
}
