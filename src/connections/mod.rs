//! What the kernel's connections mean: which service and cluster each belongs to, which of them are wanted, and how many there are.

mod count;
mod filter;
mod names;

pub use count::{ConnectionCounts, Counted};
pub use filter::{ConnectionFilter, Endpoint, NoEndpoint};
pub use names::{Belonging, ServiceNames};
