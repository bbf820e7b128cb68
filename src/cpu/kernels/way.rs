//! What lies along the lanes of a vector, as a type: every kernel is written once over a [`Way`].

use super::compensated::Compensated;
use super::parts::part;
use super::weight_gradient::{weight_gradient, weight_gradient_of_blocks};
use crate::cpu::along::Along;
use crate::cpu::shape::{Kind, Shape};
use crate::number::{EngineNumber, Kernel, Lanes, Pair, Real, has_vectors, vectorise};
use crate::rule::{Compiled, Interpreted, RowRule};
use pulp::Simd;
use std::marker::PhantomData;
use std::ops::Range;

/// A pair of vectors, as loops over a row's synapses use it.
pub(super) type Vectors<W> = [<<W as Way>::Real as Lanes>::Vector<<W as Way>::Simd>; 2];

/// A whole number of pairs.
#[inline(always)]
pub(super) fn pairs<W: Way>(values: &[W::Real]) -> &[Vectors<W>] {
    W::Real::pairs::<W::Simd>(values)
}

/// A whole number of pairs, to be changed.
#[inline(always)]
pub(super) fn pairs_mut<W: Way>(values: &mut [W::Real]) -> &mut [Vectors<W>] {
    W::Real::pairs_mut::<W::Simd>(values)
}

/// A way to fill a pair of vectors. Traces and adjoint traces are always loaded, one pair after the other; a way says how a
/// row's coefficients and its presynaptic activity become vectors, and how what a row has once a step, its [`Way::Value`],
/// comes from a row's sums and goes back to its synapses. A row is here whatever one pair of vectors has a synapse of: also the
/// same row of several episodes or networks, or a block of rows.
pub(crate) trait Way: Copy {
    type Real: Real;
    type Simd: Simd;
    /// What a row has once a step: one number, or one in each lane.
    type Value: EngineNumber;
    /// What is loaded of a row's coefficients to fill one pair of vectors.
    type Coefficient: Copy;
    /// What is loaded of a step's presynaptic activity, or added to of the gradient on it, for one pair of vectors.
    type Activity: Copy;
    /// Where a pass over a row adds up the gradient of the weights of one pair of vectors; nothing where
    /// [`Way::WEIGHTS_IN_PASS`] is false.
    type WeightSum;

    const ALONG: Along;
    /// Rows whose sweeps are interleaved.
    const TOGETHER: usize = Self::ALONG.together();
    /// Whether a pass over a row adds to the gradient of the plasticity where it stands. Otherwise it is summed over lanes at
    /// the end.
    const IN_PLACE: bool;
    /// Whether a pass over a row adds to the gradient of the weights. Otherwise that is [`Way::weight_gradient`].
    const WEIGHTS_IN_PASS: bool;

    fn simd(self) -> Self::Simd;

    /// Lanes that have something of their own, `W`: of episodes, networks or rows.
    fn width() -> usize;

    /// Row `i` of a layer's coefficients, `[O, row]`.
    fn coefficients<'a>(
        values: &'a [Self::Real],
        i: usize,
        shape: &Shape,
    ) -> &'a [Self::Coefficient];

    fn coefficient(self, loaded: Self::Coefficient) -> Vectors<Self>;

    /// Presynaptic activity, or the gradient on it.
    fn activities_of(values: &[Self::Real]) -> &[Self::Activity];

    /// The same, to be changed.
    fn activities_mut(values: &mut [Self::Real]) -> &mut [Self::Activity];

    fn activity(self, loaded: Self::Activity) -> Vectors<Self>;

    /// Adds the product of `a` and `b` to a gradient on presynaptic activity.
    fn add_product(self, sum: &mut Self::Activity, a: Vectors<Self>, b: Vectors<Self>);

    /// Of a row of `count` pairs.
    fn weight_sums(row: &mut [Self::Real], count: usize) -> &mut [Self::WeightSum];

    fn add(self, sum: &mut Self::WeightSum, value: Vectors<Self>);

    /// Adds to the gradient of a chunk's weights, as a product of matrices, what the steps of `segment` give, with `signal`
    /// (`δ`) `[…, T, W]` and `input` `[T, N, E]`; nothing where the pass over its rows has added to it.
    #[inline(always)]
    fn weight_gradient(
        self,
        shape: &Shape,
        signal: &[Self::Real],
        input: &[Self::Real],
        segment: Range<usize>,
        gradient: &mut [Self::Real],
    ) {
        const { assert!(Self::WEIGHTS_IN_PASS) };
        let _ = (shape, signal, input, segment, gradient);
    }

    /// `value`, in every lane.
    fn value(self, value: Self::Real) -> Self::Value;

    /// What row `i` has in `values`, one number for each row of the network's, or of each network's, or `[blocks, W]`.
    fn of_row(self, values: &[Self::Real], i: usize) -> Self::Value;

    /// The first value of `values`, `[…, W]`.
    fn load(self, values: &[Self::Real]) -> Self::Value;

    /// The inverse of [`Way::load`].
    fn store(self, value: Self::Value, values: &mut [Self::Real]);

    /// A value, for the synapses of its row.
    fn spread(self, value: Self::Value) -> Vectors<Self>;

    /// The sum over a row's synapses, from what each lane has of it.
    fn gather(self, sums: Vectors<Self>) -> Self::Value;

    /// The same, in twice the precision.
    fn gather_precisely(
        self,
        sums: Compensated<Pair<Self::Simd, Self::Real>>,
    ) -> Compensated<Self::Value>;

    /// Adds the first `count` episodes' values to what their network, or each one's network, has of one row or block.
    fn add_to_row(self, value: Self::Value, count: usize, sum: &mut [Self::Real]);

    /// Vectors as a number of its own in each lane.
    #[inline(always)]
    fn pair(self, vectors: Vectors<Self>) -> Pair<Self::Simd, Self::Real> {
        Pair::new(self.simd(), vectors)
    }

    /// The vectors of nothing.
    #[inline(always)]
    fn nothing(self) -> Vectors<Self> {
        [Self::Real::splat(self.simd(), num_traits::Zero::zero()); 2]
    }

    /// The vectors of a synapse's trace, which are loaded as they are.
    #[inline(always)]
    fn trace(self, loaded: Vectors<Self>) -> Vectors<Self> {
        loaded
    }

    /// Elements of a row of synapses, `[C, W]`.
    #[inline(always)]
    fn row(shape: &Shape) -> usize {
        Self::ALONG.columns(shape) * Self::width()
    }

    /// Elements of a step's presynaptic activity, `[N, E]`.
    #[inline(always)]
    fn input_row(shape: &Shape) -> usize {
        // Known when this is compiled, unlike `Along::beside`: it is asked once for each row and step.
        let beside = match Self::ALONG {
            Along::Rows => 1,
            _ => Self::width(),
        };
        Self::ALONG.neurons(shape) * beside
    }

    /// The presynaptic activity of step `t`, of `[T, N, E]`.
    #[inline(always)]
    fn activities<'a>(input: &'a [Self::Real], t: usize, shape: &Shape) -> &'a [Self::Activity] {
        Self::activities_of(part(input, t, Self::input_row(shape)))
    }
}

/// What ways have in common whose values are one for each lane.
macro_rules! values_in_lanes {
    () => {
        #[inline(always)]
        fn width() -> usize {
            R::pair_width::<S>()
        }

        #[inline(always)]
        fn value(self, value: R) -> Pair<S, R> {
            Pair::new(self.0, [R::splat(self.0, value); 2])
        }

        #[inline(always)]
        fn load(self, values: &[R]) -> Pair<S, R> {
            Pair::load(self.0, values)
        }

        #[inline(always)]
        fn store(self, value: Pair<S, R>, values: &mut [R]) {
            value.store(values);
        }

        #[inline(always)]
        fn spread(self, value: Pair<S, R>) -> Vectors<Self> {
            value.vectors
        }

        #[inline(always)]
        fn gather(self, sums: Vectors<Self>) -> Pair<S, R> {
            Pair::new(self.0, sums)
        }

        #[inline(always)]
        fn gather_precisely(self, sums: Compensated<Pair<S, R>>) -> Compensated<Pair<S, R>> {
            sums
        }
    };
}

/// What ways have in common whose coefficients are one for each lane.
macro_rules! coefficients_in_lanes {
    () => {
        #[inline(always)]
        fn coefficient(self, loaded: Self::Coefficient) -> Vectors<Self> {
            loaded
        }
    };
}

/// What ways have in common whose weights' gradient has a number for each lane, which a pass over a row adds to.
macro_rules! weights_in_pass {
    () => {
        #[inline(always)]
        fn weight_sums(row: &mut [R], _: usize) -> &mut [Self::WeightSum] {
            R::pairs_mut::<S>(row)
        }

        #[inline(always)]
        fn add(self, sum: &mut Self::WeightSum, value: Vectors<Self>) {
            for k in 0..2 {
                sum[k] = <R as Lanes>::add(self.0, value[k], sum[k]);
            }
        }
    };
}

/// What ways have in common whose weights' gradient is a product of matrices.
macro_rules! weights_apart {
    () => {
        #[inline(always)]
        fn weight_sums(_: &mut [R], count: usize) -> &mut [()] {
            // Nothings take no room.
            vec![(); count].leak()
        }

        #[inline(always)]
        fn add(self, (): &mut (), _: Vectors<Self>) {}
    };
}

/// What ways have in common whose presynaptic activity is one for each lane.
macro_rules! activities_in_lanes {
    () => {
        #[inline(always)]
        fn activities_of(values: &[R]) -> &[Self::Activity] {
            R::pairs::<S>(values)
        }

        #[inline(always)]
        fn activities_mut(values: &mut [R]) -> &mut [Self::Activity] {
            R::pairs_mut::<S>(values)
        }

        #[inline(always)]
        fn activity(self, loaded: Self::Activity) -> Vectors<Self> {
            loaded
        }

        #[inline(always)]
        fn add_product(self, sum: &mut Self::Activity, a: Vectors<Self>, b: Vectors<Self>) {
            for k in 0..2 {
                sum[k] = R::multiply_add(self.0, a[k], b[k], sum[k]);
            }
        }
    };
}

/// [`Along::Synapses`].
#[derive(Clone, Copy)]
pub(super) struct OverSynapses<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Way for OverSynapses<S, R> {
    type Real = R;
    type Simd = S;
    type Value = R;
    type Coefficient = [R::Vector<S>; 2];
    type Activity = [R::Vector<S>; 2];
    type WeightSum = [R::Vector<S>; 2];

    const ALONG: Along = Along::Synapses;
    const IN_PLACE: bool = true;
    const WEIGHTS_IN_PASS: bool = true;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    activities_in_lanes!();

    #[inline(always)]
    fn width() -> usize {
        1
    }

    #[inline(always)]
    fn coefficients<'a>(values: &'a [R], i: usize, shape: &Shape) -> &'a [Self::Coefficient] {
        R::pairs::<S>(&values[i * shape.row..][..shape.row])
    }

    coefficients_in_lanes!();

    weights_in_pass!();

    #[inline(always)]
    fn value(self, value: R) -> R {
        value
    }

    #[inline(always)]
    fn of_row(self, values: &[R], i: usize) -> R {
        values[i]
    }

    #[inline(always)]
    fn load(self, values: &[R]) -> R {
        values[0]
    }

    #[inline(always)]
    fn store(self, value: R, values: &mut [R]) {
        values[0] = value;
    }

    #[inline(always)]
    fn spread(self, value: R) -> Vectors<Self> {
        [R::splat(self.0, value); 2]
    }

    #[inline(always)]
    fn gather(self, sums: Vectors<Self>) -> R {
        R::sum_lanes(self.0, sums[0], sums[1])
    }

    #[inline(always)]
    fn gather_precisely(self, sums: Compensated<Pair<S, R>>) -> Compensated<R> {
        let (mut high, mut low) = (sums.high.vectors, sums.low.vectors);
        let lanes = R::elements_mut::<S>(&mut high)
            .iter()
            .zip(R::elements_mut::<S>(&mut low));
        let mut sum = Compensated::zero(R::zero());
        for (&high, &mut low) in lanes {
            sum = sum.add_multiple(R::one(), Compensated { high, low });
        }
        sum
    }

    #[inline(always)]
    fn add_to_row(self, value: R, _: usize, sum: &mut [R]) {
        sum[0] += value;
    }
}

/// [`Along::Episodes`].
#[derive(Clone, Copy)]
pub(super) struct OverEpisodes<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Way for OverEpisodes<S, R> {
    type Real = R;
    type Simd = S;
    type Value = Pair<S, R>;
    type Coefficient = R;
    type Activity = [R::Vector<S>; 2];
    type WeightSum = ();

    const ALONG: Along = Along::Episodes;
    const IN_PLACE: bool = false;
    const WEIGHTS_IN_PASS: bool = false;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    activities_in_lanes!();

    #[inline(always)]
    fn coefficients<'a>(values: &'a [R], i: usize, shape: &Shape) -> &'a [R] {
        &values[i * shape.row..][..shape.inputs]
    }

    #[inline(always)]
    fn coefficient(self, loaded: R) -> Vectors<Self> {
        [R::splat(self.0, loaded); 2]
    }

    weights_apart!();

    #[inline(always)]
    fn weight_gradient(
        self,
        shape: &Shape,
        signal: &[R],
        input: &[R],
        segment: Range<usize>,
        gradient: &mut [R],
    ) {
        let Shape { inputs, row, .. } = *shape;
        weight_gradient(self.0, signal, input, inputs, segment, gradient, row);
    }

    #[inline(always)]
    fn of_row(self, values: &[R], i: usize) -> Pair<S, R> {
        self.value(values[i])
    }

    values_in_lanes!();

    #[inline(always)]
    fn add_to_row(self, value: Pair<S, R>, count: usize, sum: &mut [R]) {
        sum[0] += value.sum_of_first(count);
    }
}

/// [`Along::Networks`].
#[derive(Clone, Copy)]
pub(super) struct OverNetworks<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Way for OverNetworks<S, R> {
    type Real = R;
    type Simd = S;
    type Value = Pair<S, R>;
    type Coefficient = [R::Vector<S>; 2];
    type Activity = [R::Vector<S>; 2];
    type WeightSum = [R::Vector<S>; 2];

    const ALONG: Along = Along::Networks;
    const IN_PLACE: bool = true;
    const WEIGHTS_IN_PASS: bool = true;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    activities_in_lanes!();

    #[inline(always)]
    fn coefficients<'a>(values: &'a [R], i: usize, shape: &Shape) -> &'a [Self::Coefficient] {
        let row = Self::row(shape);
        R::pairs::<S>(&values[i * row..][..row])
    }

    coefficients_in_lanes!();

    weights_in_pass!();

    #[inline(always)]
    fn of_row(self, values: &[R], i: usize) -> Pair<S, R> {
        self.load(&values[i * Self::width()..])
    }

    values_in_lanes!();

    /// In lanes without a network, what comes of it is of no use.
    #[inline(always)]
    fn add_to_row(self, value: Pair<S, R>, _: usize, sum: &mut [R]) {
        (self.load(sum) + value).store(sum);
    }
}

/// [`Along::Rows`].
#[derive(Clone, Copy)]
pub(super) struct OverRows<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Way for OverRows<S, R> {
    type Real = R;
    type Simd = S;
    type Value = Pair<S, R>;
    type Coefficient = [R::Vector<S>; 2];
    type Activity = R;
    type WeightSum = ();

    const ALONG: Along = Along::Rows;
    const IN_PLACE: bool = true;
    const WEIGHTS_IN_PASS: bool = false;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn coefficients<'a>(values: &'a [R], i: usize, shape: &Shape) -> &'a [Self::Coefficient] {
        let row = Self::row(shape);
        R::pairs::<S>(&values[i * row..][..row])
    }

    coefficients_in_lanes!();

    weights_apart!();

    #[inline(always)]
    fn weight_gradient(
        self,
        shape: &Shape,
        signal: &[R],
        input: &[R],
        segment: Range<usize>,
        gradient: &mut [R],
    ) {
        weight_gradient_of_blocks(
            self.0,
            signal,
            (input, shape.row),
            segment,
            gradient,
            shape.inputs,
        );
    }

    #[inline(always)]
    fn activities_of(values: &[R]) -> &[R] {
        values
    }

    #[inline(always)]
    fn activities_mut(values: &mut [R]) -> &mut [R] {
        values
    }

    #[inline(always)]
    fn activity(self, loaded: R) -> Vectors<Self> {
        [R::splat(self.0, loaded); 2]
    }

    /// In lanes without a row one factor is zero.
    #[inline(always)]
    fn add_product(self, sum: &mut R, a: Vectors<Self>, b: Vectors<Self>) {
        let products = [
            R::multiply(self.0, a[0], b[0]),
            R::multiply(self.0, a[1], b[1]),
        ];
        *sum += R::sum_lanes(self.0, products[0], products[1]);
    }

    #[inline(always)]
    fn of_row(self, values: &[R], i: usize) -> Pair<S, R> {
        self.load(&values[i * Self::width()..])
    }

    values_in_lanes!();

    /// In lanes without a row, what comes of it is of no use.
    #[inline(always)]
    fn add_to_row(self, value: Pair<S, R>, _: usize, sum: &mut [R]) {
        (self.load(sum) + value).store(sum);
    }
}

/// A sweep over the rows of a layer, for every way and rule.
pub(super) trait Sweep<R: Real>: Sized {
    /// Over rows with a trace.
    fn plastic<W: Way<Real = R>, P: RowRule>(self, way: W, rule: P);

    /// Over rows without one.
    fn fixed<W: Way<Real = R>>(self, way: W);
}

/// Runs `sweep` with the widest vectors that the processor has. Each form of a rule is a type of its own, so that the formulas of
/// named rules are compiled in; and each is a function of its own, since compilers take far longer for one that has all of them.
pub(super) fn run<R: Real>(shape: &Shape, sweep: impl Sweep<R>) {
    match shape.kind {
        Kind::Plastic => {
            let row = shape.layer.row().expect("such layers have a rule of rows");
            match row.compiled() {
                Compiled::Hebb(rule) => along(shape, Named(sweep, rule, row.interpreted())),
                Compiled::Oja(rule) => along(shape, Named(sweep, rule, row.interpreted())),
                Compiled::Interpreted(rule) => along(shape, Plastic(sweep, rule)),
                Compiled::Modulated(rule) => along(shape, Plastic(sweep, rule)),
            }
        }
        Kind::Dense | Kind::Bias => along(shape, Fixed(sweep)),
        Kind::Cell => unreachable!("rows that step together have sweeps of their own"),
    }
}

/// A sweep over rows of one kind, for every way.
trait OfRows<R: Real> {
    fn run<W: Way<Real = R>>(self, way: W);
}

struct Plastic<K, P>(K, P);

impl<R: Real, K: Sweep<R>, P: RowRule> OfRows<R> for Plastic<K, P> {
    #[inline(always)]
    fn run<W: Way<Real = R>>(self, way: W) {
        self.0.plastic(way, self.1);
    }
}

/// The same by a rule that has a name, which is interpreted all the same where the processor has no vectors: that is rare, and slow
/// anyway, and every form takes its time to compile.
struct Named<'a, K, P>(K, P, Interpreted<'a>);

impl<R: Real, K: Sweep<R>, P: RowRule> OfRows<R> for Named<'_, K, P> {
    #[inline(always)]
    fn run<W: Way<Real = R>>(self, way: W) {
        match const { has_vectors::<W::Simd>() } {
            true => self.0.plastic(way, self.1),
            false => without_vectors(self.0, way, self.2),
        }
    }
}

#[inline(never)]
fn without_vectors<W: Way>(sweep: impl Sweep<W::Real>, way: W, rule: Interpreted<'_>) {
    sweep.plastic(way, rule);
}

struct Fixed<K>(K);

impl<R: Real, K: Sweep<R>> OfRows<R> for Fixed<K> {
    #[inline(always)]
    fn run<W: Way<Real = R>>(self, way: W) {
        self.0.fixed(way);
    }
}

fn along<R: Real>(shape: &Shape, sweep: impl OfRows<R>) {
    match shape.along {
        Along::Synapses => vectorise(AlongSynapses(sweep, PhantomData)),
        Along::Episodes => vectorise(AlongEpisodes(sweep, PhantomData)),
        Along::Networks => vectorise(AlongNetworks(sweep, PhantomData)),
        Along::Rows => vectorise(AlongRows(sweep, PhantomData)),
    }
}

macro_rules! kernel {
    ($along:ident, $over:ident) => {
        struct $along<K, R>(K, PhantomData<R>);

        impl<R: Real, K: OfRows<R>> Kernel for $along<K, R> {
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                self.0.run($over(simd, PhantomData::<R>));
            }
        }
    };
}

kernel!(AlongSynapses, OverSynapses);
kernel!(AlongEpisodes, OverEpisodes);
kernel!(AlongNetworks, OverNetworks);
kernel!(AlongRows, OverRows);
