/**
 * One connection to one broker. Owns: the framing, which answer belongs to which request, and which version of a request is
 * spoken: the highest that both sides have and that is not above what the commands were written for.
 *
 * Invariant: every call settles: with its answer, or with the first thing that went wrong with the connection.
 */
import { addressText } from '../../core/address-text.ts';
import type { Connection, Env, Net, Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { LOG_ANSWER_BYTES_MAX, LOG_REQUEST_MS } from '../../core/limits.ts';
import {
  correlationIdOf,
  decodeResponse,
  encodeRequest,
  FrameSplitter,
  type RequestHeader,
} from '../../wire/kafka/frames.ts';
import { messages, type ApiMessages } from '../../wire/kafka/registry.ts';
import type { Infer, InferInput, Message } from '../../wire/kafka/schema.ts';
import { accept } from './refusal.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The highest versions in use, where later ones name topics by id or ask for several things at once. */
const VERSIONS_MAX: Readonly<Record<number, number>> = {
  // From 12 on the broker expects transactions of the second kind (KIP-890), as it does of 24 to 28 below.
  [messages[0].key]: 11,
  [messages[1].key]: 12,
  [messages[8].key]: 9,
  [messages[9].key]: 7,
  [messages[10].key]: 3,
  [messages[20].key]: 5,
  [messages[24].key]: 3,
  [messages[25].key]: 3,
  [messages[26].key]: 4,
  [messages[28].key]: 4,
};

const CLIENT_ID = 'millrace-cli';

export interface ConnectionOptions {
  /** Default: TCP. */
  readonly connect?: Net['connect'];
  /** What the broker calls this client in its logs. Default: `millrace-cli`. */
  readonly clientId?: string;
}

interface Waiting {
  readonly correlationId: number;
  readonly answer: (frame: Buffer) => void;
  readonly fail: (error: Error) => void;
  readonly timer: Timer;
  readonly isLong: boolean;
}

export interface CallOptions {
  /** Default LOG_REQUEST_MS, for requests that the broker answers at once. */
  readonly timeoutMs?: number;
  /** The answer waits for what others do. Who closes the connection meanwhile does not wait for it. Default false. */
  readonly isLong?: boolean;
}

export class BrokerConnection {
  readonly address: Address;
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #clientId: string;
  readonly #splitter = new FrameSplitter(LOG_ANSWER_BYTES_MAX);
  readonly #waiting: Waiting[] = [];
  readonly #versions = new Map<number, { readonly min: number; readonly max: number }>();
  #nextCorrelationId = 1;
  #failure: MillraceError | undefined;
  #onFlushed: () => void = () => {};
  /** It is closed, and nobody wants to hear what is still to come. */
  #isAbandoned = false;

  /** @throws {MillraceError} ML_CONNECT_FAILED, ML_CONNECTION_LOST when what listens there speaks another protocol */
  static async open(
    env: Env,
    address: Address,
    options: ConnectionOptions = {},
  ): Promise<BrokerConnection> {
    const connection = await (options.connect?.(address) ?? env.net.connect(address));
    const broker = new BrokerConnection(env, connection, { address, ...options });
    try {
      const { errorCode, apiKeys } = await broker.#callVersion(messages[18], 0, {});
      accept(errorCode);
      for (const { apiKey, minVersion, maxVersion } of apiKeys) {
        broker.#versions.set(apiKey, { min: minVersion, max: maxVersion });
      }
      return broker;
    } catch (error) {
      broker.close();
      throw error;
    }
  }

  private constructor(
    env: Env,
    connection: Connection,
    options: ConnectionOptions & { readonly address: Address },
  ) {
    this.#env = env;
    this.#connection = connection;
    this.#clientId = options.clientId ?? CLIENT_ID;
    this.address = options.address;
    connection.start({
      data: (chunk) => this.#receive(chunk),
      drained: () => this.#flushedAll(),
      closed: (error) => this.#fail('was closed by the broker', error),
    });
  }

  /** False when the connection is lost: calls would fail. */
  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /** @throws {MillraceError} ML_CONNECTION_LOST, ML_BROKER_REFUSED for a request that the broker does not have */
  async call<Request extends Message, Response extends Message>(
    api: ApiMessages<Request, Response>,
    body: InferInput<Request>,
    options: CallOptions = {},
  ): Promise<Infer<Response>> {
    return this.#callVersion(api, this.#versionOf(api), body, options);
  }

  /** A call whose frame somebody else encodes, in as many buffers as that likes. They must not change before the answer. */
  async callEncoded<Request extends Message, Response extends Message>(
    api: ApiMessages<Request, Response>,
    encode: (header: Omit<RequestHeader, 'apiKey'>) => readonly Buffer[],
  ): Promise<Infer<Response>> {
    const version = this.#versionOf(api);
    return this.#answer(api, version, this.#send(version, encode), {});
  }

  /** Sends a request that is not answered: Produce with acks=0. */
  send<Request extends Message>(api: ApiMessages<Request>, body: InferInput<Request>): void {
    this.#write(api, this.#versionOf(api), body);
  }

  /** Resolves when the system has taken what was sent. @throws {MillraceError} ML_CONNECTION_LOST */
  async flushed(): Promise<void> {
    if (this.#connection.bufferedBytes > 0 && this.isOpen)
      await new Promise<void>((resolve) => {
        this.#onFlushed = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Sends what is written, then closes; what was asked fails now. Idempotent. */
  close(): void {
    // A broker ends its side when it has answered everything, and this side, and the process, would be there until then.
    this.#isAbandoned ||= this.#waiting.some(({ isLong }) => isLong);
    this.#connection.end();
    this.#fail('was closed');
    if (this.#connection.bufferedBytes === 0) this.#flushedAll();
  }

  #flushedAll(): void {
    this.#onFlushed();
    if (this.#isAbandoned) this.#connection.destroy();
  }

  #versionOf(api: ApiMessages): number {
    const broker = this.#versions.get(api.key);
    const max = Math.min(
      broker?.max ?? -1,
      api.validVersions.max,
      VERSIONS_MAX[api.key] ?? Infinity,
    );
    if (broker === undefined || max < Math.max(broker.min, api.validVersions.min)) {
      throw new MillraceError(
        'ML_BROKER_REFUSED',
        `the broker at ${this.#name} has no version of ${api.name} that Millrace speaks`,
        { hint: 'It has to be a Millrace, or Apache Kafka 2.4 or newer' },
      );
    }
    return max;
  }

  async #callVersion<Request extends Message, Response extends Message>(
    api: ApiMessages<Request, Response>,
    version: number,
    body: InferInput<Request>,
    options: CallOptions = {},
  ): Promise<Infer<Response>> {
    return this.#answer(api, version, this.#write(api, version, body), options);
  }

  #answer<Request extends Message, Response extends Message>(
    api: ApiMessages<Request, Response>,
    version: number,
    correlationId: number,
    options: CallOptions,
  ): Promise<Infer<Response>> {
    return new Promise((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? LOG_REQUEST_MS;
      this.#waiting.push({
        correlationId,
        answer: (frame) => {
          try {
            resolve(decodeResponse(api, version, frame, { leftover: 'ignore' }));
          } catch (error) {
            reject(error);
          }
        },
        fail: reject,
        isLong: options.isLong ?? false,
        timer: this.#env.timers.after(timeoutMs, () => {
          this.#fail(`did not answer ${api.name} for ${timeoutMs} ms`);
          this.#connection.destroy();
        }),
      });
    });
  }

  /** @returns the correlation id */
  #write<Request extends Message>(
    api: ApiMessages<Request>,
    apiVersion: number,
    body: InferInput<Request>,
  ): number {
    return this.#send(apiVersion, (header) => [encodeRequest(api, header, body)]);
  }

  /** @returns the correlation id */
  #send(
    apiVersion: number,
    encode: (header: Omit<RequestHeader, 'apiKey'>) => readonly Buffer[],
  ): number {
    if (this.#failure !== undefined) throw this.#failure;
    const correlationId = this.#nextCorrelationId++;
    this.#connection.write(encode({ apiVersion, correlationId, clientId: this.#clientId }));
    return correlationId;
  }

  #receive(chunk: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#splitter.push(chunk, (frame) => {
        const waiting = this.#waiting[0];
        if (waiting?.correlationId !== correlationIdOf(frame))
          throw new MillraceError('ML_WIRE_MALFORMED', 'an answer to a question not asked');
        this.#waiting.shift();
        waiting.timer.cancel();
        // The chunk belongs to the socket; what spans several is the splitter's own copy.
        waiting.answer(frame.buffer === chunk.buffer ? Buffer.from(frame) : frame);
      });
    } catch (error) {
      this.#fail('does not speak the Kafka protocol', error);
      this.#connection.destroy();
    }
  }

  #fail(what: string, cause?: unknown): void {
    this.#failure ??= new MillraceError(
      'ML_CONNECTION_LOST',
      `the connection to ${this.#name} ${what}`,
      {
        cause,
        hint: 'Look at the log of the broker, and whether it still runs',
      },
    );
    this.#onFlushed();
    for (const waiting of this.#waiting.splice(0)) {
      waiting.timer.cancel();
      waiting.fail(this.#failure);
    }
  }

  get #name(): string {
    return addressText(this.address);
  }
}
