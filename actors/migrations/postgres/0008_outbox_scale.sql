-- A row of the outbox is written three times and then lies there for weeks. By default a vacuum waits until a fifth of the
-- table is dead: with millions of settled rows that is days of messages, whose entries every look into the indexes passes.
-- Each of the writes changes an indexed column, so a lower fill factor would gain nothing here.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
-- A report of a carrier changes an attempt in columns that no index has. With room in the page its entries stay as they are.
ALTER TABLE outbox_attempts SET (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
