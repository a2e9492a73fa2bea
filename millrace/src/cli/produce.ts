/** `millrace produce`: lines of stdin become records. */
import type { Clock } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { CLI_UNSENT_BYTES_MAX } from '../core/limits.ts';
import { realEnv } from '../core/real-env.ts';
import { COMPRESSIONS } from '../wire/kafka/records/compression.ts';
import type { RecordHeader } from '../wire/kafka/records/record-batch-builder.ts';
import { withCluster } from './brokers.ts';
import { RecordSender, type RecordToSend } from '../client/kafka/record-sender.ts';
import { linesOf } from './lines.ts';
import { wholeNumber } from './numbers.ts';
import { Progress } from './progress.ts';

export interface ProduceOptions {
  readonly brokers?: string;
  readonly json?: boolean;
  readonly keySeparator?: string;
  readonly compression: string;
  readonly acks: string;
  readonly partition?: string;
}

/** @param nowMs what a record has as its time unless it says another */
type Parse = (line: Buffer, lineNumber: number, nowMs: number) => RecordToSend;

const ACKS: Readonly<Record<string, -1 | 0 | 1>> = { all: -1, '1': 1, '0': 0 };
const NO_HEADERS: readonly RecordHeader[] = [];

export async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const compression = COMPRESSIONS.find((name) => name === options.compression);
  if (compression === undefined) {
    throw new MillraceError(
      'ML_USAGE',
      `--compression takes ${COMPRESSIONS.join(', ')}, not '${options.compression}'`,
    );
  }
  const acks = ACKS[options.acks];
  if (acks === undefined) {
    throw new MillraceError('ML_USAGE', `--acks takes all, 1 or 0, not '${options.acks}'`);
  }
  if (options.json === true && options.keySeparator !== undefined) {
    throw new MillraceError('ML_USAGE', '--json and --key-separator exclude each other', {
      hint: 'With --json the key is in the field key of each line',
    });
  }
  const env = realEnv();
  const partition =
    options.partition === undefined ? undefined : wholeNumber('--partition', options.partition);
  const parse = options.json ? jsonLine(partition) : textLine(partition, options.keySeparator);
  await withCluster(options.brokers, async (cluster) => {
    const progress = new Progress(env, 'produced', process.stdin.isTTY);
    try {
      const onAcknowledged = (records: number, bytes: number): void => progress.add(records, bytes);
      await sendAll(
        await RecordSender.open(cluster, { topic, compression, acks, onAcknowledged }),
        parse,
        env.clock,
      );
    } finally {
      progress.finish();
    }
  });
}

async function sendAll(sender: RecordSender, parse: Parse, clock: Clock): Promise<void> {
  let lineNumber = 0;
  for await (const lines of linesOf(process.stdin)) {
    const nowMs = clock.nowMs();
    for (const line of lines) {
      try {
        sender.append(parse(line, ++lineNumber, nowMs));
      } catch (error) {
        // What came before the wrong line is appended, so that it is clear where to go on.
        await sender.settled(0);
        throw error;
      }
    }
    // What was typed is sent when it was typed. A file comes faster than it is acknowledged, which makes the batches large.
    sender.send();
    await sender.settled(CLI_UNSENT_BYTES_MAX);
  }
  await sender.settled(0);
}

function textLine(partition: number | undefined, separator?: string): Parse {
  const value: Parse = (line, _lineNumber, nowMs) => ({
    partition,
    key: null,
    value: line,
    headers: NO_HEADERS,
    timestamp: nowMs,
  });
  if (separator === undefined) return value;
  const bytes = Buffer.from(separator.replaceAll('\\t', '\t'));
  if (bytes.length === 0)
    throw new MillraceError('ML_USAGE', '--key-separator takes at least one character');
  return (line, lineNumber, nowMs) => {
    const at = line.indexOf(bytes);
    if (at < 0) {
      throw new MillraceError(
        'ML_USAGE',
        `line ${lineNumber} of the input has no key: there is no '${separator}' in it`,
        { hint: 'Leave out --key-separator for records without keys' },
      );
    }
    return {
      partition,
      key: line.subarray(0, at),
      value: line.subarray(at + bytes.length),
      headers: NO_HEADERS,
      timestamp: nowMs,
    };
  };
}

const JSON_HINT =
  'With --json each line is one object: {"key":"k","value":"v","headers":{"h":"x"},"partition":0,"timestamp":0}';

/**
 * One JSON object a line, in the form that `consume --json` prints. Strings are taken as text, `{"base64":"…"}` as the bytes it
 * says, anything else as its JSON; null, or absent, is null: a record without a value is a tombstone.
 */
function jsonLine(partition: number | undefined): Parse {
  return (line, lineNumber, nowMs) => {
    const record = parseObject(line, lineNumber);
    return {
      partition: partition ?? numberField(record, 'partition', lineNumber),
      key: jsonBytes(record['key']),
      value: jsonBytes(record['value']),
      headers: jsonHeaders(record['headers'], lineNumber),
      timestamp: numberField(record, 'timestamp', lineNumber) ?? nowMs,
    };
  };
}

function parseObject(line: Buffer, lineNumber: number): Readonly<Record<string, unknown>> {
  let record: unknown;
  try {
    record = JSON.parse(line.toString());
  } catch (cause) {
    throw wrongLine(lineNumber, 'is not JSON', cause);
  }
  if (!isObject(record)) throw wrongLine(lineNumber, 'is not a JSON object');
  return record;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrongLine(lineNumber: number, what: string, cause?: unknown): MillraceError {
  return new MillraceError('ML_USAGE', `line ${lineNumber} of the input ${what}`, {
    cause,
    hint: JSON_HINT,
  });
}

function numberField(
  record: Readonly<Record<string, unknown>>,
  name: string,
  lineNumber: number,
): number | undefined {
  const value = record[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrongLine(lineNumber, `has a ${name} that is not a whole number`);
}

function jsonHeaders(headers: unknown, lineNumber: number): readonly RecordHeader[] {
  if (headers === undefined || headers === null) return NO_HEADERS;
  if (isObject(headers))
    return Object.entries(headers).map(([key, value]) => ({ key, value: jsonBytes(value) }));
  if (!Array.isArray(headers)) throw wrongLine(lineNumber, 'has headers that are not an object');
  return headers.map((header: unknown) => {
    if (!isObject(header) || typeof header['key'] !== 'string')
      throw wrongLine(lineNumber, 'has a header without a key');
    return { key: header['key'], value: jsonBytes(header['value']) };
  });
}

function jsonBytes(value: unknown): Buffer | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return Buffer.from(value);
  if (isObject(value) && typeof value['base64'] === 'string' && Object.keys(value).length === 1)
    return Buffer.from(value['base64'], 'base64');
  return Buffer.from(JSON.stringify(value));
}
