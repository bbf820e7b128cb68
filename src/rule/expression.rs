//! Expressions: nodes of one arena, each of which is there once and comes after its operands.
//!
//! Every pass over an expression is therefore a loop, however deep the expression is, and visits a shared part once.

use std::collections::HashMap;

/// What a rule is a formula of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Variable {
    /// The trace of the synapse.
    Trace,
    /// Its eligibility trace.
    Eligibility,
    /// The presynaptic activity.
    Presynaptic,
    /// The postsynaptic activity.
    Postsynaptic,
    /// The modulator.
    Modulator,
    /// The plasticity rate.
    Rate,
    /// One of the rule's own coefficients.
    Coefficient(u8),
    /// The gradient on the new trace; of derivatives alone.
    TraceAdjoint,
    /// The gradient on the new eligibility trace; of derivatives alone.
    EligibilityAdjoint,
}

impl Variable {
    /// Those that every text may mention, with their names.
    pub const NAMED: [(&str, Self); 6] = [
        ("h", Self::Trace),
        ("e", Self::Eligibility),
        ("x", Self::Presynaptic),
        ("y", Self::Postsynaptic),
        ("m", Self::Modulator),
        ("rate", Self::Rate),
    ];
}

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unary {
    Negative,
    Tanh,
    Exp,
    Log,
    Sqrt,
    Abs,
}

/// Functions of two arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Binary {
    Sum,
    Difference,
    Product,
    Quotient,
    /// The second argument where it is less than the first, else the first.
    Min,
    /// The second argument where the first is less, else the first.
    Max,
}

/// Where a node is in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u32);

impl Id {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// The bits of a finite `f64`.
    Number(u64),
    Variable(Variable),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Power(Id, i32),
    /// The third where the first is less than the second, else the fourth.
    WhereLess([Id; 4]),
}

impl Node {
    pub fn operands(&self) -> impl DoubleEndedIterator<Item = Id> + use<> {
        let operands = match *self {
            Self::Number(_) | Self::Variable(_) => [None; 4],
            Self::Unary(_, a) | Self::Power(a, _) => [Some(a), None, None, None],
            Self::Binary(_, a, b) => [Some(a), Some(b), None, None],
            Self::WhereLess(four) => four.map(Some),
        };
        operands.into_iter().flatten()
    }
}

/// The arena.
#[derive(Clone, Debug, Default)]
pub(super) struct Expressions {
    nodes: Vec<Node>,
    known: HashMap<Node, Id>,
    /// The names of the coefficients.
    coefficients: Vec<String>,
}

impl Expressions {
    /// None yet, for a rule with coefficients of these names.
    pub fn with_coefficients(names: &[&str]) -> Self {
        Self {
            coefficients: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn coefficients(&self) -> &[String] {
        &self.coefficients
    }

    /// The name of a variable.
    pub fn name(&self, variable: Variable) -> &str {
        match variable {
            Variable::Coefficient(index) => &self.coefficients[usize::from(index)],
            Variable::TraceAdjoint => "trace_adjoint",
            Variable::EligibilityAdjoint => "eligibility_adjoint",
            _ => {
                let mut named = Variable::NAMED.into_iter();
                named
                    .find_map(|(name, it)| (it == variable).then_some(name))
                    .expect("the others have a name")
            }
        }
    }

    pub fn node(&self, id: Id) -> Node {
        self.nodes[id.index()]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node as it is; only the negative of a number becomes a number.
    pub fn push(&mut self, node: Node) -> Id {
        if let Node::Unary(Unary::Negative, a) = node
            && let Some(value) = self.value(a)
        {
            return self.number(-value);
        }
        let Self { nodes, known, .. } = self;
        *known.entry(node).or_insert_with(|| {
            nodes.push(node);
            Id(u32::try_from(nodes.len() - 1).expect("texts are short"))
        })
    }

    pub fn variable(&mut self, variable: Variable) -> Id {
        self.push(Node::Variable(variable))
    }

    pub fn number(&mut self, value: f64) -> Id {
        self.push(Node::Number(value.to_bits()))
    }

    /// The value, if it is a number.
    pub fn value(&self, id: Id) -> Option<f64> {
        match self.node(id) {
            Node::Number(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Whether it is a number or a variable.
    pub fn is_leaf(&self, id: Id) -> bool {
        matches!(self.node(id), Node::Number(_) | Node::Variable(_))
    }

    /// Every node that `root` needs, and itself, operands first; the left operand's before the right one's, so that few
    /// values are waited for at once.
    pub fn needed(&self, root: Id) -> Vec<Id> {
        self.needed_for(&[root])
    }

    /// The same of several roots, those of the first one first.
    pub fn needed_for(&self, roots: &[Id]) -> Vec<Id> {
        self.needed_by(roots, |id| self.node(id).operands().collect())
    }

    /// The same, where `operands` says which nodes another one needs.
    pub fn needed_by(&self, roots: &[Id], operands: impl Fn(Id) -> Vec<Id>) -> Vec<Id> {
        let mut order = Vec::new();
        let mut is_listed = vec![false; self.len()];
        let mut open: Vec<_> = roots.iter().rev().map(|root| (*root, false)).collect();
        while let Some((id, has_operands)) = open.pop() {
            if is_listed[id.index()] {
                continue;
            }
            if has_operands {
                is_listed[id.index()] = true;
                order.push(id);
                continue;
            }
            open.push((id, true));
            open.extend(
                operands(id)
                    .into_iter()
                    .rev()
                    .map(|operand| (operand, false)),
            );
        }
        order
    }

    /// The name of a coefficient that none of the roots mentions, if there is one.
    pub fn unused_coefficient(&self, roots: &[Id]) -> Option<&str> {
        let needed = self.needed_for(roots).into_iter().map(|id| self.node(id));
        let mentioned: Vec<_> = needed.collect();
        let mut named = self.coefficients.iter().zip(0..);
        let unused = named
            .find(|(_, index)| !mentioned.contains(&Node::Variable(Variable::Coefficient(*index))));
        unused.map(|(name, _)| name.as_str())
    }

    /// Whether `root` mentions one of the variables.
    pub fn mentions(&self, root: Id, variables: &[Variable]) -> bool {
        let is_one = |id| matches!(self.node(id), Node::Variable(it) if variables.contains(&it));
        self.needed(root).into_iter().any(is_one)
    }
}
