/**
 * Inputs that give each record of an exchange as it is: key and value (gathers, tables), or value and the key it had beside what it was
 * sorted by (sort, top). The law of order: they give what the exchange gives, in its order.
 *
 * @hot
 */
import { decodeKey } from '../../../core/key-codec.ts';
import { INPUT_CHUNK_RECORDS } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { MergeReader } from '../exchange.ts';
import { KeyedValue } from '../operators/exit.ts';
import type { Emit } from '../record-input.ts';
import { ReaderInput } from './task-input.ts';

export class KeyInput extends ReaderInput {
  read(emit: Emit): boolean {
    const { reader } = this;
    for (let count = 0; count < INPUT_CHUNK_RECORDS; count++) {
      if (!reader.next()) return true;
      const { buffer, valueStart } = reader;
      const key = decodeKey(buffer, reader.keyStart, reader.keyEnd);
      if (!emit(decodeValue(buffer, valueStart, reader.valueEnd), key)) return false;
    }
    return false;
  }
}

export class SortedInput extends ReaderInput {
  private readonly record = new KeyedValue();
  private left: number;

  /** @param count of records at most */
  constructor(name: string, reader: MergeReader, count: number) {
    super(name, reader);
    this.left = count;
  }

  read(emit: Emit): boolean {
    const { reader, record } = this;
    for (let count = 0; count < INPUT_CHUNK_RECORDS; count++) {
      if (this.left === 0 || !reader.next()) return true;
      this.left--;
      const { buffer, keyStart, valueStart } = reader;
      if (valueStart === keyStart) {
        // A text that was sorted by itself.
        if (!emit(decodeKey(buffer, keyStart, reader.keyEnd), undefined)) return false;
        continue;
      }
      record.set(buffer, valueStart, reader.valueEnd);
      if (!emit(record.value(), record.key())) return false;
    }
    return false;
  }
}
