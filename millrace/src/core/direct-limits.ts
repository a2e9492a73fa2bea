/** Bounds of StatsD and of webhooks: see `limits.ts`. */

// connect/statsd --------------------------------------------------------------------------------------------------

/** What the system is asked to keep of datagrams while the process is busy. */
export const STATSD_RECEIVE_BYTES = 8 * 1024 * 1024;
/** Metrics that wait to be written; what comes beyond that is dropped. */
export const STATSD_QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/** Metrics are collected so long, and so many are written at a time. */
export const STATSD_FLUSH_MS = 100;
export const STATSD_WRITE_RECORDS = 10_000;
/** After the log has refused some. */
export const STATSD_RETRY_MS = 1_000;
/** How often it is said, at most, that metrics were dropped. */
export const STATSD_TELL_MS = 5_000;
/** Name, tags and value of a metric, each. */
export const STATSD_TEXT_CHARS_MAX = 4_096;

// connect/webhooks, server/http (webhooks that come) ---------------------------------------------------------------

/** An endpoint that has not answered within this has failed, unless somebody says otherwise. */
export const WEBHOOK_TIMEOUT_MS = 20_000;
export const WEBHOOK_TIMEOUT_MS_MAX = 300_000;
/** Attempts of one endpoint at a time. */
export const WEBHOOK_CONCURRENCY = 8;
export const WEBHOOK_CONCURRENCY_MAX = 256;
/** Of an answer so much is looked at, for the error that is kept. */
export const WEBHOOK_ANSWER_BYTES_MAX = 16 * 1024;
/** Records that were read and not attempted yet, and deliveries that wait for their next attempt; beyond, the topic is not read. */
export const WEBHOOK_INTAKE_RECORDS_MAX = 1_000;
export const WEBHOOK_INTAKE_BYTES_MAX = 8 * 1024 * 1024;
export const WEBHOOK_RETRIES_MAX = 10_000;
export const WEBHOOK_RETRIES_BYTES_MAX = 64 * 1024 * 1024;
/** After so many failures in a row the endpoint as a whole has a pause: from the first to the longest, twice as long each time. */
export const WEBHOOK_FAILURES_IN_A_ROW = 5;
export const WEBHOOK_PAUSE_MS = 1_000;
export const WEBHOOK_PAUSE_MS_MAX = 60_000;
/** No endpoint can ask for a longer wait. */
export const WEBHOOK_RETRY_AFTER_MS_MAX = 86_400_000;
/** What cannot be written down is tried again after so long. */
export const WEBHOOK_WRITE_RETRY_MS = 1_000;
/** The first wait of a delivery for a log that does not answer; each is twice the one before, up to `WEBHOOK_WRITE_RETRY_MS`. */
export const WEBHOOK_AWAY_MS = 50;
/** What is under way may end when it is stopped. */
export const WEBHOOK_STOP_MS = 2_000;
/** Positions are committed so often. */
export const WEBHOOK_COMMIT_MS = 1_000;
/** Bodies that come, and ids that are remembered of each endpoint so that none is written twice, however old they are. */
export const WEBHOOK_BODY_BYTES_MAX = 1024 * 1024 - 16 * 1024;
export const WEBHOOK_BODIES_BYTES_MAX = 32 * 1024 * 1024;
export const WEBHOOK_IDS_MAX = 100_000;
export const WEBHOOK_ID_CHARS_MAX = 256;
/** Signatures in one header. */
export const WEBHOOK_SIGNATURES_MAX = 16;

// server/http, what is written once --------------------------------------------------------------------------------

/** Records that were written with an idempotency key and are remembered, of all topics together; and for how long. */
export const ONCE_RECORDS_MAX = 100_000;
export const ONCE_WINDOW_MS = 86_400_000;
export const ONCE_KEY_CHARS_MAX = 256;
/** Topics of which it is known how far they were looked through; of others it is found out anew. */
export const ONCE_TOPICS_MAX = 1_000;
/** What is looked through of a topic, backwards from its end, before the first id is compared; of one that takes webhooks more. */
export const ONCE_LOOK_RECORDS_MAX = 1_000_000;
export const ONCE_LOOK_BYTES_MAX = 256 * 1024 * 1024;
export const WEBHOOK_LOOK_BYTES_MAX = 1024 * 1024 * 1024;
/** A step backwards: so many records at first, and then about so many bytes. */
export const ONCE_STEP_RECORDS = 1_000;
export const ONCE_STEP_BYTES = 8 * 1024 * 1024;
