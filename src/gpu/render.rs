//! Kernels as text: what the templates of `shaders/` are told of a layer, a task or a population.
//!
//! A lane's synapses are named variables, written out by the template: arrays and loops over them would not stay in
//! registers.

use super::kernel::{Kernel, WORKGROUP};
use super::layout::{CHECKED, DeviceLayout, LayerLayout, role_code};
use super::profile::Profile;
use super::row_sum::row_sum;
use super::stages::{Packing, Purpose, Stages};
use super::templates;
use super::variant::{CHECKPOINT, Variant, kept_traces};
use super::work::Work;
use crate::computation::EPISODE_BLOCK;
use crate::error::Result;
use crate::network::Extents;
use crate::optimiser::{DEVICE_CONSTANTS, Method, Schedule};
use crate::parameters::Role;
use crate::random::ROTATIONS;
use crate::rule::{Row, Rule};
use crate::tasks::TaskKernel;
use minijinja::value::merge_maps;
use minijinja::{Value, context};
use std::collections::BTreeMap;

/// Retentions of a smaller size have their gradient summed from its definition.
const SMALL_RETENTION: &str = "0.25";

/// Products of retentions of a smaller size end a sum over earlier steps.
const LEAST_PRODUCT: &str = "1e-14";

/// A row's scale is between these; beyond them it goes back into the trace.
const LEAST_SCALE: &str = "1.52587890625e-5";
const MOST_SCALE: &str = "65536.0";

/// Loads that a sum over an array in memory has under way at once.
pub(super) const UNROLLED: usize = 8;

/// Rows whose parts are summed before the sum goes on.
pub(super) const CHUNK: usize = 32;

/// Renders kernels for a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renderer {
    subgroup_size: usize,
}

impl Renderer {
    pub fn new(profile: &Profile) -> Self {
        Self {
            subgroup_size: 1 << profile.subgroup_size.ilog2(),
        }
    }

    /// One of the kernels of some work.
    pub fn kernel(&self, stages: &Stages<'_>, purpose: Purpose) -> Result<Kernel> {
        templates::render(
            stages.template(purpose),
            stages.bindings(purpose),
            stages.items_of_workgroup(purpose),
            self.values(stages, purpose),
        )
    }

    fn values(&self, stages: &Stages<'_>, purpose: Purpose) -> Value {
        let layout = stages.layout;
        match purpose {
            Purpose::Forward(index) | Purpose::Step(index) => {
                // The sum over the trace is apart from that over the weights, whether it is stored or not: the output is
                // the same bit for bit.
                let sums = 1 + usize::from(layout.layers[index].has_trace());
                self.of_sweep(stages, purpose, index, sums)
            }
            Purpose::Backward(index) => {
                let sums = 1 + usize::from(layout.layers[index].retention);
                self.of_sweep(stages, purpose, index, sums)
            }
            Purpose::InputGradient(index) | Purpose::ModulatorGradient(index) => {
                self.of_sweep(stages, purpose, index, 0)
            }
            Purpose::TakeInput => context! { row => layout.layers[0].row, workgroup => WORKGROUP },
            Purpose::GiveOutput => {
                context! { row => layout.last().output_row, workgroup => WORKGROUP }
            }
            Purpose::Loss => context! {
                loss => layout.loss.name(),
                outputs => layout.last().outputs,
                output_row => layout.last().output_row,
                workgroup => WORKGROUP,
            },
            Purpose::SumLosses => context! { unrolled => UNROLLED, workgroup => WORKGROUP },
            Purpose::ReduceRows(index) => of_shared_parameters(layout, &layout.layers[index]),
            Purpose::Reduce => context! {
                stride => layout.stride,
                partial_stride => layout.partial_stride,
                unrolled => UNROLLED,
                workgroup => WORKGROUP,
            },
            Purpose::CheckParts | Purpose::Check | Purpose::Optimiser => of_population(layout),
            Purpose::Episodes => context! {
                inputs => layout.layers[0].inputs,
                outputs => layout.last().outputs,
                row => layout.layers[0].row,
                output_row => layout.last().output_row,
                ..merge_maps([of_task(stages.work.task.as_ref()), of_population(layout)])
            },
            Purpose::MetaStep(packing) => of_meta_step(layout, stages.work, packing),
            Purpose::Cell(kernel, index) => {
                let steps = stages.work.request.steps;
                stages.of_cell(index).values(kernel, layout, steps)
            }
        }
    }

    /// A sweep over a layer, and how many sums over lanes each of its rows has.
    fn of_sweep(&self, stages: &Stages<'_>, purpose: Purpose, index: usize, sums: usize) -> Value {
        let (layout, layer) = (stages.layout, &stages.layout.layers[index]);
        let tile = stages.tile(purpose);
        let of_tile = match tile {
            Some(tile) => context! {
                rows => tile.rows,
                tiles => layer.outputs / tile.rows,
                lanes => tile.lanes,
                quads => tile.quads,
                ..row_sum(tile, sums, self.subgroup_size)
            },
            None => context! {},
        };
        let variant = &stages.variant(purpose, index);
        context! {
            workgroup => tile.map_or(WORKGROUP, |tile| tile.workgroup()),
            stride => layout.stride,
            partial_stride => layout.partial_stride,
            least_scale => LEAST_SCALE,
            most_scale => MOST_SCALE,
            small_retention => SMALL_RETENTION,
            least_product => LEAST_PRODUCT,
            checkpoint => CHECKPOINT,
            chunk => CHUNK,
            unrolled => UNROLLED,
            episode_block => EPISODE_BLOCK,
            parts_of_quad => ["x", "y", "z", "w"],
            drive => layer.retention && variant.gradient,
            ..merge_maps([of_layer(layer), of_variant(variant), of_tile])
        }
    }
}

/// A layer's sizes, what it computes, and where its parameters lie.
fn of_layer(layer: &LayerLayout) -> Value {
    context! {
        plastic => layer.has_trace(),
        is_bias => !layer.has_synapses(),
        rule => layer.row_rule().map(|rule| of_rule(rule, "")),
        modulated => layer.has_modulated_rows(),
        modulators => layer.modulators,
        plasticity => extents_of(layer, Role::Plasticity),
        rate_per => extents_of(layer, Role::Rate),
        activation => layer.activation.name(),
        inputs => layer.inputs,
        outputs => layer.outputs,
        row => layer.row,
        output_row => layer.output_row,
        retention => layer.retention,
        steady => layer.is_steady(),
        ..context! {
            weight_at => layer.at(Role::Weight),
            plasticity_at => layer.at(Role::Plasticity),
            bias_at => layer.at(Role::Bias),
            rate_at => layer.at(Role::Rate),
            partial_weight_at => layer.plane_at(Role::Weight),
            partial_plasticity_at => layer.plane_at(Role::Plasticity),
            partial_rows_at => layer.partial_rows_at,
        }
    }
}

/// The functions of a rule, whose names `of` ends.
fn of_rule(row: &Row, of: &str) -> Value {
    let (functions, takes_tangents) = row.wgsl(of);
    context! { of, functions, takes_tangents }
}

/// Which arrays a sweep has.
fn of_variant(variant: &Variant) -> Value {
    context! {
        cut => variant.cut,
        stepwise => variant.stepwise,
        trace_in => variant.trace_in,
        trace_out => variant.trace_out,
        upstream => variant.upstream,
        modulator_gradient => variant.modulator_gradient,
        adjoint => variant.adjoint,
        adjoint_slots => variant.adjoint_slots(),
        initial_gradient => variant.initial_gradient,
        signal_out => variant.input_signal,
        input_signal => variant.input_signal,
        common_input => variant.common_input,
        kept => variant.kept,
        first_kept => usize::from(variant.upstream),
    }
}

/// The step before `reduce` for a layer whose rows share parameters.
fn of_shared_parameters(layout: &DeviceLayout, layer: &LayerLayout) -> Value {
    let [shares_plasticity, shares_rate] = layer.shares().map(|shares| shares.to_string());
    context! {
        outputs => layer.outputs,
        partial_stride => layout.partial_stride,
        partial_rows_at => layer.partial_rows_at,
        shares_plasticity, shares_rate,
        unrolled => UNROLLED,
        workgroup => WORKGROUP,
    }
}

/// Whole meta-steps of networks that are small enough.
fn of_meta_step(layout: &DeviceLayout, work: &Work, packing: Packing) -> Value {
    let mut rules: Vec<(&Rule, &Row)> = Vec::new();
    let mut layers = Vec::new();
    for (index, layer) in layout.layers.iter().enumerate() {
        let known = layer.rule.as_ref().zip(layer.row_rule());
        let known = known.map(|(rule, row)| {
            let known = rules.iter().position(|(known, _)| *known == rule);
            known.unwrap_or_else(|| {
                rules.push((rule, row));
                rules.len() - 1
            })
        });
        layers.push(of_fused_layer(index, layer, known.map(name_of_rule), work));
    }
    let rules = rules.into_iter().enumerate();
    let rules = rules.map(|(index, (_, row))| of_rule(row, &format!("_{}", name_of_rule(index))));
    let activations = layout.layers.iter().map(|layer| layer.activation.name());
    let mut activations: Vec<_> = activations.collect();
    activations.sort_unstable();
    activations.dedup();
    context! {
        layers, activations,
        rules => rules.collect::<Vec<_>>(),
        loss => layout.loss.name(),
        learn => work.learn,
        steps => work.request.steps,
        lanes => packing.lanes,
        packed => packing.networks,
        small_retention => SMALL_RETENTION,
        least_product => LEAST_PRODUCT,
        checkpoint => CHECKPOINT,
        ..merge_maps([of_task(work.task.as_ref()), of_population(layout)])
    }
}

/// What ends the names of a rule's functions in a kernel of several rules.
fn name_of_rule(index: usize) -> String {
    format!("rule{index}")
}

/// A layer as the kernel `meta_step` sees it.
fn of_fused_layer(index: usize, layer: &LayerLayout, rule: Option<String>, work: &Work) -> Value {
    context! {
        index, rule,
        quads => layer.inputs.div_ceil(4),
        drive => layer.retention && work.learn,
        kept => kept_traces(layer, work, work.request.steps),
        // Whether all rows have one plasticity coefficient or one learned rate.
        shares => work.learn && layer.shares().contains(&true),
        ..of_layer(layer)
    }
}

/// Of how many neurons or connections each has a parameter of its own; nothing where the layer has none.
pub(super) fn extents_of(layer: &LayerLayout, role: Role) -> &'static str {
    let tensor = layer.tensor(role);
    tensor.map_or("", |tensor| name_of(tensor.extents))
}

/// What the templates call it.
pub(super) fn name_of(extents: Extents) -> &'static str {
    match extents {
        Extents::Connections | Extents::Inputs => "connection",
        Extents::Neurons => "neuron",
        Extents::One => "layer",
    }
}

/// What the kernels that make a task's episodes have in common.
fn of_task(task: Option<&TaskKernel>) -> Value {
    let Some(task) = task else {
        return context! { task => () };
    };
    let values = task.values.iter();
    let values: BTreeMap<&str, u32> = values.map(|(name, value)| (&**name, *value)).collect();
    context! {
        task => context! { template => &*task.template, values },
        words => task.words,
        rotations => ROTATIONS.iter().map(|pair| pair.to_vec()).collect::<Vec<_>>(),
    }
}

/// What the kernels of a population in training have in common.
fn of_population(layout: &DeviceLayout) -> Value {
    let methods = Method::ALL.iter().map(|method| {
        context! { name => method.name(), moments => method.entry().moments }
    });
    context! {
        stride => layout.stride,
        parts => layout.parts(),
        part => CHECKED,
        workgroup => WORKGROUP,
        methods => methods.collect::<Vec<_>>(),
        schedules => Schedule::all(1).map(|schedule| schedule.name()).to_vec(),
        device_constants => DEVICE_CONSTANTS,
        tensors => layout.tensor_count(),
        roles => context! {
            weight => role_code(Role::Weight),
            plasticity => role_code(Role::Plasticity),
            bias => role_code(Role::Bias),
            rate => role_code(Role::Rate),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Loss, Network, Plastic, Rate};
    use crate::tasks::Association;

    /// A name that a template has no text for is an error, and gets no other's text.
    #[test]
    fn unknown_names_are_errors() {
        let layers = [Layer::from(
            Plastic::new(10, 2, Rate::learned(0.1)).activation(Activation::Tanh),
        )];
        let network = Network::new(Loss::SquaredError, layers).unwrap();
        let layout = DeviceLayout::new(&network, &Profile::default());
        let work = Work::on_task(&network, 1, 1, &Association::ONE_SHOT, true);
        let packing = Packing {
            lanes: 8,
            networks: 1,
        };
        let layer = of_fused_layer(0, &layout.layers[0], Some(name_of_rule(0)), &work);
        let with = |other: Value| {
            let known = of_meta_step(&layout, &work, packing);
            templates::render("meta_step", Vec::new(), 1, merge_maps([known, other]))
        };
        with(context! {}).unwrap();
        for (what, other) in [
            ("losses/hinge", context! { loss => "hinge" }),
            ("activation", context! { activations => ["tanh", "gelu"] }),
            (
                "methods/lion",
                context! { methods => [context! { name => "lion", moments => 2 }] },
            ),
            ("schedule", context! { schedules => ["constant", "linear"] }),
            (
                "plasticity",
                context! { layers => [merge_maps([layer.clone(), context! { plasticity => "synapse" }])] },
            ),
            (
                "rate",
                context! { layers => [merge_maps([layer.clone(), context! { rate_per => "synapse" }])] },
            ),
        ] {
            // The reason is the template engine's, several templates down.
            let error = format!("{:?}", with(other).unwrap_err());
            let (no_text, no_file) = (format!("no text for {what} "), format!("{what}.wgsl"));
            assert!(
                error.contains(&no_text) || error.contains(&no_file),
                "{error}"
            );
        }
    }
}
