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
