//! A task of one's own: trained, evaluated, and saved with figures and a summary
//! (`cargo run --release --example own_task`).

use metaplastic::engine::EngineKind;
use metaplastic::runs::{Begun, Run, StoredRun, Wanted, figure, staging};
use metaplastic::tasks::{Draw, Setup, Task};
use metaplastic::training::{Evaluation, Recipe, Training};
use metaplastic::{Activation, Dense, Engine, Layer, Loss, Network, Optimiser, Plastic, Rate};
use std::{ops::ControlFlow, path::Path, sync::Arc, time::Instant};

/// Echo: one of some tones sounds at the first step, then there is silence; the target is always that tone.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) tones: usize,
}

impl Task for Echo {
    fn name(&self) -> &str {
        "echo"
    }
    // A tone each, and one that sounds at every step.
    fn inputs(&self) -> usize {
        self.tones + 1
    }
    fn outputs(&self) -> usize {
        self.tones
    }
    fn steps(&self) -> usize {
        6
    }
    fn loss(&self) -> Loss {
        Loss::SoftmaxCrossEntropy
    }
    fn counts(&self, step: usize) -> bool {
        (1..self.steps()).contains(&step)
    }
    fn solved_below(&self) -> f64 {
        0.05
    }
    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        let tone = draw.sequence().below(self.tones as u32) as usize;
        input[tone] = 1.0;
        for step in 0..self.steps() {
            input[step * self.inputs() + self.tones] = 1.0;
            target[step * self.outputs() + tone] = 1.0;
        }
    }
    fn setup(&self) -> metaplastic::Result<Setup> {
        let hidden = Layer::from(
            Plastic::new(self.inputs(), 8, Rate::fixed(0.2)).activation(Activation::Tanh),
        );
        let layers = [hidden, Layer::from(Dense::new(8, self.tones))];
        let network = Network::new(self.loss(), layers)?;
        Ok(Setup::new(network, Optimiser::adam(0.01), 4_000))
    }
}

fn main() -> metaplastic::Result<()> {
    run(Path::new("runs/echo"))
}

pub(crate) fn run(folder: &Path) -> metaplastic::Result<()> {
    let task: Arc<dyn Task> = Arc::new(Echo { tones: 4 });
    let recipe = Recipe::new(task.clone())?;
    let choice = Engine::choose(EngineKind::Auto, None, recipe.synapse_steps())?;
    let (engine, start) = (&choice.engine, Instant::now());
    let mut claimed = Wanted::at(folder).claim()?;
    let trained = Training::new(engine, &recipe)?.run(|_| ControlFlow::Continue(()))?;
    let begun = Begun::new(&recipe, &choice);
    let run = Run::new(&begun, &trained, start.elapsed().as_secs_f64());
    println!("{}", claimed.save(&run, |note| eprintln!("{note}"))?);

    let run = StoredRun::read_for(&task, folder)?;
    let (network, parameters) = (&run.recipe.network, &run.parameters);
    let evaluation = Evaluation::new(engine, network, parameters, &task, 7, 1_000)?;
    let steps = figure::steps(
        &*task,
        &evaluation,
        "echo: within an episode",
        "1,000 episodes",
    );
    staging::write_text(folder.join("steps.svg"), &steps)
}
