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
/** Most that one read of a socket takes; one buffer for all sockets. */
export const RECEIVE_BYTES = 256 * 1024;
/** Calls in a row that may write less than asked, and nothing at all, before a write counts as failed. */
export const EMPTY_WRITES_MAX = 8;
/** Arrays inside arrays of one key. */
export const KEY_DEPTH_MAX = 32;
/** Objects, arrays, maps and sets inside one another in one value; more is taken for a cycle. */
export const VALUE_DEPTH_MAX = 256;
/** Key lists of objects that the value codec remembers; beyond, it forgets them all and learns anew. */
export const VALUE_SHAPES_MAX = 1_024;
/** Tries to take the lock of an output whose staging directory is removed again and again by jobs that end. */
export const STAGING_LOCK_ATTEMPTS = 16;

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
/** Partitions in all fetch sessions together. */
export const FETCH_SESSION_PARTITIONS_MAX = 1_000_000;
/** A fetch session in use within this time is not ended for another one. */
export const FETCH_SESSION_EVICTION_MS = 120_000;
/** Records of a refused batch that are named one by one in the answer (KIP-467). */
export const RECORD_ERRORS_MAX = 100;

// server/kafka ----------------------------------------------------------------------------------------------------

/** The fewest bytes a request can have: key, version, correlation id, client id. */
export const REQUEST_BYTES_MIN = 10;
/** The largest first request of a connection, unless it is a Produce: what nobody has vouched for yet. */
export const FIRST_REQUEST_BYTES_MAX = 512 * 1024;
/** Memory given to a request on its size prefix alone; more is given as bytes arrive. */
export const REQUEST_FIRST_BYTES = 1024 * 1024;
/** A request must be complete after this long… */
export const REQUEST_RECEIVE_MS = 30_000;
/** …plus the time that its bytes take at this rate. */
export const REQUEST_RECEIVE_BYTES_PER_MS = 64;
/** Requests of one connection that are received but not answered; above, its socket waits. */
export const PIPELINE_REQUESTS_MAX = 256;
/** Bytes of such requests; above, its socket waits. One request may exceed it. */
export const PIPELINE_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes of answers that a client has not taken; above, its requests wait. One answer may exceed it. */
export const UNSENT_BYTES_MAX = 1024 * 1024;
/** Free request buffers kept for the next requests, over all connections. */
export const FRAME_POOL_BYTES_MAX = 32 * 1024 * 1024;
/** Sizes of pooled request buffers: powers of two in this range. Smaller and larger ones are not pooled. */
export const FRAME_POOL_BUFFER_BYTES_MIN = 8 * 1024;
export const FRAME_POOL_BUFFER_BYTES_MAX = 2 * 1024 * 1024;
/** Lines a second that one server logs about broken connections; the rest is counted. */
export const CONNECTION_FAULTS_LOGGED_PER_SECOND = 20;
/** Partitions in one answer of DescribeTopicPartitions, as in Kafka. */
export const DESCRIBED_PARTITIONS_MAX = 2_000;
/** How often connections are looked through for those that are idle or late. */
export const CONNECTION_SWEEP_MS = 1_000;
/** Waiting for open connections to end when the server closes. */
export const SERVER_CLOSE_MS = 2_000;

// broker/groups ---------------------------------------------------------------------------------------------------

/** Groups of the broker: each costs memory, and a client can name new ones as it likes. */
export const GROUPS_MAX = 100_000;
/** Member ids of one group that were given (KIP-394) and not yet joined with. */
export const GROUP_PENDING_MEMBERS_MAX = 10_000;
/** What one member may have the broker keep for it and hand to its leader: the metadata of all its protocols. */
export const MEMBER_METADATA_BYTES_MAX = 4 * 1024 * 1024;
/** Characters of a client id or instance id that a member id begins with. */
export const MEMBER_ID_PREFIX_CHARACTERS_MAX = 255;
/** A join of a new member is answered with an error after this long: its client may be gone. Kafka: the same. */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000;
/** Shortest wait before a rebalance that nobody came to is tried again. */
export const GROUP_REBALANCE_RETRY_MS_MIN = 1_000;
/** Generations are 32-bit on the wire; the next one is 1. */
export const GROUP_GENERATION_MAX = 2_147_483_647;
/** Records, and bytes of keys and values, of one batch of group state; one larger record goes alone. */
export const GROUP_APPEND_RECORDS_MAX = 1_000;
export const GROUP_APPEND_BYTES_MAX = 1024 * 1024;
/** Groups looked through for expired offsets before other work gets its turn. */
export const GROUP_EXPIRY_SLICE = 500;
/** A wall clock that runs ahead of the monotonic one by this much has jumped… */
export const CLOCK_JUMP_MS_MAX = 60 * 60 * 1000;
/** …and for this long no offset is forgotten: the clock may be wrong. */
export const CLOCK_JUMP_HOLD_MS = 24 * 60 * 60 * 1000;

// log -------------------------------------------------------------------------------------------------------------

/** One file of the journal. Also bounds a record batch: one has to fit into a file. */
export const JOURNAL_FILE_BYTES = 32 * 1024 * 1024;
/** All files of the journal: what a start may have to replay. */
export const JOURNAL_BYTES_MAX = 512 * 1024 * 1024;
/** Journal in use that starts a checkpoint, early enough that commits do not wait for it. */
export const CHECKPOINT_JOURNAL_BYTES = 192 * 1024 * 1024;
/** Longest time between two checkpoints of a store that is written to. */
export const CHECKPOINT_INTERVAL_MS = 60_000;
/** Segments that a checkpoint syncs at the same time: the thread pool has to serve commits and reads too. */
export const CHECKPOINT_SYNCS_MAX = 2;
/** Logs whose files are removed at the same time: the thread pool has to serve others, too… */
export const LOG_REMOVALS_AT_ONCE = 2;
/** …and logs that are removed before a checkpoint that waits has its turn. */
export const LOGS_REMOVED_TOGETHER_MAX = 256;
/** Largest checkpoint that is read: tens of thousands of logs with thousands of producers. */
export const CHECKPOINT_BYTES_MAX = 512 * 1024 * 1024;
/** Bytes that wait for the journal, beyond which appends are refused: who appends waits for `whenDurable` long before. */
export const JOURNAL_QUEUED_BYTES_MAX = 256 * 1024 * 1024;
/** A group up to this size is written on the spot; larger ones beside the event loop. */
export const JOURNAL_SYNC_WRITE_BYTES_MAX = 128 * 1024;
/** Unsynced bytes of a segment that are synced ahead of the checkpoint. */
export const SEGMENT_UNSYNCED_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of an active segment that its index files may lack after a crash: a start has to read them. */
export const SEGMENT_UNINDEXED_BYTES_MAX = 8 * 1024 * 1024;
/** For this long what a process has written to a new segment is taken to be in the page cache… */
export const READ_HOT_MS = 5 * 60 * 1000;
/** …and after that so much at the end of the segment that is written. */
export const SEGMENT_HOT_BYTES = 16 * 1024 * 1024;
/** Hot reads up to this size are done on the spot. */
export const READ_SYNC_BYTES_MAX = 256 * 1024;
/** Most bytes that one read returns, unless a single batch is larger. */
export const READ_BYTES_MAX = 8 * 1024 * 1024;
/** Memory of read buffers that waits to be used again. */
export const READ_POOL_BYTES_MAX = 64 * 1024 * 1024;
/** Memory of the indexes of sealed segments. */
export const INDEX_MEMORY_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes read at once while an offset is looked up by its timestamp. */
export const TIMESTAMP_SEARCH_BYTES = 64 * 1024;
/** Segment files that are open at the same time. */
export const OPEN_SEGMENTS_MAX = 4_096;
/** Descriptors of the process that segments leave to connections and everything else: this part, so many at least, half of them at most. */
export const DESCRIPTORS_LEFT_SHARE = 8;
export const DESCRIPTORS_LEFT_MIN = 256;
/** How often it is said at most that appends were refused for want of descriptors. */
export const DESCRIPTORS_TOLD_MS = 60_000;
/** Time between two runs of retention. Kafka: log.retention.check.interval.ms */
export const RETENTION_INTERVAL_MS = 5 * 60 * 1000;
/** Time between two looks for logs to compact. Kafka: log.cleaner.backoff.ms */
export const COMPACTION_INTERVAL_MS = 15_000;
/** Space kept for internal topics and checkpoints when the disk is full. */
export const RESERVE_BYTES = 16 * 1024 * 1024;
/** Pause between two pieces of a file that is filled with zeros. */
export const PREALLOCATE_PAUSE_MS = 10;
/** How often a full disk is looked at for room. */
export const DISK_FULL_POLL_MS = 1_000;
/** A producer that has not written for so long is forgotten. Kafka: producer.id.expiration.ms */
export const PRODUCER_EXPIRATION_MS = 24 * 60 * 60 * 1000;
/** Memory of the offset map of a compaction, 32 bytes a key: more distinct keys take more than one pass. */
export const COMPACTION_MAP_BYTES_MAX = 32 * 1024 * 1024;
/** Read and written at once by a compaction: between two pieces everything else has its turn. */
export const COMPACTION_CHUNK_BYTES = 256 * 1024;

// client, the Log port --------------------------------------------------------------------------------------------

/** A broker that does not answer for this long counts as gone. */
export const LOG_REQUEST_MS = 30_000;
/** How long it goes on trying what failed for a reason that passes: a new leader, a coordinator that loads. */
export const LOG_RETRY_MS = 15_000;
/** The largest answer that is taken: one fetch, or the metadata of a very large cluster. */
export const LOG_ANSWER_BYTES_MAX = 128 * 1024 * 1024;
/** What a reader asks for at once, of all partitions and of each, when nobody says otherwise. */
export const LOG_FETCH_BYTES = 8 * 1024 * 1024;
export const LOG_FETCH_PARTITION_BYTES = 1024 * 1024;
/** Fetch requests of one reader that are under way at one broker: while one waits, another asks for what was added. */
export const LOG_FETCHES_MAX = 2;
/** A producer closes a batch at this size, before compression. */
export const LOG_BATCH_BYTES = 512 * 1024;
/** Bytes of batches of one Produce request: what a Millrace has pooled memory for. */
export const LOG_PRODUCE_BYTES_MAX = 2 * 1024 * 1024 - 64 * 1024;
/** Batches whose memory a producer keeps for the next ones. */
export const LOG_FREE_BATCHES_MAX = 16;
/** A topic that is not there for so long is missing: brokers of a cluster do not all hear of a new one at once. */
export const LOG_TOPIC_MISSING_MS = 500;
/** How long the members of a group may take to come back when it deals out anew. */
export const LOG_REBALANCE_MS = 30_000;
/** How often a member says that it is there, and hears that the group deals out anew; a third of a short session. */
export const LOG_HEARTBEAT_MS = 500;
/** Leaving a group is a courtesy: who waits for it should not wait long. */
export const LOG_LEAVE_MS = 2_000;

// cli -------------------------------------------------------------------------------------------------------------

/** Longest line that `millrace produce` takes from its input. */
export const CLI_LINE_BYTES_MAX = 16 * 1024 * 1024;
/** `produce` closes a batch at this size, before compression, or at `max.message.bytes` of the topic. */
export const CLI_BATCH_BYTES = 512 * 1024;
/** Bytes of batches of one Produce request. */
export const CLI_PRODUCE_BYTES_MAX = 8 * 1024 * 1024;
/** `produce` reads no further while this much waits to be acknowledged. */
export const CLI_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** What `consume` asks for at once when few records are wanted (`--count`). */
export const CLI_FETCH_FEW_BYTES = 64 * 1024;
/** Output that is collected before it is written, while more is at hand. */
export const CLI_OUTPUT_BYTES = 64 * 1024;

// door ------------------------------------------------------------------------------------------------------------

/** How many partitions a topic has is asked again after so long: they may become more. */
export const PRODUCE_TOPIC_MS = 10_000;
/** How long a loop over records waits before it looks whether there is something else to do. */
export const CONSUME_WAIT_MS = 500;
/** A member of a group commits what it has taken so often, unless it says otherwise, within these bounds. */
export const CONSUME_COMMIT_MS = 1_000;
export const CONSUME_COMMIT_MS_MIN = 10;
export const CONSUME_COMMIT_MS_MAX = 60_000;

// broker/transactions ---------------------------------------------------------------------------------------------

/** Transactional ids that are remembered at the same time; more are refused until old ones expire. */
export const TRANSACTIONAL_IDS_MAX = 100_000;

// flow ------------------------------------------------------------------------------------------------------------

/** Nodes of one plan. */
export const PLAN_NODES_MAX = 10_000;
/** Rounds of one iterate. */
export const ITERATE_ROUNDS_MAX = 1_000_000;
/** Records that `top` keeps: they are held in memory. */
export const TOP_RECORDS_MAX = 1_000_000;
/** Longest length of time that a program may ask for: 100 years. */
export const DURATION_MS_MAX = 100 * 365.25 * 24 * 60 * 60 * 1000;
/** Hopping windows that one record may be in. */
export const WINDOWS_OF_RECORD_MAX = 10_000;
/** Calls of one `mapAsync` at a time, in one task. */
export const ASYNC_CALLS = 16;
export const ASYNC_CALLS_MAX = 1_000;
/** How long one such call may take, and how often a record is tried. */
export const ASYNC_CALL_MS = 30_000;
export const ASYNC_ATTEMPTS = 1;
export const ASYNC_ATTEMPTS_MAX = 100;
/** Items of an Avro array that take no bytes, such as null: nothing else bounds their number. */
export const AVRO_EMPTY_ITEMS_MAX = 100_000;
/** Partitions that a program may ask a new topic to have. */
export const TOPIC_PARTITIONS_MAX = 10_000;
/** Repetitions of a step that a pattern may ask for by number. */
export const PATTERN_TIMES_MAX = 1_000;

// engine/batch ----------------------------------------------------------------------------------------------------

/** `--memory`: what all processes of a job may hold together, besides what a process needs to be there at all. */
export const JOB_MEMORY_BYTES = 512_000_000;
export const JOB_MEMORY_BYTES_MIN = 16_000_000;
/** Input bytes of a split, about. */
export const SPLIT_BYTES = 64 * 1024 * 1024;
/** Attempts at one task. */
export const TASK_ATTEMPTS = 4;
/** Exchange bytes that one partition of a hash exchange is made for… */
export const PARTITION_BYTES = 64 * 1024 * 1024;
/** …and the most partitions that are chosen by themselves. */
export const PARTITIONS_MAX = 256;
/** Records in the sample of one exchange. */
export const SAMPLE_RECORDS = 4_096;
/** A sampled key is cut at this length: what is cut is still a good place to cut a range. */
export const SAMPLE_KEY_BYTES_MAX = 256;
/** Records of a run are read and checked in blocks of this size. */
export const RUN_BLOCK_BYTES = 64 * 1024;
/** The most that one exchange holds before it writes a run, however much it may: positions in it have 31 bits. */
export const ARENA_BYTES_MAX = 1024 * 1024 * 1024;
/** Blocks are put together in a buffer of this size before they are written; a sixteenth of the memory when that is less. */
export const RUN_BUFFER_BYTES = 256 * 1024;
/** An index keeps the first bytes of keys… */
export const INDEX_KEY_BYTES_MAX = 256;
/** …for so many blocks of a segment; of longer segments for every 2nd, 4th, 8th block. */
export const INDEX_ENTRIES_MAX = 4_096;
/** Runs that are merged at once; more are merged in several passes. */
export const MERGE_RUNS_MAX = 256;
/** Read at once from a run that is not merged with others. */
export const RUN_READ_BYTES = 1024 * 1024;
/** A join's side up to this size is broadcast when nobody says otherwise. */
export const BROADCAST_BYTES_MAX = 10 * 1024 * 1024;
/** Jobs whose input is up to this size run in the process of the driver when nobody asks for workers. */
export const IN_PROCESS_INPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Ways by which the records of a plan may come to one node: unions of unions multiply. */
export const PLAN_LANES_MAX = 1_000;
/** The value of a record is cut at this length where it is shown in an error. */
export const FAILED_VALUE_CHARACTERS_MAX = 200;
/** Records after which a table before an exchange shows whether it is of use. */
export const COMBINE_PROBE_RECORDS = 100_000;
/** Keys of such a table: a Map takes 2^24. */
export const COMBINE_TABLE_KEYS_MAX = 4_000_000;
/** Values of one key that a combiner is given at once. */
export const COMBINE_VALUES_MAX = 1_024;
/** Records of an exchange that are read before other things have their turn. */
export const INPUT_CHUNK_RECORDS = 8_192;
/** Least share of the memory of a task that anything in it has. */
export const EXCHANGE_SHARE_BYTES_MIN = 32 * 1024;
/** For so long a task keeps everything else in its process waiting. */
export const TASK_TURN_MS = 20;
/** The name of a stage is cut at this length. */
export const STAGE_LABEL_CHARACTERS_MAX = 160;
/** Promises of user functions that are waited for together. */
export const ASYNC_RECORDS_MAX = 256;

// engine/batch, the control plane ---------------------------------------------------------------------------------

/** Splits that sources are asked for when nobody says how large; tasks are packs of them. */
export const SPLIT_UNIT_BYTES = 8 * 1024 * 1024;
/** Tasks of a stage that reads sources, about: so many that all workers are busy to the end… */
export const SOURCE_TASKS = 32;
/** …but none with less input than this, nor with more than SPLIT_BYTES. */
export const TASK_BYTES_MIN = 4 * 1024 * 1024;
/** …and the most that one in front of an exchange reads, where two or more for each worker would read more. */
export const TASK_BYTES_MAX = 256 * 1024 * 1024;
export const TASKS_PER_WORKER = 2;
/** Of the memory of a worker, what its task may count on; the rest is for read buffers and for garbage. */
export const TASK_MEMORY_SHARE = 0.75;
/** Body of one frame between driver and worker: a task names the runs that it reads, a result those that it wrote. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;
/** Worker processes of one job. */
export const WORKERS_MAX = 256;
/** Workers in a row that end by themselves before they are ready: then something is wrong with all of them. */
export const WORKER_START_FAILURES_MAX = 3;
/** Workers in a row that somebody ends before they are ready. More may be coincidence: the next one may be left alone. */
export const WORKER_START_KILLS_MAX = 16;
/** How long a cancelled worker may take to put away what it has open, before it is killed. */
export const WORKER_CANCEL_MS = 300;
/** A line that a program writes to its standard output or error is cut here. */
export const WORKER_LINE_BYTES_MAX = 8 * 1024;
/** The last lines of a worker that are kept, to say why it ended. */
export const WORKER_LAST_LINES = 20;
/** A job that runs for so long is watched: when its driver is killed, so are workers that do not notice. */
export const REAPER_DELAY_MS = 1_000;
/** Jobs of which the history keeps a record. */
export const JOBS_KEPT = 100;
/** The largest record of a job that is read. */
export const JOB_RECORD_BYTES_MAX = 64 * 1024 * 1024;

// engine/batch/columns --------------------------------------------------------------------------------------------

/** Rows that are worked on at once, so that what is computed of them stays in the cache. */
export const LANE_BATCH_ROWS = 1_024;
/** The memory of a lane: its addresses are numbers of 31 bits. */
export const LANE_BYTES_MAX = 1024 * 1024 * 1024;
/** Sources whose lines may be longer are read as rows: a chunk has to fit into that memory, next to the tables. */
export const LANE_LINE_BYTES_MAX = 256 * 1024 * 1024;

// engine/batch/joins ----------------------------------------------------------------------------------------------

/** A side is broadcast only when its sources have at most this part of the memory of the job: 1/32. */
export const BROADCAST_MEMORY_SHARE = 32;
/** Pairs, or records passed over, before a join lets everything else have its turn. */
export const JOIN_CHUNK_RECORDS = 4_096;
/** Rows of one key that do not fit into memory are written and read in pieces of about this size. */
export const JOIN_SPILL_BUFFER_BYTES = 64 * 1024;
/** The least that a sort on disk is given, and the least that the reader of its runs is: what an exchange needs. */
export const JOIN_SORT_BYTES_MIN = 16 * 1024;
/** What a decoded value takes besides its content. */
export const JOIN_VALUE_OVERHEAD_BYTES = 64;
/** The largest table of a hash join: its positions have 31 bits. */
export const JOIN_TABLE_BYTES_MAX = 1024 * 1024 * 1024;
/** A key is hot when its rows in the side that is split have about so many bytes; each slice gets about as much… */
export const JOIN_HOT_KEY_BYTES = 16 * 1024 * 1024;
/** …and this is the most slices of one key. */
export const JOIN_HOT_KEY_SLICES_MAX = 64;
/** Hot keys of one partition that are split; further ones stay whole. */
export const JOIN_HOT_KEYS_MAX = 16;
/** The least that a half of an iteration is given: what is kept between rounds, and what the tasks of a round hold. */
export const ITERATE_MEMORY_BYTES_MIN = 256 * 1024;
/** Copied at once when parts of an output are put together. */
export const COMMIT_COPY_BYTES = 1024 * 1024;

// connect/files ---------------------------------------------------------------------------------------------------

/** Longest line, unless the source says otherwise. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;
/** Largest file that is read as one record, after decompression. */
export const DOCUMENT_BYTES_MAX = 16 * 1024 * 1024;
/** Read at once from a file. */
export const FILE_READ_BYTES = 256 * 1024;
/** Lines are made into strings together up to this size: what is kept of one keeps as much in memory. */
export const LINE_BLOCK_BYTES = 1024;
/** Held by one sink writer before it is written. */
export const SINK_BUFFER_BYTES = 256 * 1024;
/** Text that is collected before it is encoded. */
export const SINK_TEXT_CHARS = 32 * 1024;
/** Rows, and about so many bytes of them, that a Parquet writer holds: a row group. */
export const PARQUET_GROUP_ROWS = 100_000;
export const PARQUET_GROUP_BYTES = 32 * 1024 * 1024;
/** A block of a table is ended when it has so many bytes. */
export const TABLE_BLOCK_BYTES = 8 * 1024;
/** Keys of one filter of a table: bounds what a writer holds. */
export const TABLE_FILTER_KEYS = 64 * 1024;
export const TABLE_PARTITIONS_MAX = 65_536;
/** Blocks that a reader of a table keeps when nobody says otherwise. */
export const TABLE_CACHE_BYTES = 32 * 1024 * 1024;
/** Versions that may replace one another while a table is being opened. */
export const TABLE_OPEN_ATTEMPTS = 8;
/** Keys of one `getMany` that are looked up at the same time. */
export const TABLE_READS_MAX = 32;
/** Entries that a range of a table hands over at once. */
export const TABLE_BATCH_ENTRIES = 512;
