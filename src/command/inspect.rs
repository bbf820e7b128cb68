//! `metaplastic inspect`.

use super::figure::figure_file;
use super::number::whole;
use super::output::{Ending, require_apart, say};
use super::report::is_recurrent;
use super::subject::read;
use super::table::table;
use clap::Args;
use metaplastic::file::require_writable;
use metaplastic::runs::StoredRun as Run;
use metaplastic::runs::decimal::signed;
use metaplastic::runs::figure::{self, Picture};
use metaplastic::runs::files::own;
use metaplastic::runs::names;
use metaplastic::training::{Connection, Matrix, PatternSigns, Recipe};
use metaplastic::{Error, Result, Role};
use serde::Serialize;
use std::path::PathBuf;

/// A connection is strong from this fraction of the largest of its kind.
const STRONG: f64 = 0.3;
/// Connections of each kind that the terminal shows.
const SHOWN: usize = 12;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder of a run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// The network that is shown, counted from 0 [default: a typical one, nearest the median of the solved ones]
    #[arg(long, value_name = "INDEX", allow_negative_numbers = true, value_parser = whole::<usize>)]
    network: Option<usize>,

    /// A file (SVG, PNG or PDF, by its ending) for the drawing of that network, or of its matrices where it is recurrent
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the structure of every network as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    task: &'a str,
    population: usize,
    solved: usize,
    /// Networks with a unit whose plasticity is negative on every pattern input: all, and those that solved the task.
    all_negative: usize,
    all_negative_and_solved: usize,
    /// The network that is shown and drawn.
    shown: usize,
    networks: Vec<NetworkReport>,
    figure: Option<&'a std::path::Path>,
}

#[derive(Serialize)]
struct NetworkReport {
    seed: u64,
    solved: bool,
    final_error: Option<f64>,
    /// Whether some unit's plasticity is negative on every pattern input.
    all_negative: bool,
    units: Vec<Unit>,
    strong: Vec<Strong>,
}

/// The signs of the plasticity of one unit of the first layer, over the inputs that show a pattern.
#[derive(Serialize)]
struct Unit {
    name: String,
    negative: usize,
    positive: usize,
    inputs: usize,
    all_negative: bool,
    /// The coefficient that is largest in absolute value.
    largest: f64,
}

#[derive(Serialize)]
struct Strong {
    /// `weight` or `plasticity`.
    kind: &'static str,
    from: String,
    to: String,
    value: f64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let output = figure_file(arguments.output.as_deref(), "--output")?;
    let run = read(&arguments.run)?;
    let recipe = &run.recipe;
    let shown = arguments.network.unwrap_or_else(|| run.typical());
    if shown >= recipe.networks() {
        return Err(Error::Setting {
            field: "--network".into(),
            reason: format!("{shown}, expected 0 to {}", recipe.networks() - 1),
        });
    }
    if let Some((path, _)) = output {
        require_apart([("--output", path)], &own(&arguments.run))?;
        require_writable(path)?;
    }
    let report = Report::new(&run, shown, arguments);
    if let Some((path, format)) = output {
        let drawing = draw(&Picture {
            task: &*recipe.task,
            network: &recipe.network,
            parameters: &run.parameters,
            index: shown,
            title: &format!("A network for {}", recipe.task.name()),
            subtitle: &run.describe(shown),
        });
        format.write(path, &run.identity.mark_svg(&drawing))?;
    }
    if arguments.json {
        say(serde_json::to_string(&report).expect("a report is always representable as JSON"))?;
    } else {
        say(report.to_text(&run))?;
    }
    Ok(Ending::Done)
}

/// Neurons and connections; where neurons are connected among themselves, which makes too many lines, the matrices.
fn draw(picture: &Picture<'_>) -> String {
    match is_recurrent(picture.network) {
        true => figure::heat_maps(picture),
        false => figure::network(picture),
    }
}

impl<'a> Report<'a> {
    fn new(run: &'a Run, shown: usize, arguments: &'a Arguments) -> Self {
        let networks: Vec<_> = (0..run.recipe.networks())
            .map(|index| NetworkReport::new(run, index))
            .collect();
        let negative = || networks.iter().filter(|network| network.all_negative);
        Self {
            task: run.recipe.task.name(),
            population: run.recipe.networks(),
            solved: networks.iter().filter(|network| network.solved).count(),
            all_negative: negative().count(),
            all_negative_and_solved: negative().filter(|network| network.solved).count(),
            shown,
            figure: arguments.output.as_deref(),
            networks,
        }
    }

    fn to_text(&self, run: &Run) -> String {
        let network = &self.networks[self.shown];
        let mut text = format!("{}: {}\n", self.task, run.describe(self.shown));
        text += &format!(
            "\nconnections of at least {:.0} % of the largest of their kind\n",
            100.0 * STRONG
        );
        for (role, title) in [
            (Role::InputWeight, "on the input, U"),
            (Role::Weight, "fixed, w"),
            (Role::Plasticity, "plastic, α"),
        ] {
            let kind = role.name();
            let alike = || network.strong.iter().filter(|strong| strong.kind == kind);
            let rows: Vec<_> = alike().take(SHOWN).map(Strong::row).collect();
            if !rows.is_empty() {
                text += &format!("\n{}\n", table([title, "from", "to"], &rows));
            }
            let more = alike().count().saturating_sub(SHOWN);
            if more > 0 {
                text += &format!("and {more} more\n");
            }
        }
        if network.units.is_empty() {
            let has_trace = run.recipe.network.layers()[0]
                .as_plastic()
                .is_some_and(|layer| layer.has_trace());
            return match has_trace {
                // Of a recurrent layer, whose plastic connections do not come from the inputs.
                true => text.trim_end().to_owned(),
                false => text + "\nthe first layer has no plasticity",
            };
        }
        let rows: Vec<_> = network.units.iter().take(SHOWN).map(Unit::row).collect();
        let heading = ["α on pattern inputs", "negative", "positive", "largest", ""];
        text += &format!("\n{}\n", table(heading, &rows));
        let more = network.units.len().saturating_sub(SHOWN);
        if more > 0 {
            text += &format!("and {more} more\n");
        }
        let unsolved = self.population - self.solved;
        text += &format!(
            "\na unit whose pattern α are all negative: {} of {} networks that solved the task, {} of {unsolved} others",
            self.all_negative_and_solved,
            self.solved,
            self.all_negative - self.all_negative_and_solved,
        );
        text
    }
}

impl NetworkReport {
    fn new(run: &Run, index: usize) -> Self {
        let recipe = &run.recipe;
        let matrices = Matrix::of(&recipe.network, &run.parameters, index);
        let units = units(run, &matrices, index);
        let strong = Connection::strong(&matrices, STRONG);
        Self {
            seed: recipe.seed_of(index),
            solved: run.solved[index],
            final_error: run.final_errors[index],
            all_negative: units.iter().any(|unit| unit.all_negative),
            units,
            strong: strong.iter().map(|one| Strong::new(run, one)).collect(),
        }
    }
}

fn units(run: &Run, matrices: &[Matrix], index: usize) -> Vec<Unit> {
    let Run {
        recipe, parameters, ..
    } = run;
    let first = matrices
        .iter()
        .find(|matrix| matrix.layer == 0 && matrix.role == Role::Plasticity);
    let signs = PatternSigns::of(&*recipe.task, &recipe.network, parameters, index);
    let Some(plasticity) = first else {
        return Vec::new();
    };
    let rows = plasticity.values.rows().into_iter().zip(signs);
    rows.map(|(row, signs)| {
        let pattern = row.iter().take(signs.inputs).copied();
        Unit {
            name: names::postsynaptic(&*recipe.task, &recipe.network, 0, signs.neuron),
            negative: signs.negative,
            positive: signs.positive,
            inputs: signs.inputs,
            all_negative: signs.all_negative(),
            largest: pattern
                .max_by(|a, b| a.abs().total_cmp(&b.abs()))
                .unwrap_or(0.0),
        }
    })
    .collect()
}

impl Unit {
    fn row(&self) -> [String; 5] {
        [
            self.name.clone(),
            format!("{} of {}", self.negative, self.inputs),
            format!("{} of {}", self.positive, self.inputs),
            signed(self.largest),
            if self.all_negative {
                "all negative"
            } else {
                ""
            }
            .to_owned(),
        ]
    }
}

impl Strong {
    fn new(run: &Run, connection: &Connection) -> Self {
        let Recipe { task, network, .. } = &run.recipe;
        let layer = connection.layer;
        Self {
            kind: connection.role.name(),
            from: names::presynaptic(
                &**task,
                network,
                (layer, connection.role),
                connection.presynaptic,
            ),
            to: names::postsynaptic(&**task, network, layer, connection.postsynaptic),
            value: connection.value,
        }
    }

    fn row(&self) -> [String; 3] {
        [signed(self.value), self.from.clone(), self.to.clone()]
    }
}
