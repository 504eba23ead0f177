//! From bytes to binary decisions to coded bits, and back.
