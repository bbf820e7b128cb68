//! Which arrays each kernel reads and writes.

use super::bindings::{Access, Binding, Element, Slot, reads, writes};
use super::layout::LayerLayout;
use super::stages::{Purpose, Stages};
use super::variant::Variant;
use super::work::Work;

impl Stages<'_> {
    /// What a kernel binds, in order.
    pub fn bindings(&self, purpose: Purpose) -> Vec<Binding> {
        let of_layer = |layer: usize| (&self.layout.layers[layer], self.variant(purpose, layer));
        match purpose {
            Purpose::Forward(index) | Purpose::Step(index) => {
                let (layer, variant) = of_layer(index);
                forward_bindings(layer, &variant)
            }
            Purpose::Backward(index) => {
                let (layer, variant) = of_layer(index);
                backward_bindings(layer, &variant)
            }
            Purpose::InputGradient(index) => {
                let (layer, variant) = of_layer(index);
                input_gradient_bindings(layer, &variant)
            }
            Purpose::Episodes => vec![
                reads(Slot::Keys, Element::Words4),
                reads(Slot::Control, Element::Control),
                reads(Slot::Progress, Element::Progress),
                writes(Slot::Input, Element::Float),
                writes(Slot::Target, Element::Float),
                writes(Slot::Words, Element::Words4),
            ],
            Purpose::TakeInput => vec![
                reads(Slot::StepInput, Element::Float),
                writes(Slot::Input, Element::Float),
            ],
            Purpose::GiveOutput => vec![
                reads(Slot::Output, Element::Float),
                writes(Slot::StepOutput, Element::Float),
            ],
            Purpose::Loss => vec![
                reads(Slot::Output, Element::Float),
                reads(Slot::Target, Element::Float),
                reads(Slot::Mask, Element::Float),
                writes(Slot::Signal, Element::Float),
                writes(Slot::StepLosses, Element::Float),
            ],
            Purpose::SumLosses => vec![
                reads(Slot::StepLosses, Element::Float),
                writes(Slot::Losses, Element::Float),
            ],
            Purpose::ModulatorGradient(_) => vec![
                reads(Slot::Modulators, Element::Float),
                writes(Slot::ModulatorSignal, Element::Float),
            ],
            Purpose::ReduceRows(_) => vec![writes(Slot::Partials, Element::Quad)],
            Purpose::Reduce => vec![
                reads(Slot::Partials, Element::Float),
                reads(Slot::Sources, Element::Word),
                writes(Slot::Gradients, Element::Float),
            ],
            Purpose::CheckParts => vec![
                reads(Slot::Gradients, Element::Float),
                reads(Slot::Kinds, Element::Words2),
                reads(Slot::Settings, Element::Optimiser),
                writes(Slot::Parts, Element::Part),
            ],
            Purpose::Check => vec![
                reads(Slot::Losses, Element::Float),
                reads(Slot::Parts, Element::Part),
                reads(Slot::Settings, Element::Optimiser),
                reads(Slot::Control, Element::Control),
                writes(Slot::States, Element::State),
                writes(Slot::Progress, Element::Progress),
            ],
            Purpose::Optimiser => vec![
                reads(Slot::Gradients, Element::Quad),
                reads(Slot::Kinds, Element::Words2),
                reads(Slot::Settings, Element::Optimiser),
                reads(Slot::States, Element::State),
                writes(Slot::Moments, Element::Quad),
                writes(Slot::Parameters, Element::Quad),
            ],
            Purpose::MetaStep(_) => meta_step_bindings(self.work),
            Purpose::Cell(kernel, layer) => self.of_cell(layer).bindings(kernel),
        }
    }
}

fn forward_bindings(layer: &LayerLayout, variant: &Variant) -> Vec<Binding> {
    let element = match layer.has_synapses() {
        true => Element::Quad,
        false => Element::Float,
    };
    let mut bindings = vec![
        reads(Slot::Parameters, element),
        reads(Slot::Input, element),
        writes(Slot::Output, Element::Float),
    ];
    let drive = layer.retention && variant.gradient;
    bindings.extend(match (layer.has_modulated_rows(), drive) {
        (true, true) => Some(writes(Slot::Modulators, Element::Float)),
        (true, false) => Some(reads(Slot::Modulators, Element::Float)),
        (false, true) => Some(writes(Slot::Drive, Element::Float)),
        (false, false) => None,
    });
    if layer.has_trace() && (variant.trace_in || variant.trace_out || variant.kept) {
        bindings.push(writes(Slot::Traces, Element::Quad));
    }
    if layer.has_trace() && variant.carries() {
        bindings.push(writes(Slot::Scaled, Element::Quad));
    }
    bindings
}

fn backward_bindings(layer: &LayerLayout, variant: &Variant) -> Vec<Binding> {
    let mut bindings = vec![
        reads(Slot::Output, Element::Float),
        writes(Slot::Signal, Element::Float),
        writes(Slot::Partials, Element::Quad),
    ];
    if !layer.has_synapses() {
        if variant.input_signal {
            bindings.push(writes(Slot::InputSignal, Element::Float));
        }
        return bindings;
    }
    bindings.push(reads(Slot::Input, Element::Quad));
    if !layer.has_trace() {
        return bindings;
    }
    bindings.push(reads(Slot::Parameters, Element::Quad));
    bindings.extend(match layer.has_modulated_rows() {
        true if variant.modulator_gradient => Some(writes(Slot::Modulators, Element::Float)),
        true => Some(reads(Slot::Modulators, Element::Float)),
        false => (layer.retention).then_some(reads(Slot::Drive, Element::Float)),
    });
    if variant.trace_in || variant.upstream || variant.kept {
        bindings.push(reads(Slot::Traces, Element::Quad));
    }
    if variant.adjoint || variant.initial_gradient {
        bindings.push(writes(Slot::Adjoint, Element::Quad));
    }
    bindings
}

fn input_gradient_bindings(layer: &LayerLayout, variant: &Variant) -> Vec<Binding> {
    let mut bindings = vec![
        reads(Slot::Parameters, Element::Quad),
        reads(Slot::Signal, Element::Quad),
        writes(Slot::InputSignal, Element::Quad),
    ];
    if !layer.has_trace() {
        return bindings;
    }
    bindings.extend([
        reads(Slot::Input, Element::Quad),
        reads(Slot::Output, Element::Quad),
    ]);
    if layer.has_modulated_rows() {
        bindings.push(reads(Slot::Modulators, Element::Float));
    }
    if variant.trace_in || variant.upstream {
        bindings.push(reads(Slot::Traces, Element::Quad));
    }
    if variant.adjoint {
        bindings.push(reads(Slot::Adjoint, Element::Quad));
    }
    bindings
}

fn meta_step_bindings(work: &Work) -> Vec<Binding> {
    let parameters = |access| Binding {
        slot: Slot::Parameters,
        access,
        element: Element::Quad,
    };
    let mut bindings = match work.learn {
        true => vec![
            parameters(Access::ReadWrite),
            writes(Slot::Moments, Element::Quad),
            reads(Slot::Kinds, Element::Words2),
            reads(Slot::Settings, Element::Optimiser),
        ],
        false => vec![parameters(Access::Read)],
    };
    bindings.extend([
        writes(Slot::States, Element::State),
        writes(Slot::Progress, Element::Progress),
        reads(Slot::Control, Element::Control),
        match work.task {
            Some(_) => reads(Slot::Keys, Element::Words4),
            None => reads(Slot::Episodes, Element::Float),
        },
    ]);
    bindings
}
