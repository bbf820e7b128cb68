//! What is inside networks over an episode: activity, traces, modulators.

use super::recipe::Recipe;
use crate::computation::Want;
use crate::engine::{Engine, Extent, Session};
use crate::episodes::{Episodes, Objective};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Dynamic, Layer, Loss, Network};
use crate::parameters::Parameters;
use crate::random::Purpose;
use crate::tasks::EpisodeSource;
use ndarray::{ArrayD, Axis, IxDyn};

/// What `P` networks do in `B` fresh episodes of `T` steps. The tensors, by name, layers and steps counted from 0:
///
/// | | |
/// |---|---|
/// | `input` | `[P, B, T, I]` |
/// | `target` | `[P, B, T, O]` |
/// | `layerN.activity` | `[P, B, T, O]`; of the last layer the output, before the softmax of a cross-entropy loss |
/// | `layerN.modulator` | `[P, B, T]`, of a layer whose modulator the network computes |
/// | `layerN.trace`, `layerN.eligibility` | `[P, B, S, O, J]`, after each of the `S` steps that are asked for |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recording {
    /// The tensors, by name.
    pub tensors: Vec<(String, ArrayD<f32>)>,
    /// The steps that traces are of, in order `[S]`.
    pub steps: Vec<usize>,
}

impl Recording {
    /// Runs the first `episodes` fresh episodes of an evaluation through every network of a run, those of network 0 by `seed`, and
    /// keeps traces after each of `steps`.
    ///
    /// # Errors
    /// If there is no such step, the parameters do not fit the network, memory is short, or the device fails.
    pub fn new(
        engine: &Engine,
        recipe: &Recipe,
        parameters: &Parameters<f32>,
        (seed, episodes): (u64, usize),
        steps: &[usize],
    ) -> Result<Self> {
        let Recipe { network, task, .. } = recipe;
        let mut steps = steps.to_vec();
        steps.sort_unstable();
        steps.dedup();
        if let Some(step) = steps.iter().find(|step| **step >= task.steps()) {
            let reason = format!("{step}, expected 0 to {}", task.steps() - 1);
            return Err(Error::setting("steps", reason));
        }
        let source = EpisodeSource {
            task: task.clone(),
            seed,
            purpose: Purpose::Evaluation,
            batch: episodes,
            seeds: recipe.seeds(),
            first: 0,
        };
        require_room(
            network,
            parameters.population(),
            (episodes, task.steps()),
            steps.len(),
        )?;
        let made = source.episodes(parameters.population(), 0)?;
        let mut tensors = vec![("input".to_owned(), made.input.to_owned().into_dyn())];
        if let Objective::Target { target, .. } = &made.objective {
            tensors.push(("target".to_owned(), target.to_owned().into_dyn()));
        }
        for index in 0..network.layers().len() {
            let activity = activity(engine, network, parameters, &made, index)?;
            tensors.push((format!("layer{index}.activity"), activity));
        }
        let outcome = engine.forward(network, parameters, &made, Want::default().final_traces())?;
        for (index, dynamic, array) in outcome.finals.iter() {
            if dynamic == Dynamic::Modulator {
                tensors.push((format!("layer{index}.{dynamic}"), array.to_owned()));
            }
        }
        tensors.extend(traces(engine, network, parameters, &made, &steps)?);
        Ok(Self { tensors, steps })
    }

    /// A tensor by its name.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        let found = self.tensors.iter().find(|(its, _)| its == name);
        found.map(|(_, array)| array)
    }
}

/// Fails unless memory has room for all of it, as arrays and as a file.
fn require_room(
    network: &Network,
    population: usize,
    (episodes, steps): (usize, usize),
    kept: usize,
) -> Result<()> {
    let of = |shape: Vec<usize>| shape.iter().map(|size| *size as u128).product::<u128>();
    let states = network.layers().iter().flat_map(Layer::states);
    let states: u128 = states.map(|(_, shape)| of(shape)).sum();
    let neurons: usize = network.layers().iter().map(Layer::outputs).sum();
    let neurons = network.inputs() + network.outputs() + neurons + network.layers().len();
    let values = steps as u128 * neurons as u128 + (kept as u128 + 2) * states;
    memory::require(
        "what is recorded",
        2 * size_of::<f32>() as u128 * population as u128 * episodes as u128 * values,
    )
}

/// What a layer puts out at every step, `[P, B, T, O]`: the output of the network that ends with it.
fn activity(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f32>,
    made: &Episodes<'_, f32>,
    index: usize,
) -> Result<ArrayD<f32>> {
    if index + 1 == network.layers().len() {
        let outcome = engine.forward(network, parameters, made, Want::default())?;
        return Ok(outcome.output.expect("it is wanted").into_dyn());
    }
    let layers = &network.layers()[..=index];
    let episodes = Episodes::new(made.input.view());
    let first = Network::new(Loss::None, layers.to_vec())?;
    let mut own = Parameters::new(&first, parameters.population())?;
    for tensor in own.layout().clone().tensors() {
        let all = parameters.layout().of_layer(tensor.layer).iter();
        let same = all.into_iter().find(|it| it.name() == tensor.name());
        let same = same.expect("a layer has the same parameters wherever the network ends");
        own.tensor_mut(tensor).assign(&parameters.tensor(same));
    }
    let outcome = engine.forward(&first, &own, &episodes, Want::default())?;
    Ok(outcome.output.expect("it is wanted").into_dyn())
}

/// Traces and eligibility traces after some steps, `[P, B, S, O, J]` each.
fn traces(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f32>,
    made: &Episodes<'_, f32>,
    steps: &[usize],
) -> Result<Vec<(String, ArrayD<f32>)>> {
    let mut kept: Vec<(String, ArrayD<f32>)> = Vec::new();
    for (index, layer) in network.layers().iter().enumerate() {
        for (dynamic, shape) in layer.states().filter(|(it, _)| *it != Dynamic::Activity) {
            let mut all = vec![parameters.population(), made.batch(), steps.len()];
            all.extend(shape);
            kept.push((
                format!("layer{index}.{dynamic}"),
                ArrayD::zeros(IxDyn(&all)),
            ));
        }
    }
    let Some(&last) = steps.last().filter(|_| !kept.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut extent = Extent::new(made.batch(), last + 1).step_by_step();
    extent.want = Want::default().final_traces();
    let mut session: Session<f32> = engine.session(network, parameters, extent)?;
    session.begin();
    for step in 0..=last {
        session.step(made.input.index_axis(Axis(2), step))?;
        let Ok(place) = steps.binary_search(&step) else {
            continue;
        };
        for (index, dynamic, state) in session.states()?.iter() {
            let name = format!("layer{index}.{dynamic}");
            if let Some((_, all)) = kept.iter_mut().find(|(its, _)| *its == name) {
                all.index_axis_mut(Axis(2), place).assign(&state);
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Association, PatternMemory, Task};
    use std::sync::Arc;

    fn recording(recipe: &Recipe, episodes: usize, steps: &[usize]) -> Result<Recording> {
        let parameters = recipe.initial_parameters().unwrap();
        Recording::new(
            &Engine::cpu(),
            recipe,
            &parameters,
            (recipe.seed, episodes),
            steps,
        )
    }

    fn one_shot() -> Recipe {
        Recipe {
            population: 2,
            ..Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap()
        }
    }

    #[test]
    fn traces_and_activity_are_those_of_the_rule_by_hand() {
        let recipe = one_shot();
        let steps: Vec<usize> = (0..20).collect();
        let recorded = recording(&recipe, 3, &steps).unwrap();
        let parameters = recipe.initial_parameters().unwrap();
        let plastic = recipe.network.layers()[0].as_plastic().unwrap().clone();
        let rate = plastic.rate.value;
        let [input, activity, trace] = ["input", "layer0.activity", "layer0.trace"]
            .map(|name| recorded.get(name).unwrap().mapv(f64::from));
        assert_eq!(trace.shape(), [2, 3, 20, plastic.outputs, plastic.inputs]);
        use crate::parameters::Role;
        let view = |role| parameters.view(0, role).unwrap().mapv(f64::from);
        let (weight, alpha, bias) = (view(Role::Weight), view(Role::Plasticity), view(Role::Bias));
        for (p, b, o) in [(0, 0, 0), (0, 2, 1), (1, 1, 0)] {
            let mut h = vec![0.0; plastic.inputs];
            for t in 0..20 {
                let x = |j: usize| input[[p, b, t, j]];
                let sum: f64 = (0..plastic.inputs)
                    .map(|j| (weight[[p, o, j]] + alpha[[p, o, j]] * h[j]) * x(j))
                    .sum();
                let y = (sum + bias[[p, o]]).tanh();
                assert!((activity[[p, b, t, o]] - y).abs() < 1e-5);
                for (j, h) in h.iter_mut().enumerate() {
                    *h = (1.0 - rate) * *h + rate * y * x(j);
                    assert!(
                        (trace[[p, b, t, o, j]] - *h).abs() < 1e-5,
                        "{p} {b} {t} {o} {j}"
                    );
                }
            }
        }
        let last = recorded.get("layer1.activity").unwrap();
        assert_eq!(last.shape(), [2, 3, 20, recipe.task.outputs()]);
        let source = recipe.source(Purpose::Evaluation);
        let made = EpisodeSource { batch: 3, ..source }.episodes(2, 0).unwrap();
        let whole = Engine::cpu().forward(&recipe.network, &parameters, &made, Want::default());
        assert_eq!(*last, whole.unwrap().output.unwrap().into_dyn());
    }

    #[test]
    fn chosen_steps_are_those_of_all() {
        let recipe = one_shot();
        let all = recording(&recipe, 1, &(0..20).collect::<Vec<_>>()).unwrap();
        let some = recording(&recipe, 1, &[7, 2, 7]).unwrap();
        assert_eq!(some.steps, [2, 7]);
        let name = "layer0.trace";
        for (place, step) in [(0, 2), (1, 7)] {
            let [one, other] = [(&some, place), (&all, step)]
                .map(|(it, at)| it.get(name).unwrap().index_axis(Axis(2), at).to_owned());
            assert_eq!(one, other);
        }
        assert!(recording(&recipe, 1, &[]).unwrap().get(name).is_none());
        let error = recording(&recipe, 1, &[20]).unwrap_err().to_string();
        assert!(
            error.contains("steps") && error.contains("0 to 19"),
            "{error}"
        );
        recording(&recipe, 0, &[]).unwrap_err();
    }

    #[test]
    fn recurrent_layers_and_modulators_are_recorded() {
        use crate::network::Modulation;
        let task = PatternMemory::SMALL.with_settings(&"bits = 4".parse().unwrap());
        let mut recipe = Recipe {
            population: 2,
            ..Recipe::new(task.unwrap()).unwrap()
        };
        let mut layers = recipe.network.layers().to_vec();
        layers[0].as_plastic_mut().unwrap().modulation = Some(Modulation::from_network());
        recipe.network = Network::new(recipe.network.loss(), layers).unwrap();
        let recorded = recording(&recipe, 2, &[1, 3]).unwrap();
        let steps = recipe.task.steps();
        assert_eq!(
            recorded.get("layer0.modulator").unwrap().shape(),
            [2, 2, steps]
        );
        assert_eq!(
            recorded.get("layer0.trace").unwrap().shape()[..3],
            [2, 2, 2]
        );
        assert_eq!(
            recorded.get("layer0.activity").unwrap().shape()[..3],
            [2, 2, steps]
        );
    }
}
