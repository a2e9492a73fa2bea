/**
 * The combiner of a group: values of a key are held until they are many, or the memory is used up, and are then made fewer by the
 * function of the user. What is left goes into the exchange; values of a key keep the order in which they came.
 */
import type { GroupNode } from '../../../flow/plan.ts';
import type { ExchangeWriter } from '../exchange.ts';
import type { ExchangeOutput } from '../stage.ts';
import { COMBINE_VALUES_MAX, COMBINE_TABLE_KEYS_MAX } from '../../../core/limits.ts';
import { type Exit, type ExitOptions, neverWaits } from './exit.ts';
import type { Failures } from './failures.ts';
import { HeldSize } from './held-size.ts';
import { KeyTable } from './key-table.ts';
import type { Operator } from './operator.ts';

type Combine = NonNullable<GroupNode['combine']>;

export class CombinedGroupExit implements Exit {
  readonly writer: ExchangeWriter;
  private readonly name: string;
  private readonly memoryBytes: number;
  private readonly failures: Failures;
  private readonly combine: Combine;
  /** Writes what was combined. */
  private readonly target: Operator;
  private readonly table = new KeyTable();
  private values: unknown[][] = [];
  /** Values of all keys. */
  private held = 0;
  private readonly size = new HeldSize();

  constructor(options: ExitOptions, combine: Combine, target: Operator) {
    this.name = options.name;
    this.writer = options.writer;
    this.memoryBytes = options.memoryBytes;
    this.failures = options.failures;
    this.combine = combine;
    this.target = target;
  }

  get heldBytes(): number {
    return this.writer.heldBytes + this.table.heldBytes + this.size.heldBytes;
  }

  push(value: unknown, key: unknown): boolean {
    let index: number;
    try {
      index = this.table.indexOf(key);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
      return true;
    }
    const { values, size } = this;
    let ofKey = values[index];
    if (ofKey === undefined) {
      ofKey = [];
      values.push(ofKey);
    }
    ofKey.push(value);
    this.held++;
    if (size.isDue()) size.changed(0, size.measure(value));
    if (ofKey.length >= COMBINE_VALUES_MAX) values[index] = this.combined(index, ofKey);
    const heldBytes = this.table.heldBytes + size.heldBytes;
    if (heldBytes > this.memoryBytes || this.table.size >= COMBINE_TABLE_KEYS_MAX) this.flush();
    return true;
  }

  drain(): Promise<void> {
    return neverWaits();
  }

  finish(): ExchangeOutput {
    this.flush();
    return this.writer.finish();
  }

  private combined(index: number, values: unknown[]): unknown[] {
    const key = this.table.key(index);
    try {
      const fewer = [...this.combine(key, values)];
      this.size.shrunk(values.length, fewer.length, this.held);
      this.held += fewer.length - values.length;
      return fewer;
    } catch (error) {
      this.failures.inFunction(this.name, error, { key, values });
      return [];
    }
  }

  private flush(): void {
    const { table, target, values } = this;
    for (const [index, ofKey] of values.entries()) {
      const key = table.key(index);
      const fewer = ofKey.length > 1 ? this.combined(index, ofKey) : ofKey;
      for (const value of fewer) target.push(value, key);
    }
    table.clear();
    this.values = [];
    this.held = 0;
    this.size.clear();
  }
}
