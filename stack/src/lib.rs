//! Stack files: the Compose Specification of today, and the form of fig, from their text to a normalised, checked stack.
//!
//! The crate does no I/O: [`Files`] gives it texts, [`Options`] the variables. The same input gives the same stack everywhere.
//!
//! # Order
//! Always parse → include → extends → interpolate → merge → normalise → validate.
//!
//! 1. **parse** (`yaml/`): YAML 1.2 with merge keys, `!reset` and `!override`, under limits. Every value keeps its file, line and
//!    column. A file in fig's form becomes one of today's (`fig.rs`).
//! 2. **include** (`load/`): each included stack goes through steps 1 to 5 with its own folder and variables.
//! 3. **extends**: a service's bases are found. Services of a base's file that nobody extends are not looked at.
//! 4. **interpolate** (`interpolate/`): variables in values, never in keys, defaults only where they are needed. Then each value is
//!    brought into one form by the schema (`forms/`), paths are seen from the project's folder, and names without values take
//!    those of the environment.
//! 5. **merge** (`merge.rs`): bases below services, earlier files below later ones.
//! 6. **normalise** (`normalise/`): profiles, `env_file`, names, default networks, implied dependencies.
//! 7. **validate** (`validate/`): what must be true of the whole.
//!
//! Steps 1 to 5 run for each file in turn. A step that finds errors reports all of them and ends the load.

mod environment;
mod fig;
mod files;
mod forms;
mod hash;
mod interpolate;
mod load;
mod merge;
mod model;
mod normalise;
mod options;
mod output;
mod paths;
mod place;
mod problem;
mod published;
mod schema;
mod sorted;
mod stack;
mod suggest;
mod validate;
mod yaml;

pub use self::{
    files::Files,
    model::{
        Condition, Config, Copies, Dependency, Exposed, Health, Ingress, Job, Mount, OnFailure, Overlap, Port, Probe,
        Process, Published, Resources, Restart, RestartWhen, Runs, Secret, Service, Stack, Tls, Update,
    },
    options::Options,
    place::{Place, Sources},
    problem::{Problem, Refused},
    published::{json_schema, matrix},
    stack::{Loaded, load},
};

/// The files of which `disco deploy` and `disco stack` take the first that exists.
pub const FILE_NAMES: [&str; 5] = ["stack.yml", "compose.yaml", "compose.yml", "docker-compose.yml", "fig.yml"];
