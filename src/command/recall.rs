//! The drawing of what a run's typical network brings back.

use super::subject::Subject;
use metaplastic::runs::figure::{self, Recalled};
use metaplastic::tasks::TaskSetting;
use metaplastic::training::{Recall, Recipe};
use metaplastic::{Engine, Error, Result};

/// Episodes that are made; the drawing may show fewer.
const EPISODES: usize = 3;

/// What a network brings back in the episodes of a seed.
fn recall(engine: &Engine, subject: &Subject<'_>, seed: u64) -> Result<Option<Recall>> {
    let Recipe { network, task, .. } = subject.recipe;
    let only = subject.index..subject.index + 1;
    let parameters = subject.parameters.slice(only);
    Recall::new(engine, network, &parameters, task, seed, EPISODES)
}

/// The drawing, beside that of a control where there is one, of episodes as they are where the first network of the run has those
/// of `seed`; `None` where the task is not to bring patterns back.
pub(super) fn draw(
    engine: &Engine,
    subject: &Subject<'_>,
    control: Option<&Subject<'_>>,
    seed: u64,
) -> Result<Option<String>> {
    let offset = subject
        .recipe
        .seed_of(subject.index)
        .wrapping_sub(subject.recipe.seed);
    let seed = seed.wrapping_add(offset);
    let Some(own) = recall(engine, subject, seed)? else {
        return Ok(None);
    };
    let mut networks = vec![Recalled {
        heading: "recalled",
        about: &subject.about,
        recall: &own,
    }];
    let beside = match control {
        Some(control) => {
            let recall = recall(engine, control, seed)?;
            recall.map(|recall| (format!("control: {}", control.about), recall))
        }
        None => None,
    };
    if let Some((about, recall)) = &beside {
        networks.push(Recalled {
            heading: "control's recall",
            about,
            recall,
        });
    }
    let title = format!("{}: what comes back", subject.recipe.task.title());
    Ok(Some(figure::recall(&title, &networks)))
}

/// Fails unless the control's episodes are the same.
pub(super) fn require_same_task(run: &Recipe, control: &Recipe) -> Result<()> {
    if *run.task == *control.task {
        return Ok(());
    }
    let [found, expected] = if control.task.name() == run.task.name() {
        differences(&control.task.settings(), &run.task.settings())
    } else {
        [control, run].map(|it| it.task.name().to_owned())
    };
    Err(Error::Setting {
        field: "--control".into(),
        reason: format!(
            "a run on {found}, expected one on {expected}, as the run that it is the control of"
        ),
    })
}

/// The settings in which tasks of one kind differ: `bits 10, gap 2`, of either.
fn differences(one: &[TaskSetting], other: &[TaskSetting]) -> [String; 2] {
    [(one, other), (other, one)].map(|(own, others)| {
        let differs = |it: &&TaskSetting| !others.contains(it);
        let own = own.iter().filter(differs);
        let texts: Vec<_> = own.map(|it| format!("{} {}", it.name, it.value)).collect();
        texts.join(", ")
    })
}
