/** What a queue is, as a program says it: checked, and in AMQP's words. */
import type { QueueArguments } from '../../client/amqp/queue-topic.ts';
import { optionFault, type OptionNames } from '../../core/option-names.ts';
import { CONSUMER_TIMEOUT_MS_DEFAULT, DELAY_MS_MAX } from '../../core/queue-limits.ts';
import { flowError, type Operator } from '../../flow/draft.ts';
import type { Duration } from '../../flow/durations.ts';
import { described, durationOf, requireInteger } from '../../flow/operator-builder.ts';
import type { Serde } from '../../flow/serde.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { json, serdeOf, type SerdeName, type SerdeTypes } from '../topics/serdes.ts';

/** How bodies are written: a serde, its name, or a schema that JSON has to fit. */
export type BodyGiven = SerdeName | Serde<unknown> | StandardSchema;

/** What is read: anything that JSON can be, where nothing was said. */
export type BodyRead<S> =
  S extends Serde<infer T>
    ? T
    : S extends SerdeName
      ? SerdeTypes[S]
      : S extends StandardSchema<infer T>
        ? T
        : unknown;

export interface QueueOptions<Value> {
  /** How bodies are written: `json()`, `string()`, `bytes()`, `msgpack()`, `avro(…)`, `protobuf(…)`, a name of the first four, or a Standard
   * Schema, which JSON has to fit. Default: JSON. */
  readonly value?: Value;
  /**
   * Where messages go that cannot be handled: that have failed too often, were refused, could not be decoded, or expired. Default: a queue
   * called as this one with `.dead` behind it; a name: that queue; false: nowhere, they are dropped.
   */
  readonly deadLetters?: string | false;
  /** Messages of a key are handled one after the other, in their order; other keys go on meanwhile. Default false. */
  readonly keyOrdered?: boolean;
  /** For so long a dedupe key is remembered: at most 7 days. Default: not at all. */
  readonly dedupe?: Duration;
  /** Messages that may be ready in it. Default: as many as the disk holds. */
  readonly maxLength?: number;
  /** Bytes of bodies that may be ready in it. */
  readonly maxBytes?: number;
  /** What happens when it is full: new messages are refused (ML_QUEUE_FULL), or the oldest ones become dead letters. Default `refuse`. */
  readonly whenFull?: 'refuse' | 'drop-oldest';
  /** A message becomes a dead letter when nobody has taken it for so long. Default: never. */
  readonly expiresIn?: Duration;
  /** 0 (none) to 255. Default 10. */
  readonly maxPriority?: number;
  /** One worker at a time has all its messages; another one when that has gone. Default false. */
  readonly singleWorker?: boolean;
  /** How often a message may come back, for whatever reason, before it is a dead letter, also without a worker that says so: 1 to
   * 1,000,000, or false: however often. Default 20. */
  readonly deliveryLimit?: number | false;
  /**
   * A topic that is somebody else's: the queue is a view over it, and gives out its records, from those on that come next. Nothing is taken
   * from the topic, and nothing is enqueued but by writing there. Default: the queue has messages of its own.
   */
  readonly over?: string | { readonly topic: string; readonly from: 'beginning' | 'next' };
  /** How long a message may be with a worker before it is given to another one: at least 1 minute. Default 30 minutes. */
  readonly consumerTimeout?: Duration;
}

/** The same, checked. */
export interface QueueSpec {
  readonly name: string;
  readonly value: Serde<unknown>;
  readonly maxPriority: number;
  /** How long a worker may have a message. */
  readonly consumerTimeoutMs: number;
  /** The program says what it is: it has to be that. Otherwise it is taken as it is found. */
  readonly isStrict: boolean;
  readonly arguments: QueueArguments;
  readonly deadLetters: { readonly name: string; readonly arguments: QueueArguments } | undefined;
  /** The topic that it is a view over. */
  readonly over: string | undefined;
}

export const QUEUE_OPTIONS: OptionNames<QueueOptions<unknown>> = {
  value: true,
  deadLetters: true,
  keyOrdered: true,
  dedupe: true,
  maxLength: true,
  maxBytes: true,
  whenFull: true,
  expiresIn: true,
  maxPriority: true,
  singleWorker: true,
  deliveryLimit: true,
  over: true,
  consumerTimeout: true,
};
const OVER_OPTIONS: OptionNames<{ readonly topic: string; readonly from: string }> = {
  topic: true,
  from: true,
};
const NAME_BYTES_MAX = 255;
const DEDUPE_MS_MAX = 7 * 24 * 60 * 60 * 1000;
const CONSUMER_TIMEOUT_MS_MIN = 60_000;
const LIMIT_MAX = 1_000_000;
const LENGTH_MAX = Number.MAX_SAFE_INTEGER;

/** What a queue of dead letters is: it keeps what it has, however often somebody looks at it. */
export const DEAD_LETTER_ARGUMENTS: QueueArguments = Object.freeze({ 'x-delivery-limit': -1 });

/** @throws {MillraceError} ML_FLOW_INVALID */
export function queueSpec(name: string, options: QueueOptions<unknown>): QueueSpec {
  const operator: Operator = { method: 'queue', name, flow: undefined };
  checkName(operator, name);
  checkQueueOptions(operator, options, QUEUE_OPTIONS);
  const dead = deadLetterName(operator, name, options.deadLetters);
  const maxPriority = options.maxPriority ?? 10;
  requireInteger(operator, 'maxPriority', maxPriority, 0, 255);
  const { value, ...said } = options;
  return Object.freeze({
    name,
    value: bodySerde(operator, value),
    maxPriority,
    consumerTimeoutMs:
      options.consumerTimeout === undefined
        ? CONSUMER_TIMEOUT_MS_DEFAULT
        : durationOf(operator, 'consumerTimeout', options.consumerTimeout, CONSUMER_TIMEOUT_MS_MIN),
    isStrict: Object.values(said).some((given) => given !== undefined),
    arguments: Object.freeze({
      ...deadLetterArguments(dead),
      ...limits(operator, options),
      ...(maxPriority === 0 ? {} : { 'x-max-priority': maxPriority }),
      ...behaviour(operator, options),
      ...source(operator, options.over),
    }),
    over: typeof options.over === 'object' ? options.over.topic : options.over,
    deadLetters: dead === undefined ? undefined : { name: dead, arguments: DEAD_LETTER_ARGUMENTS },
  });
}

/** @throws {MillraceError} ML_FLOW_INVALID */
export function checkQueueOptions(
  operator: Operator,
  given: unknown,
  names: Readonly<Record<string, true>>,
  taker = 'it',
): void {
  const fault = optionFault(given, names);
  if (fault !== undefined) throw flowError(operator, `${taker} ${fault.sentence}`, fault.hint);
}

function checkName(operator: Operator, name: unknown): void {
  if (typeof name !== 'string' || name === '')
    throw flowError(operator, 'its name must be text, and not empty');
  if (Buffer.byteLength(name) > NAME_BYTES_MAX)
    throw flowError(operator, `its name is longer than ${NAME_BYTES_MAX} bytes`);
  if (name.startsWith('amq.'))
    throw flowError(operator, 'names that begin with amq. belong to the broker');
}

function deadLetterName(operator: Operator, name: string, given: unknown): string | undefined {
  if (given === false) return undefined;
  if (given === undefined) return `${name}.dead`;
  if (typeof given !== 'string')
    throw flowError(operator, `deadLetters must be a name or false, and is ${described(given)}`);
  checkName({ ...operator, name: given }, given);
  if (given === name) throw flowError(operator, 'it cannot have its own dead letters');
  return given;
}

function deadLetterArguments(dead: string | undefined): QueueArguments {
  if (dead === undefined) return {};
  // The default exchange: straight into that queue.
  return { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead };
}

function limits(operator: Operator, options: QueueOptions<unknown>): QueueArguments {
  const { maxLength, maxBytes, whenFull = 'refuse', expiresIn } = options;
  if (maxLength !== undefined) requireInteger(operator, 'maxLength', maxLength, 1, LENGTH_MAX);
  if (maxBytes !== undefined) requireInteger(operator, 'maxBytes', maxBytes, 1, LENGTH_MAX);
  if (whenFull !== 'refuse' && whenFull !== 'drop-oldest')
    throw flowError(
      operator,
      `whenFull must be 'refuse' or 'drop-oldest', and is ${described(whenFull)}`,
    );
  const isBounded = maxLength !== undefined || maxBytes !== undefined;
  return {
    ...(maxLength === undefined ? {} : { 'x-max-length': maxLength }),
    ...(maxBytes === undefined ? {} : { 'x-max-length-bytes': maxBytes }),
    ...(isBounded ? { 'x-overflow': whenFull === 'refuse' ? 'reject-publish' : 'drop-head' } : {}),
    ...(expiresIn === undefined
      ? {}
      : { 'x-message-ttl': boundedTime(operator, 'expiresIn', expiresIn, DELAY_MS_MAX) }),
  };
}

function behaviour(operator: Operator, options: QueueOptions<unknown>): QueueArguments {
  const { keyOrdered, singleWorker, dedupe, deliveryLimit, consumerTimeout } = options;
  requireBoolean(operator, 'keyOrdered', keyOrdered);
  requireBoolean(operator, 'singleWorker', singleWorker);
  if (deliveryLimit !== undefined && deliveryLimit !== false)
    requireInteger(operator, 'deliveryLimit', deliveryLimit, 1, LIMIT_MAX);
  return {
    ...(keyOrdered === true ? { 'x-key-ordered': true } : {}),
    ...(singleWorker === true ? { 'x-single-active-consumer': true } : {}),
    ...(dedupe === undefined
      ? {}
      : { 'x-dedupe-window': boundedTime(operator, 'dedupe', dedupe, DEDUPE_MS_MAX) }),
    ...(deliveryLimit === undefined
      ? {}
      : { 'x-delivery-limit': deliveryLimit === false ? -1 : deliveryLimit }),
    ...(consumerTimeout === undefined
      ? {}
      : {
          'x-consumer-timeout': durationOf(
            operator,
            'consumerTimeout',
            consumerTimeout,
            CONSUMER_TIMEOUT_MS_MIN,
          ),
        }),
  };
}

function requireBoolean(operator: Operator, what: string, given: unknown): void {
  if (given === undefined || typeof given === 'boolean') return;
  throw flowError(operator, `${what} must be true or false, and is ${described(given)}`);
}

function source(operator: Operator, over: QueueOptions<unknown>['over']): QueueArguments {
  if (over === undefined) return {};
  if (typeof over !== 'string') checkQueueOptions(operator, over, OVER_OPTIONS, 'over');
  const { topic, from } = typeof over === 'string' ? { topic: over, from: 'next' } : over;
  if (typeof topic !== 'string' || topic === '')
    throw flowError(operator, `over must name a topic, and is ${described(over)}`);
  if (from !== 'beginning' && from !== 'next')
    throw flowError(operator, `over.from must be 'beginning' or 'next', and is ${described(from)}`);
  return { 'x-source-topic': topic, 'x-source-offset': from === 'next' ? 'next' : 'first' };
}

function boundedTime(operator: Operator, what: string, given: unknown, msMax: number): number {
  const ms = durationOf(operator, what, given, 1);
  if (ms > msMax) throw flowError(operator, `${what} may be at most ${msMax} ms, and is ${ms}`);
  return ms;
}

function bodySerde(operator: Operator, given: unknown): Serde<unknown> {
  if (given === undefined) return json();
  const serde = serdeOf(given);
  if (serde !== undefined) return serde;
  if (isSchema(given)) return json(given);
  throw flowError(
    operator,
    `value must be a serde, such as json(), one of 'string', 'bytes', 'json' and 'msgpack', or a Standard Schema, and is ${described(given)}`,
  );
}

function isSchema(given: unknown): given is StandardSchema {
  // Some libraries make schemas of functions.
  const isObject = (typeof given === 'object' || typeof given === 'function') && given !== null;
  return isObject && '~standard' in given;
}
