-- The books. One text for SQLite and PostgreSQL: {KEY} is a 64-bit primary key, {BYTES} a byte
-- string, {CLUSTERED} keeps a table in the order of its primary key.
-- `id` columns hold stamps: the unique recorded_at (µs) of the journal entry in which the object was born. `seq` columns hold
-- gapless journal sequences. Amounts are whole numbers of the unit's smallest part; times are µs since 1970, UTC.

-- Store: the steps of the schema that were taken, each with the SHA-256 of its text.
CREATE TABLE steps (
  name TEXT NOT NULL PRIMARY KEY,
  fingerprint TEXT NOT NULL
);

-- Whose turn it is to write, and where the journal ends; which law an audit found broken, since when nothing more is written.
CREATE TABLE head (
  one {KEY} CHECK (one = 1),
  seq BIGINT NOT NULL,
  stamp BIGINT NOT NULL,
  stopped TEXT
);
INSERT INTO head (one, seq, stamp) VALUES (1, 0, 0);

CREATE TABLE answers (
  asked {BYTES} NOT NULL PRIMARY KEY,
  fingerprint {BYTES} NOT NULL,
  status INTEGER NOT NULL,
  location TEXT,
  etag TEXT,
  body TEXT NOT NULL,
  saved_at BIGINT NOT NULL
);
CREATE INDEX answers_by_age ON answers (saved_at);

-- Keys found without an index of them: blocks of some thousands, each in 256 rows (id = block * 256 + the key's first byte) in the
-- order of the keys, written once. Whatever is younger than the last block's `upto` is in none yet.
CREATE TABLE key_blocks (
  block {KEY},
  upto BIGINT NOT NULL
);

CREATE TABLE key_rows (
  id {KEY},
  entries {BYTES} NOT NULL
);

-- What nobody is told, made with the schema from the system's randomness: by `handle` lines are named to those who may not know their place.
CREATE TABLE secrets (
  name TEXT NOT NULL PRIMARY KEY,
  secret {BYTES} NOT NULL
);

-- Lists kept by runs: members of an owner that were added one after the other, as the first and the differences to it.
CREATE TABLE runs (
  list INTEGER NOT NULL,
  owner BIGINT NOT NULL,
  first BIGINT NOT NULL,
  members {BYTES} NOT NULL,
  PRIMARY KEY (list, owner, first)
){CLUSTERED};

-- What lists have been added to since runs were last made of it: a row for each commit, with the members of all owners in their order.
CREATE TABLE run_tails (
  list INTEGER NOT NULL,
  first BIGINT NOT NULL,
  members {BYTES} NOT NULL,
  PRIMARY KEY (list, first)
){CLUSTERED};

-- Ledger: the journal. Nothing here is ever updated or deleted, except the running state of accounts.
CREATE TABLE units (
  code TEXT NOT NULL PRIMARY KEY,
  scale INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 9),
  name TEXT NOT NULL,
  id BIGINT NOT NULL UNIQUE
);

-- The journal is entries and charges together, which share one sequence: a charge is one row with its usage record, since there are more of
-- them than of all else. What a transaction moves stands in its own row, so that it is there whole or not at all: `lines` is a JSON list of
-- postings, each [account, signed amount, number in the account from 1, the account's balance after it].
CREATE TABLE entries (
  seq {KEY},
  recorded_at BIGINT NOT NULL,
  effective_at BIGINT NOT NULL,
  kind INTEGER NOT NULL,
  actor BIGINT,
  subject BIGINT,
  body TEXT,
  lines TEXT
);

-- An asset account (buckets 1, 3, 6, 7) never falls below zero, whatever the program believes.
CREATE TABLE accounts (
  no {KEY},
  bucket INTEGER NOT NULL,
  donation BIGINT NOT NULL,
  award BIGINT NOT NULL,
  lot BIGINT NOT NULL,
  unit TEXT NOT NULL REFERENCES units (code),
  balance BIGINT NOT NULL CHECK (balance >= 0 OR bucket NOT IN (1, 3, 6, 7)),
  postings BIGINT NOT NULL,
  UNIQUE (bucket, donation, award, lot)
);
CREATE INDEX accounts_of_award ON accounts (award, bucket);
CREATE INDEX accounts_of_lot ON accounts (lot, bucket);


-- Directory. Names of persons stand here and nowhere in the journal.
CREATE TABLE institutions (
  id {KEY},
  name TEXT NOT NULL,
  kind TEXT,
  ror TEXT,
  country TEXT,
  external_id TEXT UNIQUE
);

-- Tokens issued before `not_before` are refused, whoever of the person's issuers made them.
CREATE TABLE persons (
  id {KEY},
  name TEXT NOT NULL,
  institution BIGINT REFERENCES institutions (id),
  not_before BIGINT,
  version INTEGER NOT NULL
);

-- What a person was called and where they belonged, each until the entry of that stamp.
CREATE TABLE person_revisions (
  id {KEY},
  person BIGINT NOT NULL REFERENCES persons (id),
  name TEXT NOT NULL,
  institution BIGINT REFERENCES institutions (id)
);
CREATE INDEX revisions_of_person ON person_revisions (person);

-- Nobody takes back what they booked themselves: who booked it stands beside who reversed it so that the database can say so too.
CREATE TABLE reversals (
  seq {KEY},
  reverses BIGINT NOT NULL UNIQUE,
  booked_by BIGINT NOT NULL REFERENCES persons (id),
  reversed_by BIGINT NOT NULL REFERENCES persons (id),
  reason TEXT NOT NULL,
  CHECK (reversed_by <> booked_by)
);

CREATE TABLE affiliations (
  id {KEY},
  person BIGINT NOT NULL REFERENCES persons (id),
  institution BIGINT NOT NULL REFERENCES institutions (id),
  since BIGINT NOT NULL,
  declared_by BIGINT NOT NULL REFERENCES persons (id)
);
CREATE INDEX affiliations_of_person ON affiliations (person);

CREATE TABLE identities (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  person BIGINT NOT NULL REFERENCES persons (id),
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_of_person ON identities (person);

-- What tells of persons and jobs stands beside the journal and may be erased. The journal says by whom, on what ground and of what; this says
-- it too, to be listed.
CREATE TABLE erasures (
  id {KEY},
  seq BIGINT NOT NULL,
  erased_by BIGINT NOT NULL REFERENCES persons (id),
  ground TEXT NOT NULL CHECK (ground IN ('asked', 'retention', 'mistake')),
  person BIGINT REFERENCES persons (id),
  charges BIGINT NOT NULL,
  records BIGINT NOT NULL,
  CHECK (erased_by <> person)
);

-- Identities of persons who were erased, as a keyed hash: nobody signs in under them any more.
CREATE TABLE erased_identities (
  digest {BYTES} NOT NULL PRIMARY KEY,
  person BIGINT NOT NULL REFERENCES persons (id)
);

CREATE TABLE projects (
  id {KEY},
  title TEXT NOT NULL,
  institution BIGINT NOT NULL REFERENCES institutions (id),
  field_of_science TEXT NOT NULL,
  pi_name TEXT NOT NULL,
  pi_orcid TEXT,
  external_id TEXT UNIQUE
);

CREATE TABLE members (
  id {KEY},
  project BIGINT NOT NULL REFERENCES projects (id),
  person BIGINT NOT NULL REFERENCES persons (id),
  role TEXT NOT NULL,
  UNIQUE (project, person)
);
CREATE INDEX members_of_person ON members (person);

CREATE TABLE resources (
  id {KEY},
  name TEXT NOT NULL,
  kind TEXT,
  provider BIGINT NOT NULL REFERENCES institutions (id),
  external_id TEXT,
  UNIQUE (provider, external_id)
);

-- cluster '' and resource 0 stand for any.
CREATE TABLE account_mappings (
  id {KEY},
  project BIGINT NOT NULL REFERENCES projects (id),
  cluster TEXT NOT NULL,
  account TEXT NOT NULL,
  resource BIGINT NOT NULL,
  UNIQUE (account, cluster, resource, project)
);

-- Donations.
CREATE TABLE donors (
  id {KEY},
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  ror TEXT,
  external_id TEXT UNIQUE
);

-- Who may what. Of an officer, auditor or admin two others agree: one proposes, another confirms. Only two bindings ever stand by the
-- operator's hand alone: those of the administrators with whom the books begin (`founding`), who are two so that they can bind others.
CREATE TABLE role_bindings (
  id {KEY},
  person BIGINT NOT NULL REFERENCES persons (id),
  role TEXT NOT NULL CHECK (role IN ('donor', 'officer', 'researcher', 'provider', 'auditor', 'admin')),
  donor BIGINT REFERENCES donors (id),
  project BIGINT REFERENCES projects (id),
  provider BIGINT REFERENCES institutions (id),
  limit_minor BIGINT CHECK (limit_minor > 0),
  limit_unit TEXT REFERENCES units (code),
  state TEXT NOT NULL CHECK (state IN ('proposed', 'active', 'revoked')),
  proposed_by BIGINT NOT NULL REFERENCES persons (id),
  confirmed_by BIGINT REFERENCES persons (id),
  revoked_by BIGINT REFERENCES persons (id),
  founding INTEGER UNIQUE CHECK (founding IS NULL OR (founding BETWEEN 1 AND 2 AND role = 'admin')),
  CHECK ((donor IS NOT NULL) = (role = 'donor')),
  CHECK ((provider IS NOT NULL) = (role = 'provider')),
  CHECK (project IS NULL OR role = 'researcher'),
  CHECK (limit_minor IS NULL OR role = 'officer'),
  CHECK ((limit_minor IS NULL) = (limit_unit IS NULL)),
  CHECK (proposed_by <> person OR founding IS NOT NULL),
  CHECK (confirmed_by <> proposed_by),
  CHECK (confirmed_by <> person),
  CHECK (confirmed_by IS NOT NULL OR founding IS NOT NULL OR state <> 'active' OR role IN ('donor', 'researcher', 'provider')),
  CHECK ((revoked_by IS NOT NULL) = (state = 'revoked'))
);
CREATE INDEX bindings_of_person ON role_bindings (person);

-- Tokens refused by their own id, until they would have expired.
CREATE TABLE revoked_tokens (
  issuer TEXT NOT NULL,
  token TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (issuer, token)
);

-- The sequence of the last entry that changed who may what: what other processes ask for twice a second.
CREATE TABLE rights (
  one {KEY} CHECK (one = 1),
  seq BIGINT NOT NULL
);
INSERT INTO rights (one, seq) VALUES (1, 0);

-- What auditors read of what tells of persons and jobs.
CREATE TABLE readings (
  id {KEY},
  person BIGINT NOT NULL REFERENCES persons (id),
  operation TEXT NOT NULL,
  object TEXT
);

CREATE TABLE donations (
  id {KEY},
  donor BIGINT NOT NULL REFERENCES donors (id),
  title TEXT NOT NULL,
  unit TEXT NOT NULL REFERENCES units (code),
  pledged BIGINT NOT NULL CHECK (pledged >= 0),
  terms TEXT NOT NULL,
  draw_priority INTEGER NOT NULL,
  on_expiry TEXT NOT NULL CHECK (on_expiry IN ('lapse', 'return')),
  external_id TEXT UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('proposed', 'accepted', 'cancelled')),
  proposed_by BIGINT NOT NULL REFERENCES persons (id),
  accepted_by BIGINT REFERENCES persons (id),
  version INTEGER NOT NULL,
  CHECK (accepted_by <> proposed_by)
);
CREATE INDEX donations_of_donor ON donations (donor);

CREATE TABLE lots (
  id {KEY},
  donation BIGINT NOT NULL REFERENCES donations (id),
  amount BIGINT NOT NULL CHECK (amount > 0),
  delivered_at BIGINT NOT NULL,
  expires_at BIGINT,
  CHECK (expires_at > delivered_at)
);
CREATE INDEX lots_of_donation ON lots (donation);

-- What an award asks of approvers, what a renewal takes along, and how much of a charge whoever reported it may give back alone, per unit. The
-- newest that is confirmed is in force.
CREATE TABLE policies (
  id {KEY},
  unit TEXT NOT NULL REFERENCES units (code),
  two_above BIGINT CHECK (two_above >= 0),
  three_above BIGINT CHECK (three_above >= two_above),
  carry_over INTEGER NOT NULL CHECK (carry_over BETWEEN 0 AND 100),
  refund_alone BIGINT CHECK (refund_alone >= 0),
  proposed_by BIGINT NOT NULL REFERENCES persons (id),
  confirmed_by BIGINT REFERENCES persons (id),
  confirmed_at BIGINT,
  CHECK (confirmed_by <> proposed_by)
);
CREATE INDEX policies_of_unit ON policies (unit);

-- Grants. `round` counts what voids approvals; `booked` is the entry that booked the end.
CREATE TABLE grants (
  id {KEY},
  project BIGINT NOT NULL REFERENCES projects (id),
  requester BIGINT NOT NULL REFERENCES persons (id),
  unit TEXT NOT NULL REFERENCES units (code),
  requested BIGINT NOT NULL CHECK (requested > 0),
  awarded BIGINT NOT NULL CHECK (awarded >= 0),
  starts_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  justification TEXT NOT NULL,
  purpose TEXT,
  resources TEXT NOT NULL,
  external_id TEXT UNIQUE,
  renews BIGINT REFERENCES grants (id),
  state TEXT NOT NULL CHECK (state IN ('draft', 'requested', 'in_review', 'returned', 'awaiting_second_approval', 'active', 'suspended',
    'ended', 'closed', 'rejected', 'withdrawn')),
  overdraft TEXT NOT NULL CHECK (overdraft IN ('record', 'reject')),
  suspended_at BIGINT,
  booked BIGINT,
  round INTEGER NOT NULL,
  version INTEGER NOT NULL,
  CHECK (starts_at < ends_at),
  CHECK (suspended_at IS NOT NULL OR state <> 'suspended')
);
CREATE INDEX grants_of_project ON grants (project);

-- What is to change about a grant that counts: more, later, less, to another grant, sooner over.
CREATE TABLE amendments (
  id {KEY},
  award BIGINT NOT NULL REFERENCES grants (id),
  kind TEXT NOT NULL CHECK (kind IN ('supplement', 'extension', 'reduction', 'transfer', 'closing')),
  amount BIGINT CHECK (amount > 0),
  ends_at BIGINT,
  target BIGINT REFERENCES grants (id),
  requester BIGINT NOT NULL REFERENCES persons (id),
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested', 'awaiting_second_approval', 'approved', 'rejected', 'withdrawn')),
  version INTEGER NOT NULL,
  CHECK ((amount IS NOT NULL) = (kind IN ('supplement', 'reduction', 'transfer'))),
  CHECK ((ends_at IS NOT NULL) = (kind = 'extension')),
  CHECK ((target IS NOT NULL) = (kind = 'transfer'))
);
CREATE INDEX amendments_of_award ON amendments (award);

-- Nobody decides what they asked for, and nobody twice: the requester stands beside the officer so that the database can say so too.
-- amendment 0 stands for the grant's own request. `plan` names the lots; `raised` is what `project` then had more; `bound` is the SHA-256
-- of what was approved.
CREATE TABLE decisions (
  id {KEY},
  award BIGINT NOT NULL REFERENCES grants (id),
  amendment BIGINT NOT NULL,
  project BIGINT NOT NULL REFERENCES projects (id),
  unit TEXT NOT NULL REFERENCES units (code),
  round INTEGER NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('approve', 'reject', 'return')),
  overdraft TEXT NOT NULL,
  awarded BIGINT NOT NULL,
  raised BIGINT NOT NULL CHECK (raised BETWEEN 0 AND awarded),
  effective INTEGER NOT NULL CHECK (effective IN (0, 1)),
  plan TEXT NOT NULL,
  bound TEXT NOT NULL,
  requester BIGINT NOT NULL REFERENCES persons (id),
  officer BIGINT NOT NULL REFERENCES persons (id),
  reason TEXT NOT NULL,
  seq BIGINT NOT NULL,
  CHECK (officer <> requester),
  UNIQUE (award, amendment, round, officer)
);
CREATE INDEX decisions_of_project ON decisions (project, id);

-- Every step of a grant's life: who, why, and to which version it brought it.
CREATE TABLE grant_steps (
  id {KEY},
  award BIGINT NOT NULL REFERENCES grants (id),
  amendment BIGINT NOT NULL,
  step TEXT NOT NULL,
  person BIGINT NOT NULL REFERENCES persons (id),
  reason TEXT,
  version INTEGER NOT NULL
);
CREATE INDEX steps_of_award ON grant_steps (award);

-- Conflicts of interest that officers declare of themselves.
CREATE TABLE conflicts (
  id {KEY},
  person BIGINT NOT NULL REFERENCES persons (id),
  institution BIGINT REFERENCES institutions (id),
  project BIGINT REFERENCES projects (id),
  reason TEXT NOT NULL,
  CHECK ((institution IS NULL) <> (project IS NULL))
);
CREATE INDEX conflicts_of_person ON conflicts (person);

-- What left a grant otherwise than by use: deobligated to its lot, lapsed, returned to the donor, or moved to another grant.
CREATE TABLE outflows (
  seq BIGINT NOT NULL,
  award BIGINT NOT NULL REFERENCES grants (id),
  lot BIGINT NOT NULL REFERENCES lots (id),
  kind TEXT NOT NULL CHECK (kind IN ('deobligation', 'lapse', 'return', 'transfer')),
  amount BIGINT NOT NULL CHECK (amount > 0),
  PRIMARY KEY (award, seq, lot)
);

-- Usage. The records as they arrived: job ids and users stand here and nowhere in the journal.
CREATE TABLE rates (
  id {KEY},
  resource BIGINT NOT NULL REFERENCES resources (id),
  meter TEXT NOT NULL,
  unit TEXT NOT NULL REFERENCES units (code),
  price BIGINT NOT NULL CHECK (price >= 0),
  from_at BIGINT NOT NULL,
  multipliers TEXT NOT NULL,
  proposed_by BIGINT NOT NULL REFERENCES persons (id),
  confirmed_by BIGINT REFERENCES persons (id),
  confirmed_at BIGINT,
  CHECK (confirmed_by <> proposed_by)
);
CREATE INDEX rates_of_resource ON rates (resource);

-- A charge's part of the journal, then its usage record. Which charges a grant has, by sequence, stands in list 2 of the runs. part 0 is a
-- job's total, found by its key through the blocks of keys; the key of the job's total and of its parts is the same. `said` is what was sent
-- without what the other columns say, or nothing where that was erased, which is the one change of a row.
CREATE TABLE charges (
  seq {KEY},
  id BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  actor BIGINT NOT NULL,
  award BIGINT NOT NULL,
  lines TEXT,
  usage_key {BYTES} NOT NULL,
  part INTEGER NOT NULL,
  digest {BYTES} NOT NULL,
  provider BIGINT NOT NULL,
  resource BIGINT NOT NULL,
  amount BIGINT NOT NULL,
  overdraft BIGINT NOT NULL,
  balance_after BIGINT NOT NULL,
  rates TEXT NOT NULL,
  said TEXT NOT NULL
);
CREATE UNIQUE INDEX parts_of_jobs ON charges (usage_key, part) WHERE part > 0;
CREATE INDEX overdrawn_charges ON charges (award, seq) WHERE overdraft > 0;

-- All entries of the journal; 40 is the kind of charges. Each column has the same type on both sides: otherwise SQLite would read both tables
-- from end to end for every question.
CREATE VIEW journal AS
  SELECT seq, recorded_at, effective_at, kind, actor, subject, body, lines FROM entries
  UNION ALL
  SELECT seq, id, ended_at, CAST(40 AS INTEGER), actor, award, CAST(NULL AS TEXT), lines FROM charges;

-- Charges, and records of the quarantine, whose record was erased, by the entry of that sequence. What was metered stays: totals and
-- statements count it.
CREATE TABLE erased (
  id {KEY},
  seq BIGINT NOT NULL,
  metered TEXT NOT NULL
);

-- What was erased of charges whose leaf the log may not have yet, since the leaf shuts it in: it goes as soon as the log has the entry that
-- erased it.
CREATE TABLE erasing (
  id {KEY},
  seq BIGINT NOT NULL,
  said TEXT NOT NULL
);

-- Credits set aside for jobs. `rest` says lot by lot what is still set aside, or, of a hold that is closed, what went back; `closed` is the
-- sequence of the entry that closed it. An expired hold may still be settled.
CREATE TABLE holds (
  id {KEY},
  award BIGINT NOT NULL REFERENCES grants (id),
  provider BIGINT NOT NULL,
  resource BIGINT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  rest TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'released', 'expired')),
  cluster TEXT,
  job TEXT,
  submitted_at BIGINT,
  external_id TEXT,
  closed BIGINT,
  charge BIGINT,
  version INTEGER NOT NULL,
  CHECK (closed IS NOT NULL OR state = 'open')
);
CREATE UNIQUE INDEX holds_by_name ON holds (provider, external_id);
CREATE INDEX holds_of_award ON holds (award, closed);
CREATE INDEX unsettled_holds ON holds (award) WHERE state IN ('open', 'expired');
CREATE INDEX due_holds ON holds (expires_at) WHERE state = 'open';
CREATE INDEX jobs_of_holds ON holds (provider, cluster, job) WHERE state IN ('open', 'expired');

-- `charge_seq` is the sequence of the charge.
CREATE TABLE refunds (
  id {KEY},
  seq BIGINT NOT NULL,
  charge BIGINT NOT NULL,
  charge_seq BIGINT NOT NULL,
  award BIGINT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  reason TEXT NOT NULL
);
CREATE INDEX refunds_of_charge ON refunds (charge);
CREATE INDEX refunds_of_award ON refunds (award);

-- A cover pays part of a charge's overdraft later, from this lot.
CREATE TABLE covers (
  id {KEY},
  seq BIGINT NOT NULL,
  charge BIGINT NOT NULL,
  lot BIGINT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0)
);
CREATE INDEX covers_of_charge ON covers (charge);

-- `closed` is the sequence of the entry that charged or dismissed the record.
CREATE TABLE quarantine (
  id {KEY},
  usage_key {BYTES} NOT NULL,
  part INTEGER NOT NULL,
  digest {BYTES} NOT NULL,
  provider BIGINT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  record TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'charged', 'dismissed')),
  charge BIGINT,
  closed BIGINT,
  CHECK ((closed IS NULL) = (state = 'open'))
);
CREATE UNIQUE INDEX open_quarantine ON quarantine (usage_key, part) WHERE state = 'open';
CREATE INDEX quarantine_by_key ON quarantine (usage_key);

-- Reports. What the last audit found, law by law, and how long the journal was then.
CREATE TABLE audits (
  law {KEY},
  ran_at BIGINT NOT NULL,
  entries BIGINT NOT NULL,
  postings BIGINT NOT NULL,
  checked BIGINT NOT NULL,
  broken BIGINT NOT NULL,
  findings TEXT NOT NULL
);

-- Whether a project's disclosure of funding may be read by everybody.
CREATE TABLE publications (
  project {KEY} REFERENCES projects (id),
  public BOOLEAN NOT NULL,
  seq BIGINT NOT NULL
);

-- Statements that were made: of whom, over which days, up to which entry of the journal, and what their text hashes to. The text is made
-- again whenever it is read.
CREATE TABLE statements (
  id {KEY},
  kind TEXT NOT NULL CHECK (kind IN ('donor', 'project', 'provider')),
  whom BIGINT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  made_by BIGINT NOT NULL REFERENCES persons (id),
  CHECK (from_at < to_at),
  UNIQUE (whom, kind, from_at, to_at)
);

-- Events. Their ids are the begin of a day and a running number: they tell no finer time. `mark` says which event it is; `seq` is the
-- journal entry it comes from; donor, project, provider and owner (a person) are whom it concerns.
CREATE TABLE events (
  id {KEY},
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  mark TEXT NOT NULL UNIQUE,
  seq BIGINT,
  donor BIGINT,
  project BIGINT,
  provider BIGINT,
  owner BIGINT,
  at BIGINT NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX events_of_subject ON events (subject, id);
CREATE INDEX alerts ON events (id) WHERE seq IS NULL;

-- How far the journal has been followed.
CREATE TABLE followers (
  name TEXT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
);
INSERT INTO followers (name, seq) VALUES ('events', 0);

-- Webhooks: where events are sent to. `actor` is who registered it, as their token said; `followed` the last event that was looked at for
-- it. The secrets stand apart, are never told again and go when the webhook does.
CREATE TABLE webhooks (
  id {KEY},
  owner BIGINT NOT NULL REFERENCES persons (id),
  actor TEXT NOT NULL,
  url TEXT NOT NULL,
  kinds TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'switched_off', 'revoked')),
  followed BIGINT NOT NULL,
  succeeded_at BIGINT
);
CREATE INDEX webhooks_of_owner ON webhooks (owner);

CREATE TABLE webhook_secrets (
  id {KEY},
  webhook BIGINT NOT NULL REFERENCES webhooks (id),
  secret {BYTES} NOT NULL,
  valid_until BIGINT
);
CREATE INDEX secrets_of_webhook ON webhook_secrets (webhook);

CREATE TABLE deliveries (
  webhook BIGINT NOT NULL REFERENCES webhooks (id),
  event BIGINT NOT NULL REFERENCES events (id),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'dropped')),
  attempts INTEGER NOT NULL,
  made_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  last_attempt_at BIGINT,
  last_status INTEGER,
  last_problem TEXT,
  PRIMARY KEY (webhook, event)
);
CREATE INDEX due_deliveries ON deliveries (due_at) WHERE state = 'waiting';
