/** A broker that does what a test says, at the other end of a pipe: real frames, and nothing behind them. */
import type { Connection, Env, Timers } from '../../src/core/env.ts';
import { connectionPair } from '../../src/core/pipe.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { FrameAssembler } from '../../src/wire/amqp/frame-assembler.ts';
import { FrameWriter } from '../../src/wire/amqp/frame-writer.ts';
import type { FieldTable } from '../../src/wire/amqp/field-table.ts';
import type {
  AmqpMethod,
  ContentMethodName,
  MethodInput,
  MethodName,
  MethodOf,
} from '../../src/wire/amqp/methods.ts';

export interface Received {
  readonly channel: number;
  readonly method: AmqpMethod;
  readonly properties: Buffer;
  readonly body: Buffer;
}

export interface FakeOptions {
  readonly capabilities?: FieldTable;
  /** What `connection.tune` offers. */
  readonly tune?: {
    readonly channelMax?: number;
    readonly frameMax?: number;
    readonly heartbeat?: number;
  };
  /** Default: those of the machine. */
  readonly timers?: Timers;
  /** Called with what comes; true: dealt with. What is not is answered as a broker with endless patience would. */
  readonly on?: (received: Received, broker: FakeBroker) => boolean;
}

const NONE: Buffer = Buffer.alloc(0);
const NO_PROPERTIES: Buffer = Buffer.alloc(2);

export class FakeBroker {
  readonly env: Env;
  readonly received: Received[] = [];
  heartbeats = 0;
  /** The client has ended the connection, or it was ended. */
  isClosed = false;
  readonly #options: FakeOptions;
  readonly #client: Connection;
  readonly #server: Connection;
  readonly #writer = new FrameWriter();
  readonly #assembler: FrameAssembler;
  #header = NONE;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    const timers = options.timers ?? realEnv().timers;
    this.env = { ...realEnv(), timers };
    [this.#client, this.#server] = connectionPair(timers, 'in-process');
    this.#assembler = new FrameAssembler({
      method: (channel, method) => this.#receive({ channel, method, properties: NONE, body: NONE }),
      content: (channel, method, { properties, body }) =>
        this.#receive({
          channel,
          method,
          properties: Buffer.from(properties),
          body: Buffer.from(body),
        }),
      heartbeat: () => this.heartbeats++,
      fault: (_, fault) => {
        throw fault;
      },
    });
    this.#server.start({
      data: (chunk) => this.#data(chunk),
      drained: () => {},
      closed: () => {
        this.isClosed = true;
      },
    });
  }

  /** For `connectAmqp`. */
  readonly connect = (): Connection => this.#client;

  /** What came of one kind of method. */
  all<const Name extends MethodName>(
    name: Name,
  ): (Received & { readonly method: MethodOf<Name> })[] {
    return this.received.filter(({ method }) => method.name === name) as never;
  }

  send(channel: number, ...methods: readonly MethodInput[]): void {
    for (const method of methods) this.#writer.method(channel, method);
    this.#writer.writeTo(this.#server);
  }

  sendContent(
    channel: number,
    method: MethodInput<ContentMethodName>,
    body: Buffer,
    properties: Buffer = NO_PROPERTIES,
  ): void {
    this.#writer.content(channel, method, properties, body);
    this.#writer.writeTo(this.#server);
  }

  sendBytes(bytes: Buffer): void {
    this.#server.write([bytes]);
  }

  heartbeat(): void {
    this.#writer.heartbeat();
    this.#writer.writeTo(this.#server);
  }

  /** Reads nothing more, or again. */
  pause(isPaused: boolean): void {
    if (isPaused) this.#server.pause();
    else this.#server.resume();
  }

  hangUp(): void {
    this.#server.destroy();
  }

  /** Resolves when `isSo`. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.turn();
  }

  /** Resolves when what is on its way has come. */
  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  #data(chunk: Buffer): void {
    let rest = chunk;
    if (this.#header.length < 8) {
      const missing = 8 - this.#header.length;
      this.#header = Buffer.concat([this.#header, chunk.subarray(0, missing)]);
      rest = chunk.subarray(missing);
      if (this.#header.length === 8) this.#start();
    }
    if (rest.length > 0) this.#assembler.push(rest);
  }

  #start(): void {
    this.received.push({
      channel: 0,
      method: { name: 'connection.start' } as AmqpMethod,
      properties: NONE,
      body: this.#header,
    });
    this.send(0, {
      name: 'connection.start',
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: { product: 'Fake', capabilities: this.#options.capabilities ?? {} },
      mechanisms: 'PLAIN',
      locales: 'en_US',
    });
  }

  #receive(received: Received): void {
    this.received.push(received);
    if (this.#options.on?.(received, this) === true) return;
    const { channel, method } = received;
    const { name } = method;
    if (name === 'connection.start-ok') {
      const { channelMax = 2_047, frameMax = 131_072, heartbeat = 60 } = this.#options.tune ?? {};
      this.send(0, { name: 'connection.tune', channelMax, frameMax, heartbeat });
    } else if (name === 'queue.declare') {
      const queue = method.queue === '' ? 'amq.gen-1' : method.queue;
      this.send(channel, { name: 'queue.declare-ok', queue, messageCount: 3, consumerCount: 1 });
    } else if (name === 'basic.consume' || name === 'basic.cancel') {
      const { consumerTag } = method;
      this.send(channel, { name: `${name}-ok`, consumerTag });
    } else if (name === 'basic.get') {
      this.send(channel, { name: 'basic.get-empty' });
    } else {
      const answer = ANSWERS.get(name);
      if (answer !== undefined) this.send(channel, { name: answer } as MethodInput);
    }
  }
}

const ANSWERS: ReadonlyMap<string, MethodName> = new Map<MethodName, MethodName>([
  ['connection.open', 'connection.open-ok'],
  ['connection.close', 'connection.close-ok'],
  ['channel.open', 'channel.open-ok'],
  ['channel.close', 'channel.close-ok'],
  ['confirm.select', 'confirm.select-ok'],
  ['basic.qos', 'basic.qos-ok'],
  ['queue.bind', 'queue.bind-ok'],
  ['queue.unbind', 'queue.unbind-ok'],
  ['queue.purge', 'queue.purge-ok'],
  ['queue.delete', 'queue.delete-ok'],
  ['exchange.declare', 'exchange.declare-ok'],
  ['exchange.delete', 'exchange.delete-ok'],
  ['exchange.bind', 'exchange.bind-ok'],
  ['exchange.unbind', 'exchange.unbind-ok'],
]);
