/**
 * What a connection has to tell its client, collected and written once per turn.
 *
 * Invariants
 * - Frames leave in the order in which they were put in; the frames of one content are not mixed with others of its channel.
 * - What the client has not taken stays within AMQP_UNSENT_BYTES_MAX and one message, as long as those who deliver ask `hasRoom`; with what is
 *   owed to it anyhow within AMQP_OWED_BYTES_MAX and a chunk's worth, as long as it is not read while that is so.
 *
 * @hot
 */
import type { Connection, Timers } from '../../core/env.ts';
import { AMQP_OWED_BYTES_MAX, AMQP_UNSENT_BYTES_MAX } from '../../core/queue-limits.ts';
import type { QueueMessage } from '../../broker/queues/message.ts';
import { FrameWriter } from '../../wire/amqp/frame-writer.ts';
import type { ContentMethodName, MethodInput } from '../../wire/amqp/methods.ts';

export interface OutputOptions {
  readonly connection: Connection;
  readonly timers: Timers;
  /** Before what was collected is written: who has something to tell that is told once per turn. */
  readonly onFlush: () => void;
  /** Something was sent: `isOverfull` may have changed. */
  readonly onSent: () => void;
  /** There is room again, after somebody was told that there is none. */
  readonly onRoom: () => void;
  /** A message cannot be told to this client: its properties do not fit into a frame. Later, in a turn of its own. */
  readonly onUntold: (error: unknown) => void;
}

export interface Delivered {
  readonly consumerTag: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly message: QueueMessage;
  readonly properties: Buffer;
}

export class Output {
  /** Something was written since the last look of who sends heartbeats. */
  wrote = false;
  private readonly options: OutputOptions;
  private readonly writer: FrameWriter;
  private isScheduled = false;
  private isStopped = false;
  /** Somebody was told that there is no room. */
  private wasFull = false;

  constructor(options: OutputOptions) {
    this.options = options;
    this.writer = new FrameWriter();
  }

  /** Whether more deliveries may be put in. */
  get hasRoom(): boolean {
    if (this.isStopped) return false;
    if (this.unsentBytes < AMQP_UNSENT_BYTES_MAX) return true;
    this.wasFull = true;
    return false;
  }

  /** More is owed to the client than may be: it is to be asked for nothing, and told nothing that it can do without. */
  get isOverfull(): boolean {
    return this.unsentBytes >= AMQP_OWED_BYTES_MAX;
  }

  private get unsentBytes(): number {
    return this.writer.bytes + this.options.connection.bufferedBytes;
  }

  /** What was agreed upon in the handshake. */
  setFrameMax(bytes: number): void {
    this.writer.setFrameMax(bytes);
  }

  method(channel: number, method: MethodInput): void {
    if (this.isStopped) return;
    this.writer.method(channel, method);
    this.schedule();
  }

  content(
    channel: number,
    method: MethodInput<ContentMethodName>,
    { properties, body }: { readonly properties: Buffer; readonly body: Buffer },
  ): void {
    if (this.isStopped) return;
    this.put(channel, method, properties, body);
    this.schedule();
  }

  /** Queues deliver in a turn of their own, when all that was received has been read: it leaves at its end. */
  deliver(channel: number, delivered: Delivered): void {
    if (this.isStopped) return;
    const { consumerTag, deliveryTag, redelivered, message, properties } = delivered;
    const { exchange, routingKey, body } = message;
    const name = 'basic.deliver';
    const method = { name, consumerTag, deliveryTag, redelivered, exchange, routingKey } as const;
    this.put(channel, method, properties, body);
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(this.flushScheduled);
  }

  private put(
    channel: number,
    method: MethodInput<ContentMethodName>,
    properties: Buffer,
    body: Buffer,
  ): void {
    try {
      this.writer.content(channel, method, properties, body);
    } catch (error) {
      // Those who deliver must not be interrupted.
      this.options.timers.immediate(() => this.options.onUntold(error));
    }
  }

  heartbeat(): void {
    if (this.isStopped) return;
    this.writer.heartbeat();
    this.flush();
  }

  /** Somebody has something to tell when this turn ends. */
  schedule(): void {
    if (this.isScheduled || this.isStopped) return;
    this.isScheduled = true;
    this.options.timers.immediate(this.flushScheduled);
  }

  private readonly flushScheduled = (): void => {
    this.isScheduled = false;
    this.flush();
  };

  /** Writes now. */
  flush(): void {
    if (this.isStopped) return;
    this.options.onFlush();
    if (this.writer.bytes > 0) {
      this.wrote = true;
      this.writer.writeTo(this.options.connection);
    }
    this.tellRoom();
  }

  /** The socket has taken everything. */
  drained(): void {
    this.tellRoom();
  }

  /** Nothing more is sent. */
  stop(): void {
    this.isStopped = true;
  }

  private tellRoom(): void {
    this.options.onSent();
    if (!this.wasFull || this.unsentBytes >= AMQP_UNSENT_BYTES_MAX) return;
    this.wasFull = false;
    this.options.onRoom();
  }
}
