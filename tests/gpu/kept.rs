//! What the engine keeps from one computation for the next.

use crate::common::cases::{Case, Goal, MaskKind, plastic, stacks};
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::engine::Gradients;
use metaplastic::episodes::Objective;
use metaplastic::{Engine, Episodes, Layer, Loss, Mask, Optimiser, Want};
use std::thread;

pub fn bodies() -> Vec<Body> {
    vec![
        body(
            "a computation like the last one makes no buffer",
            |engine| {
                buffers_are_kept(engine);
            },
        ),
        body("nothing is left of the computation before", |engine| {
            nothing_is_left(engine);
        }),
        body("threads that compute the same get the same", |engine| {
            threads_share_an_engine(engine);
        }),
    ]
}

/// The same engine that has kept nothing.
fn fresh(engine: &Engine) -> Engine {
    restricted(engine, |_| {})
}

fn gradients(engine: &Engine, case: &Case, episodes: &Episodes<'_, f32>) -> Gradients<f32> {
    let parameters = case.parameters().cast();
    let gradients = engine.gradient(&case.network(), &parameters, episodes, Want::ALL);
    gradients.unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// Traces given and differentiated, and a mask for each step.
fn case() -> Case {
    Case {
        goal: Goal::Target(Loss::SquaredError, MaskKind::Steps),
        population: 5,
        batch: 3,
        steps: 40,
        initial_trace: true,
        trace_gradient: true,
        ..Case::new([
            Layer::Plastic(plastic(20, 7)),
            Layer::Plastic(plastic(7, 3)),
        ])
    }
}

/// On a device of its own, since buffers are counted by device. In one group, and in several of which the last is smaller.
fn buffers_are_kept(engine: &Engine) {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("GPU trials run on a GPU")
    };
    let own = Engine::gpu(Some(&gpu.index().to_string())).expect("a device");
    let case = case();
    // All five networks together; two, two and one.
    for bytes in [1 << 20, 20_000] {
        let engine = restricted(&own, |profile| profile.binding_bytes = bytes);
        let Engine::Gpu(gpu) = &engine else {
            unreachable!("it is restricted")
        };
        let episodes = case.episodes().cast();
        let other = Case {
            seed: 1,
            ..case.clone()
        };
        let first = gradients(&engine, &case, &episodes);
        let made = gpu.buffers_made();
        let others = gradients(&engine.clone(), &other, &other.episodes().cast());
        assert!(gradients(&engine, &case, &episodes) == first);
        assert!(others == gradients(&fresh(&engine), &other, &other.episodes().cast()));
        let made_by_another = gpu.buffers_made();
        let placed = made_by_another - made;
        assert!(placed > 0);
        assert!(gradients(&engine, &case, &episodes) == first);
        assert_eq!(gpu.buffers_made(), made_by_another, "within {bytes} bytes");
        // A learner needs the room.
        let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
        let learner = engine.learner(&network, &parameters, &[Optimiser::adam(0.01)]);
        learner.expect("a learner");
        let made_by_learner = gpu.buffers_made();
        assert!(gradients(&engine, &case, &episodes) == first);
        assert!(gpu.buffers_made() > made_by_learner);
        // Something else takes the place, and gives it back.
        let made = gpu.buffers_made();
        let forward = engine.forward(
            &case.network(),
            &case.parameters().cast::<f32>(),
            &episodes,
            Want::ALL,
        );
        assert!(forward.expect("outputs") == first.outcome);
        assert!(gradients(&engine, &case, &episodes) == first);
        assert!(gpu.buffers_made() >= made + placed);
        // What is refused leaves what is kept.
        let made = gpu.buffers_made();
        let mut broken = episodes.clone();
        broken.input[[0, 0, 0, 0]] = f32::NAN;
        let refused = engine.forward(
            &case.network(),
            &case.parameters().cast(),
            &broken,
            Want::ALL,
        );
        refused.expect_err("an input that is no number");
        assert!(gradients(&engine, &case, &episodes) == first);
        assert_eq!(gpu.buffers_made(), made);
    }
}

/// The same arrays with other values, and other arrays: each computation gives what an engine gives that has kept nothing,
/// whether it is cut or not.
fn nothing_is_left(engine: &Engine) {
    let first = case();
    let masked = Case {
        goal: Goal::Target(Loss::SquaredError, MaskKind::Episodes),
        ..first.clone()
    };
    let bare = Case {
        initial_trace: false,
        trace_gradient: false,
        ..first.clone()
    };
    let smaller = Case {
        population: 2,
        ..first.clone()
    };
    let deep = Case {
        population: 3,
        batch: 3,
        steps: 17,
        goal: Goal::OutputGradient,
        ..Case::new(stacks()[5].clone())
    };
    let silent = Case {
        goal: Goal::None,
        trace_gradient: true,
        ..deep.clone()
    };
    for bytes in [1 << 20, 14_000] {
        let engine = restricted(engine, |profile| profile.binding_bytes = bytes);
        for case in [
            &first, &masked, &bare, &first, &smaller, &bare, &deep, &silent, &deep,
        ] {
            let episodes = case.episodes().cast::<f32>();
            let expected = gradients(&fresh(&engine), case, &episodes);
            assert!(gradients(&engine, case, &episodes) == expected, "{case}");
            // The same arrays, full of what overflowed.
            let mut huge = episodes.clone();
            huge.input *= 1e38;
            for (layer, dynamic, trace) in episodes.given.iter() {
                huge.given.insert(layer, dynamic, trace.to_owned() * 1e38);
            }
            if let Objective::Target { mask, .. } = &mut huge.objective {
                match mask {
                    Mask::Steps(mask) => *mask *= 1e38,
                    Mask::Episodes(mask) => *mask *= 1e38,
                    _ => {}
                }
            }
            let overflowed = gradients(&engine, case, &huge).parameters;
            assert!(overflowed.values().iter().any(|value| !value.is_finite()));
            assert!(gradients(&engine, case, &episodes) == expected, "{case}");
        }
    }
}

fn threads_share_an_engine(engine: &Engine) {
    let cases = [0, 7].map(|seed| Case { seed, ..case() });
    let expected = |case: &Case| gradients(&fresh(engine), case, &case.episodes().cast());
    let cases = cases.map(|case| (expected(&case), case));
    let engine = fresh(engine);
    thread::scope(|scope| {
        for (expected, case) in &cases {
            let engine = engine.clone();
            scope.spawn(move || {
                for _ in 0..3 {
                    assert!(gradients(&engine, case, &case.episodes().cast()) == *expected);
                }
            });
        }
    });
}
