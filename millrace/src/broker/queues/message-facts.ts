/**
 * What a queue needs to know of a message beside its bytes, read from its properties without decoding them: expiration, priority, and the
 * headers `x-delay` and `x-dedupe-key`. Bad bytes say nothing.
 *
 * @hot
 */

/** Flags of properties, as AMQP numbers them. */
const HAS_CONTENT_TYPE = 0x8000;
const HAS_CONTENT_ENCODING = 0x4000;
const HAS_HEADERS = 0x2000;
const HAS_DELIVERY_MODE = 0x1000;
const HAS_PRIORITY = 0x0800;
const HAS_CORRELATION_ID = 0x0400;
const HAS_REPLY_TO = 0x0200;
const HAS_EXPIRATION = 0x0100;
const INTERESTING = HAS_HEADERS | HAS_PRIORITY | HAS_EXPIRATION;

export interface MessageFacts {
  /** Milliseconds; -1 = none. */
  expirationMs: number;
  priority: number;
  /** 0 = none. */
  delayMs: number;
  dedupeKey: string | undefined;
}

export const NO_FACTS: Readonly<MessageFacts> = {
  expirationMs: -1,
  priority: 0,
  delayMs: 0,
  dedupeKey: undefined,
};

/** Longest delay and expiration that counts: beyond, it is that. 2^53 would do; this is 100 years. */
const DURATION_MS_MAX = 100 * 365 * 86_400_000;

/** The facts of a message with these properties. */
export function factsOf(properties: Buffer): Readonly<MessageFacts> {
  if (properties.length <= 2) return NO_FACTS;
  const flags = properties.readUInt16BE(0);
  if ((flags & INTERESTING) === 0) return NO_FACTS;
  const facts: MessageFacts = { ...NO_FACTS };
  const { length } = properties;
  let at = 2;
  const skipShort = (): void => {
    at += 1 + (properties[at] ?? length);
  };
  if (flags & HAS_CONTENT_TYPE) skipShort();
  if (flags & HAS_CONTENT_ENCODING) skipShort();
  if (flags & HAS_HEADERS) {
    if (at + 4 > length) return NO_FACTS;
    const end = at + 4 + properties.readUInt32BE(at);
    if (end > length) return NO_FACTS;
    readTable(properties, at + 4, end, facts);
    at = end;
  }
  if (flags & HAS_DELIVERY_MODE) at++;
  if (flags & HAS_PRIORITY) facts.priority = properties[at++] ?? 0;
  if (flags & HAS_CORRELATION_ID) skipShort();
  if (flags & HAS_REPLY_TO) skipShort();
  if (flags & HAS_EXPIRATION && at < length) {
    const bytes = properties[at] as number;
    if (at + 1 + bytes <= length)
      facts.expirationMs = durationOf(properties.latin1Slice(at + 1, at + 1 + bytes)) ?? -1;
  }
  return facts;
}

function durationOf(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Math.min(Number(text), DURATION_MS_MAX) : undefined;
}

/** Looks at the fields of a table, as long as they can be skipped. */
function readTable(bytes: Buffer, start: number, end: number, facts: MessageFacts): void {
  let at = start;
  while (at < end) {
    const nameBytes = bytes[at] as number;
    const name = at + 1;
    const type = name + nameBytes;
    if (type >= end) return;
    const value = type + 1;
    const size = valueBytes(bytes, bytes[type] as number, value, end);
    if (size < 0 || value + size > end) return;
    // Only two names are of interest, and both begin with `x-`.
    if (bytes[name] === 0x78 && bytes[name + 1] === 0x2d) {
      const text = bytes.latin1Slice(name, type);
      if (text === 'x-delay') facts.delayMs = delayOf(bytes, bytes[type] as number, value, size);
      else if (text === 'x-dedupe-key' && bytes[type] === 0x53)
        facts.dedupeKey = bytes.utf8Slice(value + 4, value + size);
    }
    at = value + size;
  }
}

/** Bytes of a value without its type; -1 for a type that does not exist. */
function valueBytes(bytes: Buffer, type: number, at: number, end: number): number {
  switch (String.fromCharCode(type)) {
    case 'V':
      return 0;
    case 't':
    case 'b':
    case 'B':
      return 1;
    case 's':
    case 'u':
      return 2;
    case 'I':
    case 'i':
    case 'f':
      return 4;
    case 'D':
      return 5;
    case 'l':
    case 'L':
    case 'd':
    case 'T':
      return 8;
    case 'S':
    case 'x':
    case 'A':
    case 'F':
      return at + 4 > end ? -1 : 4 + bytes.readUInt32BE(at);
    default:
      return -1;
  }
}

function delayOf(bytes: Buffer, type: number, at: number, size: number): number {
  const delayMs = numberOf(bytes, type, at, size);
  return delayMs > 0 ? Math.min(Math.floor(delayMs), DURATION_MS_MAX) : 0;
}

function numberOf(bytes: Buffer, type: number, at: number, size: number): number {
  switch (String.fromCharCode(type)) {
    case 'b':
      return bytes.readInt8(at);
    case 'B':
      return bytes.readUInt8(at);
    case 's':
      return bytes.readInt16BE(at);
    case 'u':
      return bytes.readUInt16BE(at);
    case 'I':
      return bytes.readInt32BE(at);
    case 'i':
      return bytes.readUInt32BE(at);
    case 'l':
    case 'L':
      return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
    case 'f':
      return bytes.readFloatBE(at);
    case 'd':
      return bytes.readDoubleBE(at);
    case 'S':
      return durationOf(bytes.latin1Slice(at + 4, at + size)) ?? 0;
    default:
      return 0;
  }
}

/** Properties that have nothing but headers: texts, and null. */
export function propertiesOfHeaders(headers: Readonly<Record<string, string | null>>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(headers)) {
    const key = Buffer.from(name);
    parts.push(Buffer.from([key.length]), key);
    if (value === null) {
      parts.push(Buffer.from('V'));
      continue;
    }
    const text = Buffer.from(value);
    const head = Buffer.from('S\0\0\0\0');
    head.writeUInt32BE(text.length, 1);
    parts.push(head, text);
  }
  const table = Buffer.concat(parts);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(HAS_HEADERS, 0);
  head.writeUInt32BE(table.length, 2);
  return Buffer.concat([head, table]);
}
