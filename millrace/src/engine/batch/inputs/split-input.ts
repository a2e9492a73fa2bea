/** The records of the splits of a task, one split after the other. */
import type { Split, SplitReader } from '../../../flow/source.ts';
import type { Mark } from '../operators/failures.ts';
import type { Emit } from '../record-input.ts';
import type { TaskInput } from './task-input.ts';

export class SplitInput implements TaskInput {
  records = 0;
  /** A split is at its end: its reader is kept until the next call, since it knows the places of records that wait. */
  needsDrain = false;
  private readonly splits: readonly Split[];
  private readonly openSplit: (split: Split) => SplitReader;
  private index = 0;
  private reader: SplitReader | undefined;
  private bytesBefore = 0;

  constructor(splits: readonly Split[], open: (split: Split) => SplitReader) {
    this.splits = splits;
    this.openSplit = open;
  }

  get bytes(): number {
    return this.bytesBefore + (this.reader?.consumedBytes ?? 0);
  }

  read(emit: Emit): boolean | Promise<boolean> {
    if (this.needsDrain) {
      this.needsDrain = false;
      const closed = this.closeReader();
      if (closed instanceof Promise) return closed.then(() => false);
    }
    if (this.reader === undefined) {
      const split = this.splits[this.index];
      if (split === undefined) return true;
      this.reader = this.openSplit(split);
    }
    const done = this.reader.read(emit);
    if (done instanceof Promise) return done.then((isDone) => isDone && this.ended());
    return done && this.ended();
  }

  position(): string {
    return this.reader?.position() ?? '';
  }

  mark(): Mark {
    return this.reader?.mark() ?? '';
  }

  locate(mark: Mark): string {
    return typeof mark === 'number' ? (this.reader?.locate(mark) ?? '') : mark;
  }

  close(): void | Promise<void> {
    return this.closeReader();
  }

  /** True when this was the last split. */
  private ended(): boolean {
    this.index++;
    this.needsDrain = this.index < this.splits.length;
    return !this.needsDrain;
  }

  private closeReader(): void | Promise<void> {
    const { reader } = this;
    if (reader === undefined) return;
    this.bytesBefore += reader.consumedBytes;
    this.reader = undefined;
    return reader.close();
  }
}
