/**
 * One connection to a broker, speaking frames: requests go out as given, answers come back in order. Owns: framing
 * and the matching of answers. It holds no opinion on what is in a frame, and costs as little CPU as it can, so
 * that on a small machine the broker is what is measured.
 *
 *   length int32 | correlation id int32 | body          (an answer)
 */
import type { Socket } from 'node:net';
import { type Address, connectReceiving } from './receiving-socket.ts';

interface Waiting {
  readonly correlationId: number;
  readonly resolve: (answer: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const LENGTH_BYTES = 4;
/** The answer's body starts after its length and correlation id. */
export const ANSWER_BODY_AT = 8;
/** No answer of a benchmark is larger; a length beyond it means a broken peer. */
const ANSWER_BYTES_MAX = 512 << 20;

export class WireConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #nextCorrelationId = 1;
  #answer: Buffer | undefined;
  #answerFilled = 0;
  readonly #lengthField = Buffer.alloc(LENGTH_BYTES);
  #lengthFilled = 0;
  #failure: Error | undefined;

  static async open(address: Address): Promise<WireConnection> {
    let connection: WireConnection | undefined;
    const socket = await connectReceiving(address, (buffer, bytes) => {
      connection?.receive(buffer, bytes);
    });
    connection = new WireConnection(socket);
    return connection;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  /** The id that the next request must carry. */
  nextCorrelationId(): number {
    return this.#nextCorrelationId;
  }

  /**
   * Sends a request whose frame is made of `chunks` and carries `nextCorrelationId()`; resolves with the whole answer
   * frame (the body starts at ANSWER_BODY_AT).
   */
  send(chunks: readonly Uint8Array[]): Promise<Buffer> {
    const correlationId = this.#nextCorrelationId++;
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ correlationId, resolve, reject });
      this.#socket.cork();
      for (const chunk of chunks) this.#socket.write(chunk);
      this.#socket.uncork();
    });
  }

  /** Idempotent. Requests without an answer are rejected. */
  close(): void {
    this.#socket.destroy();
    this.#fail(new Error('the connection was closed by the benchmark'));
  }

  /** Takes `bytes` bytes that arrived in `buffer`. */
  receive(buffer: Buffer, bytes: number): void {
    let at = 0;
    while (at < bytes) {
      if (this.#answer === undefined) {
        const take = Math.min(LENGTH_BYTES - this.#lengthFilled, bytes - at);
        buffer.copy(this.#lengthField, this.#lengthFilled, at, at + take);
        this.#lengthFilled += take;
        at += take;
        if (this.#lengthFilled < LENGTH_BYTES) return;
        const length = this.#lengthField.readInt32BE(0);
        if (length < LENGTH_BYTES || length > ANSWER_BYTES_MAX) {
          this.#fail(new Error(`the broker announced an answer of ${length} bytes`));
          this.#socket.destroy();
          return;
        }
        this.#answer = Buffer.allocUnsafe(LENGTH_BYTES + length);
        this.#answer.writeInt32BE(length, 0);
        this.#answerFilled = LENGTH_BYTES;
        this.#lengthFilled = 0;
      }
      const take = Math.min(this.#answer.length - this.#answerFilled, bytes - at);
      buffer.copy(this.#answer, this.#answerFilled, at, at + take);
      this.#answerFilled += take;
      at += take;
      if (this.#answerFilled === this.#answer.length) this.#complete(this.#answer);
    }
  }

  #complete(answer: Buffer): void {
    this.#answer = undefined;
    const waiting = this.#waiting[0];
    const correlationId = answer.readInt32BE(LENGTH_BYTES);
    if (waiting === undefined || waiting.correlationId !== correlationId) {
      this.#fail(new Error(`the broker answered request ${correlationId} out of turn`));
      this.#socket.destroy();
      return;
    }
    this.#waiting.shift();
    waiting.resolve(answer);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure);
  }
}
