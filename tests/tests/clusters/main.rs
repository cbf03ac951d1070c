//! Whole clusters of the real programs. All tests are in one program, so that tests that wait run beside others that compute, as many
//! as the processors can run: see `disco_tests::Permit`. `cargo test --test clusters kv::` runs those of one file.

mod api_bytes;
mod aws;
mod aws_failures;
mod aws_life;
mod aws_limits;
mod aws_plan;
mod bad_input;
mod bootstrap;
mod certificates;
mod commands;
mod connect;
mod discod_cli;
mod etcd_api;
mod etcd_crate;
mod etcd_ctl;
mod etcd_gateway;
mod etcd_python;
mod failover;
mod fault_backup;
mod fault_copy;
mod fault_disk;
mod fault_history;
mod fault_log;
mod fault_old_data;
mod fault_own_backups;
mod fault_reach;
mod fault_recover;
mod handed_on;
mod hooks;
mod install_nat;
mod install_ssh;
mod install_systemd;
mod interrupted;
mod kv;
mod machine_death;
mod moved;
mod own_machines;
mod plan;
mod scale;
mod scripts;
mod security;
mod unhealthy;
mod upgrade;
mod upgrade_guards;

disco_tests::start_all_tests_at_once!();
