//! What the templates of cells are told.

use super::cell::{CellLayout, RowPlane};
use super::cell_kernels::{CellKernel, CellSweep, Sum};
use super::cell_tile::CellTile;
use super::kernel::WORKGROUP;
use super::layout::DeviceLayout;
use super::render::{UNROLLED, extents_of, name_of};
use crate::computation::{Checkpoints, EPISODE_BLOCK};
use crate::network::{Dynamic, RecurrentInput};
use crate::parameters::Role;
use minijinja::value::merge_maps;
use minijinja::{Value, context};

impl CellSweep<'_> {
    /// What the template of a kernel is told, in episodes of so many steps.
    pub fn values(&self, kernel: CellKernel, layout: &DeviceLayout, steps: usize) -> Value {
        merge_maps([
            self.of_kernel(kernel),
            self.of_arrays(steps),
            self.of_parameters(),
            context! {
                stride => layout.stride,
                partial_stride => layout.partial_stride,
                episode_block => EPISODE_BLOCK,
                workgroup => match kernel {
                    CellKernel::Signal | CellKernel::Modulator => self.layer.cell_lanes,
                    _ => WORKGROUP,
                },
                unrolled => UNROLLED,
            },
        ])
    }

    fn of_kernel(&self, kernel: CellKernel) -> Value {
        use CellKernel::{Answer, BackwardSteps, Forward, ForwardSteps, Pull, Replay, Update};
        let has_trace = self.cell.has_trace;
        let is_feed_forward = self.cell.input.is_none();
        // Which of the functions in `cell.wgsl` it calls.
        let presynaptic = match kernel {
            ForwardSteps => is_feed_forward,
            Answer => has_trace,
            CellKernel::InputWeights | CellKernel::Signal | CellKernel::Modulator => false,
            _ => true,
        };
        let input = match kernel {
            Forward | ForwardSteps | CellKernel::InputWeights => true,
            _ => presynaptic && is_feed_forward,
        };
        let row = matches!(kernel, Update | Replay | Pull | Answer | BackwardSteps);
        let plasticity = matches!(kernel, Forward | Answer | ForwardSteps | BackwardSteps);
        let of_input = kernel == CellKernel::InputWeights;
        let (columns, role) = match of_input {
            true => (self.layer.inputs, Role::InputWeight),
            false => (self.cell.presynaptic, Role::Weight),
        };
        context! {
            needs => context! {
                presynaptic, input, row, plasticity,
                activity => kernel == ForwardSteps,
                rule => row || kernel == ForwardSteps,
                adjoint_in_memory => kernel != BackwardSteps,
                columns => self.needs_columns(),
            },
            lanes => self.cell.lanes(WORKGROUP),
            tile => self.layer.cell_tile.map(|tile| of_tile(tile, self.cell)),
            row_sums => self.row_sums(),
            sums_of_rows => self.layer.row_planes().len() - CellLayout::FIRST_SUM,
            of_input,
            // Of a product of weights.
            columns,
            partial_at => self.layer.plane_at(role),
            partial_row => if of_input { self.layer.row } else { columns },
            neurons => self.column_count(),
            sums => self.sums().iter().map(of_sum).collect::<Vec<_>>(),
            elements => self.sums().last().map_or(0, |sum| sum.end),
            shared => self.shared(),
            // Of the kernel `input_gradient`, whose weights are those of the input.
            weight_at => self.layer.at(match kernel {
                CellKernel::InputGradient => Role::InputWeight,
                _ => Role::Weight,
            }),
            plastic => has_trace && kernel != CellKernel::InputGradient,
            modulated => false,
        }
    }

    /// Sizes, and where what is in one array with others lies.
    fn of_arrays(&self, steps: usize) -> Value {
        let (cell, layer, variant) = (self.cell, self.layer, self.variant);
        let mut count = 0;
        let [trace, eligibility] = [Dynamic::Trace, Dynamic::Eligibility].map(|dynamic| {
            let is_given = self.is_initial(dynamic);
            let before = count;
            count += usize::from(is_given);
            is_given.then_some(before)
        });
        let upstream = |dynamic| variant.given.gradient.has(dynamic);
        let rows = layer.row_planes();
        let row_plane = |plane: RowPlane| rows.iter().position(|it| *it == plane);
        context! {
            activation => layer.activation.name(),
            recurrent => cell.input.is_some(),
            input => cell.input.map_or("", RecurrentInput::name),
            inputs => layer.inputs,
            outputs => layer.outputs,
            presynaptic => cell.presynaptic,
            plastic_bias => cell.plastic_bias,
            row => layer.row,
            output_row => layer.output_row,
            eligibility => cell.has_eligibility,
            states => cell.states(),
            apart => Checkpoints::of(steps).apart(),
            updated => cell.updated(),
            chunk => CellLayout::chunk(),
            chunks => cell.chunks(),
            planes => cell.planes(),
            planes_of => context! {
                plasticity => cell.plasticity_plane(),
                coefficients => cell.plasticity_plane() + 1,
            },
            initial => context! { trace, eligibility },
            goes_on => self.goes_on(),
            upstream => context! {
                trace => upstream(Dynamic::Trace),
                eligibility => upstream(Dynamic::Eligibility),
                activity => upstream(Dynamic::Activity),
            },
            kept => variant.kept,
            common_input => variant.common_input,
            input_signal => variant.input_signal,
            modulator_signal => match self.needs_modulator_signal() {
                true => self.modulation_per(),
                false => "",
            },
            row_planes => context! {
                activity => row_plane(RowPlane::Activity),
                postsynaptic => row_plane(RowPlane::Postsynaptic),
                modulator => row_plane(RowPlane::Modulator),
                of_rate => row_plane(RowPlane::OfRate),
                first_sum => CellLayout::FIRST_SUM,
                ..of_roles(|role| row_plane(RowPlane::Of(role)))
            },
        }
    }

    fn of_parameters(&self) -> Value {
        let (cell, layer) = (self.cell, self.layer);
        let coefficients = layer
            .tensors
            .iter()
            .filter(|tensor| tensor.role == Role::Coefficient);
        let coefficients = coefficients.map(|tensor| {
            context! { at => tensor.at, per => name_of(tensor.extents) }
        });
        let (functions, takes_tangents) = match &layer.rule {
            Some(rule) => rule.synapse_wgsl(),
            None => Default::default(),
        };
        context! {
            rule => context! { of => "", functions, takes_tangents },
            bound => cell.bound.map(|bound| format!("{bound:?}f")),
            plasticity => extents_of(layer, Role::Plasticity),
            rate_per => extents_of(layer, Role::Rate),
            coefficients => coefficients.collect::<Vec<_>>(),
            modulation => context! {
                source => cell.modulation.map_or("", |it| it.from.name()),
                per => self.modulation_per(),
                weight_at => layer.at(Role::ModulatorWeight),
                bias_at => layer.at(Role::ModulatorBias),
                fan_out_weight_at => layer.at(Role::FanOutWeight),
                fan_out_bias_at => layer.at(Role::FanOutBias),
            },
            plasticity_at => layer.at(Role::Plasticity),
            bias_at => layer.at(Role::Bias),
            rate_at => layer.at(Role::Rate),
            input_weight_at => layer.at(Role::InputWeight),
        }
    }

    /// What of each row is summed over its synapses on the way back.
    fn row_sums(&self) -> Vec<&'static str> {
        let sums = [
            (true, "postsynaptic"),
            (self.cell.modulation.is_some(), "modulator"),
            (true, "rate"),
        ];
        let sums = sums.into_iter().filter(|_| self.cell.has_trace);
        sums.filter_map(|(is_there, name)| is_there.then_some(name))
            .collect()
    }

    fn modulation_per(&self) -> &'static str {
        self.cell.modulation.map_or("", |it| it.per.name())
    }
}

/// How the lanes of a workgroup lie.
fn of_tile(tile: CellTile, cell: &CellLayout) -> Value {
    context! {
        outputs => cell.outputs,
        presynaptic => cell.presynaptic,
        rows => tile.rows,
        columns => tile.columns,
        row_lanes => tile.row_lanes,
        column_lanes => tile.column_lanes,
        lanes => tile.lanes(),
        adders => tile.adders(),
        stride => tile.stride(cell),
        ragged_rows => tile.rows * tile.row_lanes > cell.outputs,
        ragged_columns => tile.columns * tile.column_lanes > cell.presynaptic,
    }
}

fn of_sum(sum: &Sum) -> Value {
    let &Sum {
        kind,
        plane,
        partial_at,
        start,
        end,
    } = sum;
    context! { kind, plane, partial_at, start, end }
}

/// Something of each role that a neuron has a parameter of, by the role's name.
fn of_roles(of: impl Fn(Role) -> Option<usize>) -> Value {
    context! {
        bias => of(Role::Bias),
        rate => of(Role::Rate),
        modulator_weight => of(Role::ModulatorWeight),
        modulator_bias => of(Role::ModulatorBias),
        fan_out_weight => of(Role::FanOutWeight),
        fan_out_bias => of(Role::FanOutBias),
    }
}
