/**
 * An AMQP client that can say anything, and adds nothing of its own: methods by their names, or any bytes at all; what comes back, in
 * order, one event for a method with its content. Its codec is amqplib's, so that tests of our codec do not read what they wrote.
 */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';

export type Fields = Readonly<Record<string, unknown>>;

interface Definitions {
  decode(id: number, bytes: Buffer): Record<string, unknown>;
  encodeMethod(id: number, channel: number, fields: Fields): Buffer;
  encodeProperties(id: number, channel: number, size: number, fields: Fields): Buffer;
  info(id: number): {
    readonly classId: number;
    readonly methodId: number;
    readonly name: string;
    readonly args: readonly { readonly name: string; readonly type: string }[];
  };
  readonly [name: string]: unknown;
}

const require = createRequire(import.meta.url);
const definitions = require(
  join(dirname(require.resolve('amqplib')), 'lib/defs.js'),
) as Definitions;

const FRAME_METHOD = 1;
const FRAME_HEADER = 2;
const FRAME_BODY = 3;
const FRAME_HEARTBEAT = 8;
const FRAME_END = 0xce;
const HEAD_BYTES = 7;
const BASIC = 60;
export const PROTOCOL_HEADER: Buffer = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
export const HEARTBEAT: Buffer = Buffer.of(FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END);

/** A method that came, with the content it carries. */
export interface AmqpEvent {
  readonly channel: number;
  /** As amqplib names them: QueueDeclareOk, BasicDeliver. */
  readonly method: string;
  readonly fields: Fields;
  readonly properties?: Fields;
  readonly body?: Buffer;
}

export interface RawLogin {
  readonly user?: string;
  readonly password?: string;
  readonly vhost?: string;
  /** Default 131072. */
  readonly frameMax?: number;
  readonly capabilities?: Fields;
}

/** How long a test waits for what has to come. */
const PATIENCE_MS = 20_000;

export class RawAmqp {
  readonly socket: Socket;
  readonly events: AmqpEvent[] = [];
  /** What the server said of itself, and proposed. */
  start: Fields = {};
  tune: Fields = {};
  frameMax = 131_072;
  ended = false;
  heartbeats = 0;
  /** Whatever came that is no frame. */
  strange: Buffer = Buffer.alloc(0);
  private rest: Buffer = Buffer.alloc(0);
  private readonly contents = new Map<number, OpenContent>();
  private readonly waiters: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.receive(chunk);
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
      this.wake();
    });
  }

  /** A connection without any login. */
  static async connect(host: string, port: number): Promise<RawAmqp> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    return new RawAmqp(socket);
  }

  /** Logs in; channel 1 is open, unless told otherwise. */
  static async open(
    at: { readonly host: string; readonly port: number },
    login: RawLogin = {},
    channels: readonly number[] = [1],
  ): Promise<RawAmqp> {
    const client = await RawAmqp.connect(at.host, at.port);
    await client.logIn(login);
    for (const channel of channels) await client.call(channel, 'ChannelOpen');
    return client;
  }

  async logIn(login: RawLogin = {}): Promise<void> {
    const { user = 'guest', password = 'guest', vhost = '/' } = login;
    this.socket.write(PROTOCOL_HEADER);
    this.start = (await this.expect(0, 'ConnectionStart')).fields;
    this.send(0, 'ConnectionStartOk', {
      clientProperties: { product: 'raw', capabilities: login.capabilities ?? CAPABILITIES },
      mechanism: 'PLAIN',
      response: Buffer.from(`\0${user}\0${password}`),
      locale: 'en_US',
    });
    this.tune = (await this.expect(0, 'ConnectionTune')).fields;
    this.frameMax = login.frameMax ?? 131_072;
    this.send(0, 'ConnectionTuneOk', {
      channelMax: this.tune['channelMax'],
      frameMax: this.frameMax,
      heartbeat: 0,
    });
    this.send(0, 'ConnectionOpen', { virtualHost: vhost });
    await this.expect(0, 'ConnectionOpenOk');
  }

  bytes(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  send(channel: number, method: string, fields: Fields = {}): void {
    this.socket.write(encodeMethod(channel, method, fields));
  }

  /** A method and its content; bodies beyond the frame size are split. */
  publish(channel: number, fields: Fields, properties: Fields, body: Buffer): void {
    const frames = [
      encodeMethod(channel, 'BasicPublish', fields),
      definitions.encodeProperties(BASIC, channel, body.length, properties),
    ];
    for (let at = 0; at < body.length; at += this.frameMax - 8)
      frames.push(frame(FRAME_BODY, channel, body.subarray(at, at + this.frameMax - 8)));
    this.socket.write(Buffer.concat(frames));
  }

  /** Sends, and waits for the answer of that method (`QueueDeclare`: `QueueDeclareOk`). @throws on a close instead of it */
  async call(channel: number, method: string, fields: Fields = {}): Promise<Fields> {
    this.send(channel, method, fields);
    return (await this.expect(channel, ANSWERS[method] ?? `${method}Ok`)).fields;
  }

  /**
   * Takes the first event of that channel, and of that name, out of what came; what lies before it stays.
   * @throws when the channel, or the connection, is closed instead
   */
  async expect(channel: number, ...methods: readonly string[]): Promise<AmqpEvent> {
    return this.take((event) => {
      if (event.channel === channel && methods.includes(event.method)) return true;
      const isClose =
        event.method === 'ConnectionClose' ||
        (event.method === 'ChannelClose' && event.channel === channel);
      if (isClose) throw new Error(`closed: ${JSON.stringify(event.fields)}`);
      return false;
    }, methods.join(' or '));
  }

  /** As `expect`, for a close. */
  async expectClose(channel = 0): Promise<Fields> {
    const name = channel === 0 ? 'ConnectionClose' : 'ChannelClose';
    const { fields } = await this.take(
      (event) => event.channel === channel && event.method === name,
      name,
    );
    this.send(channel, channel === 0 ? 'ConnectionCloseOk' : 'ChannelCloseOk');
    return fields;
  }

  async take(isWanted: (event: AmqpEvent) => boolean, what: string): Promise<AmqpEvent> {
    let from = 0;
    await this.until(() => {
      for (; from < this.events.length; from++)
        if (isWanted(this.events[from] as AmqpEvent)) return true;
      return false;
    }, what);
    return this.events.splice(from, 1)[0] as AmqpEvent;
  }

  /** Waits until something is so; looks whenever something has come. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isSo()) {
      if (this.ended) throw new Error(`the connection ended before ${what}`);
      await this.something(deadline);
      if (performance.now() > deadline) throw new Error(`${what} did not come`);
    }
  }

  /** Resolves when the server has closed the socket. */
  async untilEnded(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!this.ended) {
      await this.something(deadline);
      if (performance.now() > deadline) throw new Error('the server does not end the connection');
    }
  }

  async close(): Promise<void> {
    if (!this.ended) {
      const fields = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
      await this.call(0, 'ConnectionClose', fields).catch(() => {});
    }
    this.socket.destroy();
  }

  private something(deadline: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, deadline - performance.now() + 1);
      this.waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter();
  }

  private receive(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk]);
    while (this.rest.length >= HEAD_BYTES) {
      const type = this.rest.readUInt8(0);
      if (type > FRAME_HEARTBEAT || type === 0) {
        this.strange = Buffer.concat([this.strange, this.rest]);
        this.rest = Buffer.alloc(0);
        return;
      }
      const end = HEAD_BYTES + this.rest.readUInt32BE(3);
      if (this.rest.length <= end) return;
      if (this.rest[end] !== FRAME_END) throw new Error('a frame without its end');
      this.take1(type, this.rest.readUInt16BE(1), this.rest.subarray(HEAD_BYTES, end));
      this.rest = this.rest.subarray(end + 1);
    }
  }

  private take1(type: number, channel: number, payload: Buffer): void {
    if (type === FRAME_HEARTBEAT) this.heartbeats++;
    else if (type === FRAME_METHOD) this.method(channel, payload);
    else if (type === FRAME_HEADER) {
      const content = this.contents.get(channel);
      if (content === undefined) throw new Error('a header without its method');
      content.left = Number(payload.readBigUInt64BE(4));
      content.properties = withoutGaps(definitions.decode(BASIC, payload.subarray(12)));
      this.finish(channel, content);
    } else {
      const content = this.contents.get(channel);
      if (content === undefined) throw new Error('a body without its method');
      content.left -= payload.length;
      content.parts.push(Buffer.from(payload));
      this.finish(channel, content);
    }
  }

  private method(channel: number, payload: Buffer): void {
    const id = payload.readUInt32BE(0);
    const { name } = definitions.info(id);
    const fields = withoutGaps(definitions.decode(id, payload.subarray(4)));
    if (CARRIES_CONTENT.has(name))
      this.contents.set(channel, { method: name, fields, properties: {}, left: -1, parts: [] });
    else this.events.push({ channel, method: name, fields });
  }

  private finish(channel: number, content: OpenContent): void {
    if (content.left > 0) return;
    if (content.left < 0) throw new Error('a body longer than announced');
    this.contents.delete(channel);
    const { method, fields, properties, parts } = content;
    this.events.push({ channel, method, fields, properties, body: Buffer.concat(parts) });
  }
}

interface OpenContent {
  readonly method: string;
  readonly fields: Fields;
  properties: Fields;
  left: number;
  readonly parts: Buffer[];
}

const CARRIES_CONTENT = new Set(['BasicDeliver', 'BasicGetOk', 'BasicReturn']);

/** Where the name of the answer is not that of the method and `Ok`. */
const ANSWERS: Readonly<Record<string, string>> = {
  QueueUnbind: 'QueueUnbindOk',
};

export const CAPABILITIES: Fields = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  'basic.nack': true,
  consumer_cancel_notify: true,
  'connection.blocked': true,
  authentication_failure_close: true,
};

export function encodeMethod(channel: number, method: string, fields: Fields = {}): Buffer {
  const id = definitions[method];
  if (typeof id !== 'number') throw new Error(`no method ${method}`);
  const given: Record<string, unknown> = { ...fields };
  for (const { name, type } of definitions.info(id).args)
    if (given[name] === undefined && type in BLANK) given[name] = BLANK[type];
  return definitions.encodeMethod(id, channel, given);
}

const BLANK: Readonly<Record<string, unknown>> = {
  shortstr: '',
  longstr: Buffer.alloc(0),
  table: {},
  bit: false,
  octet: 0,
  short: 0,
  long: 0,
  longlong: 0,
};

export function encodeHeader(channel: number, size: number, properties: Fields = {}): Buffer {
  return definitions.encodeProperties(BASIC, channel, size, properties);
}

export function encodeBody(channel: number, bytes: Uint8Array): Buffer {
  return frame(FRAME_BODY, channel, bytes);
}

export function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = type;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(FRAME_END)]);
}

function withoutGaps(fields: Record<string, unknown>): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
