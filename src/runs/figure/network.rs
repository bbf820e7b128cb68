//! A network as nodes and lines.

use super::style::{FAINT, INK, LINE, NEGATIVE, number};
use super::svg::{Anchor, Svg};
use crate::network::Network;
use crate::parameters::{Parameters, Role};
use crate::runs::names;
use crate::tasks::Task;
use crate::training::{Connection, Matrix};
use std::collections::BTreeMap;

/// Connections below this fraction of the largest of their kind are left out.
const LEAST: f64 = 0.1;
/// Neurons of a layer that are drawn: those with the strongest connections.
const MOST_NODES: usize = 32;
/// Connections that are drawn, the strongest of each kind.
const MOST_LINES: usize = 120;

const WIDTH: f64 = 820.0;
/// Space above the nodes, and below them.
const TOP: f64 = 104.0;
const BOTTOM: f64 = 96.0;
/// From one node of a layer to the next, and a node's radius: where there are few, and where there are many.
const FEW_NODES: usize = 14;
const FEW: (f64, f64) = (44.0, 12.0);
const MANY: (f64, f64) = (26.0, 10.0);
/// Where the first and the last layer stand.
const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 150.0;
/// How far the lines of the two kinds bend to either side.
const BEND: f64 = 13.0;
const WIDEST: f64 = 6.0;
/// From this number of lines on they get narrower, or they would cover each other.
const FEW_LINES: f64 = 26.0;
const DASHES: &str = "7 5";

/// Which network of a population is drawn, for what, under which title.
pub struct Picture<'a> {
    /// Names the neurons.
    pub task: &'a dyn Task,
    /// The network's description.
    pub network: &'a Network,
    /// The population's parameters.
    pub parameters: &'a Parameters<f32>,
    /// Which network of the population is shown.
    pub index: usize,
    /// The heading.
    pub title: &'a str,
    /// A line below the heading.
    pub subtitle: &'a str,
}

/// Nodes in layers from left to right; fixed weights are solid lines, plasticity coefficients dashed ones.
///
/// # Panics
/// As [`Matrix::of`].
pub fn network(picture: &Picture<'_>) -> String {
    let mut matrices = Matrix::of(picture.network, picture.parameters, picture.index);
    matrices.retain(|matrix| matrix.role != Role::InputWeight);
    let largest = [Role::Weight, Role::Plasticity].map(|role| {
        let alike = matrices.iter().filter(|matrix| matrix.role == role);
        alike.map(Matrix::largest).fold(0.0, f64::max)
    });
    let mut lines = Connection::strong(&matrices, LEAST);
    let columns = Columns::new(&matrices, &lines, largest);
    let height = TOP + columns.pitch() * columns.tallest() as f64 + BOTTOM;
    let mut svg = Svg::default();
    svg.text((30.0, 30.0), Anchor::Start, 21, INK, picture.title);
    svg.text((30.0, 56.0), Anchor::Start, 14, FAINT, picture.subtitle);

    let possible = lines.len();
    lines.retain(|line| {
        let column = columns.of_layer[&line.layer];
        columns.place(column, line.presynaptic).is_some()
            && columns.place(column + 1, line.postsynaptic).is_some()
    });
    keep_strongest(&mut lines);
    let crowded = FEW_LINES / (lines.len() as f64).max(FEW_LINES);
    let widest = 1.0 + (WIDEST - 1.0) * crowded;
    // The strongest are drawn last, on top.
    for line in lines.iter().rev() {
        let column = columns.of_layer[&line.layer];
        let ends = (
            columns.place(column, line.presynaptic),
            columns.place(column + 1, line.postsynaptic),
        );
        if let (Some(from), Some(to)) = ends {
            let width = width(line.value, largest[kind(line.role)], widest);
            draw_line(&mut svg, line, width, from, to);
        }
    }
    draw_nodes(&mut svg, &columns, picture.task);
    let left_out = possible - lines.len();
    legend(&mut svg, (height, widest), largest, lines.len(), left_out);
    svg.finish((WIDTH, height), picture.title, picture.subtitle)
}

fn kind(role: Role) -> usize {
    usize::from(role == Role::Plasticity)
}

fn keep_strongest(lines: &mut Vec<Connection>) {
    let mut seen = [0; 2];
    lines.retain(|line| {
        let seen = &mut seen[kind(line.role)];
        *seen += 1;
        *seen <= MOST_LINES
    });
}

/// Where the nodes are. Layers without connections add nothing to see.
struct Columns {
    /// Neurons of each column, and which of them are drawn, in order.
    sizes: Vec<usize>,
    drawn: Vec<Vec<usize>>,
    /// The column that a layer's presynaptic neurons are in.
    of_layer: BTreeMap<usize, usize>,
}

impl Columns {
    fn new(matrices: &[Matrix], lines: &[Connection], largest: [f64; 2]) -> Self {
        let mut columns = Self {
            sizes: Vec::new(),
            drawn: Vec::new(),
            of_layer: BTreeMap::new(),
        };
        for matrix in matrices.iter().filter(|m| m.role == Role::Weight) {
            let (outputs, inputs) = matrix.values.dim();
            if columns.sizes.is_empty() {
                columns.sizes.push(inputs);
            }
            columns
                .of_layer
                .insert(matrix.layer, columns.sizes.len() - 1);
            columns.sizes.push(outputs);
        }
        columns.choose(lines, largest);
        columns
    }

    fn choose(&mut self, lines: &[Connection], largest: [f64; 2]) {
        let mut strengths: Vec<Vec<f64>> = self.sizes.iter().map(|&size| vec![0.0; size]).collect();
        for line in lines {
            let column = self.of_layer[&line.layer];
            let strength = line.value.abs() / largest[kind(line.role)].max(f64::MIN_POSITIVE);
            // One that is always 1 has no node.
            for (column, neuron) in [(column, line.presynaptic), (column + 1, line.postsynaptic)] {
                if let Some(sum) = strengths[column].get_mut(neuron) {
                    *sum += strength;
                }
            }
        }
        let drawn = strengths.iter().map(|strengths| {
            let mut all: Vec<usize> = (0..strengths.len()).collect();
            all.sort_by(|&a, &b| strengths[b].total_cmp(&strengths[a]));
            all.truncate(MOST_NODES);
            all.sort_unstable();
            all
        });
        self.drawn = drawn.collect();
    }

    fn are_many(&self) -> bool {
        self.tallest() > FEW_NODES
    }

    fn pitch(&self) -> f64 {
        if self.are_many() { MANY.0 } else { FEW.0 }
    }

    fn radius(&self) -> f64 {
        if self.are_many() { MANY.1 } else { FEW.1 }
    }

    fn last(&self) -> usize {
        self.sizes.len().saturating_sub(1)
    }

    fn tallest(&self) -> usize {
        self.drawn.iter().map(Vec::len).max().unwrap_or(1)
    }

    /// A node's centre; `None` where it is not drawn.
    fn place(&self, column: usize, neuron: usize) -> Option<(f64, f64)> {
        let drawn = &self.drawn[column];
        let place = drawn.binary_search(&neuron).ok()?;
        let along = column as f64 / self.last().max(1) as f64;
        let tallest = self.tallest() as f64;
        // Smaller layers spread out over the height, but not all of it.
        let pitch = self.pitch() * (tallest / drawn.len() as f64).sqrt();
        let middle = TOP + self.pitch() * tallest / 2.0;
        let y = middle + pitch * (place as f64 - (drawn.len() as f64 - 1.0) / 2.0);
        Some((LEFT + along * (RIGHT - LEFT), y))
    }
}

fn colour(value: f64) -> plotters::style::RGBColor {
    if value < 0.0 { NEGATIVE } else { LINE }
}

fn width(value: f64, largest: f64, widest: f64) -> f64 {
    0.7 + (widest - 0.7) * value.abs() / largest.max(f64::MIN_POSITIVE)
}

fn draw_line(svg: &mut Svg, line: &Connection, width: f64, from: (f64, f64), to: (f64, f64)) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1.0);
    let side = if line.role == Role::Plasticity {
        1.0
    } else {
        -1.0
    };
    let middle = (
        (from.0 + to.0) / 2.0 - side * BEND * dy / length,
        (from.1 + to.1) / 2.0 + side * BEND * dx / length,
    );
    let dashes = (line.role == Role::Plasticity).then_some(DASHES);
    let points = [from, middle, to];
    svg.curve(points, colour(line.value), width, dashes);
}

fn draw_nodes(svg: &mut Svg, columns: &Columns, task: &dyn Task) {
    let (last, radius) = (columns.last(), columns.radius());
    for (column, &size) in columns.sizes.iter().enumerate() {
        let drawn = &columns.drawn[column];
        for &neuron in drawn {
            let Some((x, y)) = columns.place(column, neuron) else {
                continue;
            };
            svg.circle((x, y), radius);
            let name = names::neuron(task, column, last, neuron);
            if column == 0 {
                svg.text((x - radius - 9.0, y), Anchor::End, 14, INK, &name);
            } else if column == last {
                svg.text((x + radius + 9.0, y), Anchor::Start, 14, INK, &name);
            } else if columns.are_many() {
                // Between nodes there is no room.
                let number = (neuron + 1).to_string();
                svg.text((x, y), Anchor::Middle, 9, INK, &number);
            } else {
                svg.text_on_lines((x, y - radius - 11.0), 14, &name);
            }
        }
        if size > drawn.len()
            && let Some(&lowest) = drawn.last()
            && let Some((x, y)) = columns.place(column, lowest)
        {
            let text = format!("the strongest {} of {size}", drawn.len());
            svg.text((x, y + radius + 14.0), Anchor::Middle, 13, FAINT, &text);
        }
    }
}

fn legend(
    svg: &mut Svg,
    (height, widest): (f64, f64),
    largest: [f64; 2],
    drawn: usize,
    left_out: usize,
) {
    let y = height - 52.0;
    let mut sample = |x: f64, colour, width: f64, dashes, text: &str| {
        let points = [(x, y), (x + 19.0, y), (x + 38.0, y)];
        svg.curve(points, colour, width, dashes);
        svg.text((x + 46.0, y), Anchor::Start, 14, INK, text);
    };
    let [weight, plasticity] = largest.map(number);
    sample(30.0, INK, widest, None, &format!("fixed: |w| = {weight}"));
    if largest[1] > 0.0 {
        let text = format!("plastic: |α| = {plasticity}");
        sample(230.0, INK, widest, Some(DASHES), &text);
    }
    sample(450.0, LINE, widest, None, "positive");
    sample(580.0, NEGATIVE, widest, None, "negative");
    let rest = match left_out {
        0 => String::new(),
        count => format!("; {count} weaker or hidden ones are not drawn"),
    };
    let note = format!(
        "{drawn} connections of at least {:.0} % of the largest of their kind{rest}",
        100.0 * LEAST
    );
    svg.text((30.0, height - 22.0), Anchor::Start, 13, FAINT, &note);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Dense, Layer, Loss, Plastic, Rate};
    use crate::tasks::Association;
    use crate::training::Recipe;
    use std::sync::Arc;

    fn draw(
        task: &dyn Task,
        network_description: &Network,
        parameters: &Parameters<f32>,
    ) -> String {
        network(&Picture {
            task,
            network: network_description,
            parameters,
            index: 0,
            title: "A <title>",
            subtitle: "and more",
        })
    }

    #[test]
    fn lines_follow_sign_kind_and_size() {
        let Recipe { task, network, .. } = Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        let mut set = |layer, role, index: [usize; 3], value| {
            parameters.view_mut(layer, role).unwrap()[index] = value;
        };
        set(0, Role::Weight, [0, 0, 3], 2.0);
        set(0, Role::Weight, [0, 1, 3], 0.1);
        set(0, Role::Plasticity, [0, 1, 9], -5.0);
        set(1, Role::Weight, [0, 0, 1], -1.0);
        let text = draw(&*task, &network, &parameters);
        let lines = |dashed: bool| -> Vec<&str> {
            let paths = text.lines().filter(|line| line.starts_with("<path"));
            paths
                .filter(|line| line.contains("dasharray") == dashed)
                .collect()
        };
        // Those of the legend stand last: one fixed and two colours, one plastic.
        assert_eq!(lines(false).len(), 2 + 3, "{text}");
        assert_eq!(lines(true).len(), 1 + 1);
        assert!(lines(false)[0].contains("#B8372F") && lines(false)[1].contains("#1F5FA8"));
        assert!(lines(false)[1].contains("stroke-width=\"6.00\""));
        assert!(lines(false)[0].contains("stroke-width=\"3.35\""));
        assert!(lines(true)[0].contains("#B8372F"));
        assert_eq!(text.matches("<circle").count(), 14);
        assert!(text.contains("A &lt;title&gt;") && text.contains("|α| = 5.00"));
    }

    #[test]
    fn large_networks_and_empty_ones_are_drawn_too() {
        let task = Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap().task;
        let layers = [
            Layer::from(Plastic::new(300, 200, Rate::fixed(0.1)).activation(Activation::Tanh)),
            Layer::from(Dense::new(200, 2)),
        ];
        let network = Network::new(Loss::SoftmaxCrossEntropy, layers).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        assert_eq!(
            draw(&*task, &network, &parameters).matches("<path").count(),
            3
        );
        parameters.values_mut().fill(1.0);
        parameters.view_mut(0, Role::Weight).unwrap()[[0, 150, 299]] = -2.0;
        let text = draw(&*task, &network, &parameters);
        assert!(text.contains("strongest 32 of 300") && text.contains("strongest 32 of 200"));
        assert!(text.matches("<path").count() <= 2 * MOST_LINES + 4);
        // The strongest connection is drawn, wherever its neurons are.
        assert!(text.contains(">151<") && text.contains("#B8372F"));
    }
}
