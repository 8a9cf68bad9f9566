//! The desired file: its format, how it is read, and what is wrong with it. Nothing of the kernel.

pub mod document;
mod scalar;
mod schema;
mod words;

pub use schema::schema;
