//! How fast the engines are: a problem of a given shape, run again and again.
//!
//! The unit of all figures is the synapse-step, `P·B·T·Σ O·I` of them in a sweep. [`Run`] keeps what it can where the
//! engine computes: the GPU engine's episodes and parameters stay in device buffers, as they do in training.

mod multiply_add;

pub use crate::computation::Sample;
pub use multiply_add::multiply_adds_per_second;

use crate::computation::Want;
use crate::engine::Engine;
use crate::episodes::Episodes;
use crate::error::{Error, Result};
#[cfg(feature = "gpu")]
use crate::gpu::GpuRun;
use crate::memory;
use crate::network::{Activation, Layer, Loss, Network, Plastic, Rate, Recurrent};
use crate::parameters::{Initial, Layout, Parameters};
use multiply_add::{FLOOR, RECURRENT_FLOOR};
use ndarray::Array4;
use std::time::{Duration, Instant};

/// The sizes of a problem: a population of networks of one plastic layer, or recurrent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Networks `P`.
    pub population: usize,
    /// Episodes of each `B`.
    pub episodes: usize,
    /// Steps of an episode `T`.
    pub steps: usize,
    /// Presynaptic neurons `I`.
    pub inputs: usize,
    /// Postsynaptic neurons `O`.
    pub outputs: usize,
    /// Whether the layer is recurrent: `y(t) = tanh((w + α ⊙ h(t)) y(t−1) + u(t))`, with as many inputs as outputs.
    pub recurrent: bool,
}

impl Shape {
    /// Synapse-steps of one sweep; `u64::MAX` where there are more.
    pub fn synapse_steps(&self) -> u64 {
        [self.episodes, self.steps, self.inputs, self.outputs]
            .iter()
            .fold(self.population as u64, |product, &size| {
                product.saturating_mul(size as u64)
            })
    }

    /// Multiply-adds, or instructions of that cost, that a synapse needs for each step of both sweeps at the least.
    pub fn floor(&self) -> u64 {
        match self.recurrent {
            true => RECURRENT_FLOOR,
            false => FLOOR,
        }
    }

    /// Fails unless there are such networks and the memory for their episodes and outputs; allocates nothing.
    ///
    /// # Errors
    /// Names the size that is zero, too large or does not go with another, or the bytes that are missing.
    pub fn check(&self) -> Result<()> {
        for (field, size) in [
            ("population", self.population),
            ("episodes", self.episodes),
            ("steps", self.steps),
        ] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
            if size > i32::MAX as usize {
                return Err(Error::setting(
                    field,
                    format!("{size}, at most {} are supported", i32::MAX),
                ));
            }
        }
        if self.recurrent && self.inputs != self.outputs {
            let reason = format!(
                "{} outputs, but a recurrent layer takes its input in as it is, and {} inputs need as many outputs",
                self.outputs, self.inputs
            );
            return Err(Error::setting("outputs", reason));
        }
        Layout::new(&self.network(Loss::None)?)?;
        let elements = memory::elements("input", &self.sizes(self.inputs))? as u128
            + 2 * memory::elements("output_gradient", &self.sizes(self.outputs))? as u128;
        memory::require("the episodes and their outputs", 4 * elements)
    }

    /// One plastic layer: tanh, Hebb's rule, a learned rate. A recurrent one has no bias, beside its input.
    ///
    /// # Errors
    /// If a size is zero or too large.
    pub fn network(&self, loss: Loss) -> Result<Network> {
        let rate = Rate::learned(0.1);
        let layer: Layer = match self.recurrent {
            true => Recurrent::new(self.inputs, self.outputs, rate)
                .identity_input()
                .activation(Activation::Tanh)
                .without_bias()
                .into(),
            false => Plastic::new(self.inputs, self.outputs, rate)
                .activation(Activation::Tanh)
                .into(),
        };
        Network::new(loss, [layer])
    }

    /// Of an array over all steps.
    fn sizes(&self, neurons: usize) -> [usize; 4] {
        [self.population, self.episodes, self.steps, neurons]
    }
}

/// A population, its episodes, and a gradient on its outputs.
#[derive(Clone, Debug)]
pub struct Problem {
    shape: Shape,
    network: Network,
    parameters: Parameters<f32>,
    episodes: Episodes<'static, f32>,
}

impl Problem {
    /// The layer of [`Shape::network`], and smooth inputs that differ from each other.
    ///
    /// # Errors
    /// If a size is zero or too large, or memory is short.
    pub fn new(shape: Shape) -> Result<Self> {
        shape.check()?;
        let network = shape.network(Loss::None)?;
        let initial = Initial {
            scale: 0.5 / (shape.inputs as f64).sqrt(),
            ..Initial::default()
        };
        let parameters = Parameters::initialise(&network, &initial, shape.population, 0)?;
        let waves = |neurons: usize, scale: f32| {
            let mut phase = 0.0f32;
            Array4::from_shape_simple_fn(shape.sizes(neurons), || {
                phase = (phase + 1.3) % std::f32::consts::TAU;
                scale * phase.sin()
            })
        };
        let scale = 1.0 / (shape.episodes as f32 * shape.steps as f32);
        let episodes = Episodes::new(waves(shape.inputs, 0.7))
            .with_output_gradient(waves(shape.outputs, scale));
        Ok(Self {
            shape,
            network,
            parameters,
            episodes,
        })
    }

    /// The same episodes with targets instead of gradients on the outputs, for a network that learns from them.
    ///
    /// # Errors
    /// None that [`Problem::new`] did not have.
    pub fn training(&self) -> Result<(Network, Parameters<f32>, Episodes<'_, f32>)> {
        let network = self.shape.network(Loss::SquaredError)?;
        let mut parameters = Parameters::new(&network, self.shape.population)?;
        parameters
            .values_mut()
            .copy_from_slice(self.parameters.values());
        let target = Array4::from_elem(self.shape.sizes(self.shape.outputs), 0.25);
        let episodes = Episodes::new(self.episodes.input.view()).with_target(target);
        Ok((network, parameters, episodes))
    }

    /// Its sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sweep {
    /// The outputs.
    Forward,
    /// The outputs, and the gradients of weights, plasticity, biases and rate.
    Gradient,
}

/// A problem where an engine can run it again and again.
#[derive(Debug)]
pub struct Run<'a> {
    problem: &'a Problem,
    sweep: Sweep,
    place: Place<'a>,
}

#[derive(Debug)]
enum Place<'a> {
    /// The caller's arrays.
    Host(&'a Engine),
    #[cfg(feature = "gpu")]
    Device(Box<GpuRun>),
}

impl<'a> Run<'a> {
    /// Takes the problem to the engine.
    ///
    /// # Errors
    /// If memory is short, or the device fails.
    pub fn new(engine: &'a Engine, problem: &'a Problem, sweep: Sweep) -> Result<Self> {
        let place = match engine {
            Engine::Cpu(_) => Place::Host(engine),
            #[cfg(feature = "gpu")]
            Engine::Gpu(gpu) => {
                let Problem {
                    network,
                    parameters,
                    episodes,
                    ..
                } = problem;
                let gradient = sweep == Sweep::Gradient;
                let run = GpuRun::new(gpu, network, parameters, episodes, gradient)?;
                Place::Device(Box::new(run))
            }
            Engine::Several(several) => return Self::new(several.first(), problem, sweep),
        };
        Ok(Self {
            problem,
            sweep,
            place,
        })
    }

    /// One sweep.
    ///
    /// # Errors
    /// If memory is short, or the device fails.
    pub fn once(&self) -> Result<Sample> {
        match &self.place {
            Place::Host(engine) => self.on(engine),
            #[cfg(feature = "gpu")]
            Place::Device(run) => run.once(),
        }
    }

    fn on(&self, engine: &Engine) -> Result<Sample> {
        let Problem {
            network,
            parameters,
            episodes,
            ..
        } = self.problem;
        // As on a GPU, whose results stay there.
        let want = Want::NOTHING;
        let start = Instant::now();
        match self.sweep {
            Sweep::Forward => drop(engine.forward(network, parameters, episodes, want)?),
            Sweep::Gradient => drop(engine.gradient(network, parameters, episodes, want)?),
        }
        Ok(Sample {
            wall: start.elapsed(),
            ..Sample::default()
        })
    }

    /// Bytes of all device buffers; `None` on the CPU.
    pub fn device_bytes(&self) -> Option<u64> {
        match &self.place {
            Place::Host(_) => None,
            #[cfg(feature = "gpu")]
            Place::Device(run) => Some(run.bytes()),
        }
    }

    /// Warms up, then runs at least 5 times and for about a second, but for 10 seconds at most.
    ///
    /// # Errors
    /// If memory is short, or the device fails.
    pub fn median(&self) -> Result<Median> {
        let start = Instant::now();
        while {
            self.once()?;
            start.elapsed() < Duration::from_millis(200)
        } {}
        let start = Instant::now();
        let mut samples = Vec::new();
        loop {
            samples.push(self.once()?);
            let elapsed = start.elapsed();
            let enough = samples.len() >= 5 && elapsed >= Duration::from_secs(1);
            if enough || elapsed >= Duration::from_secs(10) {
                break;
            }
        }
        let middle = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        let on_device: Option<Vec<_>> = samples.iter().map(|sample| sample.device).collect();
        // Every sweep runs the same kernels.
        let names = samples[0].kernels.keys();
        let of_kernel = |name| {
            let times = samples.iter().filter_map(|sample| sample.kernels.get(name));
            middle(times.copied().collect())
        };
        Ok(Median {
            sweeps: samples.len(),
            sample: Sample {
                device: on_device.map(middle),
                kernels: names.map(|name| (*name, of_kernel(name))).collect(),
                wall: middle(samples.iter().map(|sample| sample.wall).collect()),
            },
        })
    }
}

/// The median of repeated sweeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Median {
    /// How many sweeps were timed.
    pub sweeps: usize,
    /// The medians of their times, each by itself.
    pub sample: Sample,
}

/// The most memory that this process has had in use so far, in bytes; where the system tells.
pub fn peak_process_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        population: 2,
        episodes: 3,
        steps: 4,
        inputs: 5,
        outputs: 6,
        recurrent: false,
    };

    #[test]
    fn a_problem_has_its_shape_and_runs() {
        let problem = Problem::new(SHAPE).unwrap();
        assert_eq!(problem.shape().synapse_steps(), 720);
        assert_eq!(problem.episodes.input.shape(), [2, 3, 4, 5]);
        let engine = Engine::cpu();
        for sweep in [Sweep::Forward, Sweep::Gradient] {
            let run = Run::new(&engine, &problem, sweep).unwrap();
            let sample = run.once().unwrap();
            assert!(sample.wall > Duration::ZERO && sample.device.is_none());
            assert_eq!(run.device_bytes(), None);
        }
    }

    #[test]
    fn a_recurrent_problem_runs_where_all_inputs_have_an_output() {
        let recurrent = Shape {
            recurrent: true,
            ..SHAPE
        };
        let error = Problem::new(recurrent).unwrap_err().to_string();
        assert!(
            error.contains("6 outputs") && error.contains("5 inputs"),
            "{error}"
        );
        let problem = Problem::new(Shape {
            outputs: 5,
            ..recurrent
        });
        let problem = problem.unwrap();
        assert!(problem.network.layers()[0].as_recurrent().is_some());
        assert!(problem.shape().floor() > SHAPE.floor());
        let engine = Engine::cpu();
        let run = Run::new(&engine, &problem, Sweep::Gradient).unwrap();
        assert!(run.once().unwrap().wall > Duration::ZERO);
    }

    #[test]
    fn absurd_shapes_are_refused_before_anything_is_allocated() {
        for (shape, part) in [
            (
                Shape {
                    population: 0,
                    ..SHAPE
                },
                "population",
            ),
            (
                Shape {
                    episodes: 0,
                    ..SHAPE
                },
                "episodes",
            ),
            (
                Shape {
                    steps: usize::MAX,
                    ..SHAPE
                },
                "steps",
            ),
            (Shape { inputs: 0, ..SHAPE }, "inputs"),
            (
                Shape {
                    outputs: usize::MAX,
                    ..SHAPE
                },
                "outputs",
            ),
            (
                Shape {
                    episodes: i32::MAX as usize,
                    steps: i32::MAX as usize,
                    ..SHAPE
                },
                "input",
            ),
        ] {
            let error = Problem::new(shape).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let most = Shape {
            episodes: usize::MAX,
            ..SHAPE
        };
        assert_eq!(most.synapse_steps(), u64::MAX);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_at_least_what_is_in_use() {
        let held = vec![1u8; 32 << 20];
        let peak = peak_process_bytes().unwrap();
        assert!(peak >= held.iter().map(|&byte| u64::from(byte)).sum());
    }
}
