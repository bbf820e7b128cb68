//! Kernels as text: the templates of `shaders/`, rendered for a layer's shape.
//!
//! A lane's synapses are named variables, written out by the template: arrays and loops over them would not stay in
//! registers.

use super::fusion::Packing;
use super::layout::{CHECKED, DeviceLayout, LayerLayout, most_lanes, role_code};
use super::plan::Work;
use super::profile::Profile;
use super::row_sum::row_sum;
use crate::error::{Error, Result};
use crate::network::Loss;
use crate::number::{TANH_EVEN, TANH_LAST, TANH_ODD};
use crate::optimiser::{DEVICE_CONSTANTS, Method, Schedule};
use crate::parameters::Role;
use crate::random::ROTATIONS;
use crate::tasks::TaskKernel;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::merge_maps;
use minijinja::{Environment, Value, context};
use naga::AddressSpace;
use naga::front::wgsl;
use std::collections::BTreeMap;

/// Lanes of the workgroups of kernels that do one element a lane.
pub(super) const WORKGROUP: usize = 64;

/// Retentions of a smaller size have their gradient summed from its definition.
const SMALL_RETENTION: &str = "0.25";

/// Steps between the traces that are kept where the gradient of a retention is taken: at each of them `S` is made afresh,
/// since its error grows with the steps since the last. Part of the result's last bits. With so many, a rate's gradient is
/// as precise as back-propagation's but for a small factor, the largest in short episodes; the traces of a layer of 64 by
/// 64 neurons take as much memory as its activity.
pub(super) const CHECKPOINT: usize = 16;

/// A row's scale is between these; beyond them it goes back into the trace.
const LEAST_SCALE: &str = "1.52587890625e-5";
const MOST_SCALE: &str = "65536.0";

/// Loads that a sum over an array in memory has under way at once.
pub(super) const UNROLLED: usize = 8;

/// `vec4`s of synapses a lane, above which a reverse sweep with a gradient on the final trace halves them if it can.
const HALVED_ABOVE: usize = 4;

/// How much of the work one dispatch does: the uniform of every kernel. `shaders/extent.wgsl` is rendered from
/// [`Extent::FIELDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Extent {
    /// Networks of the group.
    pub networks: u32,
    /// Episodes of the cut.
    pub episodes: u32,
    /// Episodes of the whole batch.
    pub batch: u32,
    /// Steps of the segment.
    pub steps: u32,
    /// Blocks of episodes of the cut.
    pub blocks: u32,
    /// Episodes of a block, at most.
    pub block_episodes: u32,
    /// The cut's first episode in the batch.
    pub first_episode: u32,
    /// The segment's first step in the episode.
    pub first_step: u32,
    /// Whether the blocks' sums go on from an earlier cut.
    pub accumulate: u32,
    /// Whether the gradients go on from earlier blocks.
    pub reduce_goes_on: u32,
    /// Whether the segment begins the episode.
    pub first_segment: u32,
    /// Whether the segment ends the episode.
    pub last_segment: u32,
    /// Slot of the trace at the segment's start.
    pub trace_start: u32,
    /// Slot of the trace at the segment's end.
    pub trace_end: u32,
    /// Slot of the adjoint trace at the segment's end; the other slot is its start's.
    pub adjoint_slot: u32,
    /// Whether every episode has its own mask.
    pub mask_per_episode: u32,
}

impl Extent {
    /// The fields' names, in order.
    const FIELDS: [&'static str; 16] = [
        "networks",
        "episodes",
        "batch",
        "steps",
        "blocks",
        "block_episodes",
        "first_episode",
        "first_step",
        "accumulate",
        "reduce_goes_on",
        "first_segment",
        "last_segment",
        "trace_start",
        "trace_end",
        "adjoint_slot",
        "mask_per_episode",
    ];
}

/// One buffer that a kernel binds; its number is its place in the kernel's list, plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub name: &'static str,
    access: &'static str,
    element: &'static str,
}

impl Binding {
    pub fn is_read_only(&self) -> bool {
        self.access == "read"
    }
}

fn reads(name: &'static str, element: &'static str) -> Binding {
    Binding {
        name,
        access: "read",
        element,
    }
}

fn writes(name: &'static str, element: &'static str) -> Binding {
    Binding {
        name,
        access: "read_write",
        element,
    }
}

/// A rendered kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kernel {
    /// The entry point, and the template's name.
    pub name: &'static str,
    pub source: String,
    pub bindings: Vec<Binding>,
    /// Rows or elements that one workgroup does.
    pub items: usize,
}

impl Kernel {
    /// Workgroup memory that one workgroup takes; 0 for a text that is no WGSL, which every device refuses.
    pub fn workgroup_bytes(&self) -> u64 {
        let Ok(module) = wgsl::parse_str(&self.source) else {
            return 0;
        };
        module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .map(|bytes| u64::from(bytes.next_multiple_of(16)))
            .sum()
    }
}

/// Which arrays beside the usual ones a sweep has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Variant {
    /// Gradients are taken, so that a learned rate needs the drive.
    pub gradient: bool,
    /// The trace at the start is read.
    pub trace_in: bool,
    /// The trace at the end is written.
    pub trace_out: bool,
    /// There is a gradient on the final trace.
    pub upstream: bool,
    /// The adjoint trace is carried between segments.
    pub adjoint: bool,
    /// The gradient of the initial trace is wanted.
    pub initial_gradient: bool,
    /// Traces are kept in between, for the gradient of the retention.
    pub kept: bool,
    /// The gradient on the layer's input is wanted.
    pub input_signal: bool,
    /// Time is cut: the forward sweep goes on where the segment before left off.
    pub cut: bool,
}

impl Variant {
    pub fn adjoint_slots(&self) -> usize {
        match (self.adjoint, self.initial_gradient) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }
    }
}

/// Renders kernels.
#[derive(Debug)]
pub(super) struct Renderer {
    environment: Environment<'static>,
    subgroup_size: usize,
    most_lanes: usize,
}

impl Renderer {
    pub fn new(profile: &Profile) -> Self {
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .keep_trailing_newline(true)
                .build()
                .expect("the usual delimiters"),
        );
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.add_function("unknown", unknown);
        macro_rules! templates {
            ($($name:literal),* $(,)?) => {
                $(environment
                    .add_template($name, include_str!(concat!("../../shaders/", $name)))
                    .expect("shader templates are valid: a test loads each of them");)*
            };
        }
        templates!(
            "activation.wgsl",
            "backward.wgsl",
            "bias_backward.wgsl",
            "bias_forward.wgsl",
            "check.wgsl",
            "check_parts.wgsl",
            "episodes.wgsl",
            "extent.wgsl",
            "finite.wgsl",
            "forward.wgsl",
            "input_gradient.wgsl",
            "learning.wgsl",
            "loss.wgsl",
            "meta_backward.wgsl",
            "meta_episode.wgsl",
            "meta_forward.wgsl",
            "meta_input_gradient.wgsl",
            "meta_names.wgsl",
            "meta_step.wgsl",
            "multiply_add.wgsl",
            "optimiser.wgsl",
            "reduce.wgsl",
            "reduce_rows.wgsl",
            "row_parameters.wgsl",
            "row_sum.wgsl",
            "rule.wgsl",
            "step_loss.wgsl",
            "sum_losses.wgsl",
            "sums.wgsl",
            "task.wgsl",
            "threefry.wgsl",
            "tile.wgsl",
            "update.wgsl",
        );
        for loss in Loss::ALL {
            if let Some(text) = loss.wgsl() {
                add(&mut environment, format!("losses/{loss}.wgsl"), text);
            }
        }
        for method in Method::ALL {
            let text = method.entry().wgsl;
            add(&mut environment, format!("methods/{method}.wgsl"), text);
        }
        Self {
            environment,
            subgroup_size: 1 << profile.subgroup_size.ilog2(),
            most_lanes: most_lanes(profile),
        }
    }

    fn kernel(
        &self,
        name: &'static str,
        bindings: Vec<Binding>,
        items: usize,
        values: Value,
    ) -> Result<Kernel> {
        let listed: Vec<_> = bindings
            .iter()
            .map(|binding| {
                context! { name => binding.name, access => binding.access, element => binding.element }
            })
            .collect();
        let common = context! {
            extent => Extent::FIELDS.to_vec(),
            bindings => listed,
            of => "",
            tanh => tanh(),
            ..values
        };
        let failed = |source| Error::Shader {
            name: name.to_owned(),
            source,
        };
        let template = self
            .environment
            .get_template(&format!("{name}.wgsl"))
            .map_err(failed)?;
        Ok(Kernel {
            name,
            source: template.render(common).map_err(failed)?,
            bindings,
            items,
        })
    }

    /// A kernel of one of a layer's sweeps, and how many sums over lanes each of its rows has.
    fn layer(
        &self,
        name: &'static str,
        bindings: Vec<Binding>,
        items: usize,
        (layout, layer): (&DeviceLayout, &LayerLayout),
        variant: Variant,
        sums: usize,
    ) -> Result<Kernel> {
        let (rule, plasticity, rate_per) = names_of(layer);
        let values = context! {
            plastic => layer.plastic.is_some(),
            rule, plasticity, rate_per,
            activation => layer.activation.name(),
            outputs => layer.outputs,
            row => layer.row,
            output_row => layer.output_row,
            stride => layout.stride,
            weight_at => layer.weight_at,
            plasticity_at => layer.plasticity_at,
            bias_at => layer.bias_at,
            rate_at => layer.rate_at,
            partial_stride => layout.partial_stride,
            partial_weight_at => layer.partial_weight_at,
            partial_plasticity_at => layer.partial_plasticity_at,
            partial_rows_at => layer.partial_rows_at,
            ..context! {
                workgroup => if sums > 0 { layer.workgroup } else { WORKGROUP },
                rows => layer.rows,
                tiles => layer.tiles(),
                lanes => layer.lanes,
                quads => layer.quads,
                drive => layer.retention && variant.gradient,
                retention => layer.retention,
                steady => layer.is_steady(),
                least_scale => LEAST_SCALE,
                most_scale => MOST_SCALE,
                cut => variant.cut,
                trace_in => variant.trace_in,
                trace_out => variant.trace_out,
                upstream => variant.upstream,
                adjoint => variant.adjoint,
                adjoint_slots => variant.adjoint_slots(),
                initial_gradient => variant.initial_gradient,
                signal_out => variant.input_signal,
                input_signal => variant.input_signal,
                small_retention => SMALL_RETENTION,
                kept => variant.kept,
                first_kept => usize::from(variant.upstream),
                checkpoint => CHECKPOINT,
                episode_block => crate::computation::EPISODE_BLOCK,
                parts_of_quad => ["x", "y", "z", "w"],
                ..row_sum(layer, sums, self.subgroup_size)
            }
        };
        self.kernel(name, bindings, items, values)
    }

    pub fn forward(
        &self,
        layout: &DeviceLayout,
        layer: &LayerLayout,
        variant: Variant,
    ) -> Result<Kernel> {
        if layer.is_bias {
            let bindings = vec![
                reads("parameters", "f32"),
                reads("input", "f32"),
                writes("output", "f32"),
            ];
            return self.layer(
                "bias_forward",
                bindings,
                WORKGROUP,
                (layout, layer),
                variant,
                0,
            );
        }
        let mut bindings = vec![
            reads("parameters", "vec4<f32>"),
            reads("input", "vec4<f32>"),
            writes("output", "f32"),
        ];
        if layer.retention && variant.gradient {
            bindings.push(writes("drive", "f32"));
        }
        if layer.plastic.is_some() && (variant.trace_in || variant.trace_out || variant.kept) {
            bindings.push(writes("traces", "vec4<f32>"));
        }
        if variant.cut {
            bindings.push(writes("scaled", "vec4<f32>"));
        }
        let items = layer.workgroup / layer.lanes;
        // The sum over the trace is apart from that over the weights, whether it is stored or not: the output is the
        // same bit for bit.
        let sums = 1 + usize::from(layer.plastic.is_some());
        self.layer("forward", bindings, items, (layout, layer), variant, sums)
    }

    pub fn backward(
        &self,
        layout: &DeviceLayout,
        layer: &LayerLayout,
        variant: Variant,
    ) -> Result<Kernel> {
        let mut bindings = vec![
            reads("output", "f32"),
            writes("signal", "f32"),
            writes("partials", "vec4<f32>"),
        ];
        if layer.is_bias {
            if variant.input_signal {
                bindings.push(writes("input_signal", "f32"));
            }
            return self.layer(
                "bias_backward",
                bindings,
                WORKGROUP,
                (layout, layer),
                variant,
                0,
            );
        }
        bindings.push(reads("input", "vec4<f32>"));
        if layer.plastic.is_some() {
            bindings.push(reads("parameters", "vec4<f32>"));
            if layer.retention {
                bindings.push(reads("drive", "f32"));
            }
            if variant.trace_in || variant.upstream || variant.kept {
                bindings.push(reads("traces", "vec4<f32>"));
            }
            if variant.adjoint || variant.initial_gradient {
                bindings.push(writes("adjoint", "vec4<f32>"));
            }
        }
        let layer = &self.backward_layout(layer, variant);
        let items = layer.workgroup / layer.lanes;
        let sums = 1 + usize::from(layer.retention);
        self.layer("backward", bindings, items, (layout, layer), variant, sums)
    }

    /// How the reverse sweep spreads rows over lanes: a gradient on the final trace is one array more to hold.
    pub fn backward_layout(&self, layer: &LayerLayout, variant: Variant) -> LayerLayout {
        match variant.upstream && layer.rows * layer.quads > HALVED_ABOVE {
            true => layer.halved(self.most_lanes),
            false => layer.clone(),
        }
    }

    pub fn input_gradient(
        &self,
        layout: &DeviceLayout,
        layer: &LayerLayout,
        variant: Variant,
    ) -> Result<Kernel> {
        let mut bindings = vec![
            reads("parameters", "vec4<f32>"),
            reads("signal", "vec4<f32>"),
            writes("input_signal", "vec4<f32>"),
        ];
        if layer.plastic.is_some() {
            bindings.extend([reads("input", "vec4<f32>"), reads("output", "vec4<f32>")]);
            if variant.trace_in || variant.upstream {
                bindings.push(reads("traces", "vec4<f32>"));
            }
            if variant.adjoint {
                bindings.push(reads("adjoint", "vec4<f32>"));
            }
        }
        self.layer(
            "input_gradient",
            bindings,
            WORKGROUP,
            (layout, layer),
            variant,
            0,
        )
    }

    pub fn loss(&self, loss: Loss, layer: &LayerLayout) -> Result<Kernel> {
        let bindings = vec![
            reads("output", "f32"),
            reads("target_of", "f32"),
            reads("mask", "f32"),
            writes("signal", "f32"),
            writes("step_losses", "f32"),
        ];
        let values = context! {
            loss => loss.name(),
            outputs => layer.outputs,
            output_row => layer.output_row,
            workgroup => WORKGROUP,
        };
        self.kernel("loss", bindings, WORKGROUP, values)
    }

    pub fn sum_losses(&self) -> Result<Kernel> {
        let bindings = vec![reads("step_losses", "f32"), writes("losses", "f32")];
        let values = context! { unrolled => UNROLLED, workgroup => WORKGROUP };
        self.kernel("sum_losses", bindings, WORKGROUP, values)
    }

    pub fn reduce(&self, layout: &DeviceLayout) -> Result<Kernel> {
        let bindings = vec![
            reads("partials", "f32"),
            reads("sources", "u32"),
            writes("gradients", "f32"),
        ];
        let values = context! {
            stride => layout.stride,
            partial_stride => layout.partial_stride,
            unrolled => UNROLLED,
            workgroup => WORKGROUP,
        };
        self.kernel("reduce", bindings, WORKGROUP, values)
    }

    /// The step before `reduce` for a layer whose rows share parameters.
    pub fn reduce_rows(&self, layout: &DeviceLayout, layer: &LayerLayout) -> Result<Kernel> {
        let [shares_plasticity, shares_rate] = layer.shares().map(|shares| shares.to_string());
        let values = context! {
            outputs => layer.outputs,
            partial_stride => layout.partial_stride,
            partial_rows_at => layer.partial_rows_at,
            shares_plasticity, shares_rate,
            unrolled => UNROLLED,
            workgroup => WORKGROUP,
        };
        let bindings = vec![writes("partials", "vec4<f32>")];
        self.kernel("reduce_rows", bindings, WORKGROUP, values)
    }

    pub fn check_parts(&self, layout: &DeviceLayout) -> Result<Kernel> {
        let bindings = vec![
            reads("gradients", "f32"),
            reads("kinds", "vec2<u32>"),
            reads("settings", "Optimiser"),
            writes("parts", "Part"),
        ];
        self.kernel("check_parts", bindings, 1, learning(layout))
    }

    pub fn check(&self, layout: &DeviceLayout) -> Result<Kernel> {
        let bindings = vec![
            reads("losses", "f32"),
            reads("parts", "Part"),
            reads("settings", "Optimiser"),
            reads("control", "Control"),
            writes("states", "State"),
            writes("progress", "Progress"),
        ];
        self.kernel("check", bindings, 1, learning(layout))
    }

    pub fn optimiser(&self, layout: &DeviceLayout) -> Result<Kernel> {
        let bindings = vec![
            reads("gradients", "vec4<f32>"),
            reads("kinds", "vec2<u32>"),
            reads("settings", "Optimiser"),
            reads("states", "State"),
            writes("moments", "vec4<f32>"),
            writes("parameters", "vec4<f32>"),
        ];
        self.kernel("optimiser", bindings, 4 * WORKGROUP, learning(layout))
    }

    /// A kernel of multiply-adds alone, and how many each lane does a step.
    pub fn multiply_add(&self) -> Result<(Kernel, u32)> {
        let (chains, turns) = (8u32, 16u32);
        let bindings = vec![writes("result", "f32")];
        let values = context! { chains, turns, workgroup => WORKGROUP };
        let kernel = self.kernel("multiply_add", bindings, WORKGROUP, values)?;
        Ok((kernel, 4 * chains * turns))
    }

    pub fn episodes(&self, layout: &DeviceLayout, task: &TaskKernel) -> Result<Kernel> {
        let bindings = vec![
            reads("keys", "vec4<u32>"),
            reads("control", "Control"),
            reads("progress", "Progress"),
            writes("input", "f32"),
            writes("target_of", "f32"),
            writes("words", "vec4<u32>"),
        ];
        let values = context! {
            inputs => layout.layers[0].inputs,
            outputs => layout.layers[layout.layers.len() - 1].outputs,
            row => layout.layers[0].row,
            output_row => layout.layers[layout.layers.len() - 1].output_row,
            ..merge_maps([self.of_task(task)?, learning(layout)])
        };
        self.kernel("episodes", bindings, WORKGROUP, values)
    }

    /// What the kernels that make a task's episodes have in common: the task's functions, with its values.
    fn of_task(&self, task: &TaskKernel) -> Result<Value> {
        let values: BTreeMap<_, _> = task
            .values
            .iter()
            .map(|(name, value)| (&**name, *value))
            .collect();
        let text = self
            .environment
            .render_named_str("task", &task.template, values);
        let text = text.map_err(|source| Error::Shader {
            name: "task".to_owned(),
            source,
        })?;
        Ok(context! {
            task => text,
            words => task.words,
            rotations => ROTATIONS.iter().map(|pair| pair.to_vec()).collect::<Vec<_>>(),
        })
    }

    /// Whole meta-steps of networks that are small enough.
    pub fn meta_step(
        &self,
        loss: Loss,
        layout: &DeviceLayout,
        work: &Work,
        packing: Packing,
    ) -> Result<Kernel> {
        let mut bindings = Vec::new();
        if work.learn {
            bindings.extend([
                writes("parameters", "vec4<f32>"),
                writes("moments", "vec4<f32>"),
                reads("kinds", "vec2<u32>"),
                reads("settings", "Optimiser"),
            ]);
        } else {
            bindings.push(reads("parameters", "vec4<f32>"));
        }
        bindings.extend([
            writes("states", "State"),
            writes("progress", "Progress"),
            reads("control", "Control"),
            match work.task {
                Some(_) => reads("keys", "vec4<u32>"),
                None => reads("episodes", "f32"),
            },
        ]);
        let layers = layout.layers.iter().enumerate();
        let layers: Vec<_> = layers
            .map(|(index, layer)| fused_layer(index, layer, work))
            .collect();
        let mut activations: Vec<_> = layout
            .layers
            .iter()
            .map(|it| it.activation.name())
            .collect();
        let plastic = layout.layers.iter().filter_map(|layer| layer.plastic);
        let mut rules: Vec<_> = plastic.map(|(rule, ..)| rule.name()).collect();
        for names in [&mut activations, &mut rules] {
            names.sort_unstable();
            names.dedup();
        }
        let of_task = match &work.task {
            Some(task) => self.of_task(task)?,
            None => context! { task => () },
        };
        let values = context! {
            layers, activations, rules,
            loss => loss.name(),
            learn => work.learn,
            steps => work.steps,
            lanes => packing.lanes,
            packed => packing.networks,
            small_retention => SMALL_RETENTION,
            checkpoint => CHECKPOINT,
            ..merge_maps([of_task, learning(layout)])
        };
        self.kernel("meta_step", bindings, packing.networks, values)
    }
}

/// Adds the text of one entry of a table; a name that has none is an error where a kernel includes it.
fn add(environment: &mut Environment<'static>, name: String, text: &'static str) {
    environment
        .add_template_owned(name, text)
        .expect("shader templates are valid: a test loads each of them");
}

/// What a template says where it has no text for a name: something new must not get the text of another.
fn unknown(what: &str, name: &str) -> std::result::Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(
        minijinja::ErrorKind::InvalidOperation,
        format!("no text for {what} {name:?}"),
    ))
}

/// A layer as the kernel `meta_step` sees it.
fn fused_layer(index: usize, layer: &LayerLayout, work: &Work) -> Value {
    let learn = work.learn;
    let (rule, plasticity, rate_per) = names_of(layer);
    // Whether all rows have one plasticity coefficient or one learned rate.
    let shares = learn && layer.shares().contains(&true);
    context! {
        index, rule, plasticity, rate_per,
        plastic => layer.plastic.is_some(),
        is_bias => layer.is_bias,
        activation => layer.activation.name(),
        inputs => layer.inputs,
        outputs => layer.outputs,
        quads => layer.inputs.div_ceil(4),
        row => layer.row,
        output_row => layer.output_row,
        ..context! {
            drive => layer.retention && learn,
            kept => kept_traces(layer, work, work.steps),
            shares => shares,
            steady => layer.is_steady(),
            weight_at => layer.weight_at,
            plasticity_at => layer.plasticity_at,
            bias_at => layer.bias_at,
            rate_at => layer.rate_at,
        }
    }
}

/// Traces that are kept for the gradient of a layer's retention, of a segment of `steps` steps: those after each
/// [`CHECKPOINT`] steps of the episode but the last.
pub(super) fn kept_traces(layer: &LayerLayout, work: &Work, steps: usize) -> usize {
    let of_episode = work.steps.saturating_sub(1) / CHECKPOINT;
    match layer.retention && work.gradient {
        true => of_episode.min(steps.div_ceil(CHECKPOINT)),
        false => 0,
    }
}

/// The names of a plastic layer's rule, and of how many plasticity coefficients and rates it has.
fn names_of(layer: &LayerLayout) -> (&'static str, &'static str, &'static str) {
    match layer.plastic {
        Some((rule, plasticity, per)) => (rule.name(), plasticity.name(), per.name()),
        None => ("", "", ""),
    }
}

/// What the kernels of a population in training have in common.
fn learning(layout: &DeviceLayout) -> Value {
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
        tensors => layout.tensors,
        roles => context! {
            weight => role_code(Role::Weight),
            plasticity => role_code(Role::Plasticity),
            bias => role_code(Role::Bias),
            rate => role_code(Role::Rate),
        },
    }
}

/// The coefficients of `tanh`, as literals.
fn tanh() -> Value {
    let literals = |values: [f32; 5]| values.map(|value| format!("{value:?}")).to_vec();
    context! {
        last => format!("{TANH_LAST:?}"),
        odd => literals(TANH_ODD),
        even => literals(TANH_EVEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fusion::Fusion;
    use crate::network::{Activation, Layer, Network, Plastic, Plasticity, Rate, Rule};
    use crate::tasks::{Association, Completion, Task};

    /// Parses and validates as a driver's front end would.
    fn validate(kernel: &Kernel) {
        let module = wgsl::parse_str(&kernel.source).unwrap_or_else(|error| {
            panic!(
                "{}\n{}",
                kernel.source,
                error.emit_to_string(&kernel.source)
            )
        });
        let capabilities = naga::valid::Capabilities::SUBGROUP;
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|error| {
                panic!(
                    "{}\n{}",
                    kernel.source,
                    error.emit_to_string(&kernel.source)
                )
            });
        drop(info);
        assert_eq!(module.entry_points[0].name, kernel.name);
        // WebGPU guarantees eight storage buffers a stage.
        assert!(
            kernel.bindings.len() <= 8,
            "{}: {:?}",
            kernel.name,
            kernel.bindings
        );
        let uniform = module
            .global_variables
            .iter()
            .find(|(_, variable)| variable.space == AddressSpace::Uniform)
            .expect("every kernel has its extent");
        let size = module.types[uniform.1.ty].inner.size(module.to_ctx());
        assert_eq!(size as usize, size_of::<Extent>());
        assert!(!kernel.source.contains("{{") && !kernel.source.contains("{%"));
    }

    fn variants() -> Vec<Variant> {
        (0..128u32)
            .map(|bits| {
                let on = |bit: u32| bits >> bit & 1 == 1;
                Variant {
                    gradient: on(0),
                    trace_in: on(1) || on(4),
                    trace_out: on(2) || on(3) || on(4),
                    upstream: on(3),
                    adjoint: on(4),
                    initial_gradient: on(5),
                    input_signal: on(6),
                    kept: bits.count_ones() % 2 == 1,
                    cut: on(4),
                }
            })
            .collect()
    }

    fn plastic(
        (inputs, outputs): (usize, usize),
        rule: Rule,
        plasticity: Plasticity,
        rate: Rate,
        activation: Activation,
    ) -> Network {
        let layer = Plastic {
            inputs,
            outputs,
            activation,
            rule,
            plasticity,
            rate,
            bias: inputs != 3,
        };
        Network::new(Loss::SquaredError, [Layer::Plastic(layer)]).unwrap()
    }

    fn validate_all(network: &Network, profile: &Profile, variant: Variant) {
        let renderer = Renderer::new(profile);
        let layout = DeviceLayout::new(network, profile);
        for layer in &layout.layers {
            validate(&renderer.forward(&layout, layer, variant).unwrap());
            validate(&renderer.backward(&layout, layer, variant).unwrap());
            if !layer.is_bias {
                validate(&renderer.input_gradient(&layout, layer, variant).unwrap());
            }
        }
    }

    #[test]
    fn every_sweep_variant_is_valid() {
        let profile = Profile::default();
        for rule in Rule::ALL {
            for plasticity in Plasticity::ALL {
                for rate in [Rate::fixed(0.1), Rate::learned(0.1).per_neuron()] {
                    for variant in variants() {
                        // A lane with a whole row, and two lanes with two.
                        for shape in [(10, 7), (24, 8)] {
                            validate_all(
                                &plastic(shape, rule, plasticity, rate, Activation::Tanh),
                                &profile,
                                variant,
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_row_length_and_reduction_is_valid() {
        let without = Profile {
            subgroup_size: 1,
            ..Profile::default()
        };
        let narrow = Profile {
            subgroup_size: 8,
            workgroup_size: 128,
            ..Profile::default()
        };
        let of_two = Profile {
            subgroup_size: 2,
            ..Profile::default()
        };
        let of_four = Profile {
            subgroup_size: 4,
            ..Profile::default()
        };
        for profile in [Profile::default(), without, of_two, of_four, narrow] {
            for inputs in [1, 3, 4, 5, 32, 33, 60, 64, 100, 129, 256, 1000, 1024, 4096] {
                for variant in [Variant::default(), variants()[127]] {
                    // An odd and an even number of rows: tiles of one and of two.
                    for outputs in [7, 8] {
                        let network = plastic(
                            (inputs, outputs),
                            Rule::Oja,
                            Plasticity::Connection,
                            Rate::fixed(0.1),
                            Activation::Logistic,
                        );
                        validate_all(&network, &profile, variant);
                    }
                }
            }
        }
    }

    #[test]
    fn the_other_kernels_are_valid() {
        let profile = Profile::default();
        let renderer = Renderer::new(&profile);
        for activation in Activation::ALL {
            let layers = [
                Layer::dense(10, 4, activation),
                Layer::Bias(crate::Bias {
                    inputs: 4,
                    outputs: 4,
                    activation,
                    bias: true,
                }),
            ];
            let network = Network::new(Loss::SquaredError, layers).unwrap();
            for variant in variants() {
                validate_all(&network, &profile, variant);
            }
            let layout = DeviceLayout::new(&network, &profile);
            for loss in [Loss::SquaredError, Loss::SoftmaxCrossEntropy] {
                validate(&renderer.loss(loss, &layout.layers[1]).unwrap());
            }
            validate(&renderer.reduce(&layout).unwrap());
            validate(&renderer.sum_losses().unwrap());
            validate(&renderer.check_parts(&layout).unwrap());
            for layer in &layout.layers {
                validate(&renderer.reduce_rows(&layout, layer).unwrap());
            }
            validate(&renderer.multiply_add().unwrap().0);
            validate(&renderer.check(&layout).unwrap());
            validate(&renderer.optimiser(&layout).unwrap());
            for task in [
                Completion::PAPER.kernel(),
                Association::ONE_SHOT.kernel(),
                Association::reversal(100, 4, 40).unwrap().kernel(),
            ] {
                validate(&renderer.episodes(&layout, &task.unwrap()).unwrap());
            }
        }
    }

    /// A name that a template has no text for is an error, and gets no other's text.
    #[test]
    fn unknown_names_are_errors() {
        let profile = Profile::default();
        let renderer = Renderer::new(&profile);
        let paper = Association::ONE_SHOT.kernel().unwrap();
        let network = plastic(
            (10, 2),
            Rule::Hebb,
            Plasticity::Neuron,
            Rate::learned(0.1),
            Activation::Tanh,
        );
        let layout = DeviceLayout::new(&network, &profile);
        let work = Work::training(&network, 1, 1, 20);
        let layer = fused_layer(0, &layout.layers[0], &work);
        let with = |other: Value| {
            let known = context! {
                loss => "squared-error",
                activations => ["tanh"],
                rules => ["hebb"],
                layers => [layer.clone()],
                checkpoint => CHECKPOINT,
                learn => true,
                steps => 20,
                lanes => 8,
                packed => 1,
                small_retention => SMALL_RETENTION,
                ..merge_maps([renderer.of_task(&paper).unwrap(), learning(&layout)])
            };
            let bindings = vec![writes("parameters", "vec4<f32>")];
            renderer.kernel("meta_step", bindings, 1, merge_maps([known, other]))
        };
        with(context! {}).unwrap();
        for (what, other) in [
            ("losses/hinge", context! { loss => "hinge" }),
            ("activation", context! { activations => ["tanh", "gelu"] }),
            ("rule", context! { rules => ["hebb", "bcm"] }),
            (
                "methods/lion",
                context! { methods => [context! { name => "lion", moments => 2 }] },
            ),
            ("schedule", context! { schedules => ["constant", "linear"] }),
            (
                "plasticity",
                context! { layers => [context! { plasticity => "synapse", ..layer.clone() }] },
            ),
            (
                "rate",
                context! { layers => [context! { rate_per => "synapse", ..layer.clone() }] },
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

    /// Validates every kernel of whole meta-steps that a network may have, for each device's workgroup memory.
    fn validate_fused(network: &Network, task: Option<TaskKernel>) {
        for workgroup_bytes in [16 << 10, 32 << 10, 48 << 10] {
            let profile = Profile {
                workgroup_bytes,
                ..Profile::default()
            };
            let layout = DeviceLayout::new(network, &profile);
            for (networks, batch, learn) in [(1, 1, true), (1000, 16, true), (3, 2, false)] {
                let work = Work {
                    task: task.clone(),
                    learn,
                    gradient: learn,
                    ..Work::training(network, networks, batch, 10)
                };
                let fusion = Fusion::new(network, &profile, &layout, &work).unwrap();
                let kernel = fusion.expect("a small network").kernel;
                validate(&kernel);
                assert!(kernel.workgroup_bytes() <= workgroup_bytes);
            }
        }
    }

    #[test]
    fn every_small_network_has_a_valid_kernel_of_whole_meta_steps() {
        let rates = [Rate::fixed(0.1), Rate::learned(0.1)];
        let rates = rates.into_iter().flat_map(|rate| [rate, rate.per_neuron()]);
        for rate in rates {
            for rule in Rule::ALL {
                for plasticity in Plasticity::ALL {
                    for activation in Activation::ALL {
                        for inputs in [1, 3, 10] {
                            let network = plastic((inputs, 7), rule, plasticity, rate, activation);
                            validate_fused(&network, None);
                        }
                    }
                }
            }
        }
        for loss in [Loss::SquaredError, Loss::SoftmaxCrossEntropy] {
            let stacks = [
                vec![Layer::dense(9, 5, Activation::Relu), Layer::bias(5)],
                vec![Layer::bias(9), Layer::plastic(9, 4, Rate::fixed(0.1))],
                vec![
                    Layer::plastic(9, 8, Rate::learned(0.1)),
                    Layer::plastic(8, 5, Rate::learned(0.1).per_neuron()),
                    Layer::dense(5, 3, Activation::Linear),
                    Layer::dense(3, 2, Activation::Logistic),
                    Layer::bias(2),
                ],
            ];
            for layers in stacks {
                validate_fused(&Network::new(loss, layers).unwrap(), None);
            }
        }
    }

    #[test]
    fn every_task_has_a_valid_kernel_of_whole_meta_steps() {
        let tasks: [Box<dyn Task>; 3] = [
            Box::new(Completion::new(10).unwrap()),
            Box::new(Association::one_shot(7, 3, 10).unwrap()),
            Box::new(Association::reversal(7, 3, 10).unwrap()),
        ];
        for task in tasks {
            for loss in [Loss::SquaredError, Loss::SoftmaxCrossEntropy] {
                let layers = [
                    Layer::plastic(10, 4, Rate::learned(0.1)),
                    Layer::dense(4, task.outputs(), Activation::Linear),
                ];
                validate_fused(&Network::new(loss, layers).unwrap(), task.kernel());
            }
        }
    }
}
