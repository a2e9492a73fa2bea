/** The bounds of queues and of AMQP, as `limits.ts` has those of the rest. */

// broker/queues ---------------------------------------------------------------------------------------------------

/** How long what was settled may wait to be written: so much may be forgotten, and come again, after a crash. */
export const QUEUE_STATE_FLUSH_MS = 100;
/** Offsets of one chunk of settled ones: 2 KiB as bits. */
export const QUEUE_CHUNK_OFFSETS = 16_384;
/** What a consumer without a prefetch may have unsettled. */
export const UNLIMITED_PREFETCH = 65_535;
/** Times that a message may come back, unless the queue says otherwise; RabbitMQ's. */
export const DELIVERY_LIMIT_DEFAULT = 20;
/** How long a message may be with a consumer, unless the queue says otherwise; RabbitMQ's. */
export const CONSUMER_TIMEOUT_MS_DEFAULT = 30 * 60 * 1000;
