/**
 * Records that come over HTTP. They are acknowledged when they are on the disk.
 *
 *   application/json       a record, or an array of them
 *   application/x-ndjson   a record in each line, as many as there are: written as they come
 *   anything else          the body is the value of one record, as it is
 *
 * With `Idempotency-Key` the same request is written once: see `idempotency.ts`.
 */
import type { IncomingMessage } from 'node:http';
import type { ByteRecord, GroupedProducer, PlacedAt } from '../../client/grouped-producer.ts';
import type { Log, RecordHeader } from '../../client/log.ts';
import {
  ONCE_LOOK_BYTES_MAX,
  ONCE_RECORDS_MAX,
  ONCE_TOPICS_MAX,
  ONCE_WINDOW_MS,
} from '../../core/direct-limits.ts';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  HTTP_BODIES_BYTES_MAX,
  HTTP_LINE_BYTES_MAX,
  HTTP_LINES_BYTES,
  HTTP_LINES_RECORDS,
  HTTP_PRODUCE_BYTES_MAX,
  HTTP_PRODUCE_RECORDS_MAX,
  HTTP_STREAM_BYTES,
} from '../../core/http-limits.ts';
import { parseExactJson } from './exact-json.ts';
import { badRequest } from './http-errors.ts';
import { fingerprintOf, headersOfMark, idempotencyKeyOf, markOfHeaders } from './idempotency.ts';
import { LineWriter } from './line-writer.ts';
import { vectorText } from './offset-vector.ts';
import { OnceTable } from './once-table.ts';
import { type Encodings, type GivenRecord, recordOfJson } from './record-encoding.ts';
import { bodyChunks, ByteBudget, refuseCoded, wholeBody } from './request-body.ts';
import type { RequestParameters } from './request-parameters.ts';
import { WriteOnce } from './write-once.ts';

export const PRODUCE_PARAMETERS = ['keys', 'values', 'key', 'partition', 'timestamp'];

/** Headers of a request that become headers of the record. */
const HEADER_PREFIX = 'record-';
const NDJSON = /^application\/(?:x-ndjson|ndjson|jsonl|x-jsonlines)$/;
const LINE_FEED = 0x0a;

export interface Produced {
  readonly records: number;
  /** In the order of the records; only where all came at once. */
  readonly offsets: readonly PlacedAt[] | undefined;
  /** Of each partition that was written to, one past the last record. */
  readonly next: string;
  /** It was written before, or is what somebody else has begun to write, under the same idempotency key. */
  readonly isKnown: boolean;
}

export class ProduceRequests {
  readonly #env: Env;
  readonly #log: Log;
  readonly #producer: GroupedProducer;
  readonly #budget = new ByteBudget(HTTP_BODIES_BYTES_MAX);
  readonly #once = new Map<string, WriteOnce>();
  readonly #onceTable = new OnceTable({ recordsMax: ONCE_RECORDS_MAX, windowMs: ONCE_WINDOW_MS });

  constructor(env: Env, log: Log, producer: GroupedProducer) {
    this.#env = env;
    this.#log = log;
    this.#producer = producer;
  }

  /** @throws {MillraceError} ML_HTTP_REQUEST, ML_HTTP_BUSY, ML_TOPIC_MISSING, ML_RECORDS_TOO_LARGE, ML_DISK_FULL, … */
  async take(
    topic: string,
    incoming: IncomingMessage,
    parameters: RequestParameters,
    encodings: Encodings,
  ): Promise<Produced> {
    const type = mediaType(incoming);
    const idempotencyKey = idempotencyKeyOf(incoming);
    if (NDJSON.test(type)) {
      refuseSingle(parameters);
      if (idempotencyKey !== undefined)
        throw badRequest(
          400,
          'an idempotency key is for a body that is taken whole',
          'Send the records as application/json, an array at a time, each with a key of its own',
        );
      return this.#lines(topic, incoming, encodings);
    }
    const body = await wholeBody(incoming, this.#env, {
      budget: this.#budget,
      bytesMax: HTTP_PRODUCE_BYTES_MAX,
      hint: 'Send many records as application/x-ndjson, a line each: they are written as they come',
    });
    try {
      const isJson = type === 'application/json';
      if (isJson) refuseSingle(parameters);
      const given = isJson
        ? recordsOf(parseExactJson(body.toString('utf8'), 'the body'), encodings)
        : [rawRecord(body, incoming, parameters)];
      return await this.write(topic, given, idempotencyKey);
    } finally {
      this.#budget.give(body.length);
    }
  }

  /** Memory for a message that is in it. @returns gives it back @throws {MillraceError} ML_HTTP_BUSY */
  reserve(bytes: number): () => void {
    this.#budget.take(bytes);
    return () => this.#budget.give(bytes);
  }

  /** Records that are in memory. @param idempotencyKey undefined: they are written whatever was written before */
  async write(
    topic: string,
    given: readonly GivenRecord[],
    idempotencyKey?: string,
  ): Promise<Produced> {
    const records = await this.#placed(topic, given, 0);
    const { places, isKnown } =
      idempotencyKey === undefined || records.length === 0
        ? { places: await this.#producer.append(topic, records), isKnown: false }
        : await this.#onceOf(topic).write({
            id: idempotencyKey,
            fingerprint: fingerprintOf(given),
            count: records.length,
            append: (marks) =>
              this.#producer.append(
                topic,
                marks.flatMap((mark) => {
                  const record = records[mark.index];
                  if (record === undefined) return [];
                  return [{ ...record, headers: [...record.headers, ...headersOfMark(mark)] }];
                }),
              ),
          });
    const next = new Map<number, number>();
    reach(next, places);
    return { records: places.length, offsets: places, next: vectorText(next), isKnown };
  }

  #onceOf(topic: string): WriteOnce {
    const known = this.#once.get(topic);
    if (known !== undefined) return known;
    if (this.#once.size >= ONCE_TOPICS_MAX)
      for (const [name, { isIdle }] of this.#once)
        if (isIdle) {
          this.#once.delete(name);
          break;
        }
    const once = new WriteOnce({
      log: this.#log,
      producer: this.#producer,
      topic,
      table: this.#onceTable,
      // No name of a topic has it.
      scope: `${topic}\n`,
      markOf: markOfHeaders,
      lookBytesMax: ONCE_LOOK_BYTES_MAX,
    });
    this.#once.set(topic, once);
    return once;
  }

  async #lines(topic: string, incoming: IncomingMessage, encodings: Encodings): Promise<Produced> {
    refuseCoded(incoming);
    let held = 0;
    const hold = (bytes: number): void => {
      if (bytes > held) this.#budget.take(bytes - held);
      else this.#budget.give(held - bytes);
      held = bytes;
    };
    hold(HTTP_STREAM_BYTES);
    const next = new Map<number, number>();
    const writer = new LineWriter<GivenRecord>({
      write: async (given, first) => reach(next, await this.#append(topic, given, first)),
      bytesMax: HTTP_LINES_BYTES,
      itemsMax: HTTP_LINES_RECORDS,
    });
    try {
      const chunks = bodyChunks(incoming, this.#env);
      const onRest = (bytes: number): void => hold(HTTP_STREAM_BYTES + bytes + writer.bytes);
      for await (const lines of linesOf(chunks, onRest))
        for (const line of lines) {
          const { taken } = writer;
          const json = parseExactJson(line, `line ${taken + 1}`);
          const wait = writer.push(recordOfJson(json, taken, encodings), line.length);
          if (wait !== undefined) await wait;
        }
      await writer.end();
    } catch (error) {
      // What was taken before is written, or has failed.
      await writer.end().catch(() => {});
      throw partial(error, writer.written, next);
    } finally {
      hold(0);
    }
    return { records: writer.written, offsets: undefined, next: vectorText(next), isKnown: false };
  }

  async #append(
    topic: string,
    given: readonly GivenRecord[],
    first: number,
  ): Promise<readonly PlacedAt[]> {
    return this.#producer.append(topic, await this.#placed(topic, given, first));
  }

  /** @param first how many were written before */
  async #placed(
    topic: string,
    given: readonly GivenRecord[],
    first: number,
  ): Promise<readonly ByteRecord[]> {
    const producer = this.#producer;
    const partitions = await producer.partitionsOf({
      name: topic,
      partitions: undefined,
      configs: {},
    });
    const nowMs = this.#env.clock.nowMs();
    return given.map(({ partition, timestamp, key, value, headers }, index): ByteRecord => {
      if (partition !== undefined && partition >= partitions)
        throw badRequest(
          400,
          `record ${first + index} is for partition ${partition} of topic ${topic}, which has ${partitions}, counted from 0`,
          'Leave out the partition: it comes from the key',
        );
      return {
        partition: partition ?? producer.partitionFor(key, partitions),
        timestamp: timestamp ?? nowMs,
        key,
        value,
        headers,
      };
    });
  }
}

function recordsOf(json: unknown, encodings: Encodings): readonly GivenRecord[] {
  if (!Array.isArray(json)) return [recordOfJson(json, 0, encodings)];
  if (json.length > HTTP_PRODUCE_RECORDS_MAX)
    throw badRequest(
      413,
      `${json.length} records are more than ${HTTP_PRODUCE_RECORDS_MAX} in one array`,
      'Send them as application/x-ndjson, a line each',
    );
  return json.map((each: unknown, index) => recordOfJson(each, index, encodings));
}

function mediaType({ headers }: IncomingMessage): string {
  const [type = ''] = (headers['content-type'] ?? 'application/octet-stream').split(';');
  return type.trim().toLowerCase();
}

/** What says something of one record belongs into it where there may be several. */
function refuseSingle(parameters: RequestParameters): void {
  for (const name of ['key', 'partition', 'timestamp'])
    if (parameters.has(name))
      throw badRequest(
        400,
        `${name} is for a body that is the value of one record`,
        `Write "${name}" into each record, or send the value with another content type than JSON`,
      );
}

function rawRecord(
  body: Buffer,
  { rawHeaders }: IncomingMessage,
  parameters: RequestParameters,
): GivenRecord {
  const headers: RecordHeader[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? '';
    if (name.startsWith(HEADER_PREFIX))
      // Node gives them as latin1: these are the bytes that were sent.
      headers.push({
        key: name.slice(HEADER_PREFIX.length),
        value: Buffer.from(rawHeaders[at + 1] ?? '', 'latin1'),
      });
  }
  return {
    partition: parameters.integer('partition'),
    timestamp: parameters.moment('timestamp'),
    key: parameters.text('key') ?? null,
    value: body,
    headers,
  };
}

/** Says how much was written before it failed. */
function partial(error: unknown, records: number, next: ReadonlyMap<number, number>): unknown {
  if (!(error instanceof MillraceError)) return error;
  const { code, message, hint, retriable, cause, fields } = error;
  const written = { written: records, next: vectorText(next) };
  return new MillraceError(code, `${message}; ${records} records before it were written`, {
    hint,
    retriable,
    cause,
    fields: { ...fields, ...written },
  });
}

function reach(next: Map<number, number>, places: readonly PlacedAt[]): void {
  for (const { partition, offset } of places)
    if (offset >= (next.get(partition) ?? 0)) next.set(partition, offset + 1);
}

/**
 * The lines of each chunk. An empty line is none.
 * @param onRest told how much there is of a line that is not complete
 */
async function* linesOf(
  chunks: AsyncGenerator<Buffer, undefined>,
  onRest: (bytes: number) => void,
): AsyncGenerator<readonly string[], undefined> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let count = 0;
  for await (const chunk of chunks) {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      const line = lineOf(rest, chunk, from, end);
      if (line.trim() !== '') lines.push(line);
      rest = [];
      restBytes = 0;
      from = end + 1;
    }
    if (from < chunk.length) rest.push(Buffer.from(chunk.subarray(from)));
    restBytes += chunk.length - from;
    count += lines.length;
    if (lines.length > 0) yield lines;
    if (restBytes > HTTP_LINE_BYTES_MAX)
      throw badRequest(413, `line ${count + 1} has more than ${HTTP_LINE_BYTES_MAX} bytes`);
    onRest(restBytes);
  }
  const last = Buffer.concat(rest).toString('utf8');
  if (last.trim() !== '') yield [last];
  return undefined;
}

function lineOf(rest: readonly Buffer[], chunk: Buffer, from: number, end: number): string {
  if (rest.length === 0) return chunk.toString('utf8', from, end);
  return Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8');
}
