//! Few combinations that contain every pair of choices.

use super::random::Random;

/// Rows of choices, one index below `sizes[k]` for each factor `k`, in which every pair of choices of two factors
/// occurs. Greedy: each row starts with an uncovered pair and takes, factor by factor, the choice that covers most.
pub fn pairwise(sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut open = Vec::new();
    for a in 0..sizes.len() {
        for b in a + 1..sizes.len() {
            for x in 0..sizes[a] {
                open.extend((0..sizes[b]).map(|y| (a, x, b, y)));
            }
        }
    }
    let covers = |row: &[Option<usize>], &(a, x, b, y): &(usize, usize, usize, usize)| {
        row[a] == Some(x) && row[b] == Some(y)
    };
    let mut random = Random::new(0);
    let mut rows = Vec::new();
    while let Some(&(a, x, b, y)) = open.first() {
        let candidates = (0..50).map(|_| {
            let mut row = vec![None; sizes.len()];
            (row[a], row[b]) = (Some(x), Some(y));
            let mut factors: Vec<_> = (0..sizes.len()).filter(|&k| k != a && k != b).collect();
            while !factors.is_empty() {
                let factor = factors.swap_remove(random.below(factors.len()));
                let first = random.below(sizes[factor]);
                let choices = (0..sizes[factor]).map(|step| (first + step) % sizes[factor]);
                row[factor] = choices.max_by_key(|&choice| {
                    let mut row = row.clone();
                    row[factor] = Some(choice);
                    open.iter().filter(|pair| covers(&row, pair)).count()
                });
            }
            row
        });
        let best = candidates
            .max_by_key(|row| open.iter().filter(|pair| covers(row, pair)).count())
            .expect("candidates");
        open.retain(|pair| !covers(&best, pair));
        rows.push(
            best.into_iter()
                .map(|choice| choice.expect("chosen"))
                .collect(),
        );
    }
    rows
}
