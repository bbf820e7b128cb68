//! Which arrays there are, said once: a table of their sizes, from which bytes are counted and arrays made.

/// Defines a struct of arrays, all of type `A`. With numbers for `A` it is the table of their sizes; `map` makes the arrays
/// of it, or adds the sizes up.
macro_rules! table {
    (
        $(#[$about:meta])*
        $table:ident { $($(#[$about_field:meta])* $field:ident,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub(in crate::cpu) struct $table<A> {
            $($(#[$about_field])* pub $field: A,)*
        }

        impl<A> $table<A> {
            /// What `change` makes of each array.
            pub fn map<B>(self, change: &mut impl FnMut(A) -> B) -> $table<B> {
                $table {
                    $($field: change(self.$field),)*
                }
            }
        }

        impl $table<u128> {
            /// No elements of any array.
            #[allow(dead_code, reason = "not every table is partly empty")]
            pub fn nothing() -> Self {
                $table {
                    $($field: 0,)*
                }
            }

            /// Elements of all arrays together.
            pub fn elements(self) -> u128 {
                let mut sum = 0;
                self.map(&mut |size| sum += size);
                sum
            }

            /// Zeros.
            pub fn arrays<R: $crate::number::Real>(self) -> $table<$crate::number::Aligned<R>> {
                self.map(&mut |size| $crate::number::zeros(size as usize))
            }
        }
    };
}

pub(super) use table;
