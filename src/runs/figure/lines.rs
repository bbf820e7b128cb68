//! Networks as thin lines: which are drawn, in which colour, and what the key says of them.

use super::frame::Mark;
use super::style::{BAND, INK, LINE, UNSOLVED, grouped, px};
use plotters::prelude::*;

/// Lines that are drawn at most.
const MOST: usize = 60;

/// The networks of a chart.
pub(super) struct Lines<'a> {
    solved: &'a [bool],
    /// Those that are drawn: the solved ones, and then the others, on top of them.
    pub drawn: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// All networks, or some, evenly chosen by their errors; those without a finite one are the last.
    pub fn new(errors: &[f64], solved: &'a [bool]) -> Self {
        let mut all: Vec<_> = (0..solved.len()).collect();
        let rank = |index: usize| match errors.get(index) {
            Some(error) if !error.is_nan() => *error,
            _ => f64::INFINITY,
        };
        all.sort_by(|&a, &b| rank(a).total_cmp(&rank(b)));
        let mut drawn: Vec<_> = match all.len() {
            count if count > MOST => (0..MOST)
                .map(|k| all[k * (count - 1) / (MOST - 1)])
                .collect(),
            _ => all,
        };
        drawn.sort_by_key(|&index| !solved[index]);
        Self { solved, drawn }
    }

    /// Whether some networks are not drawn. Then quartiles are.
    pub fn is_selection(&self) -> bool {
        self.drawn.len() < self.solved.len()
    }

    /// How a network's line looks.
    pub fn style(&self, index: usize) -> ShapeStyle {
        self.thin(self.solved[index])
    }

    /// The more lines there are, the fainter they are; one alone is all there is to see.
    fn thin(&self, is_solved: bool) -> ShapeStyle {
        let colour = if is_solved { LINE } else { UNSOLVED };
        match self.drawn.len() {
            1 => colour.stroke_width(px(2)),
            count => colour
                .mix((12.0 / count as f64).clamp(0.4, 0.9))
                .stroke_width(px(1)),
        }
    }

    /// The entries of a chart's key.
    pub fn key(&self) -> Vec<(Mark, String)> {
        let count = self.solved.len();
        let solved = self.solved.iter().filter(|solved| **solved).count();
        let mut key = Vec::new();
        if count > 1 {
            let text = format!("median of {}", grouped(count as u64));
            key.push((Mark::Line(median()), text));
        }
        if self.is_selection() {
            key.push((Mark::Patch(BAND), "quartiles".to_owned()));
        }
        for (is_solved, count, text) in [
            (true, solved, "solved"),
            (false, count - solved, "not solved"),
        ] {
            if count == 0 {
                continue;
            }
            let text = match self.solved.len() {
                1 => text.to_owned(),
                _ => format!("{text} ({})", grouped(count as u64)),
            };
            // A sample is seen alone.
            let colour = if is_solved { LINE } else { UNSOLVED };
            key.push((Mark::Line(colour.stroke_width(px(1))), text));
        }
        key
    }

    /// What has to be said of those that are not drawn.
    pub fn note(&self) -> Option<String> {
        self.is_selection().then(|| {
            let count = grouped(self.solved.len() as u64);
            format!(
                "Lines of {MOST} of {count} networks, evenly chosen by error; median and quartiles are of all."
            )
        })
    }
}

pub(super) fn median() -> ShapeStyle {
    INK.stroke_width(px(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_networks_are_all_drawn_and_of_many_the_best_and_the_worst_are() {
        let errors: Vec<f64> = (0..1_000).map(|k| f64::from((k * 7) % 1_000)).collect();
        let solved: Vec<bool> = errors.iter().map(|error| *error < 500.0).collect();
        let few = Lines::new(&errors[..20], &solved[..20]);
        assert_eq!((few.drawn.len(), few.note()), (20, None));
        let many = Lines::new(&errors, &solved);
        assert_eq!(many.drawn.len(), MOST);
        let drawn = |error: f64| many.drawn.iter().any(|&index| errors[index] == error);
        assert!(drawn(0.0) && drawn(999.0));
        assert!(many.note().unwrap().contains("60 of 1,000"));
        // About as many solved ones as there are among all, and they come first.
        let solved: Vec<bool> = many.drawn.iter().map(|&index| solved[index]).collect();
        let count = solved.iter().filter(|solved| **solved).count();
        assert!((29..=31).contains(&count) && solved[..count].iter().all(|solved| *solved));
    }

    #[test]
    fn what_has_no_error_is_chosen_last() {
        let errors = [f64::NAN, 1.0];
        assert_eq!(Lines::new(&errors, &[false; 2]).drawn, [1, 0]);
        assert_eq!(Lines::new(&[], &[false; 2]).drawn, [0, 1]);
    }
}
