//! The templates of `shaders/`, and the rendering of one.

use super::bindings::Binding;
use super::extent::Extent;
use super::kernel::Kernel;
use super::shared::Shared;
use super::state::{Control, Part, Progress, Settings, State};
use crate::error::{Error, Result};
use crate::network::Loss;
use crate::number::{TANH_EVEN, TANH_LAST, TANH_ODD};
use crate::optimiser::Method;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use std::sync::LazyLock;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(environment);

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .expect("the usual delimiters"),
    );
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
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
        "cell.wgsl",
        "cell_adjoint.wgsl",
        "cell_answer.wgsl",
        "cell_backward_steps.wgsl",
        "cell_carry.wgsl",
        "cell_columns.wgsl",
        "cell_forward.wgsl",
        "cell_forward_steps.wgsl",
        "cell_gradients.wgsl",
        "cell_modulator.wgsl",
        "cell_parts.wgsl",
        "cell_pull.wgsl",
        "cell_replay.wgsl",
        "cell_row_signal.wgsl",
        "cell_shared.wgsl",
        "cell_signal.wgsl",
        "cell_tile.wgsl",
        "cell_update.wgsl",
        "cell_weights.wgsl",
        "check.wgsl",
        "check_parts.wgsl",
        "episodes.wgsl",
        "extent.wgsl",
        "finite.wgsl",
        "first_input.wgsl",
        "forward.wgsl",
        "give_output.wgsl",
        "given.wgsl",
        "head.wgsl",
        "in_order.wgsl",
        "hyperbolic_tangent.wgsl",
        "input_gradient.wgsl",
        "learning.wgsl",
        "loss.wgsl",
        "meta_backward.wgsl",
        "meta_episode.wgsl",
        "meta_forward.wgsl",
        "meta_input_gradient.wgsl",
        "meta_names.wgsl",
        "meta_step.wgsl",
        "modulator_gradient.wgsl",
        "multiply_add.wgsl",
        "of_rows.wgsl",
        "optimiser.wgsl",
        "reduce.wgsl",
        "reduce_rows.wgsl",
        "reverse_step.wgsl",
        "row_parameters.wgsl",
        "row_sum.wgsl",
        "rule.wgsl",
        "step_loss.wgsl",
        "struct.wgsl",
        "sum_losses.wgsl",
        "sums.wgsl",
        "take_input.wgsl",
        "task.wgsl",
        "threefry.wgsl",
        "tile.wgsl",
        "tree.wgsl",
        "update.wgsl",
    );
    let losses = Loss::ALL
        .iter()
        .filter_map(|loss| Some(("losses", loss.name(), loss.wgsl()?)));
    let methods = Method::ALL
        .iter()
        .map(|method| ("methods", method.name(), method.entry().wgsl));
    for (folder, name, text) in losses.chain(methods) {
        environment
            .add_template_owned(format!("{folder}/{name}.wgsl"), text)
            .expect("shader templates are valid: a test loads each of them");
    }
    environment.add_function("rendered", rendered);
    environment
}

/// A text of a task, with its values.
fn rendered(
    state: &minijinja::State<'_, '_>,
    template: &str,
    values: Value,
) -> std::result::Result<String, minijinja::Error> {
    state.env().render_named_str("task", template, values)
}

/// What a template says where it has no text for a name: something new must not get the text of another.
fn unknown(what: &str, name: &str) -> std::result::Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(
        minijinja::ErrorKind::InvalidOperation,
        format!("no text for {what} {name:?}"),
    ))
}

/// Renders the template `name` with `values`.
pub(super) fn render(
    name: &'static str,
    bindings: Vec<Binding>,
    items: usize,
    values: Value,
) -> Result<Kernel> {
    let listed = bindings.iter().map(|binding| {
        context! {
            name => binding.slot.name(),
            access => binding.access.name(),
            element => binding.element.name(),
        }
    });
    let common = context! {
        extent => declaration::<Extent>(),
        structs => [
            declaration::<Control>(),
            declaration::<Progress>(),
            declaration::<State>(),
            declaration::<Part>(),
            declaration::<Settings>(),
        ],
        bindings => listed.collect::<Vec<_>>(),
        of => "",
        tanh => tanh(),
        ..values
    };
    let failed = |source| Error::Shader {
        name: name.to_owned(),
        source: Box::new(source),
    };
    let template = TEMPLATES.get_template(&format!("{name}.wgsl"));
    let source = template.and_then(|template| template.render(common));
    Ok(Kernel {
        name,
        source: source.map_err(failed)?,
        bindings,
        items,
    })
}

/// A struct as the templates declare it.
fn declaration<S: Shared>() -> Value {
    let fields = S::FIELDS.iter();
    let fields = fields.map(|field| context! { name => field.name, kind => field.kind });
    context! { name => S::NAME, fields => fields.collect::<Vec<_>>() }
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
