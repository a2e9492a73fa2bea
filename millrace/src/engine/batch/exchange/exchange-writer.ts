/**
 * Takes the records of one exchange: appends their bytes to an arena, and sorts and writes a run whenever the budget is used up.
 *
 *   0            end            pairsAt                      capacity
 *   | records …  |   free       | pairs of the sort           |
 *
 * Invariant: there is always room for the pairs of the records that are held. The arena, all of it, and the buffer
 * in which blocks are put together are within `memoryBytes`; the arena begins small and grows, so that small jobs stay small.
 *
 * @hot
 */
import { MillraceError } from '../../../core/errors.ts';
import { ARENA_BYTES_MAX, RUN_BUFFER_BYTES } from '../../../core/limits.ts';
import type { ExchangeWriter, ExchangeWriterOptions } from '../exchange.ts';
import type { ExchangeOutput, Run, RunSegment } from '../stage.ts';
import { SORT_WORDS_PER_RECORD, sortRecords } from './record-sort.ts';
import { recordWords, wordsOf, writeLengths } from './run-format.ts';
import { RunWriter } from './run-writer.ts';
import { Sampler } from './sampling.ts';

const ARENA_WORDS_FIRST = 16 * 1024;
/** Few steps, since the arenas before are garbage for a while; what is not used yet takes no memory of the machine. */
const GROWTH = 4;
/** Words are read where a key may have ended: so many bytes behind the last record belong to the arena. */
const SLACK_WORDS = 32;
/** So many records are touched before they are copied: their cache misses overlap instead of following one another. */
const TOUCHED_RECORDS = 64;
/** Up to so many bytes are copied by a loop. */
const LOOP_BYTES_MAX = 128;

/**
 * @throws {MillraceError} ML_MEMORY_TOO_SMALL when `memoryBytes` is less than 16 KiB
 */
export function createExchangeWriter(options: ExchangeWriterOptions): ExchangeWriter {
  return new ArenaWriter(options);
}

class ArenaWriter implements ExchangeWriter {
  records = 0;
  bytes = 0;
  spills = 0;
  spilledBytes = 0;

  private readonly options: ExchangeWriterOptions;
  private readonly sampler: Sampler | undefined;
  private readonly hasPartitions: boolean;
  /** Of the pairs of one record; 0 when the order of arrival is the order of the run. */
  private readonly pairWords: number;
  private readonly capacityWordsMax: number;
  private readonly bufferWords: number;
  private buffer: Int32Array | undefined = undefined;

  private words: Int32Array;
  private arena: Uint8Array;
  private view: DataView;
  private capacityWords: number;
  /** Where the next record begins. */
  private end = 0;
  private held = 0;
  private counts: Int32Array;

  private source: Uint8Array = new Uint8Array(0);
  private sourceView: DataView = new DataView(this.source.buffer);

  /** What `gather` has seen; see there. */
  touched = 0;

  private readonly runs: Run[] = [];
  private readonly heavy = new Map<string, { partition: number; key: string; records: number }>();

  constructor(options: ExchangeWriterOptions) {
    this.options = options;
    const { memoryBytes, partitions, isSorted, sampleRecords } = options;
    this.sampler = sampleRecords > 0 ? new Sampler(sampleRecords) : undefined;
    this.hasPartitions = partitions > 1;
    this.pairWords = isSorted ? SORT_WORDS_PER_RECORD : this.hasPartitions ? 2 : 0;
    const budgetWords = Math.floor(Math.min(memoryBytes, ARENA_BYTES_MAX) / 4);
    this.bufferWords = Math.min(RUN_BUFFER_BYTES / 4, Math.floor(budgetWords / 16));
    this.capacityWordsMax = budgetWords - this.bufferWords;
    if (memoryBytes < MEMORY_BYTES_MIN) throw this.tooSmall(MEMORY_BYTES_MIN);
    this.capacityWords = Math.min(ARENA_WORDS_FIRST, this.capacityWordsMax);
    this.words = new Int32Array(this.capacityWords);
    this.arena = new Uint8Array(this.words.buffer);
    this.view = new DataView(this.words.buffer);
    this.counts = new Int32Array(partitions);
  }

  get heldBytes(): number {
    return (this.capacityWords + (this.buffer?.length ?? 0)) * 4;
  }

  append(
    partition: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    const isKey = valueStart === -1;
    const keyBytes = keyEnd - keyStart;
    const valueBytes = isKey ? 0 : valueEnd - valueStart;
    const size = recordWords(keyBytes, valueBytes) + 1;
    if (this.end + size + (this.held + 1) * this.pairWords + SLACK_WORDS > this.capacityWords)
      this.makeRoom(size);
    const { words } = this;
    let at = this.end;
    if (this.hasPartitions) words[at++] = partition;
    const content = writeLengths(words, at, keyBytes, valueBytes, isKey);
    const end = content + ((keyBytes + valueBytes + 3) >>> 2);
    if (((keyBytes + valueBytes) & 3) !== 0) words[end - 1] = 0;
    this.copy(key, keyStart, keyBytes, content * 4);
    if (valueBytes > 0) this.copy(value, valueStart, valueBytes, content * 4 + keyBytes);
    this.end = end;
    this.held++;
    this.counts[partition] = (this.counts[partition] as number) + 1;
    this.records++;
    this.bytes += keyBytes + valueBytes;
    if (this.sampler !== undefined) this.sampler.offer(words, at);
  }

  finish(): ExchangeOutput {
    if (this.held > 0) this.writeRun();
    this.capacityWords = 0;
    this.buffer = undefined;
    this.words = new Int32Array(0);
    this.arena = new Uint8Array(0);
    this.view = new DataView(this.words.buffer);
    this.source = this.arena;
    const { options, records, bytes, runs } = this;
    return {
      exchange: options.exchange,
      lane: options.lane ?? 0,
      runs,
      records,
      bytes,
      sample: this.sampler?.sample() ?? [],
      ...(this.heavy.size > 0 && { heavy: [...this.heavy.values()] }),
    };
  }

  private copy(from: Uint8Array, start: number, count: number, to: number): void {
    const { arena, view } = this;
    if (count > LOOP_BYTES_MAX) {
      arena.set(from.subarray(start, start + count), to);
      return;
    }
    let index = 0;
    if (count >= 8) {
      if (from !== this.source) {
        this.source = from;
        this.sourceView = new DataView(from.buffer, from.byteOffset, from.byteLength);
      }
      const { sourceView } = this;
      // As machine words: optimised code makes no bigint of them, and a byte at a time takes twice as long.
      for (; index + 8 <= count; index += 8)
        view.setBigUint64(to + index, sourceView.getBigUint64(start + index, true), true);
    }
    for (; index < count; index++) arena[to + index] = from[start + index] as number;
  }

  /** For a record of `size` words: by a larger arena, as long as the budget allows, else by writing a run. */
  private makeRoom(size: number): void {
    const needed = size + this.pairWords + SLACK_WORDS;
    if (needed > this.capacityWordsMax) throw this.tooSmall((needed + this.bufferWords) * 4);
    const total = this.end + needed + this.held * this.pairWords;
    if (total <= this.capacityWordsMax) {
      let capacity = this.capacityWords * GROWTH;
      while (capacity < total) capacity *= GROWTH;
      this.grow(Math.min(capacity, this.capacityWordsMax));
      return;
    }
    this.writeRun();
    this.spills++;
    if (needed > this.capacityWords) this.grow(Math.max(needed, this.capacityWords));
  }

  private grow(capacityWords: number): void {
    const words = new Int32Array(capacityWords);
    words.set(this.words.subarray(0, this.end));
    this.words = words;
    this.arena = new Uint8Array(words.buffer);
    this.view = new DataView(words.buffer);
    this.capacityWords = capacityWords;
  }

  private writeRun(): void {
    const { options, words, end } = this;
    const { partitions, isSorted, storage } = options;
    this.buffer ??= new Int32Array(this.bufferWords);
    const pairsAt = this.capacityWords - this.held * this.pairWords;
    if (this.pairWords > 0) {
      const { view, held: records, counts } = this;
      sortRecords({ words, view, end, records, partitions, counts, pairsAt }, isSorted);
    }
    const writer = new RunWriter(storage, isSorted, this.buffer);
    const segments: RunSegment[] = [];
    let pair = pairsAt;
    for (let partition = 0; partition < partitions; partition++) {
      if (this.pairWords > 0) {
        const pairsEnd = pair + (this.counts[partition] as number) * 2;
        this.gather(writer, pair, pairsEnd);
        pair = pairsEnd;
      } else for (let at = 0; at < end; at += wordsOf(words, at)) writer.add(words, at);
      const { segment, heavy } = writer.endSegment();
      segments.push(segment);
      for (const { key, records } of heavy)
        this.addHeavy(partition, key.toString('base64'), records);
    }
    writer.close();
    this.spilledBytes += writer.length;
    this.runs.push({ segments });
    this.end = 0;
    this.held = 0;
    this.counts.fill(0);
  }

  /** Copies the records of words[from, to), which are pairs. They are anywhere in the arena. */
  private gather(writer: RunWriter, from: number, to: number): void {
    const { words } = this;
    // Cache lines have 16 words: most records are in two or three of them.
    const average = Math.floor(this.end / this.held);
    const second = Math.min(16, average - 1);
    const third = Math.min(SLACK_WORDS - 1, average - 1);
    let touched = 0;
    for (let pair = from; pair < to; ) {
      const end = Math.min(pair + TOUCHED_RECORDS * 2, to);
      for (let ahead = pair; ahead < end; ahead += 2) {
        const at = words[ahead + 1] as number;
        touched ^=
          (words[at] as number) ^ (words[at + second] as number) ^ (words[at + third] as number);
      }
      for (; pair < end; pair += 2) writer.add(words, words[pair + 1] as number);
    }
    // Kept, so that nobody finds that it is not needed.
    this.touched = touched;
  }

  private addHeavy(partition: number, key: string, records: number): void {
    const id = `${partition}:${key}`;
    const known = this.heavy.get(id);
    if (known === undefined) this.heavy.set(id, { partition, key, records });
    else known.records += records;
  }

  private tooSmall(neededBytes: number): MillraceError {
    const { memoryBytes, name } = this.options;
    const times = Math.ceil((neededBytes / memoryBytes) * 10) / 10;
    return new MillraceError(
      'ML_MEMORY_TOO_SMALL',
      `${name === undefined ? '' : `${name}: `}a task may hold ${memoryBytes} bytes of what it sends on, and one record takes ${neededBytes}`,
      {
        hint: `Raise --memory ${times} times, or lower --workers, which share it`,
        fields: { neededBytes, memoryBytes },
      },
    );
  }
}

/** Below, blocks would hold next to nothing. */
const MEMORY_BYTES_MIN = 16 * 1024;
