//! Who of a fleet of directors takes which revision when: the strategy, what lies in etcd, and the decision of each director. Nothing of a network.

pub mod roles;
