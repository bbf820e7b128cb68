//! The optimisers of a population.

use crate::error::{Error, Result};
use crate::memory;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;

/// One optimiser for each network of a population with `parameters`, of one for all or one for each; they can start there.
pub(super) fn one_for_each<R: Real>(
    optimisers: &[Optimiser],
    parameters: &Parameters<R>,
) -> Result<Vec<Optimiser>> {
    let population = parameters.population();
    if optimisers.len() != 1 && optimisers.len() != population {
        return Err(Error::setting(
            "optimisers",
            format!(
                "{} given, expected 1 or one for each of the {population} networks",
                optimisers.len()
            ),
        ));
    }
    for optimiser in optimisers {
        optimiser.check()?;
        optimiser.check_parameters(parameters.layout())?;
    }
    memory::require(
        "the optimisers' settings",
        population as u128 * size_of::<Optimiser>() as u128,
    )?;
    let all = optimisers.iter().cloned().cycle().take(population);
    let all: Vec<_> = all.collect();
    for (index, optimiser) in all.iter().enumerate() {
        optimiser.check_start(index, parameters)?;
    }
    Ok(all)
}
