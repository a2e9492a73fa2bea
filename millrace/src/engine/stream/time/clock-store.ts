/** The times of the writers of an exchange that are too many for the metadata of an offset: entries of a store, by the number of the writer. */
import type { Store } from '../state/store.ts';
import type { Counting, InputTime, WriterTime } from './time-tracker.ts';

/** What is kept of a writer. */
export type StoredTime = readonly [time: number, counting: Counting, until: number];

export class ClockStore {
  /** Its number in the tracker. */
  readonly input: number;
  private readonly writers: number;
  private readonly store: Store<StoredTime>;

  constructor(input: number, writers: number, store: Store<StoredTime>) {
    this.input = input;
    this.writers = writers;
    this.store = store;
  }

  /** Before a commit: what has changed. */
  save({ writers }: InputTime): void {
    for (const [writer, { time, counting, until }] of writers.entries()) {
      const saved = this.store.get(writer, 0);
      const isSaved = saved?.[0] === time && saved[1] === counting && saved[2] === until;
      if (!isSaved) this.store.put(writer, 0, [time, counting, until], 0);
    }
  }

  /** As of the last commit. */
  read(): InputTime {
    const writers = Array.from({ length: this.writers }, (_, writer): WriterTime => {
      const [time, counting, until] = this.store.get(writer, 0) ?? NOTHING;
      return { time, counting, until };
    });
    return { seen: Number.NEGATIVE_INFINITY, writers };
  }
}

const NOTHING: StoredTime = [Number.NEGATIVE_INFINITY, 'counts', Number.POSITIVE_INFINITY];
