//! The house rules that a machine can check: the order of layers, the form of files, the README's tables.

mod form;
mod layers;
mod readme;
mod tree;
