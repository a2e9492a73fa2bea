/** A queue as a place: what `f.read` and `write` take, and what `millrace.queue` opens. */
import {
  contentTypeOf,
  messageProperties,
  recordFacts,
  recordHeaders,
} from '../../client/amqp/message-properties.ts';
import { queueTopic } from '../../client/amqp/queue-topic.ts';
import type { OptionNames } from '../../core/option-names.ts';
import { flowError, type Operator } from '../../flow/draft.ts';
import { functionOf } from '../../flow/operator-builder.ts';
import type { OptionalKey, Sink, Writable } from '../../flow/sink.ts';
import type { Readable, Source } from '../../flow/source.ts';
import type { Carried, Envelope, TopicPort } from '../../flow/topic-port.ts';
import type { SerdeName } from '../topics/serdes.ts';
import type { Serde } from '../../flow/serde.ts';
import { text } from '../topics/serdes.ts';
import { timeOf, topicSink, type TopicTime } from '../topics/topic.ts';
import { topicSource } from '../topics/topic-source.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { messageFields, type MessageOptions } from './message-options.ts';
import {
  type BodyRead,
  checkQueueOptions,
  QUEUE_OPTIONS,
  type QueueOptions,
  queueSpec,
  type QueueSpec,
} from './queue-options.ts';

/** What else flows want to know of a queue. */
export interface QueuePlaceOptions<Value> extends QueueOptions<Value> {
  /** What becomes of time in it, when a flow reads it. The event time of a message is by default when it came to the queue. */
  readonly time?: TopicTime<BodyRead<Value>, string | null>;
  /** Of what a flow writes: delay, priority, key and whatever else there is to say of a message. Default: the key of the stream is the key
   * of the message. */
  readonly message?: (value: BodyRead<Value>, key: unknown) => MessageOptions;
}

const PLACE_OPTIONS: OptionNames<QueuePlaceOptions<unknown>> = {
  ...QUEUE_OPTIONS,
  time: true,
  message: true,
};

/** A queue that can be read and written by flows, and opened: `millrace.queue(…)`. */
export interface QueuePlace<Value>
  extends Readable<Value, string | null>,
    Writable<Value, OptionalKey<unknown>> {
  readonly name: string;
  /** The topic that its messages are in. */
  readonly topic: string;
  readonly spec: QueueSpec;
  /** The same to be read, with what messages carry beside their values. */
  messages(): Readable<TakenMessage<Value>, string | null>;
}

/** A message that a flow reads. */
export interface TakenMessage<Value> {
  readonly value: Value;
  readonly key: string | null;
  readonly id: string | undefined;
  readonly priority: number;
  /** Milliseconds since 1970. */
  readonly enqueuedAt: number;
  /** Where it was published: '' is straight to the queue. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/**
 * A queue of the log of `--data`, or of the brokers that `--brokers` names (a Millrace).
 *
 * A flow that writes it puts messages into it within its transaction: each exactly once. The queue is made when it is not there.
 *
 * A flow that reads it takes its messages: they are in the queue until the transaction of the flow that has read them is committed, and
 * gone then. It gets all of them in the order in which they came, whatever their delay and priority, and those that somebody else has at that
 * moment, too: a queue that a flow reads should have no other consumers, and no other flow should read it.
 *
 * When it runs: what `topic` says of topics.
 * @param name 1 to 255 bytes, not `amq.…`
 * @throws {MillraceError} ML_FLOW_INVALID for options that cannot be
 * @example
 * const mails = queue('mails', { value: json<Email>(), message: ({ to }) => ({ key: to, delay: '5m' }) });
 * orders.map(confirmationOf).write(mails);
 */
export function queue<
  const Value extends SerdeName | Serde<unknown> | StandardSchema | undefined = undefined,
>(name: string, options: QueuePlaceOptions<Value> = {}): QueuePlace<BodyRead<Value>> {
  const operator: Operator = { method: 'queue', name, flow: undefined };
  checkQueueOptions(operator, options, PLACE_OPTIONS);
  const { time, message, ...declared } = options as QueuePlaceOptions<unknown>;
  const spec = queueSpec(name, declared);
  if (message !== undefined) functionOf(operator, message, 'message');
  if (spec.over !== undefined)
    throw flowError(
      operator,
      `it is over topic ${spec.over}`,
      `Let the flow read and write topic('${spec.over}')`,
    );
  const { topic, port } = portOf(operator, spec, { time, message });
  return Object.freeze({
    name,
    topic,
    spec,
    source: () => topicSource(port) as Source<BodyRead<Value>, string | null>,
    sink: () => topicSink(port) as Sink<BodyRead<Value>, OptionalKey<unknown>>,
    messages: () => {
      const source = topicSource({ ...port, unwrap: takenMessage });
      return Object.freeze({
        source: () => source as Source<TakenMessage<BodyRead<Value>>, string | null>,
      });
    },
  });
}

type MessageOf = (value: unknown, key: unknown) => MessageOptions;

function portOf(
  operator: Operator,
  spec: QueueSpec,
  options: {
    readonly time: TopicTime<never, never> | undefined;
    readonly message: MessageOf | undefined;
  },
): { readonly topic: string; readonly port: TopicPort } {
  const { name, deadLetters } = spec;
  const own = queueTopic(name, spec.arguments);
  const dead =
    deadLetters === undefined ? [] : [queueTopic(deadLetters.name, deadLetters.arguments)];
  const port: TopicPort = Object.freeze({
    name: own.name,
    key: text(),
    value: spec.value,
    time: timeOf(operator, options.time),
    only: undefined,
    create: Object.freeze({ partitions: own.partitions, configs: own.configs, beside: dead }),
    envelope: envelopeOf(spec, options.message),
    isTaken: true,
  });
  return { topic: own.name, port };
}

function envelopeOf(
  spec: QueueSpec,
  message: MessageOf | undefined,
): (value: unknown, key: unknown) => Envelope {
  const { maxPriority } = spec;
  const contentType = contentTypeOf(spec.value.name);
  return (value, key) => {
    const ofStream = key === undefined || key === null ? undefined : keyText(key);
    const said = message?.(value, key) ?? {};
    const fields = messageFields({ key: ofStream, ...said }, maxPriority);
    const properties = messageProperties(fields, contentType, undefined);
    return { key: fields.key, headers: recordHeaders(properties) };
  };
}

function keyText(key: unknown): string {
  return typeof key === 'string' ? key : JSON.stringify(key);
}

function takenMessage(value: unknown, record: Carried): TakenMessage<unknown> {
  const facts = recordFacts(record.headers);
  const { id, priority, enqueuedAtMs = record.timestamp, exchange, routingKey, headers } = facts;
  const key = typeof record.key === 'string' ? record.key : (facts.key ?? null);
  return { value, key, id, priority, enqueuedAt: enqueuedAtMs, exchange, routingKey, headers };
}
