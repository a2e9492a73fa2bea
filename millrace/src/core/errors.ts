/**
 * The one error class, and the catalogue of its codes. A code is part of the public interface: it is never renamed
 * and never reused. `docs/reference/errors.md` is checked against the catalogue both ways.
 */

export interface ErrorEntry {
  /** What went wrong, in one sentence without a final period. */
  readonly summary: string;
  /** Whether the same call may succeed later without anything being changed by a person. */
  readonly retriable: boolean;
  /** What to do about it: the default of `MillraceError.hint`. */
  readonly hint: string;
}

/** NOTE: public names, do not rename or reuse. Sorted by code. */
export const ERRORS = {
  ML_ABORTED: {
    summary: 'The operation was cancelled by its caller',
    retriable: false,
    hint: 'Nothing to do: the caller asked for it',
  },
  ML_ADDRESS_IN_USE: {
    summary: 'Another process listens on that address and port',
    retriable: false,
    hint: '`ss -ltnp` shows which process listens there: stop it, or choose another port',
  },
  ML_ADDRESS_UNAVAILABLE: {
    summary: 'The host name or address does not belong to this machine',
    retriable: false,
    hint: '`ip address` lists the addresses of this machine: listen on one of them, or on 127.0.0.1',
  },
  ML_AMQP_REFUSED: {
    summary: 'The broker refused what was asked of it over AMQP',
    retriable: false,
    hint: 'The message has the code and the text of the broker; the codes are those of AMQP 0-9-1',
  },
  ML_ASSERT: {
    summary: 'A programming error inside Millrace',
    retriable: false,
    hint: 'Report it with the message and the stack',
  },
  ML_ASYNC_TIMEOUT: {
    summary: 'A call of an asynchronous function took longer than it may',
    retriable: true,
    hint: 'Allow it more time or more attempts: mapAsync(name, fn, { timeout, attempts }); or look at what it calls',
  },
  ML_BROADCAST_TOO_LARGE: {
    summary: 'The side of a broadcast does not fit into the memory of a task',
    retriable: false,
    hint: "Raise --memory, or join with another strategy: `{ strategy: 'sort-merge' }`",
  },
  ML_BROKER_REFUSED: {
    summary: 'The broker answered a request with an error',
    retriable: false,
    hint: 'The error names are those of the Kafka protocol',
  },
  ML_CHECKPOINT_DAMAGED: {
    summary: 'Neither copy of the checkpoint can be read',
    retriable: false,
    hint: 'Restore the data directory from a backup, or start once with `--repair`: every segment is read and what is good is kept',
  },
  ML_CODEC_UNAVAILABLE: {
    summary: 'The package for a compression codec cannot be loaded on this machine',
    retriable: false,
    hint: 'Install the package that the message names, or use a codec that Node has itself: gzip or zstd',
  },
  ML_COLUMN_UNKNOWN: {
    summary: 'A column is named that the input does not have',
    retriable: false,
    hint: 'The message lists the columns that there are',
  },
  ML_COMMIT_BUSY: {
    summary: 'Another job is writing to the same output',
    retriable: true,
    hint: 'Wait for the job that the message names, or write to another path',
  },
  ML_CONFIG_INVALID: {
    summary: 'A setting has an unknown name or a value that is not allowed',
    retriable: false,
    hint: 'Correct the setting that the message names; docs/reference/settings.md lists what each one allows',
  },
  ML_CONNECTION_LOST: {
    summary: 'A network connection ended before it was closed in order',
    retriable: true,
    hint: 'Connect again; if it repeats, look at the log of the other side',
  },
  ML_CONNECT_FAILED: {
    summary: 'No connection could be made to that host and port',
    retriable: true,
    hint: 'Check that the server runs and listens there (`ss -ltn` on its machine), and the host and port',
  },
  ML_DATA_NEWER: {
    summary: 'The data directory was written by a newer Millrace',
    retriable: false,
    hint: 'Start the version of Millrace that wrote it, or a newer one',
  },
  ML_DIR_LOCKED: {
    summary: 'Another process uses the data directory',
    retriable: false,
    hint: 'Stop the process that the message names, or choose another directory',
  },
  ML_DISK_FULL: {
    summary: 'There is no space left, or a quota or file size limit is reached',
    retriable: true,
    hint: '`df -h` on the data directory shows the device: free space there, or shorten the retention of topics; writes go on by themselves once there is room',
  },
  ML_FILE_CLOSED: {
    summary: 'A file was used after it had been closed',
    retriable: false,
    hint: 'Report it with the message and the stack',
  },
  ML_FILE_EXISTS: {
    summary: 'A file that must be new exists already',
    retriable: false,
    hint: 'Move the file that the message names out of the way',
  },
  ML_FILE_NOT_FOUND: {
    summary: 'A file or directory does not exist',
    retriable: false,
    hint: 'Check the path that the message names',
  },
  ML_FILE_TOO_LARGE: {
    summary: 'A file is larger than what may be read into memory at once',
    retriable: false,
    hint: 'Check that the file that the message names is the one it should be',
  },
  ML_FLOW_BUSY: {
    summary: 'Members of a flow are running',
    retriable: false,
    hint: 'Stop the flow in every process first; a process that was killed is a member until its session ends, ten seconds later',
  },
  ML_FLOW_CHANGED: {
    summary: 'The state that is saved for a flow was made by another version of it',
    retriable: false,
    hint: 'Begin anew with `millrace reset PROGRAM`, which deletes offsets and state of the flow, or give the changed flow another name',
  },
  ML_FLOW_INVALID: {
    summary: 'The program describes a flow that cannot be run',
    retriable: false,
    hint: 'Correct the operator that the message names',
  },
  ML_FSYNC_FAILED: {
    summary: 'The device could not confirm that data is safe',
    retriable: false,
    hint: 'Look for disk errors with `dmesg`, repair or replace the device, then start again: what was not confirmed is written anew',
  },
  ML_GROUP_FENCED: {
    summary: 'Another process has taken over the place of this member in its group',
    retriable: false,
    hint: 'Two processes use one instance id: end one of them, or give each an id of its own',
  },
  ML_GROUP_LOST: {
    summary:
      'The group has gone on without this member: nothing that it read since its last commit counts',
    retriable: true,
    hint: 'Join the group again, and read from the offsets that it has committed',
  },
  ML_HTTP_BUSY: {
    summary: 'The process serves as many requests, or subscriptions, as it can',
    retriable: true,
    hint: 'Ask again in a moment, or another process; or close subscriptions that nobody needs',
  },
  ML_HTTP_REQUEST: {
    summary: 'An HTTP request is none that is served here',
    retriable: false,
    hint: 'See docs/reference/http.md for the requests that there are',
  },
  ML_HTTP_SLOW: {
    summary: 'A subscriber of a topic did not take what it was sent',
    retriable: true,
    hint: 'Subscribe again behind the last event, with Last-Event-ID; and read faster, or choose another policy: slow=backpressure or slow=drop',
  },
  ML_INPUT_MALFORMED: {
    summary: 'A record of the input cannot be decoded',
    retriable: false,
    hint: 'Correct the input where the message says, or skip such records: flow(name, { onError: skipTo(sink) }, …)',
  },
  ML_INPUT_MISSING: {
    summary: 'No input file matches',
    retriable: false,
    hint: 'Check the path or the pattern, and the directory that the program is run in',
  },
  ML_INSECURE_BIND: {
    summary: 'Listening beyond this machine needs authentication, which is not configured',
    retriable: false,
    hint: 'Listen on 127.0.0.1, or allow everybody who reaches the port to read and write with `--insecure` (`insecure: true`)',
  },
  ML_IO: {
    summary: 'The operating system failed to read or write',
    retriable: false,
    hint: 'Look for disk errors with `dmesg`; the cause names the failing call',
  },
  ML_JOB_UNKNOWN: {
    summary: 'There is no job with that id',
    retriable: false,
    hint: '`millrace job list` shows those that there are',
  },
  ML_JOURNAL_DAMAGED: {
    summary:
      'The journal is damaged in the middle: records that were acknowledged cannot be read from it',
    retriable: false,
    hint: 'Restore the data directory from a backup, or start once with `--repair`: what is good is kept, what is lost is logged',
  },
  ML_KEY_INVALID: {
    summary: 'A value cannot be a key',
    retriable: false,
    hint: 'Keys are strings, numbers, bigints, booleans, dates, bytes, null, and arrays of these',
  },
  ML_LINE_TOO_LONG: {
    summary: 'A line of the input is longer than the limit',
    retriable: false,
    hint: 'Split the line, or produce it with a client that sends whole records',
  },
  ML_LOG_DAMAGED: {
    summary: 'A file of a partition log does not hold what was written',
    retriable: false,
    hint: 'Look for disk errors with `dmesg`; start once with `--repair` to rebuild what can be rebuilt',
  },
  ML_LOG_FAILED: {
    summary: 'The log store has stopped',
    retriable: false,
    hint: 'Look at the log lines before: the first failure says why; start again when it is repaired',
  },
  ML_MEMORY_TOO_SMALL: {
    summary: 'The memory that is allowed does not hold what a task needs at once',
    retriable: false,
    hint: 'Raise --memory',
  },
  ML_OFFSET_OUT_OF_RANGE: {
    summary: 'The offset is outside of what the partition holds',
    retriable: false,
    hint: '`millrace topic describe` shows the offsets that the partition holds',
  },
  ML_OUTPUT_EXISTS: {
    summary: 'The output exists already',
    retriable: false,
    hint: 'Remove it, write to another path, or replace it with --overwrite',
  },
  ML_OUTPUT_IS_INPUT: {
    summary: 'An output path is one of the inputs, or holds one',
    retriable: false,
    hint: 'Write to another path',
  },
  ML_PACKAGE_MISSING: {
    summary: 'A package that this feature needs is not installed',
    retriable: false,
    hint: 'Install the package that the message names: `npm install NAME`',
  },
  ML_PARAMETER_INVALID: {
    summary: 'A parameter of the program is unknown or has a value of the wrong type',
    retriable: false,
    hint: 'The message lists the parameters that the program has; set them with --set name=value',
  },
  ML_PATTERN_TOO_LARGE: {
    summary: 'A key has more partial matches of a pattern than are kept',
    retriable: false,
    hint: 'Bound the pattern: within(), until(), times() with a maximum, or greedy(); or a key with fewer records',
  },
  ML_PERMISSION: {
    summary: 'The operating system refuses access',
    retriable: false,
    hint: '`ls -ld` shows the owner and the mode: give them to the user that runs Millrace (`chown`, `chmod`); ports below 1024 need a privilege or another port',
  },
  ML_PRODUCER_FENCED: {
    summary:
      'Another producer has taken over the transactional id, or the transaction took too long',
    retriable: false,
    hint: 'Two processes use one transactional id: end one of them; or commit more often than the timeout of transactions',
  },
  ML_PROGRAM_INVALID: {
    summary: 'The file is not a program: it exports no flow, or fails when it is loaded',
    retriable: false,
    hint: "Export one: export default flow('name', (f) => { … })",
  },
  ML_QUEUE_DIFFERS: {
    summary: 'A queue is there, and is not what the program says that it is',
    retriable: false,
    hint: 'Say what it is, or nothing but its name; `millrace queue show` shows what it was declared as. To make it anew: `millrace queue delete`',
  },
  ML_QUEUE_FULL: {
    summary: 'A queue has refused a message, since it is full',
    retriable: true,
    hint: 'Have more workers, or let it hold more (`maxLength`); `millrace queue show` shows what is in it, `df -h` whether the disk is full',
  },
  ML_QUEUE_MISSING: {
    summary: 'A queue does not exist',
    retriable: false,
    hint: '`millrace queue list` shows which there are; `millrace queue declare` makes one',
  },
  ML_READ_ONLY: {
    summary: 'The file system is mounted read-only',
    retriable: false,
    hint: '`mount` shows how it is mounted; a file system turns read-only after disk errors: see `dmesg`, repair, then mount it again',
  },
  ML_RECORDS_MALFORMED: {
    summary: 'A record batch, or the records inside it, cannot be decoded',
    retriable: false,
    hint: 'Find what wrote the batch: `millrace consume` with its topic, partition and offset shows where it is',
  },
  ML_RECORDS_TOO_LARGE: {
    summary: 'A record batch is larger, or decompresses to more, than the limit',
    retriable: false,
    hint: 'Send smaller batches: lower `batch.size` or `max.request.size` of the producer',
  },
  ML_REQUEST_REFUSED: {
    summary: 'A client sent a request that only the end of its connection can answer',
    retriable: false,
    hint: 'Look at the version and the settings of the client that the message names',
  },
  ML_SINK_VALUE_INVALID: {
    summary: 'A record cannot be written in the format of the sink',
    retriable: false,
    hint: 'Map the record to what the message asks for before it is written',
  },
  ML_STATE_DAMAGED: {
    summary: "The broker's own records are damaged on disk",
    retriable: false,
    hint: 'Look for disk errors with `dmesg`, then restore the data directory from a copy',
  },
  ML_TABLE_DAMAGED: {
    summary: 'A file of a table does not hold what was written',
    retriable: false,
    hint: 'Write the table anew with the job that made it',
  },
  ML_TASK_ELSEWHERE: {
    summary: 'The task that was asked does not run in this process, or is not ready yet',
    retriable: true,
    hint: 'Ask the process that has it: the assignment of the flow says which; or ask again in a moment',
  },
  ML_TASK_FAILED: {
    summary: 'A task failed as often as it may be tried',
    retriable: false,
    hint: 'The cause is that of the last attempt; correct the program or the input',
  },
  ML_TASK_STATE_DAMAGED: {
    summary: 'The directory with the state of a task does not hold what was written',
    retriable: false,
    hint: 'Delete the directory that the message names: the changelog topics restore all of it at the next start',
  },
  ML_TIMESTAMP_INVALID: {
    summary: 'A record has no time, or one that is not possible',
    retriable: false,
    hint: "Say where the time of a record is: time: { of: (value) => … }; skip such records to a topic: onError: skipTo(topic('failed'))",
  },
  ML_TOO_MANY_FILES: {
    summary: 'The limit of open files is reached',
    retriable: true,
    hint: 'Raise the limit: `ulimit -n 65536` in the shell, or `LimitNOFILE=65536` in the systemd unit',
  },
  ML_TOO_MANY_SKIPPED: {
    summary: 'More records were skipped than the program allows',
    retriable: false,
    hint: 'Look at the record that the message names; when so many are expected, allow them: skipTo(sink, { recordsMax })',
  },
  ML_TOPIC_CHANGED: {
    summary:
      'A topic has another number of partitions, or is another topic under the same name, than when the flow started',
    retriable: false,
    hint: 'Start the flow again; when it says that its state does not fit, begin anew with `millrace reset PROGRAM`',
  },
  ML_TOPIC_MISSING: {
    summary: 'A topic or a partition does not exist',
    retriable: false,
    hint: 'See what there is with: millrace topic list; create one with: millrace topic create TOPIC',
  },
  ML_USAGE: {
    summary: 'A command, or a call of the library, is given what it does not take',
    retriable: false,
    hint: 'See millrace COMMAND --help, or docs/reference/library.md for calls',
  },
  ML_USER_FUNCTION: {
    summary: 'A function of the program threw',
    retriable: false,
    hint: 'Correct the function; the message names the record, the stack the line',
  },
  ML_VALUE_INVALID: {
    summary: 'A value cannot go from one task to another',
    retriable: false,
    hint: 'Use plain data: objects, arrays, strings, numbers, bigints, booleans, dates, bytes, Map, Set, null, undefined',
  },
  ML_VIEW_MOVING: {
    summary: 'What was asked for is moving to another process, or is being restored',
    retriable: true,
    hint: 'Ask again in a moment; `GET /flows/<flow>` shows how far it is',
  },
  ML_VIEW_REQUEST: {
    summary: 'A question about a view cannot be understood',
    retriable: false,
    hint: 'The message says what is wrong with it; docs/how-to/query-views.md has examples of all questions',
  },
  ML_VIEW_SLOW: {
    summary: 'A subscriber did not take what it was sent',
    retriable: true,
    hint: 'Read faster, or subscribe to fewer keys; then subscribe again behind the last event, with Last-Event-ID',
  },
  ML_VIEW_UNFOLLOWED: {
    summary: 'The changes of this view cannot be followed',
    retriable: false,
    hint: 'Ask it by key or range; the message says what can be followed instead',
  },
  ML_VIEW_UNKNOWN: {
    summary: 'There is no flow, or no view, of that name',
    retriable: false,
    hint: 'Look for the name with `GET /flows` and `GET /flows/<flow>/views`',
  },
  ML_VIEW_UNREACHABLE: {
    summary: 'The process that has the answer cannot be asked',
    retriable: true,
    hint: 'Start every process of the flow with --http, on addresses that reach one another',
  },
  ML_WEBHOOK_ADDRESS: {
    summary: 'A webhook may not be sent there',
    retriable: true,
    hint: 'Name an endpoint that is reached over https at a public address; or allow private addresses: allowPrivate',
  },
  ML_WEBHOOK_DISABLED: {
    summary: 'The endpoint of a webhook has answered 410: it wants nothing any more',
    retriable: false,
    hint: 'Nothing is lost: the position in the topic is kept. When the endpoint wants webhooks again, start the delivery once with enable: true',
  },
  ML_WEBHOOK_FAILED: {
    summary: 'The endpoint of a webhook did not take it',
    retriable: true,
    hint: 'Look at what the endpoint says, in the message; it has to answer 2xx in time',
  },
  ML_WEBHOOK_UNVERIFIED: {
    summary: 'A webhook that came is not signed by who should have sent it, or too long ago',
    retriable: false,
    hint: 'Check that both sides have the same secret, that the body is signed as it is sent, and the clock of the sender',
  },
  ML_WIRE_MALFORMED: {
    summary: 'Bytes that are not the message they claim to be',
    retriable: false,
    hint: 'Check that the peer speaks the Kafka protocol, and which client and version it is',
  },
  ML_WIRE_UNREPRESENTABLE: {
    summary: 'A value that a message of this version cannot hold',
    retriable: false,
    hint: 'Use a newer version of the request, or leave the field at its default',
  },
  ML_WORKER_LOST: {
    summary: 'A worker process ended in the middle of a task',
    retriable: true,
    hint: 'Look at what the worker wrote last, and at the memory of the machine: `dmesg` shows what the kernel has ended',
  },
  ML_WORK_TIMEOUT: {
    summary: 'A message was not handled in time',
    retriable: true,
    hint: 'Allow more time: work(handler, { timeout }), on a queue whose `consumerTimeout` is longer; or look at what the handler waits for',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorOptions {
  /** Defaults to the catalogue's. */
  readonly retriable?: boolean;
  /** The command or change that fixes it. Defaults to the catalogue's. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** What failed: file, topic, partition, offset, and so on. */
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Every error that Millrace throws or rejects with.
 * @example throw new MillraceError('ML_DISK_FULL', 'no space left to append to topic orders', { fields: { partition: 3 } })
 */
export class MillraceError extends Error {
  override readonly name = 'MillraceError';
  readonly code: ErrorCode;
  readonly retriable: boolean;
  readonly hint: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retriable = options.retriable ?? ERRORS[code].retriable;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.fields = options.fields ?? {};
  }
}

/** Throws ML_ASSERT when `condition` does not hold: for programmer errors only, never for input. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new MillraceError('ML_ASSERT', message);
}
