/**
 * A WebSocket of a topic: messages of JSON, both ways.
 *
 *   in    {"subscribe": true, "from", "after", "credit", "slow", "buffer", "keys", "values"} · {"credit": 100} · {"unsubscribe": true}
 *         {"produce": record or records, "ref", "keys", "values", "idempotencyKey"}
 *   out   {"subscribed": true, "id"} · {"record": …, "id"} · {"dropped": 12, "id"} · {"idle": true, "id"} · {"unsubscribed": true, "id"}
 *         {"produced": {"records", "next", "offsets"}, "ref"} · {"error": …, "ref"} · {"end": error}: the last one
 *
 * A subscriber with credit is sent as many records as it has, and no more; also without it nothing is sent while much waits for the socket.
 * Nothing more of the socket is read while much of what it asked for is under way, or waits to be taken.
 *
 * Source: RFC 6455.
 */
import type { WebSocket } from 'ws';
import { Background } from '../../core/background.ts';
import type { Log } from '../../client/log.ts';
import type { Env, Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  HTTP_CLOSE_MS,
  HTTP_CREDIT_MAX,
  HTTP_PING_MS,
  HTTP_PRODUCE_RECORDS_MAX,
  HTTP_SOCKET_PRODUCES_MAX,
  HTTP_SUBSCRIBER_BYTES_MAX,
} from '../../core/http-limits.ts';
import { serverClosed } from './event-stream.ts';
import { parseExactJson } from './exact-json.ts';
import { badRequest, errorToJson } from './http-errors.ts';
import { idempotencyKeyOfJson } from './idempotency.ts';
import type { ProduceRequests } from './produce.ts';
import { encodingOf, type Encodings, recordOfJson } from './record-encoding.ts';
import type { Slots } from './slots.ts';
import { SocketReceiver } from './socket-receiver.ts';
import { policyOf } from './topic-policy.ts';
import { TopicFeed } from './topic-feed.ts';
import { startOf } from './topic-position.ts';

export interface TopicSocketOptions {
  readonly env: Env;
  readonly log: Log;
  readonly topic: string;
  readonly producing: ProduceRequests;
  readonly slots: Slots;
  /** Fires when the server closes. */
  readonly closing: AbortSignal;
}

type Fields = Readonly<Partial<Record<string, unknown>>>;

interface Subscription {
  readonly abort: AbortController;
  readonly receiver: SocketReceiver;
}

const SUBSCRIBE: readonly string[] = [
  'subscribe',
  'from',
  'after',
  'credit',
  'slow',
  'buffer',
  'keys',
  'values',
];
const PRODUCE: readonly string[] = ['produce', 'ref', 'keys', 'values', 'idempotencyKey'];
/** RFC 6455 §7.4.1. */
const GOING_AWAY = 1001;
const INTERNAL = 1011;
const TRY_AGAIN = 1013;

export class TopicSocket {
  readonly #socket: WebSocket;
  readonly #options: TopicSocketOptions;
  readonly #background = new Background((error) => this.#end(error));
  #subscription: Subscription | undefined;
  #producing = 0;
  #isPaused = false;
  #isAlive = true;
  #isEnded = false;
  #ping: Timer | undefined;
  readonly #onClosing = (): void => this.#end(serverClosed());
  readonly #onSent = (): void => {
    this.#subscription?.receiver.look();
    this.#readOn();
  };

  constructor(socket: WebSocket, options: TopicSocketOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Until the socket is closed. @param onClosed called once */
  serve(onClosed: () => void): void {
    const socket = this.#socket;
    const { closing } = this.#options;
    socket.on('message', (data: Buffer, isBinary) => this.#message(data, isBinary));
    socket.on('pong', () => (this.#isAlive = true));
    // What comes after says that it is closed.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isEnded = true;
      this.#ping?.cancel();
      closing.removeEventListener('abort', this.#onClosing);
      this.#subscription?.abort.abort();
      onClosed();
    });
    closing.addEventListener('abort', this.#onClosing);
    this.#pingLater();
    if (closing.aborted) this.#onClosing();
  }

  #message(data: Buffer, isBinary: boolean): void {
    if (this.#isEnded) return;
    this.#isAlive = true;
    let ref: unknown;
    try {
      if (isBinary) throw badRequest(400, 'a message is text: JSON');
      const json = parseExactJson(data.toString('utf8'), 'the message');
      if (typeof json !== 'object' || json === null || Array.isArray(json))
        throw badRequest(400, 'a message is an object', 'Write {"subscribe": true}');
      const fields = json as Fields;
      ref = refOf(fields['ref']);
      this.#take(fields, ref, data.length);
    } catch (error) {
      this.#send({ ...errorToJson(error), ...(ref === undefined ? {} : { ref }) });
    }
    this.#readOn();
  }

  #take(fields: Fields, ref: unknown, bytes: number): void {
    if (fields['subscribe'] === true) this.#subscribe(known(fields, SUBSCRIBE));
    else if (fields['unsubscribe'] === true) this.#unsubscribe(known(fields, ['unsubscribe']));
    else if ('produce' in fields) this.#produce(known(fields, PRODUCE), ref, bytes);
    else if ('credit' in fields) {
      const credit = creditOf(known(fields, ['credit'])['credit']);
      if (this.#subscription === undefined)
        throw badRequest(400, 'there is no subscription to give credit to', 'Subscribe first');
      this.#subscription.receiver.grant(credit);
    } else
      throw badRequest(
        400,
        'the message asks for nothing that is known',
        'There are subscribe, credit, unsubscribe and produce',
      );
  }

  #subscribe(fields: Fields): void {
    if (this.#subscription !== undefined)
      throw badRequest(
        409,
        'there is a subscription already',
        'Unsubscribe first, or open another',
      );
    const policy = policyOf(fields['slow'], fields['buffer']);
    const encodings = encodingsOf(fields);
    const credit = fields['credit'] === undefined ? Infinity : creditOf(fields['credit']);
    const asked = { from: textOf(fields, 'from'), last: textOf(fields, 'after') };
    const release = this.#options.slots.take();
    const { env, topic, log } = this.#options;
    const abort = new AbortController();
    const receiver = new SocketReceiver(this.#socket, {
      env,
      topic,
      credit,
      bufferedBytesMax: HTTP_SUBSCRIBER_BYTES_MAX,
      signal: abort.signal,
      onSent: this.#onSent,
    });
    const subscription = { abort, receiver };
    this.#subscription = subscription;
    const run = async (): Promise<void> => {
      let feed: TopicFeed | undefined;
      try {
        const start = await startOf(log, topic, asked);
        const parts = { log, topic, start, ...policy, encodings, receiver };
        feed = new TopicFeed({ ...parts, signal: abort.signal });
        this.#send({ subscribed: true, id: feed.id });
        await feed.run();
      } catch (error) {
        if (!abort.signal.aborted) this.#end(error);
      } finally {
        release();
        if (this.#subscription === subscription) this.#subscription = undefined;
      }
      this.#send({ unsubscribed: true, id: feed?.id });
    };
    this.#background.run('subscription', run());
  }

  #unsubscribe(_fields: Fields): void {
    if (this.#subscription === undefined)
      throw badRequest(400, 'there is no subscription', 'Subscribe first');
    this.#subscription.abort.abort();
  }

  #produce(fields: Fields, ref: unknown, bytes: number): void {
    const { topic, producing } = this.#options;
    const encodings = encodingsOf(fields);
    const given = fields['produce'];
    const idempotencyKey = idempotencyKeyOfJson(fields['idempotencyKey']);
    const records: readonly unknown[] = Array.isArray(given) ? given : [given];
    if (records.length > HTTP_PRODUCE_RECORDS_MAX)
      throw badRequest(413, `a message has at most ${HTTP_PRODUCE_RECORDS_MAX} records`);
    const parsed = records.map((each, index) => recordOfJson(each, index, encodings));
    const release = producing.reserve(bytes);
    this.#producing++;
    const run = async (): Promise<void> => {
      const told = ref === undefined ? {} : { ref };
      try {
        const written = await producing.write(topic, parsed, idempotencyKey);
        const { records: count, next, offsets } = written;
        const places = offsets?.map(({ partition, offset }) => ({ partition, offset }));
        this.#send({ produced: { records: count, next, offsets: places }, ...told });
      } catch (error) {
        this.#send({ ...errorToJson(error), ...told });
      } finally {
        release();
        this.#producing--;
        this.#readOn();
      }
    };
    this.#background.run('produce', run());
  }

  #send(message: unknown): void {
    if (!this.#isEnded) this.#socket.send(JSON.stringify(message), this.#onSent);
  }

  /** Reads on, or not. */
  #readOn(): void {
    const isMuch =
      this.#producing >= HTTP_SOCKET_PRODUCES_MAX ||
      // Beyond what a subscription fills it with.
      this.#socket.bufferedAmount > 2 * HTTP_SUBSCRIBER_BYTES_MAX;
    if (isMuch === this.#isPaused) return;
    this.#isPaused = isMuch;
    if (isMuch) this.#socket.pause();
    else this.#socket.resume();
  }

  #pingLater(): void {
    this.#ping = this.#options.env.timers.after(HTTP_PING_MS, () => {
      // Of a socket that is not read no answer is seen.
      if (!this.#isAlive && !this.#isPaused) {
        this.#socket.terminate();
        return;
      }
      this.#isAlive = false;
      this.#socket.ping();
      this.#pingLater();
    });
  }

  /** The last message says why. */
  #end(error: unknown): void {
    if (this.#isEnded) return;
    this.#send({ end: errorToJson(error).error });
    this.#isEnded = true;
    this.#subscription?.abort.abort();
    if (this.#isPaused) this.#socket.resume();
    this.#socket.close(closeCodeOf(error));
    this.#options.env.timers.after(HTTP_CLOSE_MS, () => this.#socket.terminate());
  }
}

function closeCodeOf(error: unknown): number {
  if (!(error instanceof MillraceError)) return INTERNAL;
  if (error.code === 'ML_ABORTED') return GOING_AWAY;
  return error.retriable ? TRY_AGAIN : INTERNAL;
}

function known(fields: Fields, names: readonly string[]): Fields {
  for (const name of Object.keys(fields))
    if (!names.includes(name))
      throw badRequest(
        400,
        `the message has a field '${name.slice(0, 100)}' that means nothing here`,
        `There are ${names.join(', ')}`,
      );
  return fields;
}

function encodingsOf(fields: Fields): Encodings {
  return {
    key: encodingOf('keys', fields['keys'] ?? 'text'),
    value: encodingOf('values', fields['values'] ?? 'json'),
  };
}

function creditOf(given: unknown): number {
  if (
    typeof given === 'number' &&
    Number.isInteger(given) &&
    given >= 0 &&
    given <= HTTP_CREDIT_MAX
  )
    return given;
  throw badRequest(400, `credit is a number of records from 0 to ${HTTP_CREDIT_MAX}`);
}

function textOf(fields: Fields, name: string): string | undefined {
  const given = fields[name];
  if (given === undefined || typeof given === 'string') return given;
  if (typeof given === 'number') return String(given);
  throw badRequest(400, `${name} is a text`, 'Write it as in ?from=');
}

function refOf(given: unknown): string | number | undefined {
  if (given === undefined || typeof given === 'number') return given;
  if (typeof given === 'string' && given.length <= 256) return given;
  throw badRequest(400, 'ref is a text of at most 256 characters, or a number');
}
