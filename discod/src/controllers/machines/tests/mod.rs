//! The controllers of machines in memory: the real driver, planner and records, with a provider that fails, hangs or answers too late,
//! and with leaders whose term ends between any two effects. The next leader follows at once. Time is tokio's, and paused.

mod blocked;
mod ending;
mod hosts;
mod leader;
mod leaving;
mod lost;
mod provider;
mod rights;
mod starting;
mod world;
