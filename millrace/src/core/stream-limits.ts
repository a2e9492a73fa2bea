/** Bounds of programs that run without end: see `limits.ts`. */

// engine/stream, the workers --------------------------------------------------------------------------------------

/** A transaction, and with it what others can see of the results, is committed so often unless the flow says otherwise. */
export const STREAM_COMMIT_INTERVAL_MS = 100;
/** A transaction must end long before the broker gives it up. */
export const STREAM_COMMIT_INTERVAL_MS_MAX = 10_000;
/** A member of a flow that is silent for so long has lost its tasks to the others. */
export const STREAM_SESSION_MS = 10_000;
/** The broker aborts what a lost worker has open after so long: whoever takes over its tasks may have to wait for that. */
export const STREAM_TRANSACTION_MS = 20_000;
/** Calls of the program that take long make it longer, up to what Apache Kafka allows by itself. */
export const STREAM_TRANSACTION_MS_MAX = 900_000;
/** Records that wait in all inputs of a worker; one input has its share of it, within these bounds. */
export const STREAM_BUFFER_BYTES = 64 * 1024 * 1024;
export const STREAM_INPUT_BYTES_MIN = 256 * 1024;
export const STREAM_INPUT_BYTES_MAX = 8 * 1024 * 1024;
/** Appended and not acknowledged: above it a worker waits. */
export const STREAM_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** What state may grow by before it is committed ahead of time: changes wait in memory until then. */
export const STREAM_DIRTY_BYTES_MAX = 64 * 1024 * 1024;
/** Records that a task processes at a time: adapted within these, so that its turn takes a few milliseconds. */
export const STREAM_TURN_RECORDS_MIN = 16;
export const STREAM_TURN_RECORDS_MAX = 8_192;
/** All tasks of a worker together work for about so long before sockets and timers have their turn. */
export const STREAM_SLICE_MS = 20;
/** A worker that restores some of its tasks, and has nothing to do in the others, waits so long for changelogs. */
export const STREAM_TURN_WAIT_MS = 5;
/** Timers of tasks by the wall clock are looked at no more often than this. */
export const STREAM_TICK_MS = 10;
/** The longest a worker without work sleeps. */
export const STREAM_IDLE_MS = 1_000;
/** Pauses between tries after a failure that can pass, doubling, and how long a flow goes on trying. */
export const STREAM_RETRY_MS_MIN = 100;
export const STREAM_RETRY_MS_MAX = 5_000;
export const STREAM_RETRY_MS_TOTAL = 300_000;
/** Records of repartition topics that all have read are deleted so often. */
export const STREAM_PURGE_MS = 30_000;
/** Records of queues that a flow has read and committed are deleted so often. */
export const STREAM_TAKE_MS = 1_000;
/** How often a running flow looks whether its topics are still the same, and a waiting one whether they are there. */
export const STREAM_TOPIC_CHECK_MS = 5_000;
export const STREAM_TOPIC_WAIT_MS = 500;
/** Joins of a group in a row that bring nothing new before a worker gives up. */
export const STREAM_JOINS_MAX = 5;
/** Processes that may share one directory of state. */
export const STREAM_INSTANCES_MAX = 64;
/** What metrics of a flow say is at most so old. */
export const STREAM_STATUS_MS = 500;
/** State on this machine that was not used for so long is made anew: changelogs keep tombstones for a day. */
export const STREAM_STATE_AGE_MS = 12 * 60 * 60 * 1_000;
/** A running flow says so often that its state is in use. */
export const STREAM_USED_MS = 60_000;
/** Worker threads of one flow in one process. */
export const STREAM_WORKERS_MAX = 256;

// engine/stream, time and tasks -----------------------------------------------------------------------------------

/** A record whose time is so far ahead of the wall clock is refused: it would close the windows of all others. */
export const TIMESTAMP_AHEAD_MS_MAX = 24 * 60 * 60 * 1000;
/** Metadata of one committed offset that a broker takes (offset.metadata.max.bytes). */
export const OFFSET_METADATA_BYTES_MAX = 4_096;
/** Writers of an exchange whose times fit into that, however far apart they are; of more, a store has them. */
export const CLOCK_WRITERS_MAX = 200;
/** A function of the program that was called and has not called back for so long stops the flow. */
export const STREAM_CALL_MS_MAX = 10 * 60 * 1000;

// engine/stream/state ---------------------------------------------------------------------------------------------

/** Entries of one Map: V8 throws at 2^24. */
export const STATE_MAP_ENTRIES_MAX = 8_000_000;
/** What an entry of a store takes in memory beside the bytes of its value: for what is shown and bounded. */
export const STATE_ENTRY_BYTES = 200;
/** Bytes for a changelog that share one buffer. */
export const STATE_FLUSH_BYTES = 64 * 1024;
/** Longest row key of LMDB with pages of 4 KiB, 1,978, less what an index of times adds to it. */
export const STATE_KEY_BYTES_MAX = 1_960;
/** Rows that are read from a state directory at once. A key with at most so many is brought into memory whole when it is walked over. */
export const STATE_READ_ROWS = 256;
/** Memory for what one store has read from disk. */
export const STATE_CACHE_BYTES = 64 * 1024 * 1024;
/** What is committed is written to a state directory so often, or when so many entries wait for it. */
export const STATE_SAVE_MS = 5_000;
export const STATE_SAVE_ENTRIES = 131_072;
/** Entries that wait for the disk before a task waits, too. */
export const STATE_UNSAVED_ENTRIES_MAX = 262_144;

// engine/stream/joins ---------------------------------------------------------------------------------------------

/** A join by foreign key remembers for so long, by event time, that a row has no result: outdated answers may be on their way. */
export const FOREIGN_JOIN_FORGET_MS = 24 * 60 * 60 * 1000;

// engine/stream/patterns ------------------------------------------------------------------------------------------

/** Steps of one pattern: a set of them is a number of 31 bits. */
export const PATTERN_STEPS_MAX = 30;
/** What is kept of the partial matches of one key: a record counts once for each of them that it ends, or that others go on from. */
export const PATTERN_PARTIALS_MAX = 10_000;

// engine/stream/async ---------------------------------------------------------------------------------------------

/** Before the second try of a call; doubles with each further one… */
export const ASYNC_RETRY_PAUSE_MS = 100;
/** …up to this. */
export const ASYNC_RETRY_PAUSE_MS_MAX = 10_000;

// engine/bounded -------------------------------------------------------------------------------------------------

/** How long writing all topics of a job may take: what Apache Kafka allows unless told otherwise. */
export const PUBLISH_TRANSACTION_MS = 900_000;
/** Bytes on their way to the broker while a job writes topics. */
export const PUBLISH_UNSENT_BYTES = 16 * 1024 * 1024;

// testing --------------------------------------------------------------------------------------------------------

/** How long the driver of tests waits for promises of a flow, by the clock on the wall. */
export const TEST_CALLS_MS = 10_000;
/** Turns of a flow under test, before it is said that it goes on without end… */
export const TEST_ROUNDS_MAX = 10_000;
/** …and times at which something is due in one `advance`. */
export const TEST_TICKS_MAX = 100_000;
