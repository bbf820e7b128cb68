//! Which outputs count as right.

use crate::zip::zip_eq;

/// The fraction of outputs with the sign of their target.
///
/// # Panics
/// If there are not as many targets.
pub fn right_signs(output: &[f64], target: &[f64]) -> f64 {
    let right = zip_eq(output, target).filter(|(z, t)| *z * *t > 0.0);
    right.count() as f64 / output.len() as f64
}

/// Whether the output is larger than every other where the target is largest; no answer at all is not a right one.
///
/// # Panics
/// If there are more targets than outputs, and the largest is one of those.
pub fn has_right_label(output: &[f64], target: &[f64]) -> bool {
    is_largest(output, largest(target))
}

fn largest(values: &[f64]) -> usize {
    let pairs = values.iter().enumerate();
    pairs
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(index, _)| index)
}

fn is_largest(values: &[f64], index: usize) -> bool {
    let mut others = values
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index);
    others.all(|(_, other)| values[index] > *other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_not_right() {
        assert!(has_right_label(&[1.0, 0.0], &[1.0, 0.0]));
        assert!(!has_right_label(&[1.0, 1.0], &[1.0, 0.0]));
        assert!(!has_right_label(&[f64::NAN, 1.0], &[1.0, 0.0]));
        assert_eq!(
            right_signs(&[0.5, 0.0, -2.0, 3.0], &[1.0, 1.0, -1.0, -1.0]),
            0.5
        );
    }
}
