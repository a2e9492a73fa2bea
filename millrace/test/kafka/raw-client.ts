/** A Kafka client that can say anything: whole requests through the codec, or any bytes at all. For tests. */
import { connect, type Socket } from 'node:net';
import { decodeResponse, encodeRequest } from '../../src/wire/kafka/frames.ts';
import type { ApiMessages } from '../../src/wire/kafka/registry.ts';
import type { Infer, InferInput, Message } from '../../src/wire/kafka/schema.ts';

export class RawClient {
  readonly socket: Socket;
  /** What came and was not taken yet, in pieces. */
  private chunks: Buffer[] = [];
  private receivedBytes = 0;
  private readonly waiters: (() => void)[] = [];
  private nextCorrelationId = 1;
  ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => {
      for (const waiter of this.waiters.splice(0)) waiter();
    };
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.receivedBytes += chunk.length;
      wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
      wake();
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  /** Sends a request without waiting; returns its correlation id. */
  send<Request extends Message>(
    api: ApiMessages<Request>,
    apiVersion: number,
    body: InferInput<Request>,
  ): number {
    const correlationId = this.nextCorrelationId++;
    this.write(encodeRequest(api, { apiVersion, correlationId, clientId: 'raw' }, body));
    return correlationId;
  }

  async call<Request extends Message, Response extends Message>(
    api: ApiMessages<Request, Response>,
    apiVersion: number,
    body: InferInput<Request>,
  ): Promise<Infer<Response>> {
    this.send(api, apiVersion, body);
    const frame = await this.frame();
    if (frame === undefined) throw new Error('the connection was closed');
    return decodeResponse(api, apiVersion, frame);
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next response frame without its size; undefined when the connection has ended. */
  async frame(): Promise<Buffer | undefined> {
    for (;;) {
      const end = this.receivedBytes >= 4 ? 4 + this.join(4).readInt32BE(0) : Infinity;
      if (this.receivedBytes >= end) {
        const received = this.join(end);
        const rest = received.subarray(end);
        this.chunks = rest.length === 0 ? this.chunks.slice(1) : [rest, ...this.chunks.slice(1)];
        this.receivedBytes -= end;
        return received.subarray(4, end);
      }
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => this.waiters.push(resolve));
    }
  }

  /** The first chunk, made to hold at least `bytes`. */
  private join(bytes: number): Buffer {
    let [first] = this.chunks;
    if (first === undefined || first.length < bytes) {
      first = Buffer.concat(this.chunks);
      this.chunks = [first];
    }
    return first;
  }

  /** Resolves when the other side has closed the connection. */
  async closed(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  close(): void {
    this.socket.destroy();
  }
}
