//! The forward sweep of one layer over a group of episodes; the twin of `shaders/forward.wgsl`.

use super::neurons::Neurons;
use super::parts::{part, part_if_any, part_mut};
use super::pass::Pass;
use super::rows::{RowSweep, RowsMut, Scratch, sweep};
use super::way::{self, Sweep, Way, pairs, pairs_mut};
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::retention::CHECKPOINT;
use crate::cpu::shape::Kind;
use crate::number::{Lanes, Real};
use crate::rule::RowRule;
use std::ops::Range;

/// Runs the layer over the steps of `pass`: reads `activity.input`, `modulators` and, before the first step, `initial_trace`;
/// writes the rest.
/// Where there is an array for the traces in progress, a later call goes on from them.
pub(crate) fn forward<R: Real>(pass: Pass<'_, R>, activity: &mut Activity<R>, scratch: &mut [R]) {
    let Activity {
        input,
        output,
        drive,
        modulators,
        initial_trace,
        trace,
        final_trace,
        checkpoints,
        ..
    } = activity;
    let rows = RowsMut::new(
        pass.blocks(),
        [output, drive, trace, final_trace, checkpoints],
    );
    let chunks = rows.chunks(pass.chunk()).zip(pass.scratch(scratch));
    chunks::for_each(pass.parallel, chunks, |(rows, scratch)| {
        let sweep = Forward {
            given: Given {
                pass,
                input,
                modulators,
                initial_trace,
            },
            rows,
            scratch,
        };
        way::run(pass.shape, sweep);
    });
}

/// What is read.
#[derive(Clone, Copy)]
struct Given<'a, R> {
    pass: Pass<'a, R>,
    input: &'a [R],
    modulators: &'a [R],
    initial_trace: &'a [R],
}

/// Rows of output, drive, trace, final trace and checkpoints.
type Rows<'a, R> = RowsMut<'a, R, 5>;

/// A chunk of rows. A slot of scratch has the trace, where there is no array for it.
struct Forward<'a, R> {
    given: Given<'a, R>,
    rows: Rows<'a, R>,
    scratch: Scratch<'a, R>,
}

impl<R: Real> Sweep<R> for Forward<'_, R> {
    #[inline(always)]
    fn plastic<W: Way<Real = R>, P: RowRule>(mut self, way: W, rule: P) {
        let given = self.given;
        let plastic = Plastic { way, rule, given };
        for segment in given.pass.segments::<W>() {
            sweep(&plastic, self.rows.reborrow(), &mut self.scratch, segment);
        }
    }

    #[inline(always)]
    fn fixed<W: Way<Real = R>>(mut self, way: W) {
        let given = self.given;
        let fixed = Fixed { way, given };
        for segment in given.pass.segments::<W>() {
            sweep(&fixed, self.rows.reborrow(), &mut self.scratch, segment);
        }
    }
}

/// Rows with a trace. It is passed over once a step: the update of step `t - 1` and the read-out of step `t` in one go.
struct Plastic<'a, W: Way, P> {
    way: W,
    rule: P,
    given: Given<'a, W::Real>,
}

struct PlasticRow<'b, W: Way> {
    weight: &'b [W::Coefficient],
    plasticity: &'b [W::Coefficient],
    bias: W::Value,
    neurons: Neurons<'b, W>,
    /// Of the last step.
    retention: W::Value,
    gain: W::Value,
    trace: &'b mut [W::Real],
    output: &'b mut [W::Real],
    drive: &'b mut [W::Real],
    final_trace: &'b mut [W::Real],
    checkpoints: &'b mut [W::Real],
}

impl<W: Way, P: RowRule> RowSweep<W, 5> for Plastic<'_, W, P> {
    type Row<'b>
        = PlasticRow<'b, W>
    where
        Self: 'b;

    const BACKWARDS: bool = false;

    #[inline(always)]
    fn begin<'b>(
        &'b self,
        row: Rows<'b, W::Real>,
        scratch: &'b mut [W::Real],
        segment: &Range<usize>,
    ) -> PlasticRow<'b, W> {
        let Given {
            pass,
            modulators,
            initial_trace,
            ..
        } = self.given;
        let (way, rule, i, size) = (self.way, self.rule, row.first, W::row(pass.shape));
        let [output, drive, trace, final_trace, checkpoints] = row.arrays;
        let neurons = Neurons::new(way, pass, i, modulators);
        let trace = if trace.is_empty() {
            &mut scratch[..size]
        } else {
            trace
        };
        // A first update that changes nothing gives the read-out of step 0.
        let (mut retention, mut gain) = (neurons.constant(1.0), neurons.constant(0.0));
        if segment.start > 0 {
            let before = segment.start - 1;
            let y = way.load(part(output, before, W::width()));
            let at = neurons.at(rule, before, y);
            (retention, gain) = (rule.retention(at), rule.gain(at));
        } else {
            match part_if_any(initial_trace, i, size) {
                Some(initial) => trace.copy_from_slice(initial),
                None => trace.fill(num_traits::Zero::zero()),
            }
        }
        PlasticRow {
            weight: W::coefficients(&pass.synapses.weight, i, pass.shape),
            plasticity: W::coefficients(&pass.synapses.plasticity, i, pass.shape),
            bias: way.of_row(&pass.synapses.bias, i),
            neurons,
            retention,
            gain,
            trace,
            output,
            drive,
            final_trace,
            checkpoints,
        }
    }

    #[inline(always)]
    fn step<'b>(&'b self, row: &mut PlasticRow<'b, W>, t: usize) {
        let Given { pass, input, .. } = self.given;
        let (way, rule, size) = (self.way, self.rule, W::row(pass.shape));
        let simd = way.simd();
        let (d, g) = (way.spread(row.retention), way.spread(row.gain));
        let (mut fixed, mut plastic) = (way.nothing(), way.nothing());
        let synapses = pairs_mut::<W>(row.trace)
            .iter_mut()
            .zip(W::activities(input, t.saturating_sub(1), pass.shape))
            .zip(W::activities(input, t, pass.shape))
            .zip(row.weight)
            .zip(row.plasticity);
        for ((((h, &before), &x), &w), &a) in synapses {
            let (w, a) = (way.coefficient(w), way.coefficient(a));
            let (before, x) = (way.activity(before), way.activity(x));
            for k in 0..2 {
                let added = W::Real::multiply(simd, g[k], before[k]);
                h[k] = W::Real::multiply_add(simd, d[k], h[k], added);
                fixed[k] = W::Real::multiply_add(simd, w[k], x[k], fixed[k]);
                let plastic_weight = W::Real::multiply(simd, a[k], h[k]);
                plastic[k] = W::Real::multiply_add(simd, plastic_weight, x[k], plastic[k]);
            }
        }
        if !row.checkpoints.is_empty() && t > 0 && t.is_multiple_of(CHECKPOINT) {
            part_mut(row.checkpoints, t / CHECKPOINT - 1, size).copy_from_slice(row.trace);
        }
        let p = way.gather(plastic);
        let sum = row.bias + way.gather(fixed) + p;
        let y = pass.shape.activation.apply(sum);
        way.store(y, part_mut(row.output, t, W::width()));
        way.store(p, part_mut(row.drive, t, W::width()));
        let at = row.neurons.at(rule, t, y);
        row.retention = rule.retention(at);
        row.gain = rule.gain(at);
    }

    #[inline(always)]
    fn end<'b>(&'b self, row: PlasticRow<'b, W>, segment: &Range<usize>) {
        let Given { pass, input, .. } = self.given;
        if row.final_trace.is_empty() || segment.end < pass.end {
            return;
        }
        let way = self.way;
        let d = way.pair(way.spread(row.retention));
        let g = way.pair(way.spread(row.gain));
        let last = W::activities(input, pass.end - 1, pass.shape);
        let traces = pairs_mut::<W>(row.final_trace).iter_mut();
        for ((after, &h), &x) in traces.zip(pairs::<W>(row.trace)).zip(last) {
            let (h, x) = (way.pair(h), way.pair(way.activity(x)));
            *after = d.multiply_add(h, g * x).vectors;
        }
    }
}

/// Rows without a trace.
struct Fixed<'a, W: Way> {
    way: W,
    given: Given<'a, W::Real>,
}

struct FixedRow<'b, W: Way> {
    /// Number of the row in its layer.
    i: usize,
    /// Empty where the layer adds a bias alone.
    weight: &'b [W::Coefficient],
    bias: W::Value,
    output: &'b mut [W::Real],
}

impl<W: Way> RowSweep<W, 5> for Fixed<'_, W> {
    type Row<'b>
        = FixedRow<'b, W>
    where
        Self: 'b;

    const BACKWARDS: bool = false;

    #[inline(always)]
    fn begin<'b>(
        &'b self,
        row: Rows<'b, W::Real>,
        _: &'b mut [W::Real],
        _: &Range<usize>,
    ) -> FixedRow<'b, W> {
        let (pass, i) = (self.given.pass, row.first);
        let [output, ..] = row.arrays;
        FixedRow {
            i,
            weight: match pass.shape.kind {
                Kind::Bias => &[],
                _ => W::coefficients(&pass.synapses.weight, i, pass.shape),
            },
            bias: self.way.of_row(&pass.synapses.bias, i),
            output,
        }
    }

    #[inline(always)]
    fn step<'b>(&'b self, row: &mut FixedRow<'b, W>, t: usize) {
        let Given { pass, input, .. } = self.given;
        let (way, simd) = (self.way, self.way.simd());
        let sum = match pass.shape.kind {
            Kind::Bias => {
                let x = part(input, t, W::input_row(pass.shape));
                way.load(part(x, row.i, W::width()))
            }
            _ => {
                let mut sums = way.nothing();
                let activities = W::activities(input, t, pass.shape);
                for (&w, &x) in row.weight.iter().zip(activities) {
                    let (w, x) = (way.coefficient(w), way.activity(x));
                    for k in 0..2 {
                        sums[k] = W::Real::multiply_add(simd, w[k], x[k], sums[k]);
                    }
                }
                way.gather(sums)
            }
        };
        let y = pass.shape.activation.apply(sum + row.bias);
        way.store(y, part_mut(row.output, t, W::width()));
    }

    #[inline(always)]
    fn end<'b>(&'b self, _: FixedRow<'b, W>, _: &Range<usize>) {}
}
