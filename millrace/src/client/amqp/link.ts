/**
 * One connection to a broker of AMQP: frames in and out, signs of life, and the methods of channel 0.
 *
 * Invariants
 * - Every call settles: with its answer, or with the first thing that went wrong with the connection.
 * - What is written in one turn leaves together.
 */
import type { Connection, Env, Timer } from '../../core/env.ts';
import type { MillraceError } from '../../core/errors.ts';
import {
  AMQP_CLIENT_UNSENT_BYTES_MAX,
  AMQP_CLOSE_MS,
  AMQP_WRITE_BYTES,
} from '../../core/queue-limits.ts';
import { FrameAssembler } from '../../wire/amqp/frame-assembler.ts';
import { FrameWriter } from '../../wire/amqp/frame-writer.ts';
import type { Content } from '../../wire/amqp/frames.ts';
import type {
  AmqpMethod,
  ContentMethod,
  ContentMethodName,
  MethodInput,
  MethodName,
  MethodOf,
} from '../../wire/amqp/methods.ts';
import { REPLY_SUCCESS } from '../../wire/amqp/reply-codes.ts';
import { connectionLost, refused } from './refusal.ts';

/** What the link needs of a channel. */
export interface ChannelPort {
  method(method: AmqpMethod): void;
  content(method: ContentMethod, content: Content): void;
  /** The connection is over. */
  lost(error: MillraceError): void;
}

interface Waiting {
  readonly answers: readonly MethodName[];
  readonly resolve: (method: AmqpMethod) => void;
  readonly reject: (error: Error) => void;
}

interface Room {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class AmqpLink {
  /** For people: host and port, or what the connection calls itself. */
  readonly name: string;
  /** Resolves when the connection is over: with why, or undefined when it was closed from here. */
  readonly closed: Promise<MillraceError | undefined>;
  readonly channels = new Map<number, ChannelPort>();
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #assembler: FrameAssembler;
  readonly #writer = new FrameWriter();
  readonly #room: Room[] = [];
  #tellClosed: (error: MillraceError | undefined) => void = () => {};
  #waiting: Waiting | undefined;
  #failure: MillraceError | undefined;
  #blockedReason: string | undefined;
  #isFlushing = false;
  #isClosing = false;
  #heartbeat: Timer | undefined;
  #wrote = false;
  /** Halves of the heartbeat interval in which nothing has come. */
  #silent = 0;

  constructor(env: Env, connection: Connection, name: string) {
    this.#env = env;
    this.#connection = connection;
    this.name = name;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#assembler = new FrameAssembler({
      method: (channel, method) => this.#method(channel, method),
      content: (channel, method, content) => {
        this.channels.get(channel)?.content(method, content);
      },
      heartbeat: () => {},
      fault: (_, fault) => this.#give(connectionLost(name, 'does not speak AMQP 0-9-1', fault)),
    });
  }

  start(): void {
    this.#connection.start({
      data: (chunk) => this.#receive(chunk),
      drained: () => this.#tellRoom(),
      closed: (error) => this.#end(connectionLost(this.name, 'was closed by the broker', error)),
    });
  }

  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /** Why the broker takes no messages at this time; undefined: it does. */
  get blockedReason(): string | undefined {
    return this.#blockedReason;
  }

  /** @throws {MillraceError} why it is not open */
  demandOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Writes bytes that are no frame. */
  raw(bytes: Uint8Array): void {
    this.demandOpen();
    this.#connection.write([bytes]);
  }

  method(channel: number, method: MethodInput): void {
    this.demandOpen();
    this.#writer.method(channel, method);
    this.#flushLater();
  }

  /** @throws {MillraceError} ML_WIRE_UNREPRESENTABLE, and why it is not open */
  content(
    channel: number,
    method: MethodInput<ContentMethodName>,
    properties: Uint8Array,
    body: Uint8Array,
  ): void {
    this.demandOpen();
    this.#writer.content(channel, method, properties, body);
    this.#flushLater();
  }

  /** Asks something on channel 0, or only waits for it. */
  async call<const Name extends MethodName>(
    method: MethodInput | undefined,
    ...answers: readonly Name[]
  ): Promise<MethodOf<Name>> {
    this.demandOpen();
    const answer = new Promise<AmqpMethod>((resolve, reject) => {
      this.#waiting = { answers, resolve, reject };
    });
    if (method !== undefined) this.method(0, method);
    return (await answer) as MethodOf<Name>;
  }

  /** What was agreed upon. */
  agree(agreed: { readonly frameBytesMax: number; readonly heartbeatSeconds: number }): void {
    this.#writer.setFrameMax(agreed.frameBytesMax);
    this.#assembler.frameBytesMax = agreed.frameBytesMax;
    if (agreed.heartbeatSeconds > 0) this.#beat((agreed.heartbeatSeconds * 1000) / 2);
  }

  /** undefined: there is room for more messages; otherwise resolves when there is. */
  room(): Promise<void> | undefined {
    this.demandOpen();
    if (this.#hasRoom) return undefined;
    return new Promise((resolve, reject) => this.#room.push({ resolve, reject }));
  }

  get #hasRoom(): boolean {
    const unsent = this.#writer.bytes + this.#connection.bufferedBytes;
    return unsent < AMQP_CLIENT_UNSENT_BYTES_MAX && this.#blockedReason === undefined;
  }

  /** Closes in order. Idempotent; never rejects. */
  async close(): Promise<void> {
    if (this.#failure !== undefined || this.#isClosing) {
      await this.closed;
      return;
    }
    this.#isClosing = true;
    // A broker that takes no messages reads nothing, not even this.
    if (this.#blockedReason !== undefined) {
      this.#give(undefined);
      return;
    }
    this.method(0, { name: 'connection.close', replyCode: REPLY_SUCCESS, replyText: 'goodbye' });
    const timer = this.#env.timers.after(AMQP_CLOSE_MS, () => this.#give(undefined));
    await this.closed;
    timer.cancel();
  }

  /** Gives up now. */
  fail(what: string, cause?: unknown): void {
    this.#give(connectionLost(this.name, what, cause));
  }

  #method(channel: number, method: AmqpMethod): void {
    if (channel === 0) this.#method0(method);
    else this.channels.get(channel)?.method(method);
  }

  #method0(method: AmqpMethod): void {
    const { name } = method;
    if (name === 'connection.close') {
      this.method(0, { name: 'connection.close-ok' });
      this.#flush();
      this.#end(refused(method, `the connection to ${this.name}`));
      this.#connection.end();
    } else if (name === 'connection.close-ok') {
      this.#end(connectionLost(this.name, 'was closed'));
      this.#connection.end();
    } else if (name === 'connection.blocked') {
      this.#blockedReason = method.reason;
    } else if (name === 'connection.unblocked') {
      this.#blockedReason = undefined;
      this.#tellRoom();
    } else {
      this.#answer(method);
    }
  }

  #answer(method: AmqpMethod): void {
    const waiting = this.#waiting;
    if (waiting === undefined || !waiting.answers.includes(method.name)) {
      this.fail(`sent ${method.name} out of order`);
      return;
    }
    this.#waiting = undefined;
    waiting.resolve(method);
  }

  #receive(chunk: Buffer): void {
    if (this.#failure !== undefined) return;
    this.#silent = 0;
    try {
      this.#assembler.push(chunk);
    } catch (error) {
      this.fail('was given up, since what a message was given to has thrown', error);
    }
  }

  #beat(everyMs: number): void {
    this.#heartbeat = this.#env.timers.after(everyMs, () => {
      if (++this.#silent > 4) {
        this.fail(`was silent for ${(everyMs * 4) / 1000} seconds`);
        return;
      }
      if (!this.#wrote) {
        this.#writer.heartbeat();
        this.#flush();
      }
      this.#wrote = false;
      this.#beat(everyMs);
    });
  }

  #flushLater(): void {
    if (this.#writer.bytes >= AMQP_WRITE_BYTES) {
      this.#flush();
      return;
    }
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#env.timers.immediate(() => {
      this.#isFlushing = false;
      this.#flush();
      this.#tellRoom();
    });
  }

  #flush(): void {
    if (this.#failure !== undefined || this.#writer.bytes === 0) return;
    this.#wrote = true;
    this.#writer.writeTo(this.#connection);
  }

  #tellRoom(): void {
    if (this.#room.length === 0 || !this.#hasRoom) return;
    for (const { resolve } of this.#room.splice(0)) resolve();
  }

  /** Ends the connection without waiting for the broker. */
  #give(error: MillraceError | undefined): void {
    this.#end(error);
    this.#connection.destroy();
  }

  #end(error: MillraceError | undefined): void {
    if (this.#failure !== undefined) return;
    const isAsked = error === undefined || this.#isClosing;
    const failure = isAsked ? connectionLost(this.name, 'was closed') : error;
    this.#failure = failure;
    this.#assembler.stop();
    this.#heartbeat?.cancel();
    this.#tellClosed(isAsked ? undefined : error);
    this.#waiting?.reject(failure);
    this.#waiting = undefined;
    for (const { reject } of this.#room.splice(0)) reject(failure);
    for (const channel of this.channels.values()) channel.lost(failure);
    this.channels.clear();
  }
}
