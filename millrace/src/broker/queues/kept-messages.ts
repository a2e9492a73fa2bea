/**
 * Which messages that are with consumers stay in memory, in case they come back: those delivered last. What was delivered before so many
 * bytes is let go, whatever a consumer still holds, since one small message may keep a large piece of the log in memory.
 */
import { QUEUE_KEPT_BYTES_MAX } from '../../core/queue-limits.ts';
import type { HeldDelivery } from './held-delivery.ts';

/** What a delivery takes beside its bytes, more or less. */
const OVERHEAD_BYTES = 300;

export class KeptMessages {
  /** In the order in which they were delivered, from `first` on. */
  private readonly deliveries: (HeldDelivery | undefined)[] = [];
  private first = 0;
  private delivered = 0;
  private letGo = 0;

  get bytes(): number {
    return this.delivered - this.letGo;
  }

  add(delivery: HeldDelivery): void {
    delivery.deliveredBytes = this.delivered;
    this.delivered += OVERHEAD_BYTES + delivery.bodyBytes;
    this.deliveries.push(delivery);
  }

  /** At the end of a turn, when whoever was given messages has read them. */
  trim(bytesMax: number = QUEUE_KEPT_BYTES_MAX): void {
    const { deliveries } = this;
    while (this.first < deliveries.length) {
      const delivery = deliveries[this.first] as HeldDelivery;
      const isOpen = delivery.holder !== undefined;
      if (isOpen && this.delivered - delivery.deliveredBytes <= bytesMax) break;
      delivery.kept = undefined;
      this.letGo = delivery.deliveredBytes + OVERHEAD_BYTES + delivery.bodyBytes;
      deliveries[this.first++] = undefined;
    }
    if (this.first === deliveries.length) {
      deliveries.length = 0;
      this.first = 0;
    } else if (this.first >= 1024 && this.first * 2 >= deliveries.length) {
      deliveries.splice(0, this.first);
      this.first = 0;
    }
  }
}
