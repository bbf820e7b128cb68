//! Several engines that share a population: each has some of the networks.

use super::dispatch::{Elsewhere, Engine, Several};
use crate::computation::{
    Exchange, Failure, Held, LearnerBackend, PopulationBackend, TrainingState,
};
use crate::episodes::Episodes;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::number::{PerPrecision, Real};
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use crate::tasks::EpisodeSource;
use crate::zip::zip_eq;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

/// Opens a learner on one engine of this process.
type Open<R> =
    fn(&Engine, &Network, &Parameters<R>, Vec<Optimiser>) -> Result<Box<dyn LearnerBackend<R>>>;

/// Opens a learner in another process.
type OpenElsewhere<R> = fn(
    Arc<dyn Elsewhere>,
    &Network,
    &Parameters<R>,
    Vec<Optimiser>,
    bool,
) -> Result<Box<dyn LearnerBackend<R>>>;

struct Opens;

impl PerPrecision for Opens {
    type Of<R: Real> = OpenElsewhere<R>;
}

impl Several {
    /// Spreads a population over the engines, of which each has some networks; where there are more engines than networks and
    /// batches can be shared, each has all of them.
    pub(super) fn learner<R: Real>(
        &self,
        open: Open<R>,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Box<dyn LearnerBackend<R>>> {
        let open_elsewhere = R::choose::<Opens>(
            |there, network, parameters, optimisers, shares| {
                there.open_single(network, parameters, optimisers, shares)
            },
            |there, network, parameters, optimisers, shares| {
                there.open_double(network, parameters, optimisers, shares)
            },
        );
        let (population, engines) = (parameters.population(), self.here.len() + self.there.len());
        let exchange = self.exchange.as_ref().filter(|_| population < engines);
        let ranges: Vec<_> = match exchange {
            Some(_) => vec![0..population; engines],
            None => shares(population, engines).collect(),
        };
        let mut parts = Vec::with_capacity(ranges.len());
        for (index, networks) in ranges.into_iter().enumerate() {
            let own = parameters.slice(networks.clone());
            let optimisers = optimisers[networks.clone()].to_vec();
            let backend = match (index.checked_sub(self.here.len()), exchange) {
                (None, Some(exchange)) => {
                    let sharing = self.here[index].sharing(exchange.clone());
                    open(&sharing, network, &own, optimisers)?
                }
                (None, None) => open(&self.here[index], network, &own, optimisers)?,
                (Some(index), exchange) => {
                    let there = self.there[index].clone();
                    open_elsewhere(there, network, &own, optimisers, exchange.is_some())?
                }
            };
            parts.push(Part { networks, backend });
        }
        Ok(Box::new(SeveralLearner {
            parts,
            is_under_way: false,
            all_have_all: exchange.is_some(),
        }))
    }
}

impl Engine {
    /// Engines that train populations together; one alone is itself.
    ///
    /// # Errors
    /// If there is none, or they are not all of one kind, since the bits of their results differ.
    pub fn several(members: impl IntoIterator<Item = Self>) -> Result<Self> {
        let members: Vec<_> = members.into_iter().flat_map(Self::apart).collect();
        let Some(first) = members.first() else {
            return Err(Error::ZeroSize {
                field: "engines".into(),
            });
        };
        if let Some(other) = members.iter().find(|it| it.kind() != first.kind()) {
            let reason = format!(
                "{} and {}, expected engines of one kind: others round differently",
                first.kind(),
                other.kind()
            );
            return Err(Error::setting("engines", reason));
        }
        Ok(match members.len() {
            1 => first.clone(),
            _ => Self::Several(Several {
                here: members.into(),
                there: Vec::new(),
                exchange: None,
            }),
        })
    }

    /// This one and those of other processes, which can share batches where there is something to tie them.
    pub(crate) fn with_others(
        self,
        there: Vec<Arc<dyn Elsewhere>>,
        exchange: Option<Arc<dyn Exchange>>,
    ) -> Self {
        match there.is_empty() {
            true => self,
            false => Self::Several(Several {
                here: self.apart().into(),
                there,
                exchange,
            }),
        }
    }

    fn apart(self) -> Vec<Self> {
        match self {
            Self::Several(several) => several.here.to_vec(),
            one => vec![one],
        }
    }

    /// The same engine as one of several processes that share batches.
    pub(crate) fn sharing(&self, exchange: Arc<dyn Exchange>) -> Self {
        match self {
            Self::Cpu(cpu) => Self::Cpu(cpu.sharing(exchange)),
            other => other.clone(),
        }
    }
}

/// Consecutive ranges of nearly equal lengths: at most `parts` of them, none of which is empty.
fn shares(count: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = parts.min(count);
    (0..parts).map(move |part| part * count / parts..(part + 1) * count / parts)
}

/// A population in training on several engines.
#[derive(Debug)]
struct SeveralLearner<R: Real> {
    parts: Vec<Part<R>>,
    /// Whether some engines did what others did not.
    is_under_way: bool,
    /// Whether every part has all networks, and they share batches.
    all_have_all: bool,
}

/// Some networks of a population, and where they learn.
#[derive(Debug)]
struct Part<R: Real> {
    networks: Range<usize>,
    backend: Box<dyn LearnerBackend<R>>,
}

impl<R: Real> SeveralLearner<R> {
    /// What the parts have of the whole population: where all have all of it, the first speaks for them.
    fn told<T>(&self, mut of_parts: Vec<T>) -> Vec<T> {
        if self.all_have_all {
            of_parts.truncate(1);
        }
        of_parts
    }

    /// `call` on every part, at the same time.
    fn on_all<T: Send>(
        &mut self,
        call: impl Fn(&Range<usize>, &mut dyn LearnerBackend<R>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        self.on_each(vec![(); self.parts.len()], |(), networks, part| {
            call(networks, part)
        })
    }

    /// The same with something for each part.
    fn on_each<G: Send, T: Send>(
        &mut self,
        given: Vec<G>,
        call: impl Fn(G, &Range<usize>, &mut dyn LearnerBackend<R>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let call =
            |(part, given): (&mut Part<R>, G)| call(given, &part.networks, &mut *part.backend);
        let mut parts = zip_eq(&mut self.parts, given);
        let first = parts.next().expect("a population");
        let results: Vec<Result<T>> = thread::scope(|scope| {
            let rest: Vec<_> = parts
                .map(|part| thread::Builder::new().spawn_scoped(scope, || call(part)))
                .collect();
            // On the caller's thread, and so with the pool of threads that the caller has.
            let first = call(first);
            let rest = rest.into_iter().map(|thread| match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(error) => Err(Error::Device {
                    device: "several engines".into(),
                    operation: "starting a thread for each".into(),
                    reason: error.to_string(),
                }),
            });
            std::iter::once(first).chain(rest).collect()
        });
        let failed = results.iter().any(Result::is_err);
        self.is_under_way |= failed && results.iter().any(Result::is_ok);
        results.into_iter().collect()
    }

    /// The populations that are the whole one together.
    fn populations(&self) -> impl Iterator<Item = (&Range<usize>, &dyn PopulationBackend<R>)> {
        let parts = self.told(self.parts.iter().collect()).into_iter();
        parts.map(|part| (&part.networks, part.backend.population()))
    }
}

impl<R: Real> LearnerBackend<R> for SeveralLearner<R> {
    fn population(&self) -> &dyn PopulationBackend<R> {
        self
    }

    fn population_mut(&mut self) -> &mut dyn PopulationBackend<R> {
        self
    }

    fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        let losses =
            self.on_all(|networks, part| part.step(&episodes.of_networks(networks.clone())))?;
        Ok(self.told(losses).concat())
    }

    fn hold(&mut self, episodes: &Episodes<'_, R>) -> Result<Held> {
        let held = self.on_all(|networks, part| part.hold(&episodes.of_networks(networks.clone())));
        Ok(Held(Box::new(AllHeld(held?))))
    }

    fn step_on(&mut self, held: &Held) -> Result<Vec<R>> {
        let held = held.0.downcast_ref::<AllHeld>();
        let Some(AllHeld(held)) = held.filter(|it| it.0.len() == self.parts.len()) else {
            return Err(Error::setting("episodes", "held on another engine"));
        };
        let losses = self.on_each(held.iter().collect(), |held, _, part| part.step_on(held))?;
        Ok(self.told(losses).concat())
    }

    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        self.on_all(|networks, part| part.apply(&gradients.slice(networks.clone())))?;
        Ok(())
    }

    fn check_source(&self, source: &EpisodeSource) -> Result<()> {
        let mut parts = self.parts.iter();
        parts.try_for_each(|part| part.backend.check_source(source))
    }

    fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        self.check_source(source)?;
        let losses = self.on_all(|networks, part| {
            let source = source.beginning_with(networks.start);
            part.run(&source, since, meta_steps.clone(), learn)
        })?;
        Ok(self.told(losses).concat())
    }
}

/// What each part holds.
struct AllHeld(Vec<Held>);

impl<R: Real> PopulationBackend<R> for SeveralLearner<R> {
    fn parameters(&self) -> Result<Parameters<R>> {
        let parts: Result<Vec<_>> = self.populations().map(|(_, it)| it.parameters()).collect();
        Ok(Parameters::join(parts?.iter()))
    }

    fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()> {
        self.on_all(|networks, part| {
            let parameters = parameters.slice(networks.clone());
            part.population_mut().set_parameters(&parameters)
        })?;
        Ok(())
    }

    fn is_under_way(&self) -> bool {
        self.is_under_way
            || self
                .parts
                .iter()
                .any(|part| part.backend.population().is_under_way())
    }

    fn failures(&self) -> Result<Vec<Failure>> {
        let mut all = Vec::new();
        for (networks, population) in self.populations() {
            let failures = population.failures()?.into_iter();
            all.extend(failures.map(|it| it.renumbered(networks.start)));
        }
        Ok(all)
    }

    fn state(&self) -> Result<TrainingState<R>> {
        let parts: Result<Vec<_>> = self.populations().map(|(_, it)| it.state()).collect();
        Ok(TrainingState::join(&parts?))
    }

    fn set_state(&mut self, state: &TrainingState<R>) -> Result<()> {
        self.on_all(|networks, part| {
            part.population_mut()
                .set_state(&state.slice(networks.clone()))
        })?;
        Ok(())
    }
}
