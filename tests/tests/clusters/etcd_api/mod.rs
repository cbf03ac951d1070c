//! etcd's API by its own protocol: requests that `etcdctl` cannot make, roles, and faults.

mod faults;
mod keys;
mod many;
mod probes;
mod support;
mod watches;
