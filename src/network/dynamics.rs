//! What a layer has that changes over an episode, as data: episodes, results, files and engines go by this list.

use super::layer::{Layer, ModulatorFrom, Plastic, RatePer};
use crate::named::named;
use crate::rule::Row;

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

    /// Whether rows of synapses go through all steps by themselves: the layer has no trace, or follows [`Layer::row`].
    pub(crate) fn is_row_affine(&self) -> bool {
        match self.with_trace() {
            Some(_) => self.row().is_some(),
            None => self.as_recurrent().is_none(),
        }
    }

    /// The rule of a layer with a trace along a row of synapses, if rows go through all steps by themselves: the layer is
    /// feed-forward, and its rule row-affine, with neither bound nor plastic bias nor a modulator that all rows make together.
    pub(crate) fn row(&self) -> Option<&Row> {
        let Self::Plastic(plastic) = self else {
            return None;
        };
        if !plastic.has_trace() || plastic.bound.is_some() || plastic.plastic_bias {
            return None;
        }
        match plastic.modulation.map(|it| it.from) {
            None => plastic.rule.row(),
            Some(ModulatorFrom::Episodes) => plastic.rule.modulated_row(),
            Some(ModulatorFrom::Network) => None,
        }
    }

    /// Whether rows need the gradient of the retention: the rate is learned, or the retention depends on the output, or on a
    /// modulator that is given.
    pub(crate) fn needs_retention_gradient(&self) -> bool {
        let is_learned = self
            .as_plastic()
            .is_some_and(|plastic| plastic.rate.learned);
        self.row().is_some_and(|row| {
            is_learned || row.retention_depends_on_output() || row.retention_depends_on_modulator()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Dense, Modulation, Plasticity, Rate, Recurrent};
    use crate::rule::Rule;

    #[test]
    fn rows_go_by_themselves_where_they_share_nothing() {
        let (network, given) = (Modulation::from_network(), Modulation::from_episodes());
        let plastic = || Plastic::new(3, 2, Rate::fixed(0.1));
        // Of rows with a modulator of 1 alone.
        let only_without = Rule::parse("h + (m - 1) * h * x + rate * y * x").unwrap();
        for (layer, is_row_affine) in [
            (Layer::from(plastic()), true),
            (plastic().rule(Rule::additive()).into(), true),
            (plastic().modulation(given).into(), true),
            (plastic().modulation(given.per_neuron()).into(), true),
            (plastic().rule(only_without.clone()).into(), true),
            (plastic().plasticity(Plasticity::None).into(), true),
            (Dense::new(3, 2).into(), true),
            (plastic().modulation(network).into(), false),
            (plastic().rule(Rule::retroactive()).into(), false),
            (plastic().rule(only_without).modulation(given).into(), false),
            (plastic().bound(1.0).into(), false),
            (plastic().modulation(given).bound(1.0).into(), false),
            (plastic().plastic_bias().into(), false),
            (Recurrent::new(3, 2, Rate::fixed(0.1)).into(), false),
        ] {
            assert_eq!(layer.is_row_affine(), is_row_affine, "{layer:?}");
        }
    }

    #[test]
    fn the_gradient_of_a_retention_is_needed_where_it_depends_on_something() {
        let needs = |text: &str, learned: bool, modulation: Option<Modulation>| {
            let rate = match learned {
                true => Rate::learned(0.1),
                false => Rate::fixed(0.1),
            };
            let mut layer = Plastic::new(3, 2, rate).rule(Rule::parse(text).unwrap());
            layer.modulation = modulation;
            Layer::from(layer).needs_retention_gradient()
        };
        let given = Some(Modulation::from_episodes());
        let (hebb, by_modulator) = (
            "(1 - rate) * h + rate * m * y * x",
            "(1 - m) * h + m * y * x",
        );
        assert!(!needs(hebb, false, None) && !needs(hebb, false, given));
        assert!(needs(hebb, true, None) && needs(hebb, true, given));
        assert!(!needs(by_modulator, false, None) && needs(by_modulator, false, given));
        assert!(needs("h + rate * y * (x - y * h)", false, None));
    }
}
