-- What was logged stays as it was.
CREATE TRIGGER log_leaves_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_leaves
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_lines_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_lines
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_lots_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_lots
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_providers_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_providers
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_keys_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_keys
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_tiles_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_tiles
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_heads_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_heads
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_checkpoints_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_cosignatures_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log_cosignatures
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Salts of jobs go, and never become others.
CREATE TRIGGER log_jobs_refuses_change BEFORE UPDATE OR TRUNCATE ON log_jobs
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
