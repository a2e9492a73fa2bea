/** Bounds of what is asked over HTTP: see `limits.ts`. */

// engine/stream/views ---------------------------------------------------------------------------------------------

/** Rows of one answer, and how many come when nobody says. */
export const VIEW_ROWS_MAX = 1_000;
export const VIEW_ROWS = 100;
/** Rows of one answer of a task end with the one that goes beyond. */
export const VIEW_PAGE_BYTES_MAX = 1024 * 1024;
/** Entries that a task looks at for one question: it processes nothing meanwhile. */
export const VIEW_SCAN_ENTRIES_MAX = 4_096;
/** Of all tasks together: then the answer ends, and says where it goes on. */
export const VIEW_ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** While tasks move from one process to another: so long, and so often, an answer is tried before it is given up… */
export const VIEW_MOVING_MS = 3_000;
export const VIEW_RETRY_MS = 100;
/** …and after this it is worth to ask again. */
export const VIEW_RETRY_AFTER_SECONDS = 1;
/** An answer of another process. */
export const VIEW_FORWARD_MS = 5_000;
export const VIEW_FORWARD_BYTES_MAX = 8 * 1024 * 1024;
/** A question to another process: a key, or two. */
export const VIEW_QUESTION_BYTES_MAX = 1024 * 1024;
/** Those that are being received. */
export const VIEW_QUESTIONS_BYTES_MAX = 32 * 1024 * 1024;
/** Rows of one step of a snapshot. */
export const VIEW_SNAPSHOT_ROWS = 512;
/** Changes are read from the log so many bytes at a time. */
export const VIEW_CHANGES_BYTES = 1024 * 1024;
/** Without changes, a subscription looks so often whether it is still wanted. */
export const VIEW_CHANGES_WAIT_MS = 1_000;

// server/http -----------------------------------------------------------------------------------------------------

/** Path and query of a request; headers and this together are HTTP_HEADER_BYTES_MAX. */
export const HTTP_URL_CHARS_MAX = 8_192;
export const HTTP_HEADER_BYTES_MAX = 16 * 1024;
/** A key, or a bound of a range, as text. */
export const HTTP_KEY_CHARS_MAX = 2_048;
export const HTTP_CONNECTIONS_MAX = 1_024;
/** Subscriptions at a time: each reads the log by itself. */
export const HTTP_SUBSCRIPTIONS_MAX = 128;
/** A request must have come within this. */
export const HTTP_REQUEST_MS = 10_000;
/** How often connections are looked through for requests whose head does not come. */
export const HTTP_SWEEP_MS = 2_000;
/** A connection without a request is kept so long. */
export const HTTP_IDLE_MS = 30_000;
/** A comment is sent to subscribers when there was nothing for so long, so that everything between knows that both are alive. */
export const HTTP_HEARTBEAT_MS = 15_000;
/** Events that a subscriber has not taken; then nothing more is read for it… */
export const HTTP_SUBSCRIBER_BYTES_MAX = 256 * 1024;
/** …and when it takes nothing for so long it is disconnected. */
export const HTTP_SUBSCRIBER_STALL_MS = 30_000;
/** What was begun may end when the server is closed. */
export const HTTP_CLOSE_MS = 2_000;

// server/http, topics ---------------------------------------------------------------------------------------------

/** A body of JSON with one or some records, and of bytes that are one record. Records that are many come as NDJSON. */
export const HTTP_PRODUCE_BYTES_MAX = 4 * 1024 * 1024;
export const HTTP_PRODUCE_RECORDS_MAX = 10_000;
/** A line of NDJSON; and so much of a stream of them collects while what came before is written. */
export const HTTP_LINE_BYTES_MAX = 4 * 1024 * 1024;
export const HTTP_LINES_BYTES = 1024 * 1024;
export const HTTP_LINES_RECORDS = 10_000;
/** Bytes of bodies of all requests together: what comes beyond that is to come again. */
export const HTTP_BODIES_BYTES_MAX = 64 * 1024 * 1024;
/** A body that stops coming for HTTP_REQUEST_MS is given up; and this is how long one may take in all. */
export const HTTP_BODY_MS_MAX = 3_600_000;
/** Who sends a body that is taken whole more slowly than that, beyond HTTP_REQUEST_MS, keeps memory from others, and is refused. */
export const HTTP_BODY_BYTES_PER_SECOND_MIN = 8 * 1024;
/** Memory that a stream of NDJSON is counted with beside what it has collected. */
export const HTTP_STREAM_BYTES = 64 * 1024;
/** What one answer of the log to a subscriber of a topic may have, of all partitions and of each. */
export const TOPIC_READ_BYTES = 512 * 1024;
export const TOPIC_READ_PARTITION_BYTES = 128 * 1024;
/** Between looks whether a subscription of a topic is still wanted, and between comments that keep it alive. */
export const TOPIC_WAIT_MS = 1_000;
/** With `slow=buffer`: what waits for a subscriber, and what it may ask for. */
export const TOPIC_BUFFER_BYTES = 1024 * 1024;
export const TOPIC_BUFFER_BYTES_MAX = 16 * 1024 * 1024;
/** Whoever takes nothing for so long, also where the log waits for him, is disconnected. */
export const TOPIC_STALL_MS_MAX = 600_000;
/** Headers of a record that comes over HTTP. */
export const HTTP_RECORD_HEADERS_MAX = 256;
/** WebSockets at a time, and produce messages of each that are not acknowledged; then no more of them is read. */
export const HTTP_SOCKETS_MAX = 256;
export const HTTP_SOCKET_PRODUCES_MAX = 64;
/** A message of a WebSocket. */
export const HTTP_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Credit that a subscriber can have. */
export const HTTP_CREDIT_MAX = 1_000_000;
/** A WebSocket is asked so often whether somebody is there; without an answer until the next time it is closed. */
export const HTTP_PING_MS = 15_000;
