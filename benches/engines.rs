//! The engines at four shapes: `cargo bench -- 256x256`.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use metaplastic::measure::{Problem, Run, Sample, Shape, Sweep};
use metaplastic::random::Purpose;
use metaplastic::training::{Experiment, Recipe};
use metaplastic::{Engine, Optimiser};
use std::time::Duration;

/// Inputs, outputs, steps, episodes.
const SHAPES: [[usize; 4]; 4] = [
    [10, 2, 20, 4096],
    [64, 64, 20, 64],
    [256, 256, 20, 16],
    [1024, 64, 20, 16],
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

/// `256x256/gradient/cpu`, and on a GPU that has a clock `256x256/gradient/gpu-clock` beside it.
fn sweeps(criterion: &mut Criterion) {
    let engines = engines();
    for [inputs, outputs, steps, episodes] in SHAPES {
        let shape = Shape {
            population: 1,
            episodes,
            steps,
            inputs,
            outputs,
        };
        let problem = Problem::new(shape).expect("a valid shape");
        let name = format!("{inputs}x{outputs}");
        let mut group = group(criterion, &name, shape.synapse_steps());
        for engine in &engines {
            for (name, sweep) in [("forward", Sweep::Forward), ("gradient", Sweep::Gradient)] {
                let run = Run::new(engine, &problem, sweep).expect("a problem that fits");
                let has_clock = run.once().expect("a sweep").device.is_some();
                let kind = engine.kind();
                let mut measure = |name: String, time: fn(Sample) -> Duration| {
                    group.bench_function(name, |bencher| {
                        bencher.iter_custom(|count| {
                            (0..count).map(|_| time(run.once().expect("a sweep"))).sum()
                        });
                    });
                };
                measure(format!("{name}/{kind}"), |sample| sample.wall);
                if has_clock {
                    measure(format!("{name}/{kind}-clock"), |sample| {
                        sample.device.unwrap_or(sample.wall)
                    });
                }
            }
        }
        group.finish();
    }
}

/// `10x2/meta-step/cpu`: one-shot learning with the paper's settings, 20 networks.
fn meta_steps(criterion: &mut Criterion) {
    let recipe = Recipe::paper(Experiment::OneShot);
    let source = recipe.source(Purpose::Training);
    let elements = recipe.synapse_steps();
    let mut group = group(criterion, "10x2", elements);
    for engine in engines() {
        let parameters = metaplastic::Parameters::initialise(
            &recipe.network,
            &recipe.initial,
            recipe.population,
            recipe.seed,
        )
        .expect("the paper's networks");
        let optimisers: [Optimiser; 1] = [recipe.optimiser.clone()];
        let mut learner = engine
            .learner(&recipe.network, &parameters, &optimisers)
            .expect("a learner");
        let mut done = 0;
        group.bench_function(format!("meta-step/{}", engine.kind()), |bencher| {
            bencher.iter_custom(|count| {
                let count = u32::try_from(count).expect("no more meta-steps than that");
                let start = std::time::Instant::now();
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

criterion_group!(benches, sweeps, meta_steps);
criterion_main!(benches);
