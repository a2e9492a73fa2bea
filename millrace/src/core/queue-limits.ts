/** The bounds of queues and of AMQP, as `limits.ts` has those of the rest. */

// broker/queues ---------------------------------------------------------------------------------------------------

/** How long what was settled may wait to be written: so much may be forgotten, and come again, after a crash. */
export const QUEUE_STATE_FLUSH_MS = 100;
/** Bytes of keys and values of one batch of the state of queues; one larger record goes alone. */
export const QUEUE_STATE_BATCH_BYTES_MAX = 512 * 1024;
/** What flushes of the state may write: after a large one the next waits. */
export const QUEUE_STATE_BYTES_PER_SECOND = 2 * 1024 * 1024;
/** A flush that found the disk full is tried again after so long. */
export const QUEUE_STATE_RETRY_MS = 1_000;
/** How often keys of a deduplication are looked through for those whose time is over. */
export const DEDUPE_SWEEP_MS = 10_000;
/** A longer key of a message is remembered by its hash. */
export const DEDUPE_KEY_CHARACTERS_MAX = 256;
/** Offsets of one chunk of settled ones: 2 KiB as bits. */
export const QUEUE_CHUNK_OFFSETS = 16_384;
/** Messages of a queue that were given back for later and are due then also after a restart; others are ready then. */
export const QUEUE_DUES_MAX = 1_048_576;
/** What a consumer without a prefetch may have unsettled. */
export const UNLIMITED_PREFETCH = 65_535;
/** Times that a message may come back, unless the queue says otherwise; RabbitMQ's. */
export const DELIVERY_LIMIT_DEFAULT = 20;
/** How long a message may be with a consumer, unless the queue says otherwise; RabbitMQ's. */
export const CONSUMER_TIMEOUT_MS_DEFAULT = 30 * 60 * 1000;
/** Messages that are appended together go into batches of this size; a message that is larger has its own. */
export const QUEUE_BATCH_BYTES_MAX = 1024 * 1024;
/** One read of a log ahead of a queue's cursor; a batch that is larger is read whole. */
export const QUEUE_READ_BYTES = 256 * 1024;
/** One read for a single message: returned, due, of a higher priority. */
export const QUEUE_LOAD_BYTES = 64 * 1024;
/** Pieces of its log that a queue keeps: just appended ones, so that they are delivered without being read, and others. */
export const QUEUE_RUNS_BYTES_MAX = 4 * 1024 * 1024;
/** Messages that are with consumers stay in memory so many bytes of deliveries; older ones are read again when they come back. */
export const QUEUE_KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** Those that were got one by one stay longer: whoever got them reads them when it likes. */
export const QUEUE_GOT_BYTES_MAX = 64 * 1024 * 1024;
/** All of that, of all queues together: above, those that were used least recently give theirs up. */
export const QUEUE_MEMORY_BYTES_MAX = 64 * 1024 * 1024;
/** How often a queue says at most that it has refused messages that no segment of its log can hold. */
export const QUEUE_LARGE_TOLD_MS = 60_000;
/** Messages that a queue looks at before others have their turn. */
export const QUEUE_TURN_MESSAGES = 512;
/** How long queues take turns, one after the other, before anything else has its own: of many each turn may open a file. */
export const QUEUE_ROUND_MS = 10;
/** How far a queue hands out ahead of what is written of that: so many may be called redelivered after a crash that were not. */
export const QUEUE_AHEAD_OFFSETS_MAX = 65_536;
/** Messages of a queue ordered by key that wait for another one of their key: 8 bytes each. */
export const QUEUE_PARKED_OFFSETS_MAX = 2_097_152;
/** Waiting before what a full disk, or a failed read, has stopped is tried again. */
export const QUEUE_RETRY_MS = 1_000;
/** Settled offsets, or this share of a segment, after which a queue asks its log to give back space… */
export const QUEUE_RECLAIM_OFFSETS = 100_000;
/** …and the least time between two such looks. */
export const QUEUE_RECLAIM_MS = 5_000;
/** While the disk is full whatever was settled counts, and this is the least time. */
export const QUEUE_RECLAIM_FULL_MS = 1_000;
/** When something was given back, there may be more after the next checkpoint. */
export const QUEUE_RECLAIM_AGAIN_MS = 70_000;
/** Consumers' deliveries are looked over for old ones at most so often. */
export const CONSUMER_TIMEOUT_CHECK_MS_MIN = 1_000;

// wire/amqp, client/amqp ------------------------------------------------------------------------------------------

/** Tables and arrays inside one another. */
export const TABLE_DEPTH_MAX = 64;
/** Short strings that are remembered with their bytes, and the longest of them: 64 KiB in all. A power of two. */
export const SHORT_STRING_SLOTS = 1_024;
export const SHORT_STRING_CACHED_BYTES_MAX = 64;
/** What frame_max may be at the least, and what it is unless somebody wants less. */
export const AMQP_FRAME_BYTES_MIN = 4_096;
export const AMQP_FRAME_BYTES_MAX = 131_072;
/** Largest body of a message; RabbitMQ's since 4.0. */
export const AMQP_BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Bodies of one connection, on all its channels, that have not come whole. */
export const AMQP_INCOMPLETE_BYTES_MAX = 64 * 1024 * 1024;
/** Memory that is given to a body on its announced size alone; more is given as bytes arrive. */
export const AMQP_BODY_FIRST_BYTES = 256 * 1024;
/** Frames are written into blocks of this size… */
export const AMQP_BLOCK_BYTES = 64 * 1024;
/** …of which so many are kept for use again… */
export const AMQP_BLOCKS_KEPT = 64;
/** …and a body that is larger than this is written from where it lies. */
export const AMQP_COPY_BYTES_MAX = 8 * 1024;

/** Where a broker of AMQP listens as a rule. */
export const AMQP_PORT = 5_672;
/** How long connecting and logging in may take. */
export const AMQP_HANDSHAKE_MS = 10_000;
/** Seconds between signs of life; half as many at most without any. */
export const AMQP_HEARTBEAT_SECONDS = 60;
/** Channels of one connection, unless the broker allows fewer. */
export const AMQP_CHANNELS_MAX = 2_047;
/** What a client has collected is written when the turn ends, or is more than this. */
export const AMQP_WRITE_BYTES = 256 * 1024;
/** Bytes that a client has given to its socket, and messages that it has published, that wait; above, `ready` waits. */
export const AMQP_CLIENT_UNSENT_BYTES_MAX = 4 * 1024 * 1024;
export const AMQP_UNCONFIRMED_MESSAGES_MAX = 10_000;
/** How long a broker may take to answer a question about its queues. */
export const AMQP_REQUEST_MS = 30_000;

// server/amqp -----------------------------------------------------------------------------------------------------

/** Whoever fails to log in is told, or closed, so much later: guessing takes time. */
export const AMQP_REFUSAL_DELAY_MS = 1_000;
/** How often connections are looked through for those that are late, or are due a heartbeat; and the disk for space. */
export const AMQP_SWEEP_MS = 500;
/** Waiting for a client to answer connection.close. */
export const AMQP_CLOSE_MS = 2_000;
/** Bytes that are written to a client and not taken by it; above, its consumers wait. One message may exceed it. */
export const AMQP_UNSENT_BYTES_MAX = 1024 * 1024;
/** The same with what is owed to it whether it reads or not (returned messages, answers, confirms); above, its socket waits, too. */
export const AMQP_OWED_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of a connection's messages that are appended and not durable; above, its socket waits. One chunk may exceed it. */
export const AMQP_UNCONFIRMED_BYTES_MAX = 16 * 1024 * 1024;
/** The same of all connections together: well below what the journal lets wait. */
export const AMQP_UNDURABLE_BYTES_MAX = 128 * 1024 * 1024;
/** Bytes of messages that go to several queues, all copies but the first, that are appended before others have their turn. One message may exceed it. */
export const AMQP_TURN_BYTES = 1024 * 1024;
/** What beginning another queue's batch counts as, for a message that goes to that queue alone: it may have to make a file. */
export const AMQP_BATCH_BYTES = 8 * 1024;
/** How often it is looked whether files can be opened again, while those who publish wait for that. */
export const AMQP_FILES_MS = 10;
/** How long what was received is worked on before others have their turn; of each connection one chunk in any case. */
export const AMQP_RECEIVE_MS = 10;
/** Messages that go back to their queues at once; more go in pieces, between which others have their turn. */
export const AMQP_SETTLE_PIECE = 16_384;
/** Bytes of methods and messages that wait behind one of their channel that takes time; above, the socket of the connection waits. */
export const AMQP_WAITING_BYTES_MAX = 4 * 1024 * 1024;
/** Messages and acknowledgements of one open transaction, together, and the bytes of its messages. */
export const TX_STEPS_MAX = 1_000_000;
export const TX_BYTES_MAX = 64 * 1024 * 1024;
/** A commit of more is done in pieces, between which others have their turn. What fits one batch of a queue is one piece. */
export const TX_PIECE_STEPS = 16_384;
export const TX_PIECE_BYTES = 1024 * 1024;
/** Consumers of one channel. */
export const CHANNEL_CONSUMERS_MAX = 65_535;
/** Messages that one request shows at most, and their bytes. */
export const PEEK_MESSAGES = 1_000;
export const PEEK_BYTES_MAX = 8 * 1024 * 1024;
/** Messages that are moved at a time, between other work. */
export const MOVE_BATCH_MESSAGES = 256;
/** …and the bytes of their bodies; one message may exceed it. */
export const MOVE_BATCH_BYTES_MAX = 16 * 1024 * 1024;

// broker/exchanges, broker/access -----------------------------------------------------------------------------------

/** Longest time that an argument of a queue may give: what RabbitMQ's timers count. */
export const QUEUE_TIME_MS_MAX = 4_294_967_295;
/** Routes that are remembered in one virtual host; beyond, all are forgotten and learned anew. */
export const ROUTE_CACHE_ROUTES_MAX = 16_384;
/** Longest pattern of a permission, in characters. */
export const PERMISSION_PATTERN_CHARACTERS_MAX = 1_024;
/** States of the automaton that it becomes: each character of a name may visit them all. */
export const PERMISSION_PATTERN_STATES_MAX = 4_096;
/** Answers that one grant remembers per operation. */
export const GRANT_ANSWERS_MAX = 4_096;

// door/queues, connect/queues -------------------------------------------------------------------------------------

/** Longest delay, and time until it expires, that is asked for a message: 49 days, what AMQP's numbers hold. */
export const DELAY_MS_MAX = 4_294_967_295;
/** How often a worker tries a message, unless it says otherwise, and at most. */
export const WORK_ATTEMPTS = 5;
export const WORK_ATTEMPTS_MAX = 1_000;
/** Between two attempts: the first delay, and the longest one, unless a worker says otherwise. */
export const WORK_DELAY_MS = 1_000;
export const WORK_DELAY_MS_MAX = 60 * 60 * 1000;
/** Part of a delay that is taken off at random. */
export const WORK_JITTER = 0.2;
/** Messages that one worker handles at the same time, and that it has at most. */
export const WORK_CONCURRENCY_MAX = 1_000;
export const WORK_PREFETCH_MAX = 10_000;
/** How long a worker that stops waits for its handlers, unless it is told otherwise. */
export const WORK_STOP_MS = 30_000;
/** Waiting before a lost connection is made again: at first, and at most. */
export const QUEUE_RECONNECT_MS_MIN = 50;
export const QUEUE_RECONNECT_MS_MAX = 5_000;
/** Messages that wait for a connection are refused after so long. */
export const ENQUEUE_WAIT_MS = 60_000;
/** Connections that may be lost under one message that is sent again. */
export const ENQUEUE_ATTEMPTS = 20;
/** Messages that are sent and not confirmed, and their bytes: more wait. */
export const ENQUEUE_UNCONFIRMED_MAX = 10_000;
export const ENQUEUE_UNCONFIRMED_BYTES_MAX = 16 * 1024 * 1024;
/** Part of the time that a queue gives a worker which a handler has by default, and at most. */
export const WORK_TIMEOUT_SHARE = 0.9;
/** Dead letters that are looked at together: by default, and at most. */
export const DEAD_LETTERS_LISTED = 100;
export const DEAD_LETTERS_LISTED_MAX = 1_000;
