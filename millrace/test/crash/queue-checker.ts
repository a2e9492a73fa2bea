/**
 * Judges a history of queues: a total-queue check, as Jepsen's, with flags and order.
 *
 *   lost                    confirmed, and neither accepted by somebody nor left at the end
 *   unexpected              seen, and never sent
 *   damaged                 its body is another one
 *   duplicate-not-flagged   seen again in the same queue, and not said to be redelivered
 *   delivered-after-accept  seen again although it was accepted, and no crash can have made the broker forget
 *   out-of-order            not redelivered, and after one that the same producer sent later, with the same consumer
 *   held-twice              delivered while somebody else holds it
 *
 * What may be: after a crash what was accepted shortly before it comes again, flagged; a dead letter may be in its queue twice after a
 * crash, for it is written there before it is settled where it comes from; messages that were not confirmed may be there or not.
 */
import type { QueueAnomaly, QueueCountsSeen, TimedQueueEvent } from './queue-history.ts';

export interface QueueCheckOptions {
  /** Where dead letters go, by the queue from which they come. */
  readonly deadLetters?: Readonly<Record<string, string>>;
  /** Accepted so long before a crash a message does not come again, milliseconds. Default: Infinity, that is not looked at. */
  readonly forgetsMs?: number;
  /** Queues that give messages in another order than they came: those with priorities. */
  readonly unordered?: readonly string[];
  /** Whether everything was taken at the end, so that what is missing is lost. Default true. */
  readonly drained?: boolean;
}

export interface QueueReport {
  readonly anomalies: readonly QueueAnomaly[];
  readonly counts: QueueCountsSeen;
}

interface Fate {
  readonly queue: string;
  readonly producer: string;
  readonly sequence: number;
  isConfirmed: boolean;
  isLeft: boolean;
  /** Somebody has accepted it, or rejected it where no dead letters are kept. */
  isDone: boolean;
  readonly places: Map<string, PlaceFate>;
}

/** A message in one queue. */
interface PlaceFate {
  seen: number;
  /** Of a dead letter there may be several, after a crash: what one holder does says nothing of the others. */
  copies: number;
  holder: string | undefined;
  /** When, and after how many crashes, it was last accepted or rejected here. */
  settledAtMs: number | undefined;
  settledCrashes: number;
}

export function checkQueueHistory(
  events: readonly TimedQueueEvent[],
  options: QueueCheckOptions = {},
): QueueReport {
  const checker = new QueueChecker(options);
  for (const event of events) checker.observe(event);
  return checker.report();
}

export class QueueChecker {
  readonly anomalies: QueueAnomaly[] = [];
  private readonly options: QueueCheckOptions;
  private readonly fates = new Map<string, Fate>();
  private readonly latest = new Map<string, number>();
  private readonly deadQueues: ReadonlySet<string>;
  private readonly crashesAtMs: number[] = [];
  private readonly counts = {
    published: 0,
    confirmed: 0,
    refused: 0,
    delivered: 0,
    redelivered: 0,
    accepted: 0,
    released: 0,
    rejected: 0,
    left: 0,
    crashes: 0,
    forgottenAccepts: 0,
    unconfirmedFound: 0,
    deadTwice: 0,
  };

  constructor(options: QueueCheckOptions) {
    this.options = options;
    this.deadQueues = new Set(Object.values(options.deadLetters ?? {}));
  }

  observe(event: TimedQueueEvent): void {
    switch (event.kind) {
      case 'publish':
        return this.publish(event);
      case 'confirm':
        this.counts.confirmed++;
        this.fate(event.id).isConfirmed = true;
        return;
      case 'refuse':
        this.counts.refused++;
        return;
      case 'deliver':
        return this.deliver(event);
      case 'accept':
      case 'release':
      case 'reject':
        return this.settle(event);
      case 'left':
        this.counts.left++;
        this.see(event, event.queue, 'the end');
        if (this.fates.has(event.id)) this.fate(event.id).isLeft = true;
        return;
      case 'crash':
        return this.crash(event.atMs);
    }
  }

  report(): QueueReport {
    if (this.options.drained ?? true) this.findLost();
    for (const fate of this.fates.values())
      if (!fate.isConfirmed && fate.places.size > 0) this.counts.unconfirmedFound++;
    return { anomalies: this.anomalies, counts: { ...this.counts } };
  }

  private publish(event: Extract<TimedQueueEvent, { kind: 'publish' }>): void {
    const { queue, producer, sequence } = event;
    this.counts.published++;
    const facts = { queue, producer, sequence, isConfirmed: false, isLeft: false, isDone: false };
    this.fates.set(event.id, { ...facts, places: new Map() });
  }

  private deliver(event: Extract<TimedQueueEvent, { kind: 'deliver' }>): void {
    this.counts.delivered++;
    if (event.redelivered) this.counts.redelivered++;
    const place = this.see(event, event.queue, event.consumer);
    if (place === undefined) return;
    if (place.holder !== undefined && !this.isOneOfCopies(place, event.queue))
      this.add('held-twice', event.id, `${event.consumer} got what ${place.holder} holds`);
    place.holder = event.consumer;
    // A queue of dead letters is in the order in which they died.
    const isOrdered =
      !this.deadQueues.has(event.queue) && this.options.unordered?.includes(event.queue) !== true;
    if (!event.redelivered && isOrdered) this.inOrder(event);
  }

  private see(
    event: Extract<TimedQueueEvent, { kind: 'deliver' | 'left' }>,
    queue: string,
    by: string,
  ): PlaceFate | undefined {
    const { id, redelivered, intact } = event;
    const fate = this.fates.get(id);
    if (fate === undefined) {
      this.add('unexpected', id, `${by} found it in ${queue}`);
      return undefined;
    }
    if (!intact) this.add('damaged', id, `${by} found it in ${queue}`);
    let place = fate.places.get(queue);
    if (place === undefined) {
      place = { seen: 0, copies: 1, holder: undefined, settledAtMs: undefined, settledCrashes: 0 };
      fate.places.set(queue, place);
    }
    if (place.seen > 0 && !redelivered && !this.isOneOfCopies(place, queue))
      this.add('duplicate-not-flagged', id, `${by} found it in ${queue}`);
    if (place.settledAtMs !== undefined) this.again(event, place, by);
    place.settledAtMs = undefined;
    place.seen++;
    return place;
  }

  /** It was settled here, and is here again. */
  private again(
    event: Extract<TimedQueueEvent, { kind: 'deliver' | 'left' }>,
    place: PlaceFate,
    by: string,
  ): void {
    const firstCrash = this.crashesAtMs[place.settledCrashes];
    const settledAtMs = place.settledAtMs ?? 0;
    const forgetsMs = this.options.forgetsMs ?? Number.POSITIVE_INFINITY;
    const isTold = firstCrash !== undefined && firstCrash - settledAtMs <= forgetsMs;
    if (isTold) this.counts.forgottenAccepts++;
    else if (this.isOneOfCopies(place, event.queue)) return;
    else if (firstCrash === undefined)
      this.add('delivered-after-accept', event.id, `${by} found it, and nothing has crashed`);
    else {
      const agoMs = Math.round(firstCrash - settledAtMs);
      this.add('delivered-after-accept', event.id, `${by} found it, settled ${agoMs} ms before`);
    }
  }

  /** A dead letter is written to its queue before it leaves the other one: every crash may have made one more of it. */
  private isOneOfCopies(place: PlaceFate, queue: string): boolean {
    if (!this.deadQueues.has(queue)) return false;
    if (place.copies === 1 && this.counts.crashes > 0) {
      place.copies += this.counts.crashes;
      this.counts.deadTwice++;
    }
    return place.copies > 1;
  }

  private inOrder(event: Extract<TimedQueueEvent, { kind: 'deliver' }>): void {
    const { producer, sequence } = this.fate(event.id);
    const key = `${event.queue}\n${event.consumer}\n${producer}`;
    const before = this.latest.get(key) ?? -1;
    if (sequence <= before)
      this.add('out-of-order', event.id, `${event.consumer} got ${sequence} after ${before}`);
    else this.latest.set(key, sequence);
  }

  private settle(event: Extract<TimedQueueEvent, { kind: 'accept' | 'release' | 'reject' }>): void {
    const fate = this.fate(event.id);
    const place = fate.places.get(event.queue);
    if (place === undefined) throw new Error(`${event.id} was settled before it was seen`);
    place.holder = undefined;
    if (event.kind === 'release') {
      this.counts.released++;
      return;
    }
    place.settledAtMs = event.atMs;
    place.settledCrashes = this.counts.crashes;
    if (event.kind === 'accept') this.counts.accepted++;
    else this.counts.rejected++;
    // What is rejected goes on to the dead letters: there it has to be found.
    if (event.kind === 'accept' || this.options.deadLetters?.[event.queue] === undefined)
      fate.isDone = true;
  }

  private crash(atMs: number): void {
    this.counts.crashes++;
    this.crashesAtMs.push(atMs);
    for (const fate of this.fates.values())
      for (const place of fate.places.values()) place.holder = undefined;
  }

  private findLost(): void {
    for (const [id, fate] of this.fates) {
      if (!fate.isConfirmed || fate.isDone || fate.isLeft) continue;
      const seen = [...fate.places].map(([queue, { seen: times }]) => `${times} times in ${queue}`);
      this.add('lost', id, `sent to ${fate.queue}, seen ${seen.join(', ') || 'never'}`);
    }
  }

  private fate(id: string): Fate {
    const fate = this.fates.get(id);
    if (fate === undefined) throw new Error(`nothing was said of ${id} before`);
    return fate;
  }

  private add(name: QueueAnomaly['name'], id: string, detail: string): void {
    this.anomalies.push({ name, id, detail });
  }
}
