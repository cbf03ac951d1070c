//! etcd's API by its own protocol: what `etcdctl` cannot ask for, roles, and faults.

mod faults;
mod keys;
mod support;
mod watches;
