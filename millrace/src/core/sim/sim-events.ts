/**
 * Virtual time: one heap of events that moves the clock, fires timers, completes file calls and delivers bytes. Time
 * stands still while an event runs and jumps to the next event when all that it woke has run.
 *
 * Invariant: events run in the order of (time, creation), and everything that an event resolves has run before the
 * next one: the order depends on the seed alone.
 */

import { assert } from '../errors.ts';

/** Something that can die with its events: a process of the machine. */
export interface SimOwner {
  readonly isAlive: boolean;
}

export interface SimEvent {
  readonly atMs: number;
  readonly sequence: number;
  /** The event is dropped when its owner is dead by then; undefined for what outlives processes. */
  readonly owner: SimOwner | undefined;
  run: (() => void) | undefined;
}

export class SimEvents {
  /** Virtual milliseconds since the machine was made. */
  nowMs = 0;
  /** Events that have run. */
  count = 0;
  private readonly heap: SimEvent[] = [];
  private nextSequence = 0;

  /** Runs `run` after `delayMs` of virtual time. */
  after(delayMs: number, owner: SimOwner | undefined, run: () => void): SimEvent {
    assert(delayMs >= 0, `an event in the past: ${delayMs}`);
    const event: SimEvent = {
      atMs: this.nowMs + delayMs,
      sequence: this.nextSequence++,
      owner,
      run,
    };
    this.push(event);
    return event;
  }

  cancel(event: SimEvent): void {
    event.run = undefined;
  }

  /** When the next event is due; undefined when there is none. */
  nextMs(): number | undefined {
    for (;;) {
      const [next] = this.heap;
      if (next === undefined) return undefined;
      if (next.run !== undefined && next.owner?.isAlive !== false) return next.atMs;
      this.pop();
    }
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    if (this.nextMs() === undefined) return false;
    const event = this.pop();
    const run = event?.run;
    assert(event !== undefined && run !== undefined, 'nextMs leaves a live event on top');
    this.nowMs = event.atMs;
    this.count++;
    event.run = undefined;
    run();
    return true;
  }

  /** Lets everything run that promises have made ready. */
  drain(): Promise<void> {
    // Node runs all microtasks and ticks, also those that they add, before the next immediate.
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  private push(event: SimEvent): void {
    const { heap } = this;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = event;
  }

  private pop(): SimEvent | undefined {
    const { heap } = this;
    const [top] = heap;
    const last = heap.pop();
    if (top === undefined || last === undefined || top === last) return top;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = heap[childIndex];
      if (child === undefined) break;
      const right = heap[childIndex + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childIndex++;
      }
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = last;
    return top;
  }
}

function isBefore(left: SimEvent, right: SimEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence);
}
