-- What is written differently for the two databases: guards, by which the journal and what belongs to it refuse to be changed (what was
-- wrong is put right by adding), and the view of the postings.
CREATE TRIGGER entries_refuses_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END;
CREATE TRIGGER entries_refuses_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END;
CREATE TRIGGER key_blocks_refuses_update BEFORE UPDATE ON key_blocks
BEGIN SELECT RAISE(ABORT, 'key_blocks is append-only'); END;
CREATE TRIGGER key_blocks_refuses_delete BEFORE DELETE ON key_blocks
BEGIN SELECT RAISE(ABORT, 'key_blocks is append-only'); END;
CREATE TRIGGER key_rows_refuses_update BEFORE UPDATE ON key_rows
BEGIN SELECT RAISE(ABORT, 'key_rows is append-only'); END;
CREATE TRIGGER key_rows_refuses_delete BEFORE DELETE ON key_rows
BEGIN SELECT RAISE(ABORT, 'key_rows is append-only'); END;
CREATE TRIGGER runs_refuses_update BEFORE UPDATE ON runs
BEGIN SELECT RAISE(ABORT, 'runs is append-only'); END;
CREATE TRIGGER runs_refuses_delete BEFORE DELETE ON runs
BEGIN SELECT RAISE(ABORT, 'runs is append-only'); END;
CREATE TRIGGER reversals_refuses_update BEFORE UPDATE ON reversals
BEGIN SELECT RAISE(ABORT, 'reversals is append-only'); END;
CREATE TRIGGER reversals_refuses_delete BEFORE DELETE ON reversals
BEGIN SELECT RAISE(ABORT, 'reversals is append-only'); END;
CREATE TRIGGER units_refuses_update BEFORE UPDATE ON units
BEGIN SELECT RAISE(ABORT, 'units is append-only'); END;
CREATE TRIGGER units_refuses_delete BEFORE DELETE ON units
BEGIN SELECT RAISE(ABORT, 'units is append-only'); END;
CREATE TRIGGER lots_refuses_update BEFORE UPDATE ON lots
BEGIN SELECT RAISE(ABORT, 'lots is append-only'); END;
CREATE TRIGGER lots_refuses_delete BEFORE DELETE ON lots
BEGIN SELECT RAISE(ABORT, 'lots is append-only'); END;
CREATE TRIGGER decisions_refuses_update BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END;
CREATE TRIGGER decisions_refuses_delete BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END;
CREATE TRIGGER grant_steps_refuses_update BEFORE UPDATE ON grant_steps
BEGIN SELECT RAISE(ABORT, 'grant_steps is append-only'); END;
CREATE TRIGGER grant_steps_refuses_delete BEFORE DELETE ON grant_steps
BEGIN SELECT RAISE(ABORT, 'grant_steps is append-only'); END;
CREATE TRIGGER conflicts_refuses_update BEFORE UPDATE ON conflicts
BEGIN SELECT RAISE(ABORT, 'conflicts is append-only'); END;
CREATE TRIGGER conflicts_refuses_delete BEFORE DELETE ON conflicts
BEGIN SELECT RAISE(ABORT, 'conflicts is append-only'); END;
CREATE TRIGGER refunds_refuses_update BEFORE UPDATE ON refunds
BEGIN SELECT RAISE(ABORT, 'refunds is append-only'); END;
CREATE TRIGGER refunds_refuses_delete BEFORE DELETE ON refunds
BEGIN SELECT RAISE(ABORT, 'refunds is append-only'); END;
CREATE TRIGGER covers_refuses_update BEFORE UPDATE ON covers
BEGIN SELECT RAISE(ABORT, 'covers is append-only'); END;
CREATE TRIGGER covers_refuses_delete BEFORE DELETE ON covers
BEGIN SELECT RAISE(ABORT, 'covers is append-only'); END;
CREATE TRIGGER outflows_refuses_update BEFORE UPDATE ON outflows
BEGIN SELECT RAISE(ABORT, 'outflows is append-only'); END;
CREATE TRIGGER outflows_refuses_delete BEFORE DELETE ON outflows
BEGIN SELECT RAISE(ABORT, 'outflows is append-only'); END;
CREATE TRIGGER erasures_refuses_update BEFORE UPDATE ON erasures
BEGIN SELECT RAISE(ABORT, 'erasures is append-only'); END;
CREATE TRIGGER erasures_refuses_delete BEFORE DELETE ON erasures
BEGIN SELECT RAISE(ABORT, 'erasures is append-only'); END;
CREATE TRIGGER erased_refuses_update BEFORE UPDATE ON erased
BEGIN SELECT RAISE(ABORT, 'erased is append-only'); END;
CREATE TRIGGER erased_refuses_delete BEFORE DELETE ON erased
BEGIN SELECT RAISE(ABORT, 'erased is append-only'); END;
-- Of a charge nothing changes but that its record is erased.
CREATE TRIGGER charges_refuse_delete BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'charges is append-only'); END;
CREATE TRIGGER charges_refuse_update BEFORE UPDATE ON charges WHEN NEW.said <> '' OR OLD.said = '' OR
  (NEW.id, NEW.seq, NEW.usage_key, NEW.part, NEW.digest, NEW.provider, NEW.award, NEW.resource, NEW.amount, NEW.overdraft,
    NEW.balance_after, NEW.ended_at, NEW.rates, NEW.actor, NEW.lines) IS NOT (OLD.id, OLD.seq, OLD.usage_key,
    OLD.part, OLD.digest, OLD.provider, OLD.award, OLD.resource, OLD.amount, OLD.overdraft, OLD.balance_after, OLD.ended_at, OLD.rates,
    OLD.actor, OLD.lines)
BEGIN SELECT RAISE(ABORT, 'charges is append-only'); END;
CREATE TRIGGER statements_refuses_update BEFORE UPDATE ON statements
BEGIN SELECT RAISE(ABORT, 'statements is append-only'); END;
CREATE TRIGGER statements_refuses_delete BEFORE DELETE ON statements
BEGIN SELECT RAISE(ABORT, 'statements is append-only'); END;
CREATE TRIGGER events_refuses_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER events_refuses_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER accounts_refuse_delete BEFORE DELETE ON accounts
BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END;
CREATE TRIGGER grants_refuse_delete BEFORE DELETE ON grants
BEGIN SELECT RAISE(ABORT, 'grants is append-only in what was asked'); END;
CREATE TRIGGER amendments_refuse_delete BEFORE DELETE ON amendments
BEGIN SELECT RAISE(ABORT, 'amendments is append-only in what was asked'); END;
-- Who asked, for which project and in which unit, stays as it was asked.
CREATE TRIGGER grants_keep_requester BEFORE UPDATE OF requester, project, unit ON grants
BEGIN SELECT RAISE(ABORT, 'grants is append-only in what was asked'); END;
CREATE TRIGGER amendments_keep_requester BEFORE UPDATE OF requester, award, kind, amount, ends_at, target ON amendments
BEGIN SELECT RAISE(ABORT, 'amendments is append-only in what was asked'); END;
CREATE TRIGGER readings_refuses_update BEFORE UPDATE ON readings
BEGIN SELECT RAISE(ABORT, 'readings is append-only'); END;
CREATE TRIGGER readings_refuses_delete BEFORE DELETE ON readings
BEGIN SELECT RAISE(ABORT, 'readings is append-only'); END;
-- Of a binding only its state moves on, and never back from revoked; an identity stays its person's.
CREATE TRIGGER role_bindings_refuse_change BEFORE UPDATE OF id, person, role, donor, project, provider, limit_minor, limit_unit,
  proposed_by, founding ON role_bindings
BEGIN SELECT RAISE(ABORT, 'role_bindings is append-only'); END;
CREATE TRIGGER role_bindings_stay_revoked BEFORE UPDATE ON role_bindings WHEN OLD.state = 'revoked'
BEGIN SELECT RAISE(ABORT, 'role_bindings is append-only'); END;
CREATE TRIGGER role_bindings_refuse_delete BEFORE DELETE ON role_bindings
BEGIN SELECT RAISE(ABORT, 'role_bindings is append-only'); END;
CREATE TRIGGER identities_refuse_update BEFORE UPDATE ON identities
BEGIN SELECT RAISE(ABORT, 'identities are never moved'); END;
-- The postings as rows, numbered seq * 1024 + place in the transaction: for whoever reads the books in SQL.
CREATE VIEW postings AS
  SELECT j.seq * 1024 + l.key + 1 AS id, l.value ->> 0 AS account, l.value ->> 1 AS amount, l.value ->> 2 AS nth, l.value ->> 3 AS balance
  FROM journal j JOIN json_each(j.lines) l;
