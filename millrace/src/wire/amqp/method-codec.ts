/**
 * Methods as bytes and back: a reader and a writer for each, made once from the table of methods.ts. Those that come with every message
 * have paths of their own, which must say the same; tests hold them against the table.
 *
 *   class u16 | method u16 | fields; consecutive bits share an octet, the first in its lowest bit
 *
 * @hot publish, deliver, ack, nack
 */
import { MillraceError } from '../../core/errors.ts';
import { readTable, writeTable, type FieldTable } from './field-table.ts';
import {
  BASIC_CLASS,
  METHODS,
  methodEntry,
  type AmqpMethod,
  type MethodEntry,
  type MethodFieldKind,
  type MethodInput,
  type MethodName,
  type MethodOf,
} from './methods.ts';
import { AmqpReader } from './reader.ts';
import { AmqpFault } from './reply-codes.ts';
import { written, type AmqpWriter } from './writer.ts';

/** One reader for all: nothing that it does gives up the turn. */
const shared = new AmqpReader();

const PUBLISH = METHODS['basic.publish'].methodId;
const DELIVER = METHODS['basic.deliver'].methodId;
const ACK = METHODS['basic.ack'].methodId;
const NACK = METHODS['basic.nack'].methodId;

/**
 * The method in buffer[start, end), the payload of a method frame. Nothing in it is a view of the buffer.
 * @throws {AmqpFault} SYNTAX_ERROR, FRAME_ERROR for strings that are no UTF-8 or when there is not even a method id, NOT_IMPLEMENTED for a
 * method that there is not
 */
export function decodeMethod(buffer: Buffer, start = 0, end: number = buffer.length): AmqpMethod {
  if (end - start < 4) throw new AmqpFault('FRAME_ERROR', `a method in ${end - start} bytes`);
  const reader = shared.over(buffer, start, end);
  const classId = reader.short();
  const methodId = reader.short();
  try {
    const method = readMethod(reader, classId, methodId);
    if (reader.position !== reader.end) {
      reader.fail(`${reader.remaining()} bytes after the end of the method`);
    }
    return method;
  } catch (error) {
    throw error instanceof AmqpFault ? error.about(classId, methodId) : error;
  } finally {
    reader.release();
  }
}

/** The payload of a method frame. @throws {MillraceError} ML_WIRE_UNREPRESENTABLE */
export function encodeMethod(method: MethodInput): Buffer {
  return written((writer) => writeMethod(writer, method));
}

function readMethod(reader: AmqpReader, classId: number, methodId: number): AmqpMethod {
  if (classId === BASIC_CLASS) {
    switch (methodId) {
      case PUBLISH:
        return readPublish(reader);
      case DELIVER:
        return readDeliver(reader);
      case ACK:
        return readAck(reader);
      case NACK:
        return readNack(reader);
      default:
    }
  }
  return readByTable(reader, classId, methodId);
}

/** As `encodeMethod`, to the end of what the writer holds. */
export function writeMethod(writer: AmqpWriter, method: MethodInput): void {
  const { name } = method;
  if (name === 'basic.publish') writePublish(writer, method);
  else if (name === 'basic.deliver') writeDeliver(writer, method);
  else if (name === 'basic.ack') writeAck(writer, method);
  else writeByTable(writer, method);
}

// The paths of every message --------------------------------------------------------------------------------------

function readPublish(reader: AmqpReader): MethodOf<'basic.publish'> {
  reader.take(2);
  const exchange = reader.shortString();
  const routingKey = reader.shortString();
  const bits = reader.octet();
  return {
    name: 'basic.publish',
    exchange,
    routingKey,
    mandatory: (bits & 1) !== 0,
    immediate: (bits & 2) !== 0,
  };
}

function writePublish(writer: AmqpWriter, method: MethodInput<'basic.publish'>): void {
  writer.long((BASIC_CLASS << 16) | PUBLISH);
  writer.short(0);
  writer.shortString(method.exchange ?? '');
  writer.shortString(method.routingKey ?? '');
  writer.octet((method.mandatory === true ? 1 : 0) | (method.immediate === true ? 2 : 0));
}

function readDeliver(reader: AmqpReader): MethodOf<'basic.deliver'> {
  const consumerTag = reader.shortString();
  const deliveryTag = reader.longlong();
  const redelivered = (reader.octet() & 1) !== 0;
  const exchange = reader.shortString();
  const routingKey = reader.shortString();
  return { name: 'basic.deliver', consumerTag, deliveryTag, redelivered, exchange, routingKey };
}

function writeDeliver(writer: AmqpWriter, method: MethodInput<'basic.deliver'>): void {
  writer.long((BASIC_CLASS << 16) | DELIVER);
  writer.shortString(method.consumerTag ?? '');
  writer.longlong(method.deliveryTag ?? 0);
  writer.octet(method.redelivered === true ? 1 : 0);
  writer.shortString(method.exchange ?? '');
  writer.shortString(method.routingKey ?? '');
}

function readAck(reader: AmqpReader): MethodOf<'basic.ack'> {
  const deliveryTag = reader.longlong();
  return { name: 'basic.ack', deliveryTag, multiple: (reader.octet() & 1) !== 0 };
}

function writeAck(writer: AmqpWriter, method: MethodInput<'basic.ack'>): void {
  writer.long((BASIC_CLASS << 16) | ACK);
  writer.longlong(method.deliveryTag ?? 0);
  writer.octet(method.multiple === true ? 1 : 0);
}

function readNack(reader: AmqpReader): MethodOf<'basic.nack'> {
  const deliveryTag = reader.longlong();
  const bits = reader.octet();
  return {
    name: 'basic.nack',
    deliveryTag,
    multiple: (bits & 1) !== 0,
    requeue: (bits & 2) !== 0,
  };
}

// By the table ----------------------------------------------------------------------------------------------------

type Fields = Record<string, unknown>;

interface Codec {
  /** The name and the natural value of every field: one shape. */
  readonly template: Fields;
  readonly id: number;
  readonly reads: readonly ((reader: AmqpReader, fields: Fields) => void)[];
  readonly writes: readonly ((writer: AmqpWriter, fields: Readonly<Fields>) => void)[];
}

/** @internal The table's way, also for methods that have a path of their own. */
export function readByTable(reader: AmqpReader, classId: number, methodId: number): AmqpMethod {
  const codec = byId.get((classId << 16) | methodId);
  if (codec === undefined) {
    throw new AmqpFault('NOT_IMPLEMENTED', `there is no method ${methodId} of class ${classId}`);
  }
  const fields = { ...codec.template };
  for (const read of codec.reads) read(reader, fields);
  return fields as unknown as AmqpMethod;
}

/** @internal */
export function writeByTable(writer: AmqpWriter, method: MethodInput): void {
  const codec = byName.get(method.name);
  if (codec === undefined) throw unrepresentable(`there is no method ${method.name}`);
  writer.long(codec.id);
  for (const write of codec.writes) write(writer, method);
}

function compile(name: MethodName): Codec {
  const entry: MethodEntry = methodEntry(name);
  const template: Fields = { name };
  const reads: Codec['reads'][number][] = [];
  const writes: Codec['writes'][number][] = [];
  let bits: string[] = [];
  const endBits = (): void => {
    if (bits.length === 0) return;
    reads.push(bitsReader(bits));
    writes.push(bitsWriter(bits));
    bits = [];
  };
  for (const [field, kind] of Object.entries(entry.fields)) {
    const isReserved = kind.startsWith('reserved-');
    if (!isReserved) template[field] = NATURAL[kind as keyof typeof NATURAL];
    if (kind === 'bit' || kind === 'reserved-bit') {
      bits.push(isReserved ? '' : field);
      continue;
    }
    endBits();
    reads.push(fieldReader(field, kind));
    writes.push(fieldWriter(name, field, kind));
  }
  endBits();
  return { template, id: (entry.classId << 16) | entry.methodId, reads, writes };
}

/** Values of fields that an encoder is not given; decoders replace them all. */
const NATURAL = {
  octet: 0,
  short: 0,
  long: 0,
  longlong: 0,
  bit: false,
  shortstr: '',
  text: '',
  bytes: new Uint8Array(0),
  table: Object.freeze({}) as FieldTable,
} as const satisfies Record<Exclude<MethodFieldKind, `reserved-${string}`>, unknown>;

/** At most eight bits follow one another anywhere. '' is a reserved one. */
function bitsReader(names: readonly string[]): Codec['reads'][number] {
  return (reader, fields) => {
    const octet = reader.octet();
    for (let bit = 0; bit < names.length; bit++) {
      const name = names[bit] as string;
      if (name !== '') fields[name] = (octet & (1 << bit)) !== 0;
    }
  };
}

function bitsWriter(names: readonly string[]): Codec['writes'][number] {
  return (writer, fields) => {
    let octet = 0;
    for (let bit = 0; bit < names.length; bit++) {
      const name = names[bit] as string;
      if (name !== '' && fields[name] === true) octet |= 1 << bit;
    }
    writer.octet(octet);
  };
}

type PlainKind = Exclude<MethodFieldKind, 'bit' | 'reserved-bit'>;

function fieldReader(field: string, kind: PlainKind): Codec['reads'][number] {
  const read = READS[kind];
  if (kind.startsWith('reserved-')) return (reader) => void read(reader);
  return (reader, fields) => {
    fields[field] = read(reader);
  };
}

const READS: Readonly<Record<PlainKind, (reader: AmqpReader) => unknown>> = {
  octet: (reader) => reader.octet(),
  short: (reader) => reader.short(),
  long: (reader) => reader.long(),
  longlong: (reader) => reader.longlong(),
  shortstr: (reader) => reader.shortString(),
  text: (reader) => reader.longText(),
  bytes: (reader) => reader.longBytes(),
  table: (reader) => readTable(reader),
  'reserved-short': (reader) => reader.take(2),
  'reserved-shortstr': (reader) => reader.take(reader.octet()),
  'reserved-longstr': (reader) => reader.take(reader.long()),
};

function fieldWriter(method: string, field: string, kind: PlainKind): Codec['writes'][number] {
  const max = MAXIMA[kind];
  if (max !== undefined) {
    return (writer, fields) => {
      const value = (fields[field] ?? 0) as number;
      if (!(value >= 0 && value <= max) || !Number.isInteger(value)) {
        throw unrepresentable(`${method} cannot have the ${field} ${value}: it is 0 to ${max}`);
      }
      if (kind === 'octet') writer.octet(value);
      else if (kind === 'short') writer.short(value);
      else if (kind === 'long') writer.long(value);
      else writer.longlong(value);
    };
  }
  return (writer, fields) => {
    if (kind === 'shortstr') writer.shortString((fields[field] ?? '') as string);
    else if (kind === 'text') writer.longText((fields[field] ?? '') as string);
    else if (kind === 'bytes') writer.longBytes((fields[field] ?? NATURAL.bytes) as Uint8Array);
    else if (kind === 'table') writeTable(writer, (fields[field] ?? NATURAL.table) as FieldTable);
    else if (kind === 'reserved-short') writer.short(0);
    else if (kind === 'reserved-shortstr') writer.octet(0);
    else writer.long(0);
  };
}

const MAXIMA: Readonly<Partial<Record<MethodFieldKind, number>>> = {
  octet: 0xff,
  short: 0xffff,
  long: 0xffff_ffff,
  longlong: 0x1_0000_0000_0000_0000,
};

function unrepresentable(message: string): MillraceError {
  return new MillraceError('ML_WIRE_UNREPRESENTABLE', message, {
    hint: 'Choose a value within the range',
  });
}

// Last: what is compiled needs all above.
const byName = new Map<string, Codec>();
const byId = new Map<number, Codec>();
for (const name of Object.keys(METHODS)) {
  const codec = compile(name as MethodName);
  byName.set(name, codec);
  byId.set(codec.id, codec);
}
