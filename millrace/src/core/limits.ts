/**
 * Every bound in one place: sizes, counts and waits that nothing may exceed, grouped by the folder that enforces
 * them. A buffer, queue, loop or retry without a bound here is a bug. Values that a user may set have their default
 * here too. Units are the last word of a name.
 */

// core ------------------------------------------------------------------------------------------------------------

/** Buffers in one vectored write: IOV_MAX of Linux. More are written in several calls. */
export const WRITE_BUFFERS_MAX = 1024;
/** Largest file that is read into memory whole (metadata and configuration, never data). */
export const WHOLE_FILE_BYTES_MAX = 64 * 1024 * 1024;
/** Longest delay of one timer, 2^31-1: what Node can count. */
export const TIMER_DELAY_MS_MAX = 2_147_483_647;
/** Waiting for an outgoing connection to be accepted. */
export const CONNECT_TIMEOUT_MS = 30_000;
/** Connections that the kernel holds for us before we accept them. */
export const LISTEN_BACKLOG_CONNECTIONS = 511;
/** Calls in a row that may write less than asked, and nothing at all, before a write counts as failed. */
export const EMPTY_WRITES_MAX = 8;

// wire/kafka/records ----------------------------------------------------------------------------------------------

/** Largest record batch that is read or built, header included: what one request may carry (socket.request.max.bytes). */
export const RECORD_BATCH_BYTES_MAX = 100 * 1024 * 1024;
/** Most bytes that the records of one compressed batch may become. */
export const RECORDS_DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024;
/** Compressed records may become this many times larger before they count as a bomb… */
export const RECORDS_DECOMPRESSION_RATIO_MAX = 256;
/** …but up to this size any ratio is fine: thousands of equal records do compress that well. */
export const RECORDS_DECOMPRESSED_BYTES_FREE = 16 * 1024 * 1024;

// wire/kafka ------------------------------------------------------------------------------------------------------

/** Longest string of the protocol, in bytes of UTF-8: what a 16-bit length can say, and Java clients refuse beyond. */
export const WIRE_STRING_BYTES_MAX = 32_767;
/** Array elements in one decoded message, at all depths: tiny elements become large objects. */
export const WIRE_ELEMENTS_MAX = 2_000_000;
/** Largest message that is encoded: what a frame's 32-bit size can say. */
export const WIRE_MESSAGE_BYTES_MAX = 2_147_483_647;

// broker ----------------------------------------------------------------------------------------------------------

/** One read of an internal log at start. */
export const INTERNAL_READ_BYTES_MAX = 4 * 1024 * 1024;
/** What one Fetch answer may always carry, however short the memory for answers is. */
export const FETCH_ANSWER_BYTES_MIN = 64 * 1024;
/** The longest that a Fetch waits for data, whatever the client asks for. */
export const FETCH_WAIT_MS_MAX = 5 * 60 * 1000;
/** Records of a refused batch that are named one by one in the answer (KIP-467). */
export const RECORD_ERRORS_MAX = 100;

// cli -------------------------------------------------------------------------------------------------------------

/** Longest line that `millrace produce` takes from its input. */
export const CLI_LINE_BYTES_MAX = 16 * 1024 * 1024;
