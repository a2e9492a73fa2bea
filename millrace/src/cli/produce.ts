/** `millrace produce`: lines of stdin become records. */
import type { MessageToProduce, Producer } from '@platformatic/kafka';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import { brokersOption, clientOptions, loadLibrary, translate } from './cluster.ts';
import { linesOf } from './lines.ts';
import { Progress } from './progress.ts';

export interface ProduceOptions {
  readonly brokers?: string;
  readonly json?: boolean;
  readonly keySeparator?: string;
  readonly compression: string;
  readonly acks: string;
  readonly partition?: string;
}

type Message = MessageToProduce<Buffer, Buffer, Buffer, Buffer>;

/** How many bytes of lines go into one request at most: below the default max.message.bytes of 1 MiB. */
const REQUEST_BYTES_MAX = 512 * 1024;
const REQUEST_RECORDS_MAX = 10_000;

const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const compression = COMPRESSIONS.find((name) => name === options.compression);
  if (compression === undefined) {
    throw new MillraceError(
      'ML_USAGE',
      `--compression takes ${COMPRESSIONS.join(', ')}, not '${options.compression}'`,
    );
  }
  if (!['all', '1', '0'].includes(options.acks)) {
    throw new MillraceError('ML_USAGE', `--acks takes all, 1 or 0, not '${options.acks}'`);
  }
  const parse = options.json ? jsonLine : textLine(options.keySeparator);
  const partition =
    options.partition === undefined ? undefined : wholeNumber('--partition', options.partition);
  const brokers = brokersOption(options.brokers);
  const library = await loadLibrary();
  // Records without a key go to one partition a request, in turn: large batches, even partitions (KIP-480).
  let keyless = 0;
  const producer: Producer<Buffer, Buffer, Buffer, Buffer> = new library.Producer({
    ...clientOptions(brokers),
    acks: options.acks === 'all' ? -1 : Number(options.acks),
    // Retries after a lost answer must not write twice; that needs every answer.
    idempotent: options.acks === 'all',
    compression,
    autocreateTopics: true,
    partitioner: (message, key) =>
      key === undefined ? keyless : library.compatibilityPartitioner(message, key),
  });
  const progress = new Progress(realEnv(), 'produced');
  try {
    await sendAll(producer, topic, parse, partition, progress, () => keyless++);
  } catch (error) {
    throw translate(error, brokers);
  } finally {
    progress.finish();
    await producer.close();
  }
}

async function sendAll(
  producer: Producer<Buffer, Buffer, Buffer, Buffer>,
  topic: string,
  parse: (line: Buffer, lineNumber: number) => Omit<Message, 'topic'>,
  partition: number | undefined,
  progress: Progress,
  onRequest: () => void,
): Promise<void> {
  let messages: Message[] = [];
  let bytes = 0;
  let lineNumber = 0;
  const send = async (): Promise<void> => {
    if (messages.length === 0) return;
    await producer.send({ messages });
    onRequest();
    progress.add(messages.length, bytes);
    messages = [];
    bytes = 0;
  };
  for await (const lines of linesOf(process.stdin)) {
    for (const line of lines) {
      lineNumber++;
      if (messages.length >= REQUEST_RECORDS_MAX || bytes + line.length > REQUEST_BYTES_MAX)
        await send();
      const message = parse(line, lineNumber);
      messages.push(
        partition === undefined ? { topic, ...message } : { topic, partition, ...message },
      );
      bytes += line.length;
    }
    // What was typed is sent when it was typed; a file arrives in large chunks anyway.
    await send();
  }
  await send();
}

function textLine(separator: string | undefined): (line: Buffer) => Omit<Message, 'topic'> {
  if (separator === undefined) return (line) => ({ value: line });
  const bytes = Buffer.from(separator.replaceAll('\\t', '\t'));
  return (line) => {
    const at = line.indexOf(bytes);
    if (at < 0) return { value: line };
    return { key: line.subarray(0, at), value: line.subarray(at + bytes.length) };
  };
}

interface JsonRecord {
  readonly key?: unknown;
  readonly value?: unknown;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly partition?: number;
  readonly timestamp?: number;
}

/** One JSON object a line, in the form that `consume --json` prints. Strings are taken as text, anything else as its JSON; null, or
 * absent, is null: a record without a value is a tombstone. */
function jsonLine(line: Buffer, lineNumber: number): Omit<Message, 'topic'> {
  let record: JsonRecord;
  try {
    record = JSON.parse(line.toString()) as JsonRecord;
  } catch (cause) {
    throw new MillraceError('ML_USAGE', `line ${lineNumber} of the input is not JSON`, {
      cause,
      hint: 'With --json each line is one object: {"key":"k","value":"v","headers":{"h":"x"},"partition":0,"timestamp":0}',
    });
  }
  if (record === null || typeof record !== 'object' || Array.isArray(record)) {
    throw new MillraceError('ML_USAGE', `line ${lineNumber} of the input is not a JSON object`);
  }
  const key = jsonBytes(record.key);
  const value = jsonBytes(record.value);
  return {
    ...(key === undefined ? {} : { key }),
    ...(value === undefined ? {} : { value }),
    ...(record.headers === undefined
      ? {}
      : {
          headers: new Map(
            Object.entries(record.headers).map(([name, header]) => [
              Buffer.from(name),
              jsonBytes(header) ?? Buffer.alloc(0),
            ]),
          ),
        }),
    ...(record.partition === undefined ? {} : { partition: record.partition }),
    ...(record.timestamp === undefined ? {} : { timestamp: BigInt(record.timestamp) }),
  };
}

function jsonBytes(value: unknown): Buffer | undefined {
  if (value === undefined || value === null) return undefined;
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

/** @throws {MillraceError} ML_USAGE */
export function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new MillraceError('ML_USAGE', `${option} takes a whole number, not '${text}'`);
  }
  return Number(text);
}
