//! The engines at some shapes, and in training on each task: `cargo bench -- 256x256`, `cargo bench -- one-shot`.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use metaplastic::measure::{Problem, Run, Sample, Shape, Sweep};
use metaplastic::random::Purpose;
use metaplastic::tasks::{Association, Completion, Task};
use metaplastic::training::Recipe;
use metaplastic::{Engine, Optimiser};
use std::cell::{LazyCell, OnceCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Inputs, outputs, steps, episodes.
const SHAPES: [[usize; 4]; 4] = [
    [10, 2, 20, 4096],
    [64, 64, 20, 64],
    [256, 256, 20, 16],
    [1024, 64, 20, 16],
];

/// Small layers in small batches, and a wide one with fewer episodes than a vector has lanes.
const SMALL_BATCHES: [[usize; 4]; 7] = [
    [10, 2, 20, 1],
    [24, 24, 30, 3],
    [33, 33, 50, 5],
    [40, 40, 50, 8],
    [64, 64, 50, 1],
    [64, 64, 50, 4],
    [300, 70, 100, 6],
];

/// Neurons of a recurrent layer, steps, episodes: those of networks that remember patterns of 50 and 1,000 bits.
const RECURRENT: [[usize; 3]; 2] = [[100, 50, 30], [1001, 106, 1]];

/// Networks that train together.
const POPULATIONS: [usize; 2] = [20, 1000];

/// Shapes that fill a hardware GPU, and would take a CPU minutes.
const LARGE_SHAPES: [[usize; 4]; 3] = [
    [64, 64, 20, 4096],
    [256, 256, 64, 1024],
    [1024, 64, 50, 512],
];

/// The CPU, and the GPU that METAPLASTIC_DEVICE names or the best hardware one, where there is one.
fn engines() -> Vec<Engine> {
    let wanted = std::env::var("METAPLASTIC_DEVICE").ok();
    let mut engines = vec![Engine::cpu()];
    match Engine::gpu(wanted.as_deref()) {
        Ok(gpu) => engines.push(gpu),
        Err(error) => eprintln!("GPU absent, not measured: {error}"),
    }
    for engine in &engines {
        eprintln!("{}: {}", engine.kind(), engine.device());
    }
    engines
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    elements: u64,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .throughput(Throughput::Elements(elements));
    group
}

/// How a sample's time is told: the wall clock, and on a GPU that has one its own clock too.
type Clock = (&'static str, fn(Sample) -> Duration);

/// A sweep of one synapse tells.
fn clocks(engine: &Engine) -> Vec<Clock> {
    let mut clocks: Vec<Clock> = vec![("", |sample| sample.wall)];
    let one = Problem::new(Shape {
        population: 1,
        episodes: 1,
        steps: 1,
        inputs: 1,
        outputs: 1,
        recurrent: false,
    });
    let one = one.expect("a valid shape");
    let run = Run::new(engine, &one, Sweep::Forward).expect("a sweep that fits");
    if run.once().expect("a sweep").device.is_some() {
        clocks.push(("-clock", |sample| sample.device.expect("it has a clock")));
    }
    clocks
}

/// A sweep that is taken to its engine when it is first run.
struct Lazy<'a, F> {
    make: F,
    run: OnceCell<Run<'a>>,
}

impl<'a, F: Fn() -> Run<'a>> Lazy<'a, F> {
    fn once(&self, time: fn(Sample) -> Duration) -> Duration {
        time(self.run.get_or_init(&self.make).once().expect("a sweep"))
    }
}

/// Plastic layers of these inputs, outputs, steps and episodes.
fn plastic(shapes: &[[usize; 4]]) -> Vec<Shape> {
    let shapes = shapes.iter();
    let shape = |&[inputs, outputs, steps, episodes]: &[usize; 4]| Shape {
        population: 1,
        episodes,
        steps,
        inputs,
        outputs,
        recurrent: false,
    };
    shapes.map(shape).collect()
}

/// Recurrent layers of these neurons, steps and episodes.
fn recurrent(shapes: &[[usize; 3]]) -> Vec<Shape> {
    let shapes = shapes.iter();
    let shape = |&[neurons, steps, episodes]: &[usize; 3]| Shape {
        population: 1,
        episodes,
        steps,
        inputs: neurons,
        outputs: neurons,
        recurrent: true,
    };
    shapes.map(shape).collect()
}

/// `256x256x20x16/gradient/cpu`, and on a GPU that has a clock `256x256x20x16/gradient/gpu-clock` beside it: `forward`,
/// `backward`, `gradient` (both) and `meta-step`; of recurrent layers `recurrent-100x50x30/gradient/cpu`. Nothing is made before its
/// turn, which a filter may never give it.
fn shapes(criterion: &mut Criterion, shapes: &[Shape], engines: &[Engine]) {
    for &shape in shapes {
        let Shape {
            inputs,
            outputs,
            steps,
            episodes,
            ..
        } = shape;
        let problem = LazyCell::new(|| Problem::new(shape).expect("a valid shape"));
        let name = match shape.recurrent {
            true => format!("recurrent-{outputs}x{steps}x{episodes}"),
            false => format!("{inputs}x{outputs}x{steps}x{episodes}"),
        };
        let mut group = group(criterion, &name, shape.synapse_steps());
        for engine in engines {
            let kind = engine.kind();
            let problem = &problem;
            let sweep = |sweep| Lazy {
                make: move || Run::new(engine, problem, sweep).expect("a sweep that fits"),
                run: OnceCell::new(),
            };
            let (forward, gradient) = (sweep(Sweep::Forward), sweep(Sweep::Gradient));
            for (suffix, time) in clocks(engine) {
                group.bench_function(format!("forward/{kind}{suffix}"), |bencher| {
                    bencher.iter_custom(|count| (0..count).map(|_| forward.once(time)).sum());
                });
                // What gradients take beyond forward sweeps, in turn.
                group.bench_function(format!("backward/{kind}{suffix}"), |bencher| {
                    bencher.iter_custom(|count| {
                        let pairs = (0..count).map(|_| [gradient.once(time), forward.once(time)]);
                        let sums = pairs.fold([Duration::ZERO; 2], |sums, pair| {
                            [sums[0] + pair[0], sums[1] + pair[1]]
                        });
                        // Criterion takes no time of zero.
                        sums[0].saturating_sub(sums[1]).max(Duration::from_nanos(1))
                    });
                });
                group.bench_function(format!("gradient/{kind}{suffix}"), |bencher| {
                    bencher.iter_custom(|count| (0..count).map(|_| gradient.once(time)).sum());
                });
            }
            // Episodes that the caller hands over at every meta-step.
            let mut learner = None;
            group.bench_function(format!("meta-step/{kind}"), |bencher| {
                let (learner, episodes) = learner.get_or_insert_with(|| {
                    let (network, parameters, episodes) = problem.training().expect("it is valid");
                    let optimisers = [Optimiser::sgd(1e-3, 0.0)];
                    let learner = engine.learner(&network, &parameters, &optimisers);
                    (learner.expect("a learner"), episodes)
                });
                bencher.iter(|| learner.step(episodes).expect("a meta-step"));
            });
        }
        group.finish();
    }
}

/// `one-shot/20/cpu` and so on: meta-steps with the paper's settings, episodes made by the engine.
fn tasks(criterion: &mut Criterion, engines: &[Engine]) {
    let tasks: [Arc<dyn Task>; 3] = [
        Arc::new(Association::ONE_SHOT),
        Arc::new(Association::REVERSAL),
        Arc::new(Completion::PAPER),
    ];
    for task in tasks {
        for population in POPULATIONS {
            let recipe = Recipe {
                population,
                ..Recipe::new(task.clone()).expect("the paper's")
            };
            meta_steps(criterion, &recipe, engines);
        }
    }
}

fn meta_steps(criterion: &mut Criterion, recipe: &Recipe, engines: &[Engine]) {
    let source = recipe.source(Purpose::Training);
    let mut group = group(criterion, recipe.task.name(), recipe.synapse_steps());
    for engine in engines {
        let mut done = 0;
        let mut learner = None;
        let make = || {
            let parameters = metaplastic::Parameters::<f32>::initialise(
                &recipe.network,
                &recipe.initial,
                recipe.population,
                recipe.seed,
            )
            .expect("the paper's networks");
            let optimisers: [Optimiser; 1] = [recipe.optimiser.clone()];
            engine
                .learner(&recipe.network, &parameters, &optimisers)
                .expect("a learner")
        };
        let name = format!("{}/{}", recipe.population, engine.kind());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let count = u32::try_from(count).expect("no more meta-steps than that");
                let learner = learner.get_or_insert_with(make);
                let start = Instant::now();
                learner
                    .train(&source, done..done + count)
                    .expect("training");
                done += count;
                start.elapsed()
            });
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let is_named = std::env::var_os("METAPLASTIC_DEVICE").is_some();
    let engines = engines();
    shapes(criterion, &plastic(&SHAPES), &engines);
    shapes(criterion, &plastic(&SMALL_BATCHES), &engines[..1]);
    shapes(criterion, &recurrent(&RECURRENT), &engines);
    // A software adapter is measured only where it is asked for, and then at the sizes of a CPU.
    let hardware = |engine: &&Engine| !is_named && matches!(engine.kind(), "gpu");
    let hardware: Vec<_> = engines.iter().filter(hardware).cloned().collect();
    shapes(criterion, &plastic(&LARGE_SHAPES), &hardware);
    tasks(criterion, &engines);
}

criterion_group!(benches, all);
criterion_main!(benches);
