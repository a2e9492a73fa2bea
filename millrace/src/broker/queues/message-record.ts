/**
 * Messages of queues as records of a log, both ways. What a record of somebody else's (a Kafka client's, a flow's) says nothing of has a
 * default: it was published to the default exchange with the name of the queue, and its headers are AMQP headers, as text.
 *
 * Headers with a default are not written: the exchange '', properties that say nothing.
 *
 * @hot
 */
import { AMQP_FRAME_BYTES_MAX } from '../../core/queue-limits.ts';
import { encodeProperties } from '../../wire/amqp/properties.ts';
import {
  type BatchOptions,
  RecordBatchBuilder,
} from '../../wire/kafka/records/record-batch-builder.ts';
import { HEADER_BYTES } from '../../wire/kafka/records/record-batch.ts';
import {
  Cursor,
  readVarint,
  VARINT_BYTES_MAX,
  varintBytes,
  writeVarint,
} from '../../wire/kafka/records/varint.ts';
import {
  EXCHANGE_HEADER,
  NO_PROPERTIES,
  PROPERTIES_HEADER,
  type QueueMessage,
  ROUTING_KEY_HEADER,
} from './message.ts';
import { areProperties } from './message-facts.ts';

/** Where the parts of a record are: what `RecordReader` has of its current one. */
export interface RecordView {
  readonly data: Buffer;
  readonly offset: number;
  readonly timestamp: number;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  readonly headerCount: number;
  readonly headersStart: number;
  readonly headersEnd: number;
}

/** Bytes of a record beside what varies: lengths, times, names of headers. */
const RECORD_OVERHEAD_BYTES = 96;
/** The lengths and the offset in the tail of a record. */
const TAIL_LENGTHS = 4;
/** Memory for tails that is kept. */
const TAIL_BYTES = 64 * 1024;
/** Longest exchange, routing key and name of a header that AMQP can write. */
const SHORT_STRING_BYTES_MAX = 255;
/** No client can have published more, nor could it be told to one. */
const PROPERTIES_BYTES_MAX = AMQP_FRAME_BYTES_MAX;
/** Headers of others that are shown: all of them have to fit into one frame. */
const FOREIGN_HEADERS_BYTES_MAX = 32 * 1024;
/** Properties up to this size are remembered. */
const GOOD_BYTES_MAX = 256;
const NO_BODY = Buffer.alloc(0);
const UNCOMPRESSED: BatchOptions = {};

const EXCHANGE_NAME = Buffer.from(EXCHANGE_HEADER);
const ROUTING_KEY_NAME = Buffer.from(ROUTING_KEY_HEADER);
const PROPERTIES_NAME = Buffer.from(PROPERTIES_HEADER);

/** What a message takes on the log, at most, as long as its names are ASCII. */
export function recordBytes({ body, properties, key, exchange, routingKey }: QueueMessage): number {
  const names = exchange.length + routingKey.length + (key?.length ?? 0);
  return RECORD_OVERHEAD_BYTES + body.length + properties.length + names;
}

/**
 * One batch of the messages, in their order.
 * @throws {MillraceError} ML_RECORDS_TOO_LARGE
 */
export function encodeMessages(messages: readonly QueueMessage[]): Buffer {
  let bytes = HEADER_BYTES;
  for (const message of messages) bytes += recordBytes(message);
  const builder = new RecordBatchBuilder(UNCOMPRESSED, bytes);
  for (const message of messages) {
    const end = tails.write(builder.nextOffset, message);
    builder.appendEncoded(message.timestampMs, tails.buffer, 0, end);
  }
  tails.shrink();
  return builder.finish();
}

/**
 * The encoded records of messages, from their offset on: what headers say is mostly the same from one to the next, and is then copied
 * instead of encoded.
 */
class Tails {
  /** The tail that was written last, from its beginning. */
  buffer = Buffer.allocUnsafeSlow(TAIL_BYTES);
  private exchange = '';
  private routingKey: string | undefined;
  /** The headers, up to the bytes of the properties. */
  private head: Buffer = NO_BODY;

  /** @returns where the tail ends */
  write(offsetDelta: number, message: QueueMessage): number {
    const { exchange, routingKey, key, body, properties } = message;
    if (exchange !== this.exchange || routingKey !== this.routingKey)
      this.encodeHead(exchange, routingKey);
    const { head } = this;
    const bytes =
      (key?.length ?? 0) +
      body.length +
      head.length +
      properties.length +
      TAIL_LENGTHS * VARINT_BYTES_MAX;
    if (bytes > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(bytes);
    const { buffer } = this;
    let at = writeVarint(buffer, 0, offsetDelta);
    at = writeVarint(buffer, at, key === null ? -1 : key.length);
    if (key !== null) at += key.copy(buffer, at);
    at = writeVarint(buffer, at, body.length);
    at += body.copy(buffer, at);
    at += head.copy(buffer, at);
    at = writeVarint(buffer, at, properties.length);
    return at + properties.copy(buffer, at);
  }

  /** Lets go of the memory that a large message took. */
  shrink(): void {
    if (this.buffer.length > TAIL_BYTES) this.buffer = Buffer.allocUnsafeSlow(TAIL_BYTES);
  }

  private encodeHead(exchange: string, routingKey: string): void {
    this.exchange = exchange;
    this.routingKey = routingKey;
    const parts = exchange === '' ? [] : [sized(EXCHANGE_NAME), sized(Buffer.from(exchange))];
    parts.push(sized(ROUTING_KEY_NAME), sized(Buffer.from(routingKey)));
    // Also when they say nothing: a message that came over AMQP is told from one that did not.
    parts.push(sized(PROPERTIES_NAME));
    const count = Buffer.from([0]);
    writeVarint(count, 0, exchange === '' ? 2 : 3);
    this.head = Buffer.concat([count, ...parts]);
  }
}

/** The bytes behind their length. */
function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(varintBytes(bytes.length));
  writeVarint(length, 0, bytes.length);
  return Buffer.concat([length, bytes]);
}

const tails = new Tails();

/** Reads messages from records. It remembers the last strings it has made: those of neighbours are mostly the same. */
export class MessageDecoder {
  private readonly defaultRoutingKey: string;
  private readonly cursor = new Cursor(NO_BODY, 0, 0);
  private readonly exchanges = new LastString();
  private readonly routingKeys = new LastString();
  /** Properties that were found to be good. */
  private good: Buffer = NO_PROPERTIES;
  private exchange = '';
  private routingKey = '';
  private propertiesStart = -1;
  private propertiesEnd = -1;

  /** @param queueName the routing key of what has none */
  constructor(queueName: string) {
    this.defaultRoutingKey = queueName;
  }

  /** The message; its parts are views of `record.data`. */
  decode(record: RecordView): QueueMessage {
    this.readHeaders(record);
    const { data, keyStart, valueStart } = record;
    return {
      key: keyStart < 0 ? null : data.subarray(keyStart, record.keyEnd),
      exchange: this.exchange,
      routingKey: this.routingKey,
      properties: this.properties(record),
      body: valueStart < 0 ? NO_BODY : data.subarray(valueStart, record.valueEnd),
      timestampMs: record.timestamp,
    };
  }

  /** Its properties alone: a view of `record.data` as a rule. */
  decodeProperties(record: RecordView): Buffer {
    this.readHeaders(record);
    return this.properties(record);
  }

  private properties(record: RecordView): Buffer {
    if (this.propertiesStart < 0)
      return record.headerCount === 0 ? NO_PROPERTIES : foreignProperties(record);
    const properties = record.data.subarray(this.propertiesStart, this.propertiesEnd);
    return this.areGood(properties) ? properties : NO_PROPERTIES;
  }

  /** Anybody can write to a topic, and what does not hold together must not get to a client. Neighbours mostly say the same. */
  private areGood(properties: Buffer): boolean {
    const { good } = this;
    if (properties.length === good.length && isAt(properties, 0, good)) return true;
    if (properties.length > PROPERTIES_BYTES_MAX || !areProperties(properties)) return false;
    if (properties.length <= GOOD_BYTES_MAX) this.good = Buffer.from(properties);
    return true;
  }

  private readHeaders(record: RecordView): void {
    const { data } = record;
    const { cursor } = this;
    this.exchange = '';
    this.routingKey = this.defaultRoutingKey;
    this.propertiesStart = -1;
    if (record.headerCount === 0) return;
    cursor.reset(data, record.headersStart, record.headersEnd);
    for (let index = 0; index < record.headerCount; index++) {
      const nameBytes = readVarint(cursor);
      const name = cursor.position;
      cursor.position += nameBytes;
      const valueBytes = readVarint(cursor);
      const start = cursor.position;
      if (valueBytes < 0) continue;
      const end = start + valueBytes;
      cursor.position = end;
      if (nameBytes === ROUTING_KEY_NAME.length) {
        if (isAt(data, name, ROUTING_KEY_NAME))
          this.routingKey = this.routingKeys.read(data, start, end) ?? this.defaultRoutingKey;
      } else if (nameBytes === PROPERTIES_NAME.length) {
        if (valueBytes >= 2 && isAt(data, name, PROPERTIES_NAME)) {
          this.propertiesStart = start;
          this.propertiesEnd = end;
        }
      } else if (nameBytes === EXCHANGE_NAME.length && isAt(data, name, EXCHANGE_NAME))
        this.exchange = this.exchanges.read(data, start, end) ?? '';
    }
  }
}

/** The headers of a record that did not come over AMQP, as AMQP properties. */
function foreignProperties(record: RecordView): Buffer {
  const headers: Record<string, string | number | null> = {};
  const { data } = record;
  const cursor = new Cursor(data, record.headersStart, record.headersEnd);
  let count = 0;
  let bytes = 0;
  for (let index = 0; index < record.headerCount; index++) {
    const nameBytes = readVarint(cursor);
    const name = cursor.position;
    cursor.position += nameBytes;
    const valueBytes = readVarint(cursor);
    const start = cursor.position;
    if (valueBytes > 0) cursor.position += valueBytes;
    const text = data.toString('utf8', name, name + nameBytes);
    // Bytes that are no UTF-8 become longer as text.
    if (text === EXCHANGE_HEADER || text === ROUTING_KEY_HEADER || text === PROPERTIES_HEADER)
      continue;
    if (Buffer.byteLength(text) > SHORT_STRING_BYTES_MAX || text === '__proto__') continue;
    bytes += nameBytes + Math.max(0, valueBytes);
    if (bytes > FOREIGN_HEADERS_BYTES_MAX) break;
    headers[text] = foreignValue(
      text,
      valueBytes < 0 ? null : data.toString('utf8', start, start + valueBytes),
    );
    count++;
  }
  return count === 0 ? NO_PROPERTIES : encodeProperties({ headers });
}

/** Kafka's headers have no types: a delay is a number all the same. */
function foreignValue(name: string, value: string | null): string | number | null {
  return name === 'x-delay' && value !== null && /^\d{1,15}$/.test(value) ? Number(value) : value;
}

function isAt(data: Buffer, position: number, wanted: Buffer): boolean {
  for (let index = 0; index < wanted.length; index++)
    if (data[position + index] !== wanted[index]) return false;
  return true;
}

/** The string that was read last, so that the same bytes give the same string without being decoded. */
class LastString {
  private bytes: Buffer = NO_BODY;
  private text: string | undefined = '';

  /** undefined when it is none of AMQP's short strings: it could not be told to a client. */
  read(data: Buffer, start: number, end: number): string | undefined {
    if (end - start > SHORT_STRING_BYTES_MAX) return undefined;
    if (end - start === this.bytes.length && isAt(data, start, this.bytes)) return this.text;
    this.bytes = Buffer.from(data.subarray(start, end));
    const text = this.bytes.toString('utf8');
    // Bytes that are no UTF-8 become longer as text.
    this.text = Buffer.byteLength(text) > SHORT_STRING_BYTES_MAX ? undefined : text;
    return this.text;
  }
}

/** A message that keeps nothing in memory but itself. */
export function copyMessage(message: QueueMessage): QueueMessage {
  const { key, properties, body } = message;
  const bytes = Buffer.allocUnsafeSlow((key?.length ?? 0) + properties.length + body.length);
  let at = 0;
  const copied = (part: Buffer): Buffer => {
    const start = at;
    at += part.copy(bytes, at);
    return bytes.subarray(start, at);
  };
  return {
    key: key === null ? null : copied(key),
    exchange: message.exchange,
    routingKey: message.routingKey,
    properties: copied(properties),
    body: copied(body),
    timestampMs: message.timestampMs,
  };
}
