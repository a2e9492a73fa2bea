/** `millrace queue list|show|declare|delete|purge|move|redrive`. */
import type { AmqpClient } from '../client/amqp/client.ts';
import type { MoveResult, QueueInfo } from '../client/amqp/management-types.ts';
import { ofDeclaration, ofQueue } from '../client/amqp/queue-errors.ts';
import { MillraceError } from '../core/errors.ts';
import type { FieldValue } from '../wire/amqp/field-table.ts';
import { MANAGEMENT_MOVE_MAX } from '../wire/amqp/management.ts';
import { type AmqpOptions, withAmqp } from './amqp.ts';
import { formatTable, printable, say, writeData, writeJson } from './io.ts';
import { formatBytes, formatCount, wholeNumber } from './numbers.ts';

export interface CountOptions extends AmqpOptions {
  readonly count?: string;
}

export interface DeclareOptions extends AmqpOptions {
  readonly type?: string;
  readonly deadLetters?: string;
  readonly keyOrdered?: boolean;
  readonly over?: string;
  readonly argument?: readonly string[];
}

export interface DeleteOptions extends AmqpOptions {
  readonly ifEmpty?: boolean;
  readonly ifUnused?: boolean;
}

export async function listQueues(options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    const queues = (await client.request({ op: 'queues' })).toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    if (options.json) await writeJson(queues);
    else if (queues.length === 0) say('no queues; millrace queue declare NAME makes one');
    else
      await writeData(
        formatTable(
          ['queue', 'type', 'ready', 'unacked', 'delayed', 'consumers', 'bytes'],
          queues.map((queue) => [
            queue.name,
            typeOf(queue),
            queue.ready,
            queue.unacknowledged,
            queue.delayed,
            queue.consumers,
            queue.readyBytes,
          ]),
        ),
      );
  });
}

/** For people: a queue over a topic is none of AMQP's types. */
function typeOf({ type, arguments: table, durable }: QueueInfo): string {
  if (table['x-source-topic'] !== undefined) return 'over a topic';
  return durable ? type : `${type}, transient`;
}

export async function showQueue(name: string, options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    const queue = await infoOf(client, name);
    if (options.json) {
      await writeJson(queue);
      return;
    }
    const lines: (readonly [string, string])[] = [
      ['queue', queue.name],
      ['vhost', queue.vhost],
      ['type', typeOf(queue)],
      ['topic', queue.topic ?? '-'],
      ...Object.entries(queue.arguments).map(
        ([argument, value]) => ['argument', `${argument}=${JSON.stringify(value)}`] as const,
      ),
      ['ready', `${formatCount(queue.ready, 'message')}, ${formatBytes(queue.readyBytes)}`],
      ['unacked', formatCount(queue.unacknowledged, 'message')],
      ['delayed', formatCount(queue.delayed, 'message')],
      ['consumers', String(queue.consumers)],
      ['on disk', formatBytes(queue.logBytes)],
    ];
    await writeData(
      lines.map(([what, text]) => `${what.padEnd(10)} ${printable(text)}\n`).join(''),
    );
    await writeData('\n');
    const dead = Object.entries(queue.deadLettered).map(
      ([reason, count]) => [`dead letters: ${reason}`, count] as const,
    );
    await writeData(
      formatTable(
        ['since the start', 'messages'],
        [
          ['published', queue.published],
          ['delivered', queue.delivered],
          ['redelivered', queue.redelivered],
          ['acknowledged', queue.acknowledged],
          ['expired', queue.expired],
          ...dead,
          ['dropped', queue.dropped],
        ],
      ),
    );
  });
}

async function infoOf(client: AmqpClient, name: string): Promise<QueueInfo> {
  try {
    return await client.request({ op: 'queue', name });
  } catch (error) {
    throw ofQueue(error, name);
  }
}

export async function declareQueue(name: string, options: DeclareOptions): Promise<void> {
  const { type, deadLetters, keyOrdered, over } = options;
  if (name === '')
    throw new MillraceError('ML_USAGE', 'a queue has a name', {
      hint: 'Write for example millrace queue declare jobs',
    });
  const table: Record<string, FieldValue> = {
    ...(type === undefined ? {} : { 'x-queue-type': type }),
    ...(deadLetters === undefined
      ? {}
      : { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': deadLetters }),
    ...(keyOrdered === true ? { 'x-key-ordered': true } : {}),
    ...(over === undefined ? {} : { 'x-source-topic': over }),
    ...Object.fromEntries((options.argument ?? []).map(parseArgument)),
  };
  await withAmqp(options, async (client) => {
    const channel = await client.channel({ confirms: false });
    try {
      // What looks at dead letters must not use them up.
      if (deadLetters !== undefined && !(await isThere(client, deadLetters)))
        await channel.declareQueue({
          queue: deadLetters,
          durable: true,
          arguments: { 'x-delivery-limit': -1 },
        });
      await channel.declareQueue({ queue: name, durable: true, arguments: table });
    } catch (error) {
      throw ofDeclaration(error, name);
    }
    if (options.json) await writeJson(await infoOf(client, name));
    else say(`queue ${name} is there`);
  });
}

async function isThere(client: AmqpClient, name: string): Promise<boolean> {
  return (await client.request({ op: 'queues' })).some((queue) => queue.name === name);
}

/** `x-max-length=1000`: numbers, true and false are meant; what is to be text all the same is put in double quotes. */
function parseArgument(text: string): [string, FieldValue] {
  const at = text.indexOf('=');
  if (at <= 0)
    throw new MillraceError('ML_USAGE', `'${text}' is not name=value`, {
      hint: 'Write for example x-max-length=1000',
    });
  const name = text.slice(0, at);
  const value = text.slice(at + 1);
  if (value === 'true' || value === 'false') return [name, value === 'true'];
  if (/^-?\d+(?:\.\d+)?$/.test(value)) return [name, Number(value)];
  return [name, /^".*"$/.test(value) ? value.slice(1, -1) : value];
}

export async function deleteQueues(
  names: readonly string[],
  options: DeleteOptions,
): Promise<void> {
  const { ifEmpty = false, ifUnused = false } = options;
  await withAmqp(options, async (client) => {
    // One by one: of several the first that fails stops it, and what was deleted has been said.
    for (const name of names) {
      // Asked for, since AMQP deletes what is not there.
      await infoOf(client, name);
      const channel = await client.channel({ confirms: false });
      const messages = await channel
        .deleteQueue(name, { ifEmpty, ifUnused })
        .catch((error: unknown) => {
          throw ofDeletion(error, name);
        });
      await channel.close();
      say(`deleted queue ${name} with ${formatCount(messages, 'message')}`);
    }
  });
}

function ofDeletion(error: unknown, queue: string): unknown {
  if (!(error instanceof MillraceError) || error.fields['reply'] !== 'PRECONDITION_FAILED')
    return ofQueue(error, queue);
  return new MillraceError('ML_AMQP_REFUSED', error.message, {
    cause: error,
    fields: error.fields,
    hint: 'It is in use, or not empty: leave out --if-unused, or --if-empty, to delete it all the same',
  });
}

export async function purgeQueue(name: string, options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    const { purged } = await client.request({ op: 'purge', name }).catch((error: unknown) => {
      throw ofQueue(error, name);
    });
    if (options.json) await writeJson({ queue: name, purged });
    else say(`dropped ${formatCount(purged, 'message')} of queue ${name}`);
  });
}

export async function moveQueue(from: string, to: string, options: CountOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    // Said of the right one of the two.
    await infoOf(client, to);
    await infoOf(client, from);
    const moved = await moveAll(options, (limit) =>
      client.request({ op: 'move', from, to, limit }),
    );
    if (options.json) await writeJson({ from, to, ...moved });
    else sayMoved(moved, `from ${from} to ${to}`, `${to} is full`);
  });
}

export async function redriveQueue(from: string, options: CountOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    await infoOf(client, from);
    const moved = await moveAll(options, (limit) => client.request({ op: 'redrive', from, limit }));
    if (options.json) await writeJson({ from, ...moved });
    else
      sayMoved(
        moved,
        `of ${from} to where they came from`,
        'nothing says where they came from, or that is full',
      );
  });
}

interface Moved {
  readonly moved: number;
  readonly skipped: number;
}

/** As many as are wanted, some thousands at a time. */
async function moveAll(
  options: CountOptions,
  move: (limit: number) => Promise<MoveResult>,
): Promise<Moved> {
  const wanted = options.count === undefined ? Infinity : wholeNumber('--count', options.count, 1);
  let moved = 0;
  for (;;) {
    const result = await move(Math.min(wanted - moved, MANAGEMENT_MOVE_MAX));
    moved += result.moved;
    // What is moved nowhere would not be moved by asking again.
    if (result.moved === 0 || result.remaining === 0 || moved >= wanted)
      return { moved, skipped: result.skipped };
    if (options.json !== true && process.stderr.isTTY)
      say(
        `moved ${formatCount(moved, 'message')}, ${result.remaining.toLocaleString('en-US')} left`,
      );
  }
}

function sayMoved({ moved, skipped }: Moved, where: string, why: string): void {
  say(`moved ${formatCount(moved, 'message')} ${where}`);
  if (skipped > 0) say(`left ${formatCount(skipped, 'message')} where they were: ${why}`);
}
