//! What other programs make of their configurations is what lbd makes of them, and everything else is named.

mod ipvsadm;
mod ldirectord;
mod marks;
mod recorded;
