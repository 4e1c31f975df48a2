//! Batches of records on their way to the writer and back: committed one by one, or all in one transaction that is rolled back.
//!
//! While the writer writes one batch the next is being read. A dry run is decided by the same code on the same books, and holds the
//! writer's turn until its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use crate::actor::Actor;
use crate::directory::person_for;
use crate::id::InstitutionId;
use crate::store::{Fault, Reply, Store, Work};
use crate::usage::{Incoming, Outcome, charge};

/// Records that are decided together.
pub type Records = Arc<Vec<Incoming>>;

type Outcomes = Result<Vec<Outcome>, Fault>;

/// The way to the writer.
pub enum Feed {
    /// Every batch is a commit.
    Real {
        /// Where to.
        store: Store,
        /// Who reports.
        provider: InstitutionId,
        /// The answers to come.
        replies: VecDeque<Reply<Vec<Outcome>>>,
    },
    /// All batches are one transaction that is rolled back.
    Dry {
        /// Batches on their way.
        to: SyncSender<Records>,
        /// What became of them.
        from: Receiver<Outcomes>,
        /// Comes when everything is rolled back.
        end: Reply<()>,
    },
}

/// Charges one batch as the operator of the command line.
fn charge_batch(work: &mut Work<'_>, provider: InstitutionId, records: &[Incoming]) -> Outcomes {
    let who = person_for(work, &Actor::operator("import"))?;
    charge(work, who, provider, records)
}

fn gone() -> Fault {
    Fault::Internal("the writer has stopped".into())
}

impl Feed {
    /// A way on which batches are committed.
    pub fn real(store: Store, provider: InstitutionId) -> Feed {
        Feed::Real { store, provider, replies: VecDeque::new() }
    }

    /// A way that leaves nothing behind.
    pub fn dry(store: &Store, provider: InstitutionId) -> Result<Feed, Fault> {
        let (to, batches) = sync_channel::<Records>(1);
        let (answer, from) = channel::<Outcomes>();
        let end = store.submit(1, move |work| {
            while let Ok(records) = batches.recv() {
                let outcomes = charge_batch(work, provider, &records);
                // What is staged must not grow with the log.
                let outcomes = outcomes.and_then(|outcomes| work.sql().map(|_| outcomes));
                if answer.send(outcomes).is_err() {
                    break;
                }
            }
            // Any fault has the writer roll everything back.
            Err(Fault::Internal("a dry run ends".into()))
        })?;
        Ok(Feed::Dry { to, from, end })
    }

    /// Sends a batch.
    pub fn send(&mut self, records: Records) -> Result<(), Fault> {
        match self {
            Feed::Real { store, provider, replies } => {
                let provider = *provider;
                replies.push_back(store.submit(records.len(), move |work| charge_batch(work, provider, &records))?);
                Ok(())
            }
            Feed::Dry { to, .. } => to.send(records).map_err(|_| gone()),
        }
    }

    /// Waits for what became of the batch that was sent first.
    pub fn receive(&mut self) -> Outcomes {
        match self {
            Feed::Real { replies, .. } => replies.pop_front().ok_or_else(gone)?.wait(),
            Feed::Dry { from, .. } => from.recv().map_err(|_| gone())?,
        }
    }

    /// Ends the way; a dry run is rolled back when this returns.
    pub fn close(self) {
        if let Feed::Dry { to, from, end } = self {
            drop((to, from));
            // Always the fault by which it is rolled back.
            let _ = end.wait();
        }
    }
}
