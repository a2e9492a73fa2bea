/** `millrace queue publish|get`: lines of stdin become messages, and messages lines of stdout. */
import { isUtf8 } from 'node:buffer';
import type { AmqpClient } from '../client/amqp/client.ts';
import {
  deathOf,
  type LookedAt,
  lookedAt,
  messageFacts,
  messageProperties,
} from '../client/amqp/message-properties.ts';
import { ofQueue } from '../client/amqp/queue-errors.ts';
import { MillraceError } from '../core/errors.ts';
import { PEEK_MESSAGES } from '../core/queue-limits.ts';
import { realEnv } from '../core/real-env.ts';
import { duration } from '../flow/durations.ts';
import { FieldTimestamp } from '../wire/amqp/field-table.ts';
import { encodeProperties } from '../wire/amqp/properties.ts';
import { type AmqpOptions, withAmqp } from './amqp.ts';
import { DataOutput, say } from './io.ts';
import { linesOf } from './lines.ts';
import { wholeNumber } from './numbers.ts';
import { Progress } from './progress.ts';

export interface PublishOptions extends AmqpOptions {
  readonly exchange?: string;
  readonly message?: string;
  readonly priority?: string;
  readonly delay?: string;
  readonly expires?: string;
  readonly key?: string;
  readonly dedupeKey?: string;
  readonly header?: readonly string[];
}

export interface GetOptions extends AmqpOptions {
  readonly count?: string;
  readonly keep?: boolean;
}

const NEWLINE = 10;

export async function publishMessages(to: string, options: PublishOptions): Promise<void> {
  const env = realEnv();
  const properties = propertiesOf(options);
  await withAmqp(options, async (client) => {
    const channel = await client.channel();
    const progress = new Progress(env, 'published', process.stdin.isTTY);
    const send = async (body: Uint8Array): Promise<void> => {
      channel.send({
        exchange: options.exchange ?? '',
        routingKey: to,
        properties: encodeProperties(
          messageProperties(properties, 'text/plain', env.clock.nowMs()),
        ),
        body,
        mandatory: true,
      });
      progress.add(1, body.length);
      await channel.ready();
    };
    try {
      if (options.message !== undefined) await send(Buffer.from(options.message));
      else
        for await (const lines of linesOf(process.stdin)) {
          // The buffer of the lines is used again before a message is confirmed.
          for (const line of lines) await send(Buffer.from(line));
        }
      await channel.confirmed();
    } catch (error) {
      throw ofPublishing(error, to, options);
    } finally {
      progress.finish();
    }
  });
}

function propertiesOf(options: PublishOptions): Parameters<typeof messageProperties>[0] {
  const { priority, delay, expires, key, dedupeKey, header = [] } = options;
  return {
    delayMs: delay === undefined ? 0 : timeOf('--delay', delay),
    priority: priority === undefined ? 0 : wholeNumber('--priority', priority),
    key,
    dedupeKey,
    id: undefined,
    expiresInMs: expires === undefined ? undefined : timeOf('--expires', expires),
    headers: Object.fromEntries(header.map(parseHeader)),
  };
}

function timeOf(option: string, text: string): number {
  try {
    return duration(text);
  } catch {
    throw new MillraceError('ML_USAGE', `${option} takes a time such as 5s or 10m, not '${text}'`);
  }
}

function parseHeader(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new MillraceError('ML_USAGE', `'${text}' is not name=value`, {
    hint: 'Write for example --header source=import',
  });
}

/** What came back, or was not taken. */
function ofPublishing(error: unknown, to: string, { exchange }: PublishOptions): unknown {
  if (!(error instanceof MillraceError) || error.code !== 'ML_AMQP_REFUSED') return error;
  if (error.fields['reply'] === 'NO_ROUTE')
    return exchange === undefined
      ? new MillraceError('ML_QUEUE_MISSING', `there is no queue ${to}`, { cause: error })
      : new MillraceError(
          'ML_AMQP_REFUSED',
          `exchange ${exchange} leads to no queue with the routing key ${to}`,
          { cause: error, hint: 'Bind a queue to it, from a program that uses AMQP' },
        );
  // It was not taken: nothing was said but that.
  if (error.fields['reply'] === undefined)
    return new MillraceError('ML_QUEUE_FULL', `queue ${to} has not taken all messages`, {
      cause: error,
    });
  return error;
}

export async function getMessages(queue: string, options: GetOptions): Promise<void> {
  const count = options.count === undefined ? 1 : wholeNumber('--count', options.count, 1);
  await withAmqp(options, async (client) => {
    const output = new DataOutput();
    const isJson = options.json === true;
    try {
      const shown =
        options.keep === true
          ? await show(client, output, { queue, count, isJson })
          : await take(client, output, { queue, count, isJson });
      if (shown === 0) say(`queue ${queue} has no message that is ready`);
    } catch (error) {
      throw ofQueue(error, queue);
    }
  });
}

interface Ask {
  readonly queue: string;
  readonly count: number;
  readonly isJson: boolean;
}

/** They stay where they are. */
async function show(
  client: AmqpClient,
  output: DataOutput,
  { queue, count, isJson }: Ask,
): Promise<number> {
  if (count > PEEK_MESSAGES)
    throw new MillraceError('ML_USAGE', `--keep shows at most ${PEEK_MESSAGES} messages`, {
      hint: 'Take them, without --keep; or read the topic of the queue: `millrace queue show` names it',
    });
  const messages = await client.request({ op: 'peek', name: queue, limit: count });
  for (const message of messages) {
    print(output, lookedAt(message), isJson);
    if (output.isFull) await output.flush();
  }
  await output.flush();
  return messages.length;
}

/** What has reached the reader is done with; what has not goes back. */
async function take(
  client: AmqpClient,
  output: DataOutput,
  { queue, count, isJson }: Ask,
): Promise<number> {
  const channel = await client.channel({ confirms: false });
  let taken = 0;
  let last = 0;
  const settle = async (): Promise<void> => {
    await output.flush();
    if (last > 0) channel.ack(last, true);
    last = 0;
  };
  try {
    for (; taken < count; taken++) {
      const delivery = await channel.get(queue);
      if (delivery === undefined) break;
      const { deliveryTag, body, exchange, routingKey, redelivered, properties } = delivery;
      print(
        output,
        { ...messageFacts(properties), body, exchange, routingKey, redelivered },
        isJson,
      );
      last = deliveryTag;
      if (output.isFull) await settle();
    }
    await settle();
  } finally {
    await channel.close();
  }
  return taken;
}

function print(output: DataOutput, message: LookedAt, isJson: boolean): void {
  const { body, enqueuedAtMs, headers, contentType, ...rest } = message;
  if (isJson) {
    const { reason, queue } = deathOf(headers);
    const enqueuedAt = enqueuedAtMs === undefined ? undefined : new Date(enqueuedAtMs);
    const text = isUtf8(body) ? body.toString() : { base64: body.toString('base64') };
    const line = { body: text, ...rest, enqueuedAt, contentType, reason, queue, headers };
    output.appendText(`${JSON.stringify(line, plainField)}\n`);
    return;
  }
  output.append(body, 0, body.length);
  output.appendByte(NEWLINE);
}

/** What JSON has no word for. */
function plainField(this: unknown, _name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof FieldTimestamp) return new Date(value.seconds * 1000).toISOString();
  return value;
}
