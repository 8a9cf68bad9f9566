//! Configurations of other programs become what these programs put into the kernel, and what is lost is named.

mod ipvsadm;
mod keepalived;
mod keepalived_checks;
mod keepalived_random;
mod ldirectord;
mod marks;
mod recorded;
