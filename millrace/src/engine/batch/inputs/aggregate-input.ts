/**
 * Aggregation after the exchange: the records of a key follow one another, accumulators or values, and become one result. Holds one
 * accumulator. The law of order: results stand where their keys do, and a key is merged in stream order.
 */
import { INPUT_CHUNK_RECORDS } from '../../../core/limits.ts';
import { isThenable } from '../../../core/thenable.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { MergeReader } from '../exchange.ts';
import type { Failures } from '../operators/failures.ts';
import { preview } from '../operators/preview.ts';
import type { Emit } from '../record-input.ts';
import { ReaderInput } from './task-input.ts';

/** What there is of an aggregation after its exchange. */
export interface Reduction {
  readonly init: () => unknown;
  /** Of records; not called when the exchange has accumulators. */
  readonly add: (accumulator: unknown, value: unknown, key: unknown) => unknown;
  /** undefined: the exchange has records, not accumulators. */
  readonly merge: ((left: unknown, right: unknown) => unknown) | undefined;
  readonly finish: ((accumulator: unknown, key: unknown) => unknown) | undefined;
  /** False: one result for all records, even when there are none. */
  readonly isKeyed: boolean;
  /** The result has the key. */
  readonly keepsKey: boolean;
}

const IS_ASYNC = 'its functions must not be async: the result is a promise';

export class AggregateInput extends ReaderInput {
  private readonly reduction: Reduction;
  private readonly failures: Failures;
  private isOpen = false;
  private accumulator: unknown;
  private currentKey: unknown;
  private hasResult = false;
  /** The reader stands at the first record of the next key, or at the end, while a result is handed on. */
  private isAhead = false;

  constructor(name: string, reader: MergeReader, reduction: Reduction, failures: Failures) {
    super(name, reader);
    this.reduction = reduction;
    this.failures = failures;
  }

  read(emit: Emit): boolean {
    const { reader, reduction } = this;
    for (let count = 0; count < INPUT_CHUNK_RECORDS; count++) {
      if (!reader.next()) {
        this.end(emit);
        return true;
      }
      const isNew = reduction.isKeyed ? !reader.isSameKey : reader.records === 1;
      let goesOn = true;
      if (isNew && this.isOpen) goesOn = this.emit(emit);
      if (isNew) this.currentKey = reduction.isKeyed ? this.key() : undefined;
      this.take();
      if (!goesOn) return false;
    }
    return false;
  }

  /** The key of what is worked on. */
  override mark(): string {
    if (!this.reduction.isKeyed) return this.name;
    return this.isAhead ? `${this.name}, key ${preview(this.currentKey)}` : super.mark();
  }

  private take(): void {
    const { reader, reduction } = this;
    this.isAhead = false;
    const value = decodeValue(reader.buffer, reader.valueStart, reader.valueEnd);
    try {
      if (reduction.merge === undefined)
        this.accumulator = reduction.add(
          this.isOpen ? this.accumulator : reduction.init(),
          value,
          reduction.isKeyed ? this.currentKey : this.key(),
        );
      else this.accumulator = this.isOpen ? reduction.merge(this.accumulator, value) : value;
      this.isOpen = true;
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
    }
  }

  private emit(emit: Emit): boolean {
    const { accumulator, currentKey, reduction } = this;
    this.isOpen = false;
    this.isAhead = true;
    this.accumulator = undefined;
    this.hasResult = true;
    let result = accumulator;
    if (reduction.finish !== undefined) {
      try {
        result = reduction.finish(accumulator, currentKey);
      } catch (error) {
        this.failures.inFunction(this.name, error, accumulator);
        return true;
      }
    }
    if (isThenable(result)) {
      this.failures.inFunction(this.name, new TypeError(IS_ASYNC), result);
      return true;
    }
    return emit(result, reduction.keepsKey ? currentKey : undefined);
  }

  private end(emit: Emit): void {
    if (!this.isOpen && !this.hasResult && !this.reduction.isKeyed) {
      this.accumulator = this.reduction.init();
      this.isOpen = true;
    }
    if (this.isOpen) this.emit(emit);
  }
}
