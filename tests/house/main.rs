//! The house rules that a machine can check: the order of layers, the form of files, the tables of the README, and
//! numbers that several files have.

mod form;
mod layers;
mod mix;
mod readme;
mod tree;
