-- What is written differently for the two databases: guards, by which the journal and what belongs to it refuse to be changed (what was
-- wrong is put right by adding), and the view of the postings.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END$$;
CREATE TRIGGER entries_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER key_blocks_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON key_blocks
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER key_rows_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON key_rows
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER runs_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON runs
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reversals_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON reversals
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER units_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON units
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lots_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON lots
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER grant_steps_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON grant_steps
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER conflicts_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON conflicts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER refunds_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON refunds
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER covers_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON covers
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER outflows_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON outflows
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER erasures_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON erasures
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER erased_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON erased
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Of a charge nothing changes but that its record is erased.
CREATE TRIGGER charges_refuse_delete BEFORE DELETE OR TRUNCATE ON charges
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER charges_refuse_update BEFORE UPDATE ON charges FOR EACH ROW WHEN (NEW.said <> '' OR OLD.said = '' OR
  (NEW.id, NEW.seq, NEW.usage_key, NEW.part, NEW.digest, NEW.provider, NEW.award, NEW.resource, NEW.amount, NEW.overdraft,
    NEW.balance_after, NEW.ended_at, NEW.rates, NEW.actor, NEW.lines) IS DISTINCT FROM (OLD.id, OLD.seq, OLD.usage_key,
    OLD.part, OLD.digest, OLD.provider, OLD.award, OLD.resource, OLD.amount, OLD.overdraft, OLD.balance_after, OLD.ended_at, OLD.rates,
    OLD.actor, OLD.lines))
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER statements_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON statements
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_refuse_delete BEFORE DELETE OR TRUNCATE ON accounts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER grants_refuse_delete BEFORE DELETE OR TRUNCATE ON grants
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER amendments_refuse_delete BEFORE DELETE OR TRUNCATE ON amendments
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Who asked, for which project and in which unit, stays as it was asked.
CREATE TRIGGER grants_keep_requester BEFORE UPDATE OF requester, project, unit ON grants
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER amendments_keep_requester BEFORE UPDATE OF requester, award, kind, amount, ends_at, target ON amendments
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER readings_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON readings
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Of a binding only its state moves on, and never back from revoked; an identity stays its person's.
CREATE TRIGGER role_bindings_refuse_change BEFORE UPDATE OF id, person, role, donor, project, provider, limit_minor, limit_unit,
  proposed_by, founding ON role_bindings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER role_bindings_stay_revoked BEFORE UPDATE ON role_bindings
  FOR EACH ROW WHEN (OLD.state = 'revoked') EXECUTE FUNCTION refuse_change();
CREATE TRIGGER role_bindings_refuse_delete BEFORE DELETE OR TRUNCATE ON role_bindings
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER identities_refuse_update BEFORE UPDATE ON identities
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- The postings as rows, numbered seq * 1024 + place in the transaction: for whoever reads the books in SQL.
CREATE VIEW postings AS
  SELECT j.seq * 1024 + l.place AS id, (l.line ->> 0)::bigint AS account, (l.line ->> 1)::bigint AS amount,
    (l.line ->> 2)::bigint AS nth, (l.line ->> 3)::bigint AS balance
  FROM journal j CROSS JOIN LATERAL json_array_elements(j.lines::json) WITH ORDINALITY AS l (line, place);
