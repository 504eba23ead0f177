//! The exact transformer: the same bits on every machine.
