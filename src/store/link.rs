//! The writer's link to its database: the connection, also while it is lent to the scribe who commits the batch before.
//!
//! Whoever asks for it waits until that commit stands, and takes the turn among the processes. A batch that was decided meanwhile stands on
//! the head that the scribe was to leave: where another is found it has been overtaken and is decided anew.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::conn::Turn;
use super::scribe::{Returned, Sealed, Undone};
use super::{Birth, Conn, Database, Fault};

/// The way to the writer's connection.
pub struct Link {
    database: Database,
    /// None while it is lent.
    conn: Option<Conn>,
    returns: Receiver<Returned>,
    /// Whether the batch in hand has taken its turn.
    begun: bool,
    /// What the batch in hand stands on.
    ground: Turn,
    committed: Birth,
    /// What came back uncommitted.
    undone: Option<Undone>,
    overtaken: bool,
}

const START: Birth = Birth { seq: 0, stamp: 0 };

impl Link {
    pub(super) fn new(database: Database, conn: Conn, returns: Receiver<Returned>) -> Link {
        let (conn, ground) = (Some(conn), Turn { head: START, stopped: None });
        Link { database, conn, returns, begun: false, ground, committed: START, undone: None, overtaken: false }
    }

    /// The connection, within the turn of the batch in hand.
    ///
    /// Errors: `Overtaken` where the batch stands on what is not there, whatever it may do then.
    pub fn conn(&mut self) -> Result<&mut Conn, Fault> {
        self.wait();
        if !self.begun && !self.overtaken {
            match self.take_turn()? {
                found if found == self.ground => self.committed = found.head,
                _ => self.overtaken = true,
            }
        }
        match &mut self.conn {
            Some(conn) if !self.overtaken => Ok(conn),
            _ => Err(Fault::Overtaken),
        }
    }

    /// Takes the turn for a batch that is still empty; the head it will stand on.
    pub(super) fn begin(&mut self) -> Result<Birth, Fault> {
        self.wait();
        self.ground = self.take_turn()?;
        self.committed = self.ground.head;
        Ok(self.committed)
    }

    fn take_turn(&mut self) -> Result<Turn, Fault> {
        let conn = self.conn.as_mut().ok_or_else(lost)?;
        let found = conn.begin_turn()?;
        self.begun = true;
        Ok(found)
    }

    /// Begins a batch while the connection is away: it stands on the head that is being committed.
    pub(super) fn stand_on(&mut self, head: Birth) {
        self.ground.head = head;
    }

    /// Why nothing is written any more, if the last turn found that it is so.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.ground.stopped.as_deref()
    }

    /// The head that is known to be committed, whatever becomes of the batch in hand.
    pub fn committed(&self) -> Birth {
        self.committed
    }

    pub(super) fn is_here(&self) -> bool {
        self.conn.is_some()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether what was decided in the batch in hand may be wrong.
    pub(super) fn is_overtaken(&self) -> bool {
        self.overtaken
    }

    /// Gives the connection away, with the turn if the batch has it.
    pub(super) fn lend(&mut self) -> Option<(Conn, bool, Turn)> {
        let conn = self.conn.take()?;
        Some((conn, std::mem::take(&mut self.begun), self.ground.clone()))
    }

    /// Waits so long at most to hear of a batch; whether it was heard of. The connection is back then, unless the scribe goes on.
    pub(super) fn hears(&mut self, within: Duration) -> bool {
        match self.returns.recv_timeout(within) {
            Ok(returned) => self.receive(Some(returned)),
            Err(RecvTimeoutError::Disconnected) => self.receive(None),
            Err(RecvTimeoutError::Timeout) => return false,
        }
        true
    }

    /// Takes in what became of a batch, and the connection.
    pub(super) fn receive(&mut self, returned: Option<Returned>) {
        match returned {
            Some(Returned { conn, outcome }) => {
                self.conn = conn;
                match outcome {
                    Ok(head) => self.committed = head,
                    Err(undone) => (self.undone, self.overtaken) = (Some(undone), true),
                }
            }
            None => {
                self.reconnect();
                self.overtaken = true;
            }
        }
    }

    /// Waits for the connection to be back.
    pub(super) fn wait(&mut self) {
        while self.conn.is_none() {
            match self.returns.recv() {
                Ok(returned) => self.receive(Some(returned)),
                Err(_) => return self.receive(None),
            }
        }
    }

    /// Leaves the turn and all that was done in it; what had come back uncommitted. If even that fails the connection is replaced.
    pub(super) fn roll_back(&mut self) -> Option<Undone> {
        self.wait();
        self.overtaken = false;
        if std::mem::take(&mut self.begun) && self.conn.as_mut().is_none_or(|conn| conn.batch("ROLLBACK").is_err()) {
            self.reconnect();
        }
        self.undone.take()
    }

    /// Writes and commits a batch here and now.
    pub(super) fn commit(&mut self, sealed: &mut Sealed) -> Result<(), Fault> {
        let begun = std::mem::take(&mut self.begun);
        let conn = self.conn.as_mut().ok_or_else(lost)?;
        self.committed = sealed.commit(conn, begun, &self.ground)?;
        Ok(())
    }

    pub(super) fn reconnect_if_broken(&mut self) {
        if self.conn.as_mut().is_none_or(|conn| conn.batch("SELECT 1").is_err()) {
            self.reconnect();
        }
    }

    fn reconnect(&mut self) {
        match self.database.connect().and_then(Conn::for_writing) {
            Ok(conn) => self.conn = Some(conn),
            Err(fault) => tracing::error!(%fault, "can't reconnect to the database"),
        }
    }
}

fn lost() -> Fault {
    Fault::Internal("the writer has no connection".into())
}
