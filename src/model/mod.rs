//! Where models come from, and the packed file that holds one.
