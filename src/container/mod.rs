//! Frames and blocks: how compressed bytes are laid out in a file. Knows bytes; knows no model.
