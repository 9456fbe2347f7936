-- trace: the span of the request that queued the message, as a W3C traceparent; none if the request was not traced.
ALTER TABLE outbox ADD COLUMN trace TEXT;
