/**
 * Where dead letters go: the dead letter exchange of the queue that a message leaves, with its own routing keys or the one that the queue
 * says; and from there wherever that leads, but not in a circle that nobody takes part in.
 *
 * The message is in its new queues when the answer is given, and settled in the old one after that: it may be in both after a crash, and is
 * never in none.
 */
import type { Env } from '../../core/env.ts';
import type { QueueMessage } from '../queues/message.ts';
import type { DeadLetterReason, Queue } from '../queues/queue.ts';
import { factsOfDeath, isCircle } from './deaths.ts';
import type { Routable, Routed } from './router.ts';

export type DeadLetterFate = 'moved' | 'nowhere' | 'refused';

/** @param route as `VirtualHost.route`, of internal exchanges too */
export function sendDeadLetter(
  options: { readonly env: Env; readonly route: (message: Routable) => Routed },
  queue: Queue,
  message: QueueMessage,
  reason: DeadLetterReason,
): DeadLetterFate {
  const { deadLetterExchange, deadLetterRoutingKey, deadLetterStrategy } = queue.settings;
  if (deadLetterExchange === undefined) return 'nowhere';
  const nowMs = options.env.clock.nowMs();
  const { properties, deaths } = factsOfDeath({
    queue: queue.name,
    reason,
    message,
    routingKey: deadLetterRoutingKey,
    nowMs,
  });
  const letter: QueueMessage = {
    key: message.key,
    exchange: deadLetterExchange,
    routingKey: deadLetterRoutingKey ?? message.routingKey,
    properties,
    body: message.body,
    timestampMs: nowMs,
  };
  const routed = options.route(letter);
  const targets = routed.ok ? routed.value : [];
  // What is too much has to go: a queue that drops its head does not grow because others are full.
  const isKept = deadLetterStrategy === 'at-least-once' && reason !== 'maxlen';
  if (isKept && targets.length === 0) return 'refused';
  const open = targets.filter(({ name }) => !isCircle(name, deaths));
  // Asked before any has it: what is tried again must not come twice to those that have room.
  if (isKept && !open.every((target) => target.hasRoomFor(letter))) return 'refused';
  return append(letter, open);
}

/** A full queue drops it, as RabbitMQ does with what nobody waits for; a full disk does not. */
function append(letter: QueueMessage, targets: readonly Queue[]): DeadLetterFate {
  let fate: DeadLetterFate = 'nowhere';
  for (const target of targets) {
    const { refused, reason, durable } = target.append([letter], { areMoved: true });
    // A device that fails ends the process, and nobody waits here to be told.
    durable?.catch(() => {});
    if (reason === 'disk-full') return 'refused';
    if (refused.length === 0) fate = 'moved';
  }
  return fate;
}
