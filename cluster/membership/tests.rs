//! What membership promises, under virtual time over a network of seeds.
