/** The input of a task: a RecordInput that also says, cheaply, where it is, since errors of records that had to wait are told later. */
import { decodeKey } from '../../../core/key-codec.ts';
import type { MergeReader } from '../exchange.ts';
import type { Mark, Positions } from '../operators/failures.ts';
import { preview } from '../operators/preview.ts';
import type { Emit, RecordInput } from '../record-input.ts';

export interface TaskInput extends RecordInput, Positions {
  /** After `read` returned false: records that wait have to be handed on before the next call. */
  readonly needsDrain: boolean;
  /** Of inputs that write runs themselves: joins, iterations. As `JoinRunner.spills`. */
  readonly spills?: number;
  readonly spilledBytes?: number;
}

/** What inputs that read one exchange have in common. */
export abstract class ReaderInput implements TaskInput {
  readonly needsDrain: boolean = false;
  protected readonly reader: MergeReader;
  /** Of the operator that the exchange is for. */
  protected readonly name: string;

  constructor(name: string, reader: MergeReader) {
    this.name = name;
    this.reader = reader;
  }

  abstract read(emit: Emit): boolean | Promise<boolean>;

  get records(): number {
    return this.reader.records;
  }

  get bytes(): number {
    return this.reader.bytes;
  }

  position(): string {
    return this.mark();
  }

  mark(): string {
    return this.reader.records === 0 ? '' : `${this.name}, key ${preview(this.key())}`;
  }

  locate(mark: Mark): string {
    return String(mark);
  }

  close(): void {
    this.reader.close();
  }

  /** The key of the current record, for errors. */
  protected key(): unknown {
    const { buffer, keyStart, keyEnd } = this.reader;
    return decodeKey(buffer, keyStart, keyEnd);
  }
}
