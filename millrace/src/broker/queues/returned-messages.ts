/** Messages that came back a short while ago, so that they need not be read again; the oldest make room for others. */
import { QUEUE_KEPT_BYTES_MAX } from '../../core/queue-limits.ts';
import type { QueueMessage } from './message.ts';
import { copyMessage } from './message-record.ts';

/** What a message takes beside its bytes, more or less. */
const OVERHEAD_BYTES = 200;

export class ReturnedMessages {
  bytes = 0;
  private readonly messages = new Map<number, QueueMessage>();

  get(offset: number): QueueMessage | undefined {
    return this.messages.get(offset);
  }

  add(offset: number, message: QueueMessage): void {
    const size = sizeOf(message);
    if (size > QUEUE_KEPT_BYTES_MAX) return;
    this.delete(offset);
    for (const oldest of this.messages.keys()) {
      if (this.bytes + size <= QUEUE_KEPT_BYTES_MAX) break;
      this.delete(oldest);
    }
    this.messages.set(offset, copyMessage(message));
    this.bytes += size;
  }

  delete(offset: number): void {
    if (this.messages.size === 0) return;
    const message = this.messages.get(offset);
    if (message === undefined) return;
    this.messages.delete(offset);
    this.bytes -= sizeOf(message);
  }

  deleteBelow(offset: number): void {
    for (const each of this.messages.keys()) if (each < offset) this.delete(each);
  }

  clear(): void {
    this.messages.clear();
    this.bytes = 0;
  }
}

function sizeOf(message: QueueMessage): number {
  return (
    OVERHEAD_BYTES + message.body.length + message.properties.length + (message.key?.length ?? 0)
  );
}
