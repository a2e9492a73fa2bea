/**
 * What a broker says when it refuses something: the codes of AMQP, which of them end the connection, and the error that carries one to
 * whoever answers the client.
 *
 * NOTE: numbers of the protocol, do not change.
 *
 * Source: AMQP 0-9-1, "Constants".
 */

export const REPLY_SUCCESS = 200;

export const REPLY_CODES = {
  CONTENT_TOO_LARGE: 311,
  NO_ROUTE: 312,
  NO_CONSUMERS: 313,
  CONNECTION_FORCED: 320,
  INVALID_PATH: 402,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  FRAME_ERROR: 501,
  SYNTAX_ERROR: 502,
  COMMAND_INVALID: 503,
  CHANNEL_ERROR: 504,
  UNEXPECTED_FRAME: 505,
  RESOURCE_ERROR: 506,
  NOT_ALLOWED: 530,
  NOT_IMPLEMENTED: 540,
  INTERNAL_ERROR: 541,
} as const;

export type ReplyName = keyof typeof REPLY_CODES;

/** Those that end a channel; all others end the connection. */
const SOFT: ReadonlySet<ReplyName> = new Set<ReplyName>([
  'CONTENT_TOO_LARGE',
  'NO_ROUTE',
  'NO_CONSUMERS',
  'ACCESS_REFUSED',
  'NOT_FOUND',
  'RESOURCE_LOCKED',
  'PRECONDITION_FAILED',
]);

const NAMES: ReadonlyMap<number, ReplyName> = new Map(
  Object.entries(REPLY_CODES).map(([name, code]) => [code, name as ReplyName]),
);

/** The name of a code, `NOT_FOUND`; undefined for one that AMQP does not have. */
export function replyName(code: number): ReplyName | undefined {
  return NAMES.get(code);
}

/** Whether a refusal with this code ends the whole connection. */
function isHardReply(name: ReplyName): boolean {
  return !SOFT.has(name);
}

export interface FaultOptions {
  /** The method that was refused; 0 when it was none. */
  readonly classId?: number;
  readonly methodId?: number;
  /** Default: what the code says. A soft code ends the connection too when there is no channel yet. */
  readonly isHard?: boolean;
}

/** The longest text of a short string, in bytes. */
const SHORT_STRING_BYTES_MAX = 255;

/**
 * Ends a channel, or the connection (`isHard`), with a code and a text for people.
 * @example throw new AmqpFault('NOT_FOUND', "no queue 'orders' in vhost '/'", { classId: 50, methodId: 10 });
 */
export class AmqpFault extends Error {
  override readonly name = 'AmqpFault';
  readonly reply: ReplyName;
  readonly code: number;
  /** Without the name of the code. */
  readonly text: string;
  classId: number;
  methodId: number;
  readonly isHard: boolean;

  constructor(reply: ReplyName, text: string, options: FaultOptions = {}) {
    super(`${reply} - ${text}`);
    this.reply = reply;
    this.code = REPLY_CODES[reply];
    this.text = text;
    this.classId = options.classId ?? 0;
    this.methodId = options.methodId ?? 0;
    this.isHard = options.isHard ?? isHardReply(reply);
  }

  /** `NOT_FOUND - no queue …`, as clients show it, cut at what a short string holds. */
  get replyText(): string {
    return shortened(this.message);
  }

  /** Says which method it was about, where that is not known yet. */
  about(classId: number, methodId: number): this {
    if (this.classId === 0) {
      this.classId = classId;
      this.methodId = methodId;
    }
    return this;
  }
}

/** The text, cut between characters where a short string has to end. */
export function shortened(text: string): string {
  if (text.length * 3 <= SHORT_STRING_BYTES_MAX) return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= SHORT_STRING_BYTES_MAX) return text;
  let end = SHORT_STRING_BYTES_MAX;
  // Not within a character: its further bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
