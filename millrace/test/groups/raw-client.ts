/** A connection that sends one Kafka request at a time, of any version, and shows every field of the answer. */
import { connect, type Socket } from 'node:net';
import {
  correlationIdOf,
  decodeResponse,
  encodeRequest,
  FrameSplitter,
} from '../../src/wire/kafka/frames.ts';
import { errorName, type ErrorName } from '../../src/wire/kafka/error-codes.ts';
import { messages } from '../../src/wire/kafka/registry.ts';
import type { Infer, InferInput } from '../../src/wire/kafka/schema.ts';

type Apis = typeof messages;
export type ApiKey = keyof Apis;
export type RequestOf<Key extends ApiKey> = InferInput<Apis[Key]['request']>;
export type ResponseOf<Key extends ApiKey> = Infer<Apis[Key]['response']>;

const FRAME_BYTES_MAX = 100 * 1024 * 1024;

export class RawClient {
  private readonly socket: Socket;
  private readonly waiting = new Map<
    number,
    { readonly resolve: (frame: Buffer) => void; readonly reject: (error: Error) => void }
  >();
  private nextId = 1;

  private constructor(socket: Socket) {
    this.socket = socket;
    const splitter = new FrameSplitter(FRAME_BYTES_MAX);
    socket.on('data', (chunk) => {
      splitter.push(Buffer.from(chunk), (frame) => {
        const id = correlationIdOf(frame);
        this.waiting.get(id)?.resolve(frame);
        this.waiting.delete(id);
      });
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('the connection ended'));
      this.waiting.clear();
    });
  }

  static open(host: string, port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('connect', () => resolve(new RawClient(socket)));
      socket.once('error', reject);
    });
  }

  async send<Key extends ApiKey>(
    key: Key,
    apiVersion: number,
    body: RequestOf<Key>,
  ): Promise<ResponseOf<Key>> {
    const api = messages[key];
    const correlationId = this.nextId++;
    const frame = new Promise<Buffer>((resolve, reject) => {
      this.waiting.set(correlationId, { resolve, reject });
    });
    const header = { apiVersion, correlationId, clientId: 'raw' };
    this.socket.write(encodeRequest(api as Apis[3], header, body as RequestOf<3>));
    return decodeResponse(api as Apis[3], apiVersion, await frame) as unknown as ResponseOf<Key>;
  }

  close(): void {
    this.socket.destroy();
  }

  /** Breaks the connection, as a machine that restarts does. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

export function nameOf(answer: { readonly errorCode: number } | undefined): ErrorName | undefined {
  return answer === undefined ? undefined : errorName(answer.errorCode);
}
