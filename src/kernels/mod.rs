//! Integer products and fixed-order float operations: a reference and one file an instruction set that equals it.
