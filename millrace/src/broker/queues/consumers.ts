/**
 * The consumers of a queue, and whose turn it is: of those that want a message the ones of the highest priority, one after the other.
 *
 * Invariant: whoever wants messages stands in the ring of its priority; who no longer does leaves it when its turn comes.
 * @hot `next`
 */
import { Holder } from './held-delivery.ts';
import type { QueueConsumer, QueueRefusal } from './queue.ts';

interface Ring {
  readonly priority: number;
  waiting: Holder[];
  first: number;
  /** Cancelled ones that stand in it. */
  gone: number;
}

/** Priorities that are remembered while nobody of them wants a message. */
const RINGS_KEPT = 16;
/** Cancelled ones that may stand in a ring, whatever there is beside them. */
const GONE_KEPT = 64;

export class Consumers {
  private readonly isSingleActive: boolean;
  private readonly holders = new Map<QueueConsumer, Holder>();
  /** The highest priority first. */
  private rings: Ring[] = [];
  private active: Holder | undefined;
  /** Cancelled ones that still have messages. */
  readonly leaving = new Set<Holder>();

  constructor(isSingleActive: boolean) {
    this.isSingleActive = isSingleActive;
  }

  get count(): number {
    return this.holders.size;
  }

  add(consumer: QueueConsumer, queueName: string): QueueRefusal | undefined {
    const refusal = exclusiveUse(this.holders.keys(), consumer, queueName);
    if (refusal !== undefined) return refusal;
    const holder = new Holder(consumer);
    this.holders.set(consumer, holder);
    this.chooseActive();
    this.wake(holder);
    return undefined;
  }

  remove(consumer: QueueConsumer): void {
    const holder = this.holders.get(consumer);
    if (holder === undefined) return;
    holder.isCancelled = true;
    this.holders.delete(consumer);
    if (holder.isInRing) this.tidy(this.ringOf(priorityOf(holder)));
    if (holder.count > 0) this.leaving.add(holder);
    if (this.active === holder) this.active = undefined;
    this.chooseActive();
  }

  get(consumer: QueueConsumer): Holder | undefined {
    return this.holders.get(consumer);
  }

  /** All that have messages, or could get some. */
  *all(): Iterable<Holder> {
    yield* this.holders.values();
    yield* this.leaving;
  }

  /** Of consumers with equal priority the one that has waited longest becomes the active one, and stays it. */
  private chooseActive(): void {
    if (!this.isSingleActive || this.active !== undefined) return;
    let best: Holder | undefined;
    for (const holder of this.holders.values())
      if (best === undefined || priorityOf(holder) > priorityOf(best)) best = holder;
    this.active = best;
    if (best !== undefined) this.wake(best);
  }

  /** It may want messages (again). */
  wake(holder: Holder): void {
    if (holder.isInRing || !this.mayTake(holder)) return;
    holder.isInRing = true;
    this.ringOf(priorityOf(holder)).waiting.push(holder);
  }

  private mayTake(holder: Holder): boolean {
    return holder.wants && (!this.isSingleActive || holder === this.active);
  }

  private ringOf(priority: number): Ring {
    let ring = this.rings.find((each) => each.priority === priority);
    if (ring === undefined) {
      ring = { priority, waiting: [], first: 0, gone: 0 };
      this.rings.push(ring);
      this.rings.sort((a, b) => b.priority - a.priority);
    }
    return ring;
  }

  /** Who gets the next message; it stays first until `served`. undefined: nobody wants one. */
  next(): Holder | undefined {
    for (const ring of this.rings) {
      while (ring.first < ring.waiting.length) {
        const holder = ring.waiting[ring.first] as Holder;
        if (this.mayTake(holder)) return holder;
        this.leave(ring, holder);
      }
    }
    return undefined;
  }

  /** It was given a message: the others of its priority come first now. */
  served(holder: Holder): void {
    const ring = this.ringOf(priorityOf(holder));
    if (ring.waiting[ring.first] !== holder) return;
    this.leave(ring, holder);
    this.wake(holder);
  }

  /** One more in it was cancelled. Where nothing is delivered they would never have a turn, and never leave. */
  private tidy(ring: Ring): void {
    ring.gone++;
    if (ring.gone <= GONE_KEPT || ring.gone * 2 <= ring.waiting.length - ring.first) return;
    ring.waiting = ring.waiting.slice(ring.first).filter(({ isCancelled }) => !isCancelled);
    ring.first = 0;
    ring.gone = 0;
  }

  private leave(ring: Ring, holder: Holder): void {
    holder.isInRing = false;
    if (holder.isCancelled) ring.gone--;
    ring.first++;
    if (ring.first === ring.waiting.length) {
      ring.waiting.length = 0;
      ring.first = 0;
      // Consumers may come with ever other priorities.
      if (this.rings.length > RINGS_KEPT) this.rings = this.rings.filter((each) => each !== ring);
    } else if (ring.first >= 1024 && ring.first * 2 >= ring.waiting.length) {
      ring.waiting.splice(0, ring.first);
      ring.first = 0;
    }
  }

  /** How many messages they take, all together. */
  get credit(): number {
    let credit = 0;
    for (const holder of this.holders.values())
      if (!this.isSingleActive || holder === this.active) credit += holder.credit;
    return credit;
  }

  /** Forgets all. @returns those that were there */
  clear(): QueueConsumer[] {
    const consumers = [...this.holders.keys()];
    for (const holder of this.holders.values()) holder.isCancelled = true;
    this.holders.clear();
    this.rings = [];
    this.active = undefined;
    return consumers;
  }
}

/** Why `consumer` may not come to those that are there; undefined: it may. */
export function exclusiveUse(
  others: Iterable<QueueConsumer>,
  consumer: QueueConsumer,
  queueName: string,
): QueueRefusal | undefined {
  // Who is exclusive is alone: of very many the first says it.
  for (const other of others) {
    if (!other.exclusive && !consumer.exclusive) return undefined;
    return { ok: false, error: 'ACCESS_REFUSED', message: `queue '${queueName}' in exclusive use` };
  }
  return undefined;
}

function priorityOf(holder: Holder): number {
  return holder.consumer?.priority ?? 0;
}
