/**
 * Moving messages from one queue to another, and dead letters back to where they came from.
 *
 * A message is taken as `get` takes it, appended where it goes, and settled at its source when that is durable: it is in one of the two at
 * every moment, and after a crash at worst in both.
 */
import { MOVE_BATCH_BYTES_MAX, MOVE_BATCH_MESSAGES } from '../../core/queue-limits.ts';
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import type { QueueMessage } from '../../broker/queues/message.ts';
import type { Delivery, Queue } from '../../broker/queues/queue.ts';
import { PublishBatch } from '../../broker/exchanges/publish-batch.ts';
import type { FieldTable, FieldValue } from '../../wire/amqp/field-table.ts';
import {
  MANAGEMENT_MOVE_MAX,
  type MoveRequest,
  type MoveResult,
  type RedriveRequest,
} from '../../wire/amqp/management.ts';
import { decodeProperties, withProperties } from '../../wire/amqp/properties.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { accepted } from './faults.ts';
import { DEFAULT_EXCHANGE, demand } from './permissions.ts';
import type { AmqpSession } from './session.ts';

const MOVED = { areMoved: true };

/** @throws {AmqpFault} NOT_FOUND, RESOURCE_LOCKED, ACCESS_REFUSED, PRECONDITION_FAILED */
export async function moveMessages(
  session: AmqpSession,
  vhost: VirtualHost,
  request: MoveRequest,
): Promise<MoveResult> {
  const { from, to, limit } = request;
  const source = sourceOf(session, vhost, from);
  demand(session, 'write', 'exchange', '');
  const { queue: target } = accepted(vhost.queue(to, session.owner));
  if (target === source)
    throw new AmqpFault('PRECONDITION_FAILED', `queue '${from}' is both source and target`);
  if (target.settings.sourceTopic !== undefined)
    throw new AmqpFault(
      'PRECONDITION_FAILED',
      `queue '${to}' reads a topic: what it is to get is written there`,
    );
  return moveUpTo(source, limit ?? MANAGEMENT_MOVE_MAX, async (deliveries) => {
    const { refused, durable } = target.append(
      deliveries.map(({ message }) => message),
      MOVED,
    );
    await durable;
    return new Set(refused);
  });
}

/** @throws {AmqpFault} NOT_FOUND, RESOURCE_LOCKED, ACCESS_REFUSED, PRECONDITION_FAILED */
export async function redriveMessages(
  session: AmqpSession,
  vhost: VirtualHost,
  request: RedriveRequest,
): Promise<MoveResult> {
  const source = sourceOf(session, vhost, request.from);
  const limit = request.limit ?? MANAGEMENT_MOVE_MAX;
  return moveUpTo(source, limit, async (deliveries) => {
    const redrive = new Redrive(session, vhost, source);
    for (const [position, { message }] of deliveries.entries()) redrive.add(position, message);
    return redrive.commit();
  });
}

/**
 * Dead letters on their way back: to the queue in which each died first, which others that its exchange leads to have had it from; where that
 * is gone, to its exchange.
 */
class Redrive {
  private readonly session: AmqpSession;
  private readonly vhost: VirtualHost;
  private readonly source: Queue;
  private readonly refused = new Set<number>();
  private readonly shares = new Map<Queue, { messages: QueueMessage[]; positions: number[] }>();
  private readonly batch: PublishBatch;
  /** Positions of what is in the batch, by its calls. */
  private readonly calls: number[] = [];

  constructor(session: AmqpSession, vhost: VirtualHost, source: Queue) {
    this.session = session;
    this.vhost = vhost;
    this.source = source;
    this.batch = new PublishBatch(vhost, MOVED);
  }

  add(position: number, message: QueueMessage): void {
    const first = asFirstPublished(message);
    if (first === undefined || !this.mayWrite(first)) {
      this.refused.add(position);
      return;
    }
    const found = this.vhost.queue(first.queue, this.session.owner);
    if (found.ok) this.toQueue(found.value.queue, position, first.message);
    else this.toExchange(position, first.message);
  }

  /** @returns positions of what could not go, and stays */
  async commit(): Promise<ReadonlySet<number>> {
    const { refused } = this;
    const durable: Promise<void>[] = [];
    for (const [queue, { messages, positions }] of this.shares) {
      const appended = queue.append(messages, MOVED);
      for (const at of appended.refused) refused.add(positions[at] ?? -1);
      if (appended.durable !== undefined) durable.push(appended.durable);
    }
    const committed = this.batch.commit();
    for (const call of committed.refused) refused.add(this.calls[call] ?? -1);
    if (committed.durable !== undefined) durable.push(committed.durable);
    await Promise.all(durable);
    return refused;
  }

  private mayWrite({ message }: FirstPublished): boolean {
    const { exchange } = message;
    return this.session.grant.may('write', exchange === '' ? DEFAULT_EXCHANGE : exchange);
  }

  private toQueue(queue: Queue, position: number, message: QueueMessage): void {
    if (queue === this.source || queue.settings.sourceTopic !== undefined) {
      this.refused.add(position);
      return;
    }
    let share = this.shares.get(queue);
    if (share === undefined) {
      share = { messages: [], positions: [] };
      this.shares.set(queue, share);
    }
    share.messages.push(message);
    share.positions.push(position);
  }

  private toExchange(position: number, message: QueueMessage): void {
    this.calls.push(position);
    const routed = this.batch.add(message);
    if (!routed.ok || routed.value === 0) this.refused.add(position);
  }
}

function sourceOf(session: AmqpSession, vhost: VirtualHost, name: string): Queue {
  demand(session, 'read', 'queue', name);
  const { queue } = accepted(vhost.queue(name, session.owner));
  const { type, sourceTopic } = queue.settings;
  if (type === 'stream' || sourceTopic !== undefined)
    throw new AmqpFault('PRECONDITION_FAILED', `nothing can be taken from queue '${name}'`);
  return queue;
}

/** @param give appends them, durably; returns the positions of those that could not be */
async function moveUpTo(
  source: Queue,
  limit: number,
  give: (deliveries: readonly Delivery[]) => Promise<ReadonlySet<number>>,
): Promise<MoveResult> {
  await source.ready;
  // What comes meanwhile, or comes back, is not moved in circles.
  let left = Math.min(limit, source.counts.ready);
  let moved = 0;
  const skipped: Delivery[] = [];
  try {
    while (left > 0) {
      const taken = await takeSome(source, Math.min(left, MOVE_BATCH_MESSAGES));
      if (taken.length === 0) break;
      left -= taken.length;
      const settled = await giveOrRelease(source, taken, give);
      moved += settled.moved;
      skipped.push(...settled.skipped);
    }
  } finally {
    // Only now: otherwise they would be taken again and again.
    source.settle(skipped, 'release', { counts: false });
  }
  const remaining = Math.max(0, source.counts.ready - skipped.length);
  return { moved, skipped: skipped.length, remaining };
}

async function giveOrRelease(
  source: Queue,
  taken: readonly Delivery[],
  give: (deliveries: readonly Delivery[]) => Promise<ReadonlySet<number>>,
): Promise<{ readonly moved: number; readonly skipped: readonly Delivery[] }> {
  let isSettled = false;
  try {
    const refused = await give(taken);
    const moved = taken.filter((_, position) => !refused.has(position));
    source.settle(moved, 'accept');
    isSettled = true;
    return { moved: moved.length, skipped: taken.filter((_, at) => refused.has(at)) };
  } finally {
    if (!isSettled) source.settle(taken, 'release', { counts: false });
  }
}

/** Takes what is ready; whoever takes it settles it. @throws {AmqpFault} with nothing taken */
export async function takeSome(source: Queue, most: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  let bytes = 0;
  while (taken.length < most && bytes < MOVE_BATCH_BYTES_MAX) {
    const outcome = await source.get({ noAck: false });
    if (!outcome.ok) {
      source.settle(taken, 'release', { counts: false });
      accepted(outcome);
      break;
    }
    if (outcome.value === undefined) break;
    taken.push(outcome.value);
    bytes += outcome.value.message.body.length;
  }
  return taken;
}

interface FirstPublished {
  readonly message: QueueMessage;
  /** In which it died first. */
  readonly queue: string;
}

/** What dying has added to a message. */
const ADDED_HEADERS = [
  'x-death',
  'x-first-death-exchange',
  'x-first-death-queue',
  'x-first-death-reason',
  'x-last-death-exchange',
  'x-last-death-queue',
  'x-last-death-reason',
  'x-delivery-count',
];

/** The message as it was before it died first; undefined when nothing tells. */
function asFirstPublished(message: QueueMessage): FirstPublished | undefined {
  const { headers = {} } = decodeProperties(message.properties);
  const death = firstDeath(headers);
  if (death === undefined) return undefined;
  const { exchange, queue, 'routing-keys': keys } = death;
  const routingKey = isList(keys) ? keys[0] : queue;
  if (typeof exchange !== 'string' || typeof queue !== 'string') return undefined;
  if (typeof routingKey !== 'string') return undefined;
  const properties = withProperties(message.properties, {
    headers: Object.fromEntries(ADDED_HEADERS.map((name) => [name, undefined])),
  });
  return { queue, message: { ...message, exchange, routingKey, properties } };
}

/** The entry that the headers of the first death name; else the oldest, which is the last. */
function firstDeath(headers: FieldTable): FieldTable | undefined {
  const deaths = headers['x-death'];
  const entries = isList(deaths) ? deaths.filter(isTable) : [];
  const named = entries.find(
    ({ queue, reason }) =>
      queue === headers['x-first-death-queue'] && reason === headers['x-first-death-reason'],
  );
  return named ?? entries.at(-1);
}

function isList(value: FieldValue | undefined): value is readonly FieldValue[] {
  return Array.isArray(value);
}

function isTable(value: FieldValue | undefined): value is FieldTable {
  return typeof value === 'object' && value !== null && !isList(value);
}
