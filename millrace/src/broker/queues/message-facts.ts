/**
 * What a queue needs to know of a message beside its bytes: expiration, priority, delay, and the key by which copies are known. Properties
 * that are not well formed, which a Kafka client may have written, say nothing.
 *
 * @hot
 */
import { expirationMs, readFacts } from '../../wire/amqp/properties.ts';

/** Flags of properties that a queue looks at. */
const HEADERS = 0x2000;
const PRIORITY = 0x0800;
const EXPIRATION = 0x0100;
const INTERESTING = HEADERS | PRIORITY | EXPIRATION;
/** Longest time that counts: 100 years. */
const DURATION_MS_MAX = 100 * 365 * 86_400_000;

export interface MessageFacts {
  /** Milliseconds; -1 = none. */
  readonly expirationMs: number;
  readonly priority: number;
  /** 0 = none. */
  readonly delayMs: number;
  readonly dedupeKey: string | undefined;
}

export const NO_FACTS: MessageFacts = {
  expirationMs: -1,
  priority: 0,
  delayMs: 0,
  dedupeKey: undefined,
};

/** The facts of a message with these properties. */
export function factsOf(properties: Buffer): MessageFacts {
  if (properties.length <= 2) return NO_FACTS;
  const flags = ((properties[0] as number) << 8) | (properties[1] as number);
  return (flags & INTERESTING) === 0 ? NO_FACTS : read(properties);
}

function read(properties: Buffer): MessageFacts {
  try {
    const facts = readFacts(properties);
    const expiration = facts.expiration === undefined ? undefined : expirationMs(facts.expiration);
    return {
      expirationMs: expiration === undefined ? -1 : Math.min(expiration, DURATION_MS_MAX),
      priority: facts.priority,
      delayMs: Math.min(Math.floor(facts.delayMs ?? 0), DURATION_MS_MAX),
      dedupeKey: facts.dedupeKey,
    };
  } catch {
    return NO_FACTS;
  }
}

/** Whether these are properties that can be written to a client. */
export function areProperties(properties: Buffer): boolean {
  try {
    readFacts(properties);
    return true;
  } catch {
    return false;
  }
}
