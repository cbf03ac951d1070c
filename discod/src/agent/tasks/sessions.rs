//! Programs that clients run beside this node's tasks.

use std::sync::Arc;

use disco_store::typed::{GroupRecord, TaskStateRecord};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::driver::Driver;
use crate::cluster::Error;
use crate::cluster::tasks::Session;
use crate::node::Node;
use crate::records::{self, keys};

/// Programs at once: each is a process with its buffers.
const SESSIONS: usize = 64;

/// Runs what clients request, until the process ends. Programs end with it.
pub(super) async fn run(node: Node, driver: Arc<dyn Driver>, mut sessions: mpsc::Receiver<Session>) {
    let mut running = JoinSet::new();
    loop {
        let session = tokio::select! {
            session = sessions.recv() => session,
            Some(_) = running.join_next() => continue,
        };
        let Some(session) = session else { return };
        if running.len() >= SESSIONS {
            let why = format!("{SESSIONS} programs run beside tasks of this node, which is the most; end one of them");
            // Unless the client is gone.
            let _ = session.outputs.try_send(Err(Error::Exhausted(why)));
            continue;
        }
        running.spawn(serve(node.clone(), driver.clone(), session));
    }
}

async fn serve(node: Node, driver: Arc<dyn Driver>, session: Session) {
    let (id, outputs) = (session.start.task_id, session.outputs.clone());
    let served = match super::own(&node, id) {
        None => Err(Error::NotFound(format!("task {id} does not exist on this node"))),
        Some(task) => {
            let group = node.raft().store().read(|store| records::get::<GroupRecord>(store, &keys::group(task.group)));
            match group {
                None => Err(Error::NotFound(format!("the version of task {id} does not exist"))),
                Some(group) => {
                    let order = super::order(&node, task, group.value);
                    driver.session(&order, session).await.map_err(|why| refused(&node, id, &why))
                }
            }
        }
    };
    if let Err(error) = served {
        // Unless the client is gone.
        let _ = outputs.send(Err(error)).await;
    }
}

/// With the reason why a task does not run, where that is known.
fn refused(node: &Node, task: u64, why: &str) -> Error {
    let state = node.raft().store().read(|store| records::get::<TaskStateRecord>(store, &keys::task_state(task)));
    match state.map(|state| state.value.reason).filter(|reason| !reason.is_empty() && !why.contains(reason)) {
        Some(reason) => Error::Refused(format!("{why}: {reason}")),
        None => Error::Refused(why.to_owned()),
    }
}
