/** A subscriber over a WebSocket: takes as many records as it has credit for, while little waits in the socket. */
import type { WebSocket } from 'ws';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { HTTP_CREDIT_MAX, TOPIC_STALL_MS_MAX } from '../../core/http-limits.ts';
import { stalled } from './topic-events.ts';
import type { Receiver } from './topic-feed.ts';

export interface SocketReceiverOptions {
  readonly env: Pick<Env, 'timers'>;
  readonly topic: string;
  /** Infinity: credit does not matter. */
  readonly credit: number;
  readonly bufferedBytesMax: number;
  readonly signal: AbortSignal;
  /** Called when the system has taken a message. */
  readonly onSent: () => void;
}

export class SocketReceiver implements Receiver {
  readonly #socket: WebSocket;
  readonly #options: SocketReceiverOptions;
  #credit: number;
  #onReady: (() => void) | undefined;

  constructor(socket: WebSocket, options: SocketReceiverOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#credit = options.credit;
  }

  get isReady(): boolean {
    return this.#credit > 0 && !this.#isFull;
  }

  get #isFull(): boolean {
    return this.#socket.bufferedAmount > this.#options.bufferedBytesMax;
  }

  grant(credit: number): void {
    if (this.#credit !== Infinity) this.#credit = Math.min(HTTP_CREDIT_MAX, this.#credit + credit);
    this.look();
  }

  /** Something may have changed. */
  look(): void {
    if (this.isReady) this.#onReady?.();
  }

  ready(): Promise<void> {
    const { env, signal, topic } = this.#options;
    if (this.isReady) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (error?: MillraceError): void => {
        timer.cancel();
        this.#onReady = undefined;
        signal.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onAbort = (): void =>
        settle(new MillraceError('ML_ABORTED', 'the subscription has ended'));
      // Who gives no credit is there: it answers pings. Who takes nothing may not be.
      const watch = () =>
        env.timers.after(TOPIC_STALL_MS_MAX, () => {
          if (this.#isFull) settle(stalled(topic));
          else timer = watch();
        });
      let timer = watch();
      this.#onReady = () => settle();
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
    });
  }

  record(json: string, id: string): void {
    this.#credit--;
    this.#send(`{"record":${json},"id":"${id}"}`);
  }

  dropped(records: number, id: string): void {
    this.#send(`{"dropped":${records},"id":"${id}"}`);
  }

  idle(id: string): void {
    this.#send(`{"idle":true,"id":"${id}"}`);
  }

  #send(text: string): void {
    this.#socket.send(text, this.#options.onSent);
  }
}
