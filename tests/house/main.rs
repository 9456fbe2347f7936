//! The house rules that a machine can check: one-way imports, the form of files, the README's tables.

mod form;
mod imports;
mod readme;
mod tree;
