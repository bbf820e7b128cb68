//! Which network of a population stands for the others.

use crate::training::{PointResult, Recipe};

/// The typical network of a run, as [`typical`] has it; of a sweep, that of the best point.
pub fn typical_of(recipe: &Recipe, errors: &[Option<f64>], solved: &[bool]) -> usize {
    if recipe.sweep.is_empty() {
        return typical(errors, solved);
    }
    let point = PointResult::best(&PointResult::of_each(recipe, errors, solved)).unwrap_or(0);
    let own = recipe.networks_of(point);
    own.start + typical(&errors[own.clone()], &solved[own])
}

/// The solved network whose final error is nearest the median of the solved ones; of all, where none is solved.
pub fn typical(errors: &[Option<f64>], solved: &[bool]) -> usize {
    let any = solved.contains(&true);
    let mut ranked: Vec<(usize, f64)> = errors
        .iter()
        .enumerate()
        .filter(|(index, _)| !any || solved.get(*index) == Some(&true))
        .map(|(index, error)| (index, error.unwrap_or(f64::INFINITY)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    // With an even number, the better one of the middle.
    let middle = ranked.len().saturating_sub(1) / 2;
    ranked.get(middle).map_or(0, |(index, _)| *index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_solved_ones_is_typical() {
        let errors = [Some(0.9), Some(0.03), Some(0.01), None, Some(0.02)];
        assert_eq!(typical(&errors, &[false, true, true, false, true]), 4);
        assert_eq!(typical(&errors, &[false; 5]), 1);
        assert_eq!(typical(&[None], &[false]), 0);
        assert_eq!(typical(&[], &[]), 0);
    }
}
