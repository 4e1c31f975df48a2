-- The verifiable log. On SQLite it is a database file of its own beside the books, so that its commits and the writer's never wait for
-- each other; on PostgreSQL it stands among the books' tables. Nothing here is updated or deleted, except the edge of the tree, which
-- grows, and salts of jobs, which may be erased.

CREATE TABLE IF NOT EXISTS steps (
  name TEXT NOT NULL PRIMARY KEY,
  fingerprint TEXT NOT NULL
);

-- One row a leaf, as it was hashed. `seq` is the journal entry it was made from, or nothing where it is the log's own; `salt` is that of
-- the entry's disclosure.
CREATE TABLE log_leaves (
  idx {KEY},
  seq BIGINT UNIQUE,
  leaf TEXT NOT NULL,
  salt {BYTES}
);

-- The salts of what tells of a job; a job whose salt is gone can't be told any more.
CREATE TABLE log_jobs (
  idx {KEY},
  salt {BYTES} NOT NULL
);

-- The lines of lots as their donors are told them, each with the leaf that holds its digest.
CREATE TABLE log_lines (
  lot BIGINT NOT NULL,
  n BIGINT NOT NULL,
  idx BIGINT NOT NULL,
  disclosure TEXT NOT NULL,
  PRIMARY KEY (lot, n)
){CLUSTERED};

CREATE TABLE log_lots (
  lot {KEY},
  handle TEXT NOT NULL UNIQUE
);

-- What providers' nullifiers are salted with, and the leaf that commits to it.
CREATE TABLE log_providers (
  provider {KEY},
  idx BIGINT NOT NULL,
  secret {BYTES} NOT NULL
);

-- The keys that the log is signed with, each from its leaf on: the first, and those that followed it.
CREATE TABLE log_keys (
  idx {KEY},
  vkey TEXT NOT NULL
);

-- Full tiles of the tree (256 hashes each), and of each level the hashes that fill none yet.
CREATE TABLE log_tiles (
  level INTEGER NOT NULL,
  idx BIGINT NOT NULL,
  hashes {BYTES} NOT NULL,
  PRIMARY KEY (level, idx)
);
CREATE TABLE log_edge (
  level {KEY},
  hashes {BYTES} NOT NULL
);

-- The heads of lots that changed before a seal, with the right edges of their trees; a lot's head stands until its next.
CREATE TABLE log_heads (
  lot BIGINT NOT NULL,
  seal BIGINT NOT NULL,
  head TEXT NOT NULL,
  edge {BYTES} NOT NULL,
  PRIMARY KEY (lot, seal)
){CLUSTERED};

-- What was signed; the last leaf of each is a seal.
CREATE TABLE log_checkpoints (
  size {KEY},
  note TEXT NOT NULL
);

-- What witnesses signed of it, each by its key: the line of the note. They may come later, and never go.
CREATE TABLE log_cosignatures (
  size BIGINT NOT NULL,
  witness TEXT NOT NULL,
  line TEXT NOT NULL,
  PRIMARY KEY (size, witness)
){CLUSTERED};
