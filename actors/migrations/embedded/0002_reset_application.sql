-- The application that a reset was asked for; none for one from before this step.
ALTER TABLE reset_challenges ADD COLUMN app_id INTEGER;
