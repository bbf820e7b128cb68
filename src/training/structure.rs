//! What a trained network looks like inside: its connections, and the signs of its plasticity.

use crate::network::{Network, Plastic};
use crate::parameters::{Layout, Parameters, Role};
use crate::tasks::Task;
use ndarray::{Array2, Ix1, Ix2};

/// One layer's weights, those on its input or on its own neurons, or its plasticity coefficients, of one network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Matrix {
    /// Index of the layer.
    pub layer: usize,
    /// [`Role::Weight`], [`Role::Plasticity`], or [`Role::InputWeight`] of a recurrent layer.
    pub role: Role,
    /// `[O, J]`, `J` presynaptic neurons, or `[O, I]` on a recurrent layer's input; coefficients that connections share are
    /// written out for each.
    pub values: Array2<f64>,
}

/// One connection, or its plasticity.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Connection {
    /// Index of the layer.
    pub layer: usize,
    /// [`Role::Weight`], [`Role::Plasticity`], or [`Role::InputWeight`] of a recurrent layer.
    pub role: Role,
    /// The neuron that it leads to.
    pub postsynaptic: usize,
    /// The neuron that it comes from.
    pub presynaptic: usize,
    /// `w`, `α` or `U`.
    pub value: f64,
}

/// The signs of one neuron's plasticity coefficients on the inputs that show a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternSigns {
    /// The neuron of the first layer.
    pub neuron: usize,
    /// Pattern inputs with negative plasticity.
    pub negative: usize,
    /// Pattern inputs with positive plasticity.
    pub positive: usize,
    /// Pattern inputs.
    pub inputs: usize,
}

impl PatternSigns {
    /// Whether the plasticity is negative on every pattern input.
    pub fn all_negative(&self) -> bool {
        self.negative == self.inputs
    }

    /// Of every neuron of network `index`'s first layer; none where that layer is not plastic, or recurrent, so that its plastic
    /// connections come from its own neurons.
    ///
    /// # Panics
    /// As [`Matrix::of`].
    pub fn of(
        task: &dyn Task,
        network: &Network,
        parameters: &Parameters<f32>,
        index: usize,
    ) -> Vec<Self> {
        if network.layers()[0].as_recurrent().is_some() {
            return Vec::new();
        }
        let matrices = Matrix::of(network, parameters, index);
        let Some(plasticity) = matrices
            .iter()
            .find(|matrix| matrix.layer == 0 && matrix.role == Role::Plasticity)
        else {
            return Vec::new();
        };
        let rows = plasticity.values.rows().into_iter().enumerate();
        rows.map(|(neuron, row)| {
            let pattern = || row.iter().take(task.pattern_inputs());
            Self {
                neuron,
                negative: pattern().filter(|value| **value < 0.0).count(),
                positive: pattern().filter(|value| **value > 0.0).count(),
                inputs: pattern().count(),
            }
        })
        .collect()
    }
}

impl Matrix {
    /// Weights and plasticity of every layer that has them, of network `index`, from input to output.
    ///
    /// # Panics
    /// If the parameters are not the network's, or there is no network `index`.
    pub fn of(network: &Network, parameters: &Parameters<f32>, index: usize) -> Vec<Self> {
        let population = parameters.population();
        assert!(
            index < population,
            "network {index} of a population of {population}"
        );
        let is_its = Layout::new(network).is_ok_and(|layout| layout == *parameters.layout());
        assert!(
            is_its,
            "the parameters belong to another network description"
        );
        let mut matrices = Vec::new();
        for (layer, description) in network.layers().iter().enumerate() {
            let presynaptic = description
                .as_plastic()
                .map_or(description.inputs(), Plastic::presynaptic);
            let shape = (description.outputs(), presynaptic);
            for role in [Role::InputWeight, Role::Weight, Role::Plasticity] {
                let Some(view) = parameters.view(layer, role) else {
                    continue;
                };
                let own = view.index_axis_move(ndarray::Axis(0), index);
                let full = if let Ok(matrix) = own.view().into_dimensionality::<Ix2>() {
                    matrix.to_owned()
                } else if let Ok(rows) = own.view().into_dimensionality::<Ix1>() {
                    Array2::from_shape_fn(shape, |(row, _)| rows[row])
                } else {
                    Array2::from_elem(shape, own.iter().next().copied().unwrap_or(0.0))
                };
                matrices.push(Self {
                    layer,
                    role,
                    values: full.mapv(f64::from),
                });
            }
        }
        matrices
    }

    /// The largest absolute value.
    pub fn largest(&self) -> f64 {
        self.values
            .iter()
            .fold(0.0, |largest, value| value.abs().max(largest))
    }
}

impl Connection {
    /// The connections of at least `fraction` of the largest of their role, the strongest first.
    pub fn strong(matrices: &[Matrix], fraction: f64) -> Vec<Self> {
        let mut strong = Vec::new();
        for matrix in matrices {
            let alike = matrices.iter().filter(|other| other.role == matrix.role);
            let threshold = fraction * alike.map(Matrix::largest).fold(0.0, f64::max);
            for ((postsynaptic, presynaptic), &value) in matrix.values.indexed_iter() {
                if value.abs() >= threshold && value != 0.0 {
                    strong.push(Self {
                        layer: matrix.layer,
                        role: matrix.role,
                        postsynaptic,
                        presynaptic,
                        value,
                    });
                }
            }
        }
        strong.sort_by(|a, b| {
            let by_strength = b.value.abs().total_cmp(&a.value.abs());
            a.role.cmp(&b.role).then(by_strength)
        });
        strong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Dense, Layer, Loss, Plastic, Plasticity, Rate};
    use crate::tasks::{Association, Completion};

    fn network(plasticity: Plasticity) -> Network {
        let Layer::Plastic(plastic) =
            Layer::from(Plastic::new(3, 2, Rate::fixed(0.1)).activation(Activation::Tanh))
        else {
            unreachable!();
        };
        let layers = [
            Layer::Plastic(Plastic {
                plasticity,
                ..plastic
            }),
            Layer::from(Dense::new(2, 2)),
        ];
        Network::new(Loss::SoftmaxCrossEntropy, layers).unwrap()
    }

    #[test]
    fn shared_coefficients_are_written_out() {
        for (plasticity, expected) in [
            (Plasticity::Connection, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            (Plasticity::Neuron, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
            (Plasticity::Layer, [0.0; 6]),
        ] {
            let network = network(plasticity);
            let mut parameters = Parameters::<f32>::new(&network, 2).unwrap();
            let mut view = parameters.view_mut(0, Role::Plasticity).unwrap();
            let mut own = view.index_axis_mut(ndarray::Axis(0), 1);
            own.iter_mut()
                .enumerate()
                .for_each(|(k, value)| *value = k as f32);
            let matrices = Matrix::of(&network, &parameters, 1);
            let roles: Vec<_> = matrices.iter().map(|m| (m.layer, m.role)).collect();
            assert_eq!(
                roles,
                [(0, Role::Weight), (0, Role::Plasticity), (1, Role::Weight)]
            );
            assert_eq!(
                matrices[1].values.iter().copied().collect::<Vec<_>>(),
                expected
            );
        }
    }

    #[test]
    fn signs_are_counted_over_pattern_inputs_alone() {
        let network = network(Plasticity::Connection);
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        let values = [-1.0, -2.0, 3.0, 0.0, -1.0, -1.0];
        let mut view = parameters.view_mut(0, Role::Plasticity).unwrap();
        view.iter_mut()
            .zip(values)
            .for_each(|(place, value)| *place = value);
        let task = Association::one_shot(2, 2, 6).unwrap();
        let signs = PatternSigns::of(&task, &network, &parameters, 0);
        let counts: Vec<_> = signs.iter().map(|s| (s.negative, s.positive)).collect();
        assert_eq!(counts, [(2, 0), (1, 0)]);
        assert!(signs[0].all_negative() && !signs[1].all_negative());
        let task = Completion::new(3).unwrap();
        assert!(!PatternSigns::of(&task, &network, &parameters, 0)[0].all_negative());
    }

    #[test]
    fn strong_connections_are_sorted_within_their_role() {
        let network = network(Plasticity::Connection);
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        let mut set = |layer, role, values: &[f32]| {
            let mut view = parameters.view_mut(layer, role).unwrap();
            view.iter_mut()
                .zip(values)
                .for_each(|(place, value)| *place = *value);
        };
        set(0, Role::Weight, &[0.1, -4.0, 0.0, 2.0, 1.9, 0.0]);
        set(0, Role::Plasticity, &[10.0, 4.0, 0.0, 0.0, 0.0, -9.0]);
        set(1, Role::Weight, &[3.0, 0.5, 0.0, 0.0]);
        let strong = Connection::strong(&Matrix::of(&network, &parameters, 0), 0.5);
        let values: Vec<_> = strong.iter().map(|c| (c.layer, c.value)).collect();
        assert_eq!(
            values,
            [(0, -4.0), (1, 3.0), (0, 2.0), (0, 10.0), (0, -9.0)]
        );
        assert_eq!((strong[0].postsynaptic, strong[0].presynaptic), (0, 1));
    }
}
