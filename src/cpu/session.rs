//! Episodes that are run forward now and differentiated later, all at once or a few steps at a time.

use super::arrays::{Activity, GroupArrays};
use super::batch::{Batch, Run};
use super::budget::Workspaces;
use super::job::{Job, Keeps, Work};
use super::layers::unpack;
use super::pool::Pooled;
use super::population::Population;
use super::results::{ResultArrays, dynamics};
use super::source::Source;
use super::workspace::bring_final;
use crate::computation::{
    EpisodeGradients, Gradients, Outcome, PopulationBackend, Request, SessionBackend,
};
use crate::dynamics::Dynamics;
use crate::episodes::{Episodes, Objective, Upstream};
use crate::error::Result;
use crate::memory;
use crate::network::{Dynamic, Network};
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use ndarray::{Array1, ArrayD};
use rayon::prelude::*;

/// The activities of a population's episodes, `O(P·B·T·(I + O))` of them, from the forward sweep to the reverse one.
#[derive(Debug)]
pub(crate) struct CpuSession<R: Real> {
    network: Network,
    population: Population<R>,
    job: Job,
    workspaces: Workspaces<R>,
    /// Of each network.
    batches: Vec<Batch<R>>,
    /// Of each network, group of episodes, and layer.
    kept: Vec<Vec<Vec<Activity<R>>>>,
    /// Steps that have been run.
    steps: usize,
}

impl<R: Real> CpuSession<R> {
    /// Room for what `request` says; `stepwise` where its steps do not come all at once, for which the traces of all episodes
    /// are held. The networks learn by `optimisers`, one for each; none where they do not learn.
    pub(crate) fn new(
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Option<Vec<Optimiser>>,
        request: Request,
        stepwise: bool,
    ) -> Result<Self> {
        let job = Job::new::<R>(network, parameters.population(), request);
        Self::of_job(network, parameters, optimisers, job, stepwise)
    }

    /// The same for a job that keeps nothing yet.
    fn of_job(
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Option<Vec<Optimiser>>,
        job: Job,
        stepwise: bool,
    ) -> Result<Self> {
        let population = parameters.population();
        let job = Job {
            keeps: match stepwise {
                true => Keeps::Traces,
                false => Keeps::Activities,
            },
            ..job
        };
        let groups = job.request.batch.div_ceil(job.along.episodes::<R>());
        let workspaces = Workspaces::default();
        let sizes = || GroupArrays::activities::<R>(&job);
        let activities: u128 = sizes().into_iter().map(|sizes| sizes.elements()).sum();
        let kept = activities * groups as u128 * size_of::<R>() as u128 + Batch::<R>::bytes(&job);
        let needed = workspaces.needed(&job, population) + kept * population as u128;
        memory::require("the session's arrays", needed)?;
        let group = || -> Vec<Activity<R>> {
            let layers = sizes().into_iter();
            layers.map(|sizes| sizes.arrays()).collect()
        };
        let mut session = Self {
            network: network.clone(),
            population: Population::new(parameters, optimisers)?,
            workspaces,
            batches: (0..population).map(|_| Batch::new(&job)).collect(),
            kept: (0..population)
                .map(|_| (0..groups).map(|_| group()).collect())
                .collect(),
            steps: 0,
            job,
        };
        session.pack();
        Ok(session)
    }

    /// Takes the parameters of every network in, for sweeps from now on.
    fn pack(&mut self) {
        let Population { parameters, .. } = &self.population;
        for (index, batch) in self.batches.iter_mut().enumerate() {
            batch.pack(
                &self.job,
                &self.network,
                parameters.layout(),
                parameters.network(index),
            );
        }
        self.population.is_replaced = false;
    }

    /// The reverse half.
    fn sweep_back(
        &mut self,
        upstream: &Upstream<'_, R>,
    ) -> Result<(Outcome<R>, EpisodeGradients<R>)> {
        let work = Work {
            forward: self.steps..self.steps,
            finals: false,
            backward: true,
        };
        let source = Source::upstream(&upstream.objective, &upstream.final_gradients);
        let (outcome, mut arrays) = self.run(&work, &source)?;
        let episodes = EpisodeGradients {
            input: arrays.take_input(),
            given: dynamics(arrays.given),
        };
        Ok((outcome, episodes))
    }

    /// What a layer has after the last step, `[P, B, …]`.
    fn state(&self, layer: usize, dynamic: Dynamic, shape: &[usize]) -> Result<ArrayD<R>> {
        let Self { job, kept, .. } = self;
        let (batch, of_episode) = (job.request.batch, shape.iter().product::<usize>());
        let sizes = [&[kept.len(), batch], shape].concat();
        let elements: u128 = sizes.iter().map(|&size| size as u128).product();
        memory::require("the session's states", elements * size_of::<R>() as u128)?;
        let mut state = ArrayD::zeros(sizes);
        let all = state.as_slice_mut().expect("fresh arrays are contiguous");
        let networks = kept
            .par_iter()
            .zip_eq(all.par_chunks_mut(batch * of_episode));
        networks.for_each(|(groups, all)| {
            let places = all.par_chunks_mut(job.along.episodes::<R>() * of_episode);
            groups.par_iter().zip_eq(places).for_each(|(group, to)| {
                let count = to.len() / of_episode;
                bring_final(job, layer, dynamic, &group[layer], (self.steps, count), to);
            });
        });
        Ok(state)
    }

    fn run(
        &mut self,
        work: &Work,
        source: &Source<'_, R>,
    ) -> Result<(Outcome<R>, ResultArrays<ArrayD<R>>)> {
        let (population, batch) = (self.batches.len(), self.job.request.batch);
        let shapes = ResultArrays::shapes(&self.job, work, population);
        memory::require(
            "the session's results",
            shapes.elements() * size_of::<R>() as u128,
        )?;
        let mut arrays = shapes.arrays::<R>();
        let mut losses = vec![0.0; population * batch];
        let run = Run {
            exchange: None,
            job: &self.job,
            work,
            workspaces: &self.workspaces.groups,
            source,
        };
        self.batches
            .par_iter_mut()
            .zip_eq(&mut self.kept)
            .zip_eq(arrays.places(&mut losses).split(batch))
            .enumerate()
            .for_each(|(index, ((network, kept), results))| {
                network.run(&run, (index, 0), results, kept);
            });
        let means = losses.chunks_exact(batch).map(|losses| {
            let sum: f64 = losses.iter().sum();
            R::from_f64(sum / batch as f64)
        });
        let outcome = Outcome {
            loss: Some(means.collect::<Array1<R>>()),
            output: arrays.take_output(),
            finals: dynamics(std::mem::take(&mut arrays.finals)),
        };
        Ok((outcome, arrays))
    }
}

impl<R: Real> SessionBackend<R> for CpuSession<R> {
    fn population(&self) -> &dyn PopulationBackend<R> {
        &self.population
    }

    fn population_mut(&mut self) -> &mut dyn PopulationBackend<R> {
        &mut self.population
    }

    fn begin(&mut self) {
        self.steps = 0;
    }

    /// There is no loss yet: what is differentiated comes later.
    fn advance(&mut self, episodes: &Episodes<'_, R>, finals: bool) -> Result<Outcome<R>> {
        if self.population.is_replaced {
            self.pack();
        }
        let work = Work {
            forward: self.steps..self.steps + episodes.steps(),
            finals,
            backward: false,
        };
        let (outcome, _) = self.run(&work, &Source::forward(episodes))?;
        self.steps = work.forward.end;
        Ok(Outcome {
            loss: None,
            ..outcome
        })
    }

    fn states(&self) -> Result<Dynamics<'static, R>> {
        let mut states = Dynamics::new();
        for (layer, shape) in self.job.shapes.iter().enumerate() {
            for state in Dynamic::STATES {
                if let Some(shape) = shape.final_shape(state, self.steps) {
                    states.insert(layer, state, self.state(layer, state, &shape)?);
                }
            }
        }
        Ok(states)
    }

    /// As [`Engine::gradient`](crate::engine::Engine::gradient) has them for the same steps.
    fn backward(&mut self, upstream: &Upstream<'_, R>) -> Result<Gradients<R>> {
        let layout = self.population.layout().clone();
        let mut parameters = Parameters::zeros(layout.clone(), self.batches.len())?;
        let (mut outcome, episodes) = self.sweep_back(upstream)?;
        if !matches!(upstream.objective, Objective::Target { .. }) {
            outcome.loss = None;
        }
        let networks = parameters.values_mut().chunks_exact_mut(layout.size());
        for (batch, values) in self.batches.iter().zip(networks) {
            let shapes = &self.job.shapes;
            unpack(&self.network, &layout, shapes, batch.gradients(), values);
        }
        Ok(Gradients {
            outcome,
            parameters,
            input: episodes.input,
            given: episodes.given,
        })
    }

    fn learn(&mut self, upstream: &Upstream<'_, R>) -> Result<EpisodeGradients<R>> {
        let (_, episodes) = self.sweep_back(upstream)?;
        let (network, layout) = (&self.network, self.population.layout().clone());
        let shapes = &self.job.shapes;
        let (learning, parameters) = self.population.learners();
        let episode = learning.episodes;
        learning.episodes += self.job.request.batch as u64;
        let networks = learning.networks(parameters).zip_eq(&self.batches);
        networks.for_each(|((index, values, learning), batch)| {
            let gradient = &mut learning.gradient;
            unpack(network, &layout, shapes, batch.gradients(), gradient);
            learning.learn(&layout, values, index, episode, 0.0);
        });
        self.population.is_replaced = true;
        Ok(episodes)
    }

    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        self.population.apply(gradients);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computation::Want;
    use crate::cpu::along::Along;
    use crate::engine::Engine;
    use crate::network::{Activation, Bias, Dense, Layer, Loss, Plastic, Rate};
    use crate::number::pair_width;
    use crate::parameters::Initial;
    use crate::rule::Rule;
    use ndarray::{Array4, Axis, Slice, concatenate};

    fn waves<R: Real>(shape: [usize; 4], scale: f64) -> Array4<R> {
        let mut phase = 0.3f64;
        Array4::from_shape_simple_fn(shape, || {
            phase += 1.7;
            R::from_f64(scale * phase.sin())
        })
    }

    fn network() -> Network {
        let plastic = |inputs, outputs, rule| {
            let layer = Plastic::new(inputs, outputs, Rate::learned(0.9));
            Layer::from(layer.activation(Activation::Tanh).rule(rule))
        };
        let layers = [
            plastic(5, 7, Rule::oja()),
            plastic(7, 40, Rule::hebb()),
            Layer::from(Dense::new(40, 3)),
        ];
        Network::new(Loss::SquaredError, layers).unwrap()
    }

    fn upstream<'a, R: Real>(episodes: &Episodes<'a, R>) -> Upstream<'a, R> {
        Upstream {
            objective: episodes.objective.clone(),
            final_gradients: episodes.final_gradients.clone(),
            ..Upstream::none()
        }
    }

    /// Steps in parts of each of these sizes, for groups over synapses and over episodes.
    fn halves_agree_with_the_whole<R: Real>() {
        let (network, population, steps) = (network(), 2, 67);
        let initial = Initial::default();
        let parameters = Parameters::<R>::initialise(&network, &initial, population, 3).unwrap();
        for batch in [1, 3, 37] {
            let mut episodes = Episodes::new(waves([population, batch, steps, 5], 0.8))
                .with_output_gradient(waves([population, batch, steps, 3], 0.1))
                .with_initial_trace(1, waves([population, batch, 40, 7], 0.2))
                .with_trace_gradient(0, waves([population, batch, 7, 5], 0.1));
            let request = Request::on(&network, &episodes, Want::ALL, true);
            let whole = Engine::cpu()
                .gradient(&network, &parameters, &episodes, Want::ALL)
                .unwrap();
            for part in [steps, 30, 1] {
                let mut session =
                    CpuSession::new(&network, &parameters, None, request.clone(), part < steps)
                        .unwrap();
                let input = episodes.input.clone();
                // Twice: nothing of the first time is left.
                for _ in 0..2 {
                    session.begin();
                    let mut outputs = Vec::new();
                    for first in (0..steps).step_by(part) {
                        let last = (first + part).min(steps);
                        let slice = Slice::from(first..last);
                        episodes.input = input.slice_axis(Axis(2), slice).to_owned().into();
                        let outcome = session.advance(&episodes, true).unwrap();
                        outputs.push(outcome.output.unwrap());
                    }
                    let views: Vec<_> = outputs.iter().map(|output| output.view()).collect();
                    let output = concatenate(Axis(2), &views).unwrap();
                    assert_eq!(Some(&output), whole.outcome.output.as_ref());
                    assert_eq!(session.states().unwrap(), whole.outcome.finals);
                    let gradients = session.backward(&upstream(&episodes)).unwrap();
                    assert_eq!(gradients.parameters, whole.parameters, "{batch}, {part}");
                    assert_eq!(gradients.input, whole.input, "{batch}, {part}");
                    assert_eq!(gradients.given, whole.given);
                }
                episodes.input = input;
            }
        }
    }

    #[test]
    fn steps_run_one_by_one_and_differentiated_later_give_the_bits_of_the_whole() {
        halves_agree_with_the_whole::<f32>();
        halves_agree_with_the_whole::<f64>();
    }

    /// One layer of each kind of so many rows, the second of which needs the gradient on its input.
    fn layers(inputs: usize, outputs: usize, rule: &Rule, activation: Activation) -> Network {
        let plastic = |inputs, outputs| {
            let rate = Rate::learned(0.3).per_neuron();
            let layer = Plastic::new(inputs, outputs, rate).activation(activation);
            Layer::Plastic(layer.rule(rule.clone()))
        };
        let layers = [
            plastic(inputs, outputs),
            Layer::from(Bias::new(outputs).activation(Activation::Tanh)),
            plastic(outputs, outputs),
            Layer::from(Dense::new(outputs, 3)),
        ];
        Network::new(Loss::SquaredError, layers).unwrap()
    }

    /// Everything that comes of episodes in parts of `part` steps, with every layer's vectors along `along`.
    fn results_along<R: Real>(
        along: Along,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<'_, R>,
        part: usize,
    ) -> Vec<Array4<R>> {
        let request = Request::on(network, episodes, Want::ALL, true);
        let mut job = Job::new::<R>(network, parameters.population(), request);
        job.along = Along::Synapses;
        job.block = Along::Synapses.block::<R>();
        for shape in &mut job.shapes {
            shape.along = along;
        }
        let steps = episodes.steps();
        let mut session = CpuSession::of_job(network, parameters, None, job, part < steps).unwrap();
        session.begin();
        let mut results = Vec::new();
        let mut some = episodes.clone();
        for first in (0..steps).step_by(part) {
            let slice = Slice::from(first..(first + part).min(steps));
            some.input = episodes.input.slice_axis(Axis(2), slice).to_owned().into();
            results.push(session.advance(&some, true).unwrap().output.unwrap());
        }
        let views: Vec<_> = results.iter().map(|output| output.view()).collect();
        let mut results = vec![concatenate(Axis(2), &views).unwrap()];
        let rows = |dynamics: &Dynamics<'_, R>| -> Vec<Array4<R>> {
            let arrays = dynamics.iter();
            arrays
                .map(|(.., array)| array.to_owned().into_dimensionality().unwrap())
                .collect()
        };
        results.extend(rows(&session.states().unwrap()));
        let gradients = session.backward(&upstream(episodes)).unwrap();
        let values = gradients.parameters.values().to_vec();
        results.push(Array4::from_shape_vec([1, 1, 1, values.len()], values).unwrap());
        results.push(gradients.input.unwrap());
        results.extend(rows(&gradients.given));
        results
    }

    /// Layers whose rows fill blocks or do not, down to one row and one synapse: what rows along the lanes give is what synapses
    /// along them give, but for rounding; all of it is finite; and it is the same in parts and on several threads.
    fn rows_agree_with_synapses<R: Real>(tolerance: f64) {
        let width = pair_width::<R>();
        let text = Rule::parse("(1 - 0.3 * rate * y * y) * h + rate * m * y * x").unwrap();
        let rules = [Rule::hebb(), Rule::oja(), text];
        let pools = [1, 4].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap()
        });
        let (population, batch, steps) = (2, 2, 70);
        let about_one_block = [width - 1, width, width + 1];
        let sizes = about_one_block.into_iter().flat_map(|outputs| [outputs; 3]);
        for (index, outputs) in [1, 2 * width + 3, 1].into_iter().chain(sizes).enumerate() {
            let (inputs, rule) = ([1, 6][index % 2], &rules[index % 3]);
            let activation = [Activation::Tanh, Activation::Logistic][index / 2 % 2];
            let network = layers(inputs, outputs, rule, activation);
            let initial = Initial::default();
            let parameters =
                Parameters::<R>::initialise(&network, &initial, population, 3).unwrap();
            let mut episodes = Episodes::new(waves([population, batch, steps, inputs], 0.8));
            if index % 4 != 0 {
                episodes = episodes
                    .with_initial_trace(0, waves([population, batch, outputs, inputs], 0.2))
                    .with_trace_gradient(0, waves([population, batch, outputs, inputs], 0.1))
                    .with_initial_trace(2, waves([population, batch, outputs, outputs], 0.1))
                    .with_trace_gradient(2, waves([population, batch, outputs, outputs], 0.1));
            }
            let on_output = waves([population, batch, steps, 3], 0.1);
            episodes = match index % 2 {
                0 => episodes.with_output_gradient(on_output),
                _ => episodes.with_target(on_output),
            };
            let along = |along, part| results_along(along, &network, &parameters, &episodes, part);
            let [rows, others] = pools
                .each_ref()
                .map(|pool| pool.install(|| along(Along::Rows, steps)));
            assert!(rows == others, "{outputs} rows on several threads");
            assert!(rows == along(Along::Rows, 1), "{outputs} rows step by step");
            assert!(rows == along(Along::Rows, 30), "{outputs} rows in parts");
            let synapses = along(Along::Synapses, steps);
            assert_eq!(rows.len(), synapses.len());
            for (number, (rows, synapses)) in rows.iter().zip(&synapses).enumerate() {
                assert_eq!(rows.shape(), synapses.shape());
                let values = || synapses.iter().map(|value| value.as_f64());
                let largest = values().fold(0.0, |most: f64, value| most.max(value.abs()));
                assert!(
                    largest > 0.0,
                    "array {number} of {outputs} rows is not zero"
                );
                for (row, synapse) in rows.iter().zip(values()) {
                    // Also where either is not a number.
                    let is_near = (row.as_f64() - synapse).abs() <= tolerance * largest;
                    assert!(
                        is_near,
                        "array {number} of {outputs} rows: {row}, {synapse}"
                    );
                }
            }
        }
    }

    #[test]
    fn rows_along_the_lanes_give_what_synapses_do() {
        rows_agree_with_synapses::<f64>(1e-12);
        rows_agree_with_synapses::<f32>(5e-4);
    }

    #[test]
    fn episodes_that_end_early_are_differentiated_as_far_as_they_went() {
        let network = network();
        let parameters =
            Parameters::<f32>::initialise(&network, &Initial::default(), 1, 3).unwrap();
        for (batch, is_target) in [(2, false), (33, false), (2, true), (33, true)] {
            let of = |steps| {
                let episodes = Episodes::new(waves([1, batch, steps, 5], 0.8))
                    .with_trace_gradient(0, waves([1, batch, 7, 5], 0.1));
                let on_output = waves([1, batch, steps, 3], 0.1);
                match is_target {
                    true => episodes.with_target(on_output),
                    false => episodes.with_output_gradient(on_output),
                }
            };
            let short = of(9);
            let whole = Engine::cpu()
                .gradient(&network, &parameters, &short, Want::ALL)
                .unwrap();
            let request = Request::on(&network, &of(90), Want::ALL, true);
            let mut session = CpuSession::new(&network, &parameters, None, request, true).unwrap();
            session.advance(&short, true).unwrap();
            let gradients = session.backward(&upstream(&short)).unwrap();
            assert_eq!(gradients.outcome.loss, whole.outcome.loss);
            assert_eq!(gradients.parameters, whole.parameters);
            assert_eq!(gradients.input, whole.input);
        }
    }
}
