//! What a command works with inside the writer's transaction: the connection, the moment, and what the writer remembers.
//!
//! Rooms above keep what they know of the database in a [`Room`] of the writer's memory: valid exactly while the head of the journal
//! is the one this process wrote, forgotten as a whole when another process has moved it or a commit has failed. Rows that need not
//! be read back at once are staged there and written together. Most commands are decided from memory alone, so that they can be while
//! the commit before them is still being written; the connection is waited for by whoever asks for it.

use std::any::{Any, TypeId};

use super::link::Link;
use super::{Conn, Fault};
use crate::time::Time;

/// Rows that were staged, on their way into the database.
pub type Rows = Box<dyn FnOnce(&mut Conn) -> Result<(), Fault> + Send>;

/// What one room remembers between commands, and the rows it has staged.
pub trait Room: Any + Send + Default {
    /// Hands out all staged rows, to be written here or by another thread before the commit. Only what comes with an entry of the journal
    /// may be among them: a batch without entries is rolled back, and other processes would not learn of it.
    fn take_rows(&mut self) -> Option<Rows> {
        None
    }

    /// Forgets what may not be true any more, staged rows included.
    fn forget(&mut self) {
        *self = Self::default();
    }

    /// How many things are remembered that forgetting would give up, so that memory stays bounded.
    fn held(&self) -> usize;
}

/// A room whose type is known only to its owner.
trait AnyRoom: Send {
    fn take_rows(&mut self) -> Option<Rows>;
    fn forget(&mut self);
    fn held(&self) -> usize;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<R: Room> AnyRoom for R {
    fn take_rows(&mut self) -> Option<Rows> {
        Room::take_rows(self)
    }
    fn forget(&mut self) {
        Room::forget(self);
    }
    fn held(&self) -> usize {
        Room::held(self)
    }
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// All that the writer remembers; rooms in the order in which they were first used.
#[derive(Default)]
pub(super) struct Memory {
    rooms: Vec<(TypeId, Box<dyn AnyRoom>)>,
    epoch: u64,
}

/// Things remembered before all is forgotten and read again: bounds the writer's memory at some hundred MB.
const REMEMBERED: usize = 2_000_000;

impl Memory {
    pub(super) fn forget(&mut self) {
        self.rooms.iter_mut().for_each(|(_, room)| room.forget());
    }

    pub(super) fn forget_if_large(&mut self) {
        if self.rooms.iter().map(|(_, room)| room.held()).sum::<usize>() > REMEMBERED {
            self.forget();
        }
    }

    /// Everything staged, in the order in which it is to be written.
    pub(super) fn take_rows(&mut self) -> Vec<Rows> {
        self.rooms.iter_mut().filter_map(|(_, room)| room.take_rows()).collect()
    }

    fn room<R: Room>(&mut self) -> Result<&mut R, Fault> {
        let wanted = TypeId::of::<R>();
        let place = match self.rooms.iter().position(|(room, _)| *room == wanted) {
            Some(place) => place,
            None => {
                self.rooms.push((wanted, Box::new(R::default())));
                self.rooms.len() - 1
            }
        };
        let found = self.rooms.get_mut(place).and_then(|(_, room)| room.as_any().downcast_mut());
        found.ok_or_else(|| Fault::Internal("a room of the writer's memory is missing".into()))
    }
}

/// The next place in the journal: its gapless sequence and its unique stamp (µs), which is the identifier of what is born there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Birth {
    /// Gapless, from 1.
    pub seq: i64,
    /// Strictly increasing with `seq`; equal to the clock wherever the clock allows it.
    pub stamp: i64,
}

/// One command's view of the writer's transaction.
pub struct Work<'a> {
    link: &'a mut Link,
    memory: &'a mut Memory,
    head: Birth,
    now: Time,
    writes: usize,
}

impl<'a> Work<'a> {
    pub(super) fn new(link: &'a mut Link, memory: &'a mut Memory, head: Birth, now: Time) -> Work<'a> {
        Work { link, memory, head, now, writes: 0 }
    }

    /// The moment at which this command is decided.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The place in the journal that the next entry will take.
    pub fn birth(&self) -> Birth {
        Birth { seq: self.head.seq + 1, stamp: self.now.micros().max(self.head.stamp + 1) }
    }

    /// Takes the next place in the journal.
    pub fn take(&mut self) -> Birth {
        self.head = self.birth();
        self.writes += 1;
        self.head
    }

    /// The connection for reading, after everything staged was written: SQL sees what went before.
    pub fn sql(&mut self) -> Result<&mut Conn, Fault> {
        let conn = self.link.conn()?;
        for rows in self.memory.take_rows() {
            rows(conn)?;
        }
        Ok(conn)
    }

    /// The connection for writing. A command that refuses after this costs its whole batch a second run.
    pub fn sql_mut(&mut self) -> Result<&mut Conn, Fault> {
        self.writes += 1;
        self.memory.epoch += 1;
        self.sql()
    }

    /// The connection for writing what no room remembers: it counts as a write and leaves all that is remembered true.
    pub fn sql_beside(&mut self) -> Result<&mut Conn, Fault> {
        self.writes += 1;
        self.sql()
    }

    /// Counts the direct writes: what a room remembers of rows that such writes may change is true until the count moves.
    /// Staged rows (journal, charges) do not move it.
    pub fn epoch(&self) -> u64 {
        self.memory.epoch
    }

    /// What a room remembers.
    pub fn room<R: Room>(&mut self) -> Result<&mut R, Fault> {
        self.memory.room()
    }

    /// What a room remembers, and the way to the connection to remember more; rows staged elsewhere may not be written yet.
    pub fn room_and_link<R: Room>(&mut self) -> Result<(&mut R, &mut Link), Fault> {
        Ok((self.memory.room()?, self.link))
    }

    pub(super) fn head(&self) -> Birth {
        self.head
    }

    pub(super) fn writes(&self) -> usize {
        self.writes
    }
}
