/**
 * Groups: the function of the user gets a key and an iterator over its values, which are decoded as they are asked for. Nothing of a
 * group is held: what was not asked for is passed over. While a function's promise is pending the input stands at its group; keys are
 * worked on one after the other.
 *
 * What a function emits goes on at once. When what is behind takes no more, the rest of what that one call emits is held.
 */
import { MillraceError } from '../../../core/errors.ts';
import { INPUT_CHUNK_RECORDS } from '../../../core/limits.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { GroupNode } from '../../../flow/plan.ts';
import type { MergeReader } from '../exchange.ts';
import type { Failures } from '../operators/failures.ts';
import type { Emit } from '../record-input.ts';
import { GroupValues } from './group-values.ts';
import { ReaderInput } from './task-input.ts';

export class GroupInput extends ReaderInput {
  private readonly node: GroupNode;
  private readonly failures: Failures;
  private readonly values: GroupValues;
  private emit: Emit = () => true;
  /** Emitted by the current call after what is behind had had enough. */
  private held: unknown[] = [];
  private isPaused = false;
  private isInCall = false;

  constructor(reader: MergeReader, node: GroupNode, failures: Failures) {
    super(node.name, reader);
    this.node = node;
    this.failures = failures;
    this.values = new GroupValues(reader, node.sortValuesBy !== undefined);
  }

  read(emit: Emit): boolean | Promise<boolean> {
    this.emit = emit;
    this.isPaused = false;
    if (!this.handOn()) return false;
    const recordsEnd = this.reader.records + INPUT_CHUNK_RECORDS;
    while (this.values.nextGroup()) {
      const pending = this.call();
      if (pending !== undefined) return pending;
      if (this.isPaused || this.reader.records >= recordsEnd) return false;
    }
    return true;
  }

  protected override key(): unknown {
    return this.values.key();
  }

  private call(): Promise<boolean> | undefined {
    const key = this.values.key();
    this.isInCall = true;
    try {
      const result = this.node.fn(key, this.values, this.take);
      if (isThenable(result))
        return Promise.resolve(result).then(
          () => this.called(),
          (error: unknown) => this.failed(error, key),
        );
    } catch (error) {
      this.failed(error, key);
    }
    this.called();
    return undefined;
  }

  private called(): boolean {
    this.isInCall = false;
    return false;
  }

  private failed(error: unknown, key: unknown): boolean {
    // A run that cannot be read is not the function's fault, though it comes through it.
    const { readError } = this.values;
    if (readError !== undefined) throw readError;
    this.failures.inFunction(this.name, error, { key });
    return this.called();
  }

  private readonly take = (value: unknown): void => {
    if (!this.isInCall)
      throw new MillraceError(
        'ML_USER_FUNCTION',
        `${this.name}: emit was called after the function had returned`,
        { hint: 'Await everything inside the function, and return its promise' },
      );
    if (this.isPaused) this.held.push(value);
    else if (!this.emit(value, undefined)) this.isPaused = true;
  };

  /** What was held; false when it is not all taken yet. */
  private handOn(): boolean {
    const { held } = this;
    for (let index = 0; index < held.length; index++)
      if (!this.emit(held[index], undefined)) {
        this.held = held.slice(index + 1);
        return false;
      }
    this.held = [];
    return true;
  }
}
