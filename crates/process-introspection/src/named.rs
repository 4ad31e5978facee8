//! Declarations of enums and of flags that have names: one list for the values and for their
//! names. Knows none of them.

/// Declares an enum with the name of each value: the array `ALL` of its values, and the
/// method `name`.
macro_rules! named_values {
    (
        $(#[$doc:meta])*
        pub enum $type:ident { $($(#[$doc_of_value:meta])* $value:ident = $name:literal,)* }
        $(#[$doc_of_all:meta])*
        $all_vis:vis const ALL;
        $(#[$doc_of_name:meta])*
        pub const fn name;
    ) => {
        $(#[$doc])*
        pub enum $type {
            $($(#[$doc_of_value])* $value,)*
        }

        impl $type {
            $(#[$doc_of_all])*
            $all_vis const ALL: [Self; [$($name),*].len()] = [$(Self::$value),*];

            $(#[$doc_of_name])*
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }
        }
    };
}

/// Declares flags, each with the number of its bit and the kernel's name, as constants of a
/// type that wraps 64 bits.
macro_rules! named_bits {
    (
        impl $type:ident { $($(#[$doc:meta])* $flag:ident = $bit:literal, $name:literal;)* }
        $(#[$doc_of_bits:meta])*
        pub const fn bits;
        $(#[$doc_of_name:meta])*
        pub const fn name_of;
    ) => {
        impl $type {
            $($(#[$doc])* pub const $flag: Self = Self(1 << $bit);)*

            $(#[$doc_of_bits])*
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// Returns whether all of the flags in `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            $(#[$doc_of_name])*
            pub const fn name_of(bit: u32) -> Option<&'static str> {
                match bit {
                    $($bit => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {named_bits, named_values};
