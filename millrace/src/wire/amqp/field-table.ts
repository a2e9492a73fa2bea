/**
 * Tables of AMQP, in RabbitMQ's dialect of field types, which is what clients speak.
 *
 *   table  size u32, then for each entry: name (u8 length, UTF-8) | value          array  size u32, values
 *   value  type, one character | content
 *
 * A value that was read is written as an equal one: what JavaScript cannot tell apart is wrapped. Of numbers the value is kept, and
 * not how many bits it came in.
 *
 * Decoding is safe on any bytes: lengths are checked, and tables within tables are bounded. Tables have no prototype: `__proto__` and
 * `constructor` are names like others.
 *
 * Source: RabbitMQ's errata to AMQP 0-9-1 (field types).
 */
import { MillraceError } from '../../core/errors.ts';
import { TABLE_DEPTH_MAX } from '../../core/queue-limits.ts';
import { AmqpReader, longAt } from './reader.ts';
import { putLong, written, type AmqpWriter } from './writer.ts';

export interface FieldTable {
  readonly [name: string]: FieldValue;
}

export type FieldValue =
  | null
  | boolean
  /** Out: an integer as `I` within 32 bits, else `l`; others as `d`. In: b B s u I i, f d; and l L within 2^53. */
  | number
  /** `l`: beyond 2^53. */
  | bigint
  /** `S` */
  | string
  /** `x` */
  | Uint8Array
  /** `T`: seconds since 1970. */
  | FieldTimestamp
  | FieldDecimal
  /** `A` */
  | readonly FieldValue[]
  /** `F` */
  | FieldTable;

export class FieldTimestamp {
  readonly seconds: number;

  constructor(seconds: number) {
    this.seconds = seconds;
  }
}

/** `D`: value / 10^scale. */
export class FieldDecimal {
  readonly scale: number;
  readonly value: number;

  constructor(scale: number, value: number) {
    this.scale = scale;
    this.value = value;
  }
}

/** NOTE: of the protocol, do not change. */
const TYPE = {
  bool: 0x74, // t
  int8: 0x62, // b
  uint8: 0x42, // B
  int16: 0x73, // s
  uint16: 0x75, // u
  int32: 0x49, // I
  uint32: 0x69, // i
  int64: 0x6c, // l
  int64Too: 0x4c, // L
  float: 0x66, // f
  double: 0x64, // d
  decimal: 0x44, // D
  text: 0x53, // S
  array: 0x41, // A
  timestamp: 0x54, // T
  table: 0x46, // F
  nothing: 0x56, // V
  bytes: 0x78, // x
} as const;

/** What a value of a type takes, where that is always the same. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  [TYPE.bool]: 1,
  [TYPE.int8]: 1,
  [TYPE.uint8]: 1,
  [TYPE.int16]: 2,
  [TYPE.uint16]: 2,
  [TYPE.int32]: 4,
  [TYPE.uint32]: 4,
  [TYPE.int64]: 8,
  [TYPE.int64Too]: 8,
  [TYPE.float]: 4,
  [TYPE.double]: 8,
  [TYPE.decimal]: 5,
  [TYPE.timestamp]: 8,
  [TYPE.nothing]: 0,
};

/** The size in front of a table or an array. */
const SIZE_BYTES = 4;

/**
 * The table in a range of bytes: its size, and as much as that says.
 * @throws {AmqpFault} SYNTAX_ERROR
 */
export function decodeTable(buffer: Buffer, start = 0, end: number = buffer.length): FieldTable {
  const reader = new AmqpReader().over(buffer, start, end);
  const table = readTable(reader);
  if (reader.remaining() > 0) reader.fail(`${reader.remaining()} bytes after a table`);
  return table;
}

/** @throws {MillraceError} ML_WIRE_UNREPRESENTABLE */
export function encodeTable(table: FieldTable): Buffer {
  return written((writer) => writeTable(writer, table));
}

/** Whether two tables hold the same: in any order of names, numbers by their value. */
export function equalTables(a: FieldTable, b: FieldTable): boolean {
  const names = definedNames(a);
  if (names.length !== definedNames(b).length) return false;
  return names.every((name) => {
    const value = a[name];
    const other = Object.hasOwn(b, name) ? b[name] : undefined;
    return value !== undefined && other !== undefined && equalFieldValues(value, other);
  });
}

export function equalFieldValues(a: FieldValue, b: FieldValue): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    if (isNumeric(a) && isNumeric(b)) return a === b || BigInt(a) === BigInt(b);
    return a === b || (Number.isNaN(a) && Number.isNaN(b));
  }
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (isArray(a) || isArray(b)) {
    if (!isArray(a) || !isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => equalFieldValues(item, b[index] ?? null));
  }
  if (a instanceof FieldTimestamp || b instanceof FieldTimestamp) {
    return a instanceof FieldTimestamp && b instanceof FieldTimestamp && a.seconds === b.seconds;
  }
  if (a instanceof FieldDecimal || b instanceof FieldDecimal) {
    if (!(a instanceof FieldDecimal) || !(b instanceof FieldDecimal)) return false;
    return a.scale === b.scale && a.value === b.value;
  }
  return equalTables(a, b);
}

function definedNames(table: FieldTable): string[] {
  return Object.keys(table).filter((name) => table[name] !== undefined);
}

function isNumeric(value: FieldValue): value is number | bigint {
  return typeof value === 'bigint' || Number.isInteger(value);
}

function isArray(value: FieldValue | undefined): value is readonly FieldValue[] {
  return Array.isArray(value);
}

// Reading ---------------------------------------------------------------------------------------------------------

export function readTable(reader: AmqpReader, depth = 0): FieldTable {
  const table = Object.create(null) as Record<string, FieldValue>;
  const outerEnd = enter(reader, depth);
  while (reader.position < reader.end) {
    const name = reader.shortText();
    table[name] = readValue(reader, depth);
  }
  reader.end = outerEnd;
  return table;
}

function readArray(reader: AmqpReader, depth: number): readonly FieldValue[] {
  const values: FieldValue[] = [];
  const outerEnd = enter(reader, depth);
  while (reader.position < reader.end) values.push(readValue(reader, depth));
  reader.end = outerEnd;
  return values;
}

/** Moves the end of reading to that of the table or array that begins here. @returns where it was */
export function enter(reader: AmqpReader, depth: number): number {
  if (depth >= TABLE_DEPTH_MAX)
    reader.fail(`more than ${TABLE_DEPTH_MAX} tables inside one another`);
  const size = reader.long();
  const start = reader.take(size);
  const outerEnd = reader.end;
  reader.position = start;
  reader.end = start + size;
  return outerEnd;
}

/** One value with its type. `depth` is that of the table or array that it is in. */
export function readValue(reader: AmqpReader, depth: number): FieldValue {
  const type = reader.octet();
  switch (type) {
    case TYPE.text:
      return reader.longText();
    case TYPE.int32:
      return reader.long() | 0;
    case TYPE.bool:
      return reader.octet() !== 0;
    case TYPE.int64:
    case TYPE.int64Too:
      return readInt64(reader);
    case TYPE.int8:
      return (reader.octet() << 24) >> 24;
    case TYPE.uint8:
      return reader.octet();
    case TYPE.int16:
      return (reader.short() << 16) >> 16;
    case TYPE.uint16:
      return reader.short();
    case TYPE.uint32:
      return reader.long();
    case TYPE.float:
      return reader.buffer.readFloatBE(reader.take(4));
    case TYPE.double:
      return reader.buffer.readDoubleBE(reader.take(8));
    case TYPE.decimal:
      return new FieldDecimal(reader.octet(), reader.long());
    case TYPE.timestamp:
      return new FieldTimestamp(reader.longlong());
    case TYPE.array:
      return readArray(reader, depth + 1);
    case TYPE.table:
      return readTable(reader, depth + 1);
    case TYPE.bytes:
      return reader.longBytes();
    case TYPE.nothing:
      return null;
    default:
      return reader.fail(`a value of the unknown type ${type}`);
  }
}

/** Moves past one value, and checks it as `readValue` does, without making anything of it. */
export function skipValue(reader: AmqpReader, depth: number): void {
  const type = reader.octet();
  switch (type) {
    case TYPE.text:
    case TYPE.bytes:
      reader.take(reader.long());
      return;
    case TYPE.array:
    case TYPE.table:
      skipTable(reader, depth + 1, type === TYPE.table);
      return;
    default: {
      const bytes = FIXED_BYTES[type] ?? -1;
      if (bytes === -1) reader.fail(`a value of the unknown type ${type}`);
      reader.take(bytes);
    }
  }
}

function skipTable(reader: AmqpReader, depth: number, hasNames: boolean): void {
  const outerEnd = enter(reader, depth);
  while (reader.position < reader.end) {
    if (hasNames) reader.take(reader.octet());
    skipValue(reader, depth);
  }
  reader.end = outerEnd;
}

function readInt64(reader: AmqpReader): number | bigint {
  const at = reader.take(8);
  const { buffer } = reader;
  const value = (longAt(buffer, at) | 0) * 0x1_0000_0000 + longAt(buffer, at + 4);
  return Number.isSafeInteger(value) ? value : buffer.readBigInt64BE(at);
}

// Writing ---------------------------------------------------------------------------------------------------------

export function writeTable(writer: AmqpWriter, table: FieldTable, depth = 0): void {
  const start = open(writer, depth);
  for (const name of Object.keys(table)) {
    const value = table[name];
    if (value === undefined) continue;
    writer.shortString(name);
    writeValue(writer, value, depth);
  }
  close(writer, start);
}

/** One value with its type. */
export function writeValue(writer: AmqpWriter, value: FieldValue, depth: number): void {
  if (typeof value === 'string') {
    writer.octet(TYPE.text);
    writer.longText(value);
  } else if (typeof value === 'number') {
    writeNumber(writer, value);
  } else if (typeof value === 'boolean') {
    writer.octet(TYPE.bool);
    writer.octet(value ? 1 : 0);
  } else if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) !== value) throw unrepresentable(`${value} has more than 64 bits`);
    writer.octet(TYPE.int64);
    writer.reserve(8);
    writer.buffer.writeBigInt64BE(value, writer.length);
    writer.length += 8;
  } else if (typeof value === 'object') {
    writeObject(writer, value, depth);
  } else {
    throw unrepresentable(`a ${typeof value} is no value of a table`);
  }
}

function writeNumber(writer: AmqpWriter, value: number): void {
  if ((value | 0) === value && !Object.is(value, -0)) {
    writer.octet(TYPE.int32);
    writer.long(value);
    return;
  }
  writer.reserve(9);
  const { buffer, length } = writer;
  if (Number.isSafeInteger(value) && value !== 0) {
    buffer[length] = TYPE.int64;
    const high = Math.floor(value / 0x1_0000_0000);
    putLong(buffer, length + 1, high);
    putLong(buffer, length + 5, value - high * 0x1_0000_0000);
  } else {
    buffer[length] = TYPE.double;
    buffer.writeDoubleBE(value, length + 1);
  }
  writer.length = length + 9;
}

function writeObject(
  writer: AmqpWriter,
  value: Extract<FieldValue, object> | null,
  depth: number,
): void {
  if (value === null) {
    writer.octet(TYPE.nothing);
  } else if (value instanceof Uint8Array) {
    writer.octet(TYPE.bytes);
    writer.longBytes(value);
  } else if (isArray(value)) {
    writer.octet(TYPE.array);
    const start = open(writer, depth + 1);
    for (const item of value) writeValue(writer, item ?? null, depth + 1);
    close(writer, start);
  } else if (value instanceof FieldTimestamp) {
    if (!(value.seconds >= 0)) throw unrepresentable(`a timestamp of ${value.seconds} seconds`);
    writer.octet(TYPE.timestamp);
    writer.longlong(Math.floor(value.seconds));
  } else if (value instanceof FieldDecimal) {
    writeDecimal(writer, value);
  } else {
    writer.octet(TYPE.table);
    writeTable(writer, value, depth + 1);
  }
}

function writeDecimal(writer: AmqpWriter, { scale, value }: FieldDecimal): void {
  if ((scale & 0xff) !== scale || value >>> 0 !== value) {
    throw unrepresentable(`a decimal of ${value} with the scale ${scale}`);
  }
  writer.octet(TYPE.decimal);
  writer.octet(scale);
  writer.long(value);
}

/** Leaves room for the size of a table or array. @returns where its content begins */
export function open(writer: AmqpWriter, depth: number): number {
  if (depth >= TABLE_DEPTH_MAX) {
    throw unrepresentable(`more than ${TABLE_DEPTH_MAX} tables inside one another, or a circle`);
  }
  writer.long(0);
  return writer.length;
}

/** Sets the size that `open` has left room for. */
export function close(writer: AmqpWriter, start: number): void {
  putLong(writer.buffer, start - SIZE_BYTES, writer.length - start);
}

function unrepresentable(what: string): MillraceError {
  return new MillraceError('ML_WIRE_UNREPRESENTABLE', `cannot write a table of AMQP: ${what}`, {
    hint: 'A table holds text, numbers, booleans, null, bytes, FieldTimestamp, FieldDecimal, arrays and tables',
  });
}
