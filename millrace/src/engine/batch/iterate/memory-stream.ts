/**
 * A stream that stays in the process: what one round of an iteration writes and the next one reads. Records are kept encoded, in
 * runs of a storage that holds in memory what fits, and the rest in files.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';
import { JOIN_CHUNK_RECORDS } from '../../../core/limits.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import type { Sink, SinkWriter } from '../../../flow/sink.ts';
import type { Source, SplitReader } from '../../../flow/source.ts';
import { createExchangeWriter } from '../exchange/exchange-writer.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';
import type { RunSegment } from '../stage.ts';

/** A source of one split, whose records `open` gives anew each time. */
export function memorySource(label: string, open: () => MergeReader): Source {
  return {
    kind: 'source',
    format: 'memory',
    label,
    paths: [],
    columns: undefined,
    plan: () => Promise.resolve({ splits: [{ index: 0, bytes: 0, label, data: null }], files: [] }),
    open: () => new MemoryReader(label, open()),
  };
}

class MemoryReader implements SplitReader {
  private readonly label: string;
  private readonly reader: MergeReader;

  constructor(label: string, reader: MergeReader) {
    this.label = label;
    this.reader = reader;
  }

  get consumedBytes(): number {
    return 0;
  }

  read(emit: (value: unknown, key: unknown) => boolean): boolean {
    const { reader } = this;
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (!reader.next()) return true;
      const { buffer } = reader;
      const key = decodeKey(buffer, reader.keyStart, reader.keyEnd);
      const value = decodeValue(buffer, reader.valueStart, reader.valueEnd);
      if (!emit(value, key)) return false;
    }
    return false;
  }

  position(): string {
    return this.locate(this.mark());
  }

  mark(): number {
    return this.reader.records;
  }

  locate(mark: number): string {
    return `${this.label}, record ${mark}`;
  }

  close(): void {
    this.reader.close();
  }
}

/** What the writers of a memory sink have written: runs in the order of their tasks. */
export class MemorySink {
  readonly sink: Sink<unknown, unknown>;
  private readonly tasks = new Map<number, readonly RunSegment[]>();

  constructor(
    label: string,
    options: { readonly storage: RunStorage; readonly memoryBytes: number },
  ) {
    this.sink = {
      kind: 'sink',
      format: 'memory',
      label,
      target: { kind: 'directory', path: '', extension: '' },
      arrangement: 'any',
      partBytes: undefined,
      open: ({ task }) =>
        new MemoryWriter(options, (runs) => {
          this.tasks.set(task, runs);
        }),
    };
  }

  /** The runs that were written since the last call, in stream order. */
  take(): RunSegment[] {
    const inOrder = [...this.tasks].toSorted(([a], [b]) => a - b);
    this.tasks.clear();
    return inOrder.flatMap(([, runs]) => runs);
  }
}

class MemoryWriter implements SinkWriter<unknown, unknown> {
  readonly isBusy = false;
  private readonly writer;
  private readonly done: (runs: readonly RunSegment[]) => void;
  private readonly key = new ByteWriter(64);
  private readonly value = new ByteWriter(256);

  constructor(
    options: { readonly storage: RunStorage; readonly memoryBytes: number },
    done: (runs: readonly RunSegment[]) => void,
  ) {
    this.writer = createExchangeWriter({
      exchange: 0,
      partitions: 1,
      isSorted: false,
      sampleRecords: 0,
      memoryBytes: options.memoryBytes,
      storage: options.storage,
    });
    this.done = done;
  }

  write(value: unknown, key: unknown): void {
    this.key.clear();
    this.value.clear();
    encodeKey(key, this.key);
    encodeValue(value, this.value);
    this.writer.append(
      0,
      this.key.buffer,
      0,
      this.key.length,
      this.value.buffer,
      0,
      this.value.length,
    );
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  finish(): Promise<readonly []> {
    const { runs } = this.writer.finish();
    this.done(runs.flatMap(({ segments }) => segments));
    return Promise.resolve([]);
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}
