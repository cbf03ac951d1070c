//! Disco's own records: JSON below `/disco/`, so that every client can read them.
//!
//! [`keys`] lists all keys; the types define their values. Records are append-only: fields are added, never renamed or
//! given another meaning; a version ignores fields that it does not know, and fields missing from an older version have
//! defaults. Times are RFC 3339 and come from the caller: the store has no clock.
//!
//! Reading is [`get`] and [`list`]; writing is [`Txn`], which compares and writes in one command; events go through [`events`].

pub mod events;
pub mod keys;

mod cluster;
mod error;
mod job;
mod read;
mod script;
mod spec;
mod summary;
mod txn;
mod value;
mod workload;

pub use cluster::{
    EndsRecord, HealthRecord, JoinRecord, MachineRecord, NodeRecord, ProviderRecord, SigningRecord, TokenRecord,
    UpgradeRecord, machine_state,
};
pub use error::RecordError;
pub use events::{EventRecord, Severity};
pub use job::{
    EndingKind, EndingRecord, JobRecord, JobRunRecord, JobRunState, JobSpec, OverlapSpec, SkippedRecord, TaskRun,
};
pub use read::{Versioned, decode, get, list};
pub use script::{CurrentScript, DeploymentRecord, DeploymentState, FileRecord, ScriptRecord};
pub use spec::{
    DependencySpec, HealthSpec, LARGEST_FILE, PortSpec, ProbeSpec, ProcessSpec, ResourceSpec, RestartCondition,
    RestartSpec, ServiceSpec, UpdateSpec,
};
pub use summary::{EndpointSummary, PortSummary, ServiceSummary};
pub use txn::{Txn, succeeded};
pub use value::{
    SealedValue, SecretsKeyRecord, VALUE_BYTES, ValueKind, ValuePlace, ValueRecord, ValueUse, ValueVersionRecord,
};
pub use workload::{
    CapacityRecord, Copies, Goal, GroupRecord, RELEASES, ReleaseRecord, ReleasedService, RolloutRecord, ServiceRecord,
    Settled, StackRecord, TaskPort, TaskRecord, TaskState, TaskStateRecord,
};
