/**
 * Properties of a message: flags, then a list of the values whose flag is set, in the order of the flags.
 *
 *   flags u16 (15 content-type … 2 cluster-id; 1 unused; 0 would announce more flags) | values
 *
 * A broker keeps them as the bytes that were published. It reads the few facts that it needs, which is when they are checked, and changes
 * single values in the bytes.
 *
 * Source: AMQP 0-9-1, "Content Header", basic class.
 */
import {
  close,
  enter,
  open,
  readTable,
  readValue,
  skipValue,
  writeTable,
  writeValue,
  type FieldTable,
  type FieldValue,
} from './field-table.ts';
import { AmqpReader } from './reader.ts';
import { written, type AmqpWriter } from './writer.ts';

export interface BasicProperties {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly headers?: FieldTable;
  /** 2: persistent; 1 or absent: not. */
  readonly deliveryMode?: number;
  /** 0 to 255. */
  readonly priority?: number;
  readonly correlationId?: string;
  readonly replyTo?: string;
  /** Milliseconds, as text. */
  readonly expiration?: string;
  readonly messageId?: string;
  /** Seconds since 1970. */
  readonly timestamp?: number;
  readonly type?: string;
  readonly userId?: string;
  readonly appId?: string;
  readonly clusterId?: string;
}

type Kind = 'shortstr' | 'octet' | 'timestamp' | 'table';

type Property = readonly [name: keyof BasicProperties, kind: Kind];

/** In the order of flags and values: the first has bit 15. NOTE: of the protocol, do not change. */
const PROPERTIES = [
  ['contentType', 'shortstr'],
  ['contentEncoding', 'shortstr'],
  ['headers', 'table'],
  ['deliveryMode', 'octet'],
  ['priority', 'octet'],
  ['correlationId', 'shortstr'],
  ['replyTo', 'shortstr'],
  ['expiration', 'shortstr'],
  ['messageId', 'shortstr'],
  ['timestamp', 'timestamp'],
  ['type', 'shortstr'],
  ['userId', 'shortstr'],
  ['appId', 'shortstr'],
  ['clusterId', 'shortstr'],
] as const satisfies readonly Property[];

/** @hot NOTE: of the protocol: 1 << (15 - place in PROPERTIES). */
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;
const DELIVERY_MODE = 0x1000;
const PRIORITY = 0x0800;
const CORRELATION_ID = 0x0400;
const REPLY_TO = 0x0200;
const EXPIRATION = 0x0100;
const MESSAGE_ID = 0x0080;
const TIMESTAMP = 0x0040;
const TYPE = 0x0020;
const USER_ID = 0x0010;
const APP_ID = 0x0008;
const CLUSTER_ID = 0x0004;
const NO_PROPERTY = 0x0003;

const PERSISTENT = 2;

/** One reader for all: nothing that it does gives up the turn. */
const shared = new AmqpReader();

/**
 * The properties in bytes[start, end): flags and list.
 * @throws {AmqpFault} SYNTAX_ERROR
 */
export function decodeProperties(
  bytes: Buffer,
  start = 0,
  end: number = bytes.length,
): BasicProperties {
  const reader = shared.over(bytes, start, end);
  const flags = readFlags(reader);
  const properties: Record<string, unknown> = {};
  for (let index = 0; index < PROPERTIES.length; index++) {
    if ((flags & (0x8000 >>> index)) === 0) continue;
    const [name, kind] = PROPERTIES[index] as Property;
    properties[name] = readProperty(reader, kind);
  }
  checkEnd(reader);
  reader.release();
  return properties;
}

function readProperty(reader: AmqpReader, kind: Kind): unknown {
  if (kind === 'shortstr') return reader.shortText();
  if (kind === 'octet') return reader.octet();
  return kind === 'table' ? readTable(reader) : reader.longlong();
}

/** Flags and list. @throws {MillraceError} ML_WIRE_UNREPRESENTABLE */
export function encodeProperties(properties: BasicProperties): Buffer {
  return written((writer) => {
    writer.short(0);
    let flags = 0;
    for (let index = 0; index < PROPERTIES.length; index++) {
      const [name, kind] = PROPERTIES[index] as Property;
      const value = properties[name];
      if (value === undefined) continue;
      flags |= 0x8000 >>> index;
      writeProperty(writer, kind, value);
    }
    writer.buffer.writeUInt16BE(flags, 0);
  });
}

function writeProperty(writer: AmqpWriter, kind: Kind, value: string | number | FieldTable): void {
  if (kind === 'shortstr') writer.shortString(value as string);
  else if (kind === 'octet') writer.octet(Number(value));
  else if (kind === 'table') writeTable(writer, value as FieldTable);
  else writer.longlong(Math.max(0, Math.floor(Number(value))));
}

function readFlags(reader: AmqpReader): number {
  const flags = reader.short();
  if ((flags & NO_PROPERTY) !== 0)
    reader.fail(`unknown flags of properties: ${flags & NO_PROPERTY}`);
  return flags;
}

function checkEnd(reader: AmqpReader): void {
  if (reader.position !== reader.end) {
    reader.fail(`${reader.remaining()} bytes after the end of the properties`);
  }
}

// What a broker looks at ------------------------------------------------------------------------------------------

/** What a broker needs to know of a message that it does not otherwise look into. */
export interface PropertyFacts {
  readonly isPersistent: boolean;
  /** 0 when it has none. */
  readonly priority: number;
  /** As published; undefined for none. `expirationMs` says what it means. */
  readonly expiration: string | undefined;
  readonly replyTo: string | undefined;
  readonly userId: string | undefined;
  /** Header `x-delay` in milliseconds; undefined for none, or one that is no number above 0. */
  readonly delayMs: number | undefined;
  /** Header `x-dedupe-key`. */
  readonly dedupeKey: string | undefined;
  /** Header `x-key`. */
  readonly key: string | undefined;
  /** It has a header CC or BCC: further routing keys. */
  readonly hasCopies: boolean;
  readonly hasHeaders: boolean;
}

/** As PropertyFacts, while they are collected. One shape for all. */
class Facts implements PropertyFacts {
  isPersistent = false;
  priority = 0;
  expiration: string | undefined = undefined;
  replyTo: string | undefined = undefined;
  userId: string | undefined = undefined;
  delayMs: number | undefined = undefined;
  dedupeKey: string | undefined = undefined;
  key: string | undefined = undefined;
  hasCopies = false;
  hasHeaders = false;
}

const TRANSIENT_FACTS: PropertyFacts = Object.freeze(new Facts());
const PERSISTENT_FACTS: PropertyFacts = Object.freeze(
  Object.assign(new Facts(), { isPersistent: true }),
);

/**
 * @hot The facts of a message, out of its flags and list. All of it is checked, whatever is asked for.
 * @throws {AmqpFault} SYNTAX_ERROR when they are not well formed
 */
export function readFacts(bytes: Buffer, start = 0, end: number = bytes.length): PropertyFacts {
  const reader = shared.over(bytes, start, end);
  const flags = readFlags(reader);
  if (flags === 0 && start + 2 === end) return TRANSIENT_FACTS;
  if (flags === DELIVERY_MODE && start + 3 === end) {
    return bytes[start + 2] === PERSISTENT ? PERSISTENT_FACTS : TRANSIENT_FACTS;
  }
  const facts = new Facts();
  if ((flags & CONTENT_TYPE) !== 0) skipShortString(reader);
  if ((flags & CONTENT_ENCODING) !== 0) skipShortString(reader);
  if ((flags & HEADERS) !== 0) readHeaderFacts(reader, facts);
  if ((flags & DELIVERY_MODE) !== 0) facts.isPersistent = reader.octet() === PERSISTENT;
  if ((flags & PRIORITY) !== 0) facts.priority = reader.octet();
  if ((flags & CORRELATION_ID) !== 0) skipShortString(reader);
  if ((flags & REPLY_TO) !== 0) facts.replyTo = reader.shortText();
  if ((flags & EXPIRATION) !== 0) facts.expiration = reader.shortText();
  if ((flags & MESSAGE_ID) !== 0) skipShortString(reader);
  if ((flags & TIMESTAMP) !== 0) reader.take(8);
  if ((flags & TYPE) !== 0) skipShortString(reader);
  if ((flags & USER_ID) !== 0) facts.userId = reader.shortText();
  if ((flags & APP_ID) !== 0) skipShortString(reader);
  if ((flags & CLUSTER_ID) !== 0) skipShortString(reader);
  checkEnd(reader);
  reader.release();
  return facts;
}

/** Values that a broker does not use may be any bytes, as with RabbitMQ. */
function skipShortString(reader: AmqpReader): void {
  reader.take(reader.octet());
}

function readHeaderFacts(reader: AmqpReader, facts: Facts): void {
  facts.hasHeaders = true;
  const outerEnd = enter(reader, 0);
  while (reader.position < reader.end) {
    const name = reader.shortText();
    switch (name) {
      case 'x-delay':
        facts.delayMs = delayOf(readValue(reader, 0));
        break;
      case 'x-dedupe-key':
        facts.dedupeKey = textOf(readValue(reader, 0));
        break;
      case 'x-key':
        facts.key = textOf(readValue(reader, 0));
        break;
      case 'CC':
      case 'BCC':
        facts.hasCopies = true;
        skipValue(reader, 0);
        break;
      default:
        skipValue(reader, 0);
    }
  }
  reader.end = outerEnd;
}

function delayOf(value: FieldValue): number | undefined {
  const ms = typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;
  return ms > 0 ? ms : undefined;
}

function textOf(value: FieldValue): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** What an `expiration` means, in milliseconds; undefined when it is no whole number, written in digits. */
export function expirationMs(expiration: string): number | undefined {
  if (!/^\d{1,15}$/.test(expiration)) return undefined;
  return Number(expiration);
}

// Changes ---------------------------------------------------------------------------------------------------------

/** New values of properties; undefined takes one away. Of headers only those that are named change. */
export type PropertyChanges = {
  readonly [Name in Exclude<keyof BasicProperties, 'headers'>]?: BasicProperties[Name] | undefined;
} & { readonly headers?: HeaderChanges };

/** undefined takes a header away. */
export interface HeaderChanges {
  readonly [name: string]: FieldValue | undefined;
}

/** The properties with these headers added, replaced or (undefined) taken away; everything else stays byte by byte. */
export function withHeaders(properties: Buffer, headers: HeaderChanges): Buffer {
  return withProperties(properties, { headers });
}

/**
 * The properties with some of them changed; everything else stays byte by byte.
 * @example withProperties(properties, { expiration: undefined, headers: { 'x-death': deaths } });
 * @throws {AmqpFault} SYNTAX_ERROR when they are not well formed
 */
export function withProperties(properties: Buffer, changes: PropertyChanges): Buffer {
  const reader = new AmqpReader().over(properties, 0, properties.length);
  const given = readFlags(reader);
  return written((writer) => writeChanged(writer, reader, given, changes));
}

function writeChanged(
  writer: AmqpWriter,
  reader: AmqpReader,
  given: number,
  changes: PropertyChanges,
): void {
  writer.short(0);
  let flags = 0;
  for (const [index, [name, kind]] of PROPERTIES.entries()) {
    const flag = 0x8000 >>> index;
    const start = reader.position;
    const isGiven = (given & flag) !== 0;
    if (isGiven) skipProperty(reader, kind);
    if (name === 'headers') {
      const from = isGiven ? start : -1;
      if (changeHeaders(reader, writer, { from, changes: changes.headers })) flags |= flag;
    } else if (Object.hasOwn(changes, name)) {
      const value = changes[name];
      if (value === undefined) continue;
      flags |= flag;
      writeProperty(writer, kind, value);
    } else if (isGiven) {
      flags |= flag;
      writer.bytes(reader.buffer, start, reader.position);
    }
  }
  checkEnd(reader);
  writer.buffer.writeUInt16BE(flags, 0);
}

function skipProperty(reader: AmqpReader, kind: Kind): void {
  if (kind === 'shortstr') skipShortString(reader);
  else if (kind === 'octet') reader.take(1);
  else if (kind === 'timestamp') reader.take(8);
  else reader.take(reader.long());
}

interface TableChange {
  /** Where the table of headers begins; -1 for none. */
  readonly from: number;
  readonly changes: HeaderChanges | undefined;
}

/** @returns whether there are headers now */
function changeHeaders(reader: AmqpReader, writer: AmqpWriter, change: TableChange): boolean {
  const { from, changes } = change;
  const { buffer, position } = reader;
  if (changes === undefined) {
    if (from >= 0) writer.bytes(buffer, from, position);
    return from >= 0;
  }
  const flagsAt = writer.length;
  const start = open(writer, 0);
  if (from >= 0) {
    const table = new AmqpReader().over(buffer, from, position);
    enter(table, 0);
    while (table.position < table.end) {
      const entry = table.position;
      const name = table.shortText();
      skipValue(table, 0);
      if (!Object.hasOwn(changes, name)) writer.bytes(buffer, entry, table.position);
    }
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    writer.shortString(name);
    writeValue(writer, value, 0);
  }
  if (writer.length === start) {
    writer.length = flagsAt;
    return false;
  }
  close(writer, start);
  return true;
}
