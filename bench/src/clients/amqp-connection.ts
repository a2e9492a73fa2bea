/**
 * One connection to a broker that speaks AMQP 0-9-1: login, calls with one answer, and frames handed on as they come. Owns: framing, and
 * nothing else. It is not Millrace's own client, so that both sides of a comparison meet the same stranger; and it costs as little as it
 * can, so that on a small machine the broker is what is measured.
 *
 *   type uint8 | channel uint16 | size uint32 | payload | 0xCE
 *
 * Source: AMQP 0-9-1, section 4.2.3.
 */
import type { Socket } from 'node:net';
import { type Address, connectReceiving } from './receiving-socket.ts';

const FRAME_HEAD_BYTES = 7;
const FRAME_END = 0xce;
const FRAME_METHOD = 1;
const FRAME_HEADER = 2;
const FRAME_BODY = 3;
const FRAME_HEARTBEAT = 8;
const FRAME_BYTES_MAX = 131_072;

/** Class and method, as they stand at the beginning of a method frame. */
export const METHODS = {
  connectionStart: (10 << 16) | 10,
  connectionStartOk: (10 << 16) | 11,
  connectionTune: (10 << 16) | 30,
  connectionTuneOk: (10 << 16) | 31,
  connectionOpen: (10 << 16) | 40,
  connectionOpenOk: (10 << 16) | 41,
  connectionClose: (10 << 16) | 50,
  connectionCloseOk: (10 << 16) | 51,
  channelOpen: (20 << 16) | 10,
  channelOpenOk: (20 << 16) | 11,
  channelClose: (20 << 16) | 40,
  queueDeclare: (50 << 16) | 10,
  queueDeclareOk: (50 << 16) | 11,
  queueDelete: (50 << 16) | 40,
  queueDeleteOk: (50 << 16) | 41,
  basicQos: (60 << 16) | 10,
  basicQosOk: (60 << 16) | 11,
  basicConsume: (60 << 16) | 20,
  basicConsumeOk: (60 << 16) | 21,
  basicPublish: (60 << 16) | 40,
  basicDeliver: (60 << 16) | 60,
  basicAck: (60 << 16) | 80,
  basicNack: (60 << 16) | 120,
  confirmSelect: (85 << 16) | 10,
  confirmSelectOk: (85 << 16) | 11,
} as const;

/** Takes what is no answer to a call. Bytes are good during the call only. */
export interface FrameListener {
  /** `start` is behind class and method. */
  method(id: number, bytes: Buffer, start: number): void;
  header(bytes: Buffer, start: number): void;
  body(bytes: Buffer, start: number, end: number): void;
  /** All frames of what came at once were handed on. */
  idle(): void;
}

interface Waiting {
  readonly id: number;
  readonly resolve: (args: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class AmqpConnection {
  /** undefined: frames that are no answers are dropped. */
  listener: FrameListener | undefined;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #failure: Error | undefined;

  /** Connects, logs in as guest to the virtual host `/`, and opens channel 1. */
  static async open(address: Address): Promise<AmqpConnection> {
    const connection = await AmqpConnection.#connect(address);
    await connection.#logIn();
    await connection.call(1, METHODS.channelOpen, Buffer.of(0), METHODS.channelOpenOk);
    return connection;
  }

  static async #connect(address: Address): Promise<AmqpConnection> {
    let connection: AmqpConnection | undefined;
    const socket = await connectReceiving(address, (buffer, bytes) => {
      connection?.receive(buffer.subarray(0, bytes));
    });
    connection = new AmqpConnection(socket);
    return connection;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  /** Sends a method and resolves with the arguments of the answer `answerId`. */
  call(channel: number, id: number, args: Buffer, answerId: number): Promise<Buffer> {
    const answer = this.#answer(answerId);
    this.write(methodFrame(channel, id, args));
    return answer;
  }

  /** Whole frames. @returns false when the socket has more than it likes: `drained` tells when that is over */
  write(bytes: Uint8Array): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#socket.write(bytes);
  }

  drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else if (!this.#socket.writableNeedDrain) resolve();
      else this.#socket.once('drain', resolve);
    });
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  async close(): Promise<void> {
    if (this.#failure !== undefined) return;
    const args = Buffer.concat([Buffer.of(0, 200), shortText(''), Buffer.alloc(4)]);
    await this.call(0, METHODS.connectionClose, args, METHODS.connectionCloseOk).catch(() => {});
    this.#socket.destroy();
  }

  /** Of the socket, and of tests. */
  receive(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + all.readUInt32BE(at + 3);
      if (end >= all.length) break;
      if (all[end] !== FRAME_END) return this.#fail(new Error('a frame without its end'));
      this.#take(all, at, end);
      at = end + 1;
    }
    // The buffer of the socket is used again: what is left is copied.
    this.#rest = at === all.length ? Buffer.alloc(0) : Buffer.from(all.subarray(at));
    this.listener?.idle();
  }

  #take(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at];
    const start = at + FRAME_HEAD_BYTES;
    if (type === FRAME_BODY) this.listener?.body(bytes, start, end);
    else if (type === FRAME_HEADER) this.listener?.header(bytes, start);
    else if (type === FRAME_METHOD) this.#method(bytes, start, end);
    else if (type === FRAME_HEARTBEAT)
      this.write(Buffer.of(FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END));
  }

  #method(bytes: Buffer, start: number, end: number): void {
    const id = bytes.readUInt32BE(start);
    const args = start + 4;
    if (id === METHODS.channelClose || id === METHODS.connectionClose) {
      const text = bytes.toString('utf8', args + 3, args + 3 + (bytes[args + 2] ?? 0));
      return this.#fail(new Error(`the broker says ${bytes.readUInt16BE(args)} ${text}`));
    }
    const [first] = this.#waiting;
    if (first?.id !== id) return this.listener?.method(id, bytes, args);
    this.#waiting.shift();
    first.resolve(Buffer.from(bytes.subarray(args, end)));
  }

  #answer(id: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else this.#waiting.push({ id, resolve, reject });
    });
  }

  async #logIn(): Promise<void> {
    const started = this.#answer(METHODS.connectionStart);
    this.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
    await started;
    const startOk = Buffer.concat([
      longText(''),
      shortText('PLAIN'),
      longText('\0guest\0guest'),
      shortText('en_US'),
    ]);
    const tune = await this.call(0, METHODS.connectionStartOk, startOk, METHODS.connectionTune);
    tune.writeUInt32BE(Math.min(tune.readUInt32BE(2) || FRAME_BYTES_MAX, FRAME_BYTES_MAX), 2);
    tune.writeUInt16BE(0, 6);
    this.write(methodFrame(0, METHODS.connectionTuneOk, tune));
    const open = Buffer.concat([shortText('/'), Buffer.of(0, 0)]);
    await this.call(0, METHODS.connectionOpen, open, METHODS.connectionOpenOk);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#socket.destroy();
  }
}

/** Whether something answers as AMQP does: a handshake up to the open channel. */
export async function answersAmqp(address: Address): Promise<void> {
  const connection = await AmqpConnection.open(address);
  await connection.close();
}

export function methodFrame(channel: number, id: number, args: Uint8Array): Buffer {
  const method = Buffer.alloc(4);
  method.writeUInt32BE(id);
  return frame(FRAME_METHOD, channel, Buffer.concat([method, args]));
}

/** The three frames of a message that is persistent and says nothing else. */
export function messageFrames(channel: number, queue: string, body: Uint8Array): Buffer {
  const publish = Buffer.concat([Buffer.of(0, 0), shortText(''), shortText(queue), Buffer.of(0)]);
  const header = Buffer.alloc(15);
  header.writeUInt16BE(60);
  header.writeBigUInt64BE(BigInt(body.length), 4);
  header.writeUInt16BE(1 << 12, 12);
  header[14] = 2;
  return Buffer.concat([
    methodFrame(channel, METHODS.basicPublish, publish),
    frame(FRAME_HEADER, channel, header),
    frame(FRAME_BODY, channel, body),
  ]);
}

export function shortText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** A long string; empty it is an empty table, too. */
export function longText(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head[0] = type;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(FRAME_END)]);
}
