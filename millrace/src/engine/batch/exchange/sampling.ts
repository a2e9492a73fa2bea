/**
 * A sample of records that does not depend on who saw which of them: those with the lowest hashes of (key bytes, value bytes).
 * Samples of parts put together, and cut again, are the sample of the whole. Equal records count once, so that no record that is
 * there a million times crowds out all others (bottom-k sampling; Cohen and Kaplan, "Summarizing data using bottom-k sketches", 2007).
 *
 * @hot `offer` allocates only for the few records that are among the lowest so far.
 */
import { SAMPLE_KEY_BYTES_MAX } from '../../../core/limits.ts';
import type { ExchangeOutput } from '../stage.ts';
import { keyBytesOf, keyWord, wordsOf } from './run-format.ts';

export type Sample = ExchangeOutput['sample'];

interface Sampled {
  readonly hash: number;
  readonly key: Buffer;
}

export class Sampler {
  private readonly records: number;
  private held: Sampled[] = [];
  /** Hashes above are not among the lowest. */
  private limit = 0xffffffff;

  /** @param records how many are kept */
  constructor(records: number) {
    this.records = records;
  }

  /** The record at words[at]. */
  offer(words: Int32Array, at: number): void {
    const hash = hashRecord(words, at);
    if (hash > this.limit) return;
    const start = words.byteOffset + keyWord(words, at) * 4;
    const length = Math.min(keyBytesOf(words, at), SAMPLE_KEY_BYTES_MAX);
    this.held.push({
      hash,
      key: Buffer.from(new Uint8Array(words.buffer.slice(start, start + length))),
    });
    if (this.held.length >= this.records * 2) this.cut();
  }

  sample(): Sample {
    this.cut();
    return this.held.map(({ hash, key }) => ({ hash, key: key.toString('base64') }));
  }

  private cut(): void {
    this.held = lowest(this.held, this.records);
    const last = this.held.at(-1);
    if (last !== undefined && this.held.length === this.records) this.limit = last.hash;
  }
}

/** The sample of all that the samples are of, at most `records` records. In the order of their hashes. */
export function mergeSamples(samples: readonly Sample[], records: number): Sample {
  const all = samples.flat().map(({ hash, key }) => ({ hash, key: Buffer.from(key, 'base64') }));
  return lowest(all, records).map(({ hash, key }) => ({ hash, key: key.toString('base64') }));
}

/**
 * Keys (encoded, base64) that cut the whole into at most `parts` ranges with about as many records each: the first keys of
 * the second range, the third, and so on. Fewer when there are not enough different keys.
 */
export function pickBoundaries(sample: Sample, parts: number): string[] {
  const keys = sample.map(({ key }) => Buffer.from(key, 'base64')).sort((a, b) => a.compare(b));
  const boundaries: string[] = [];
  let previous = keys[0];
  for (let part = 1; part < parts; part++) {
    const key = keys[Math.floor((part * keys.length) / parts)];
    if (key === undefined || previous === undefined || key.compare(previous) <= 0) continue;
    boundaries.push(key.toString('base64'));
    previous = key;
  }
  return boundaries;
}

function lowest(sampled: readonly Sampled[], records: number): Sampled[] {
  const sorted = [...sampled].sort((a, b) => a.hash - b.hash || a.key.compare(b.key));
  const distinct = sorted.filter(({ hash, key }, index) => {
    const before = sorted[index - 1];
    return before === undefined || before.hash !== hash || !before.key.equals(key);
  });
  return distinct.slice(0, records);
}

/** Of lengths, key and value, all of which the words of a record are. MurmurHash3, 32 bits, over words. Unsigned. */
function hashRecord(words: Int32Array, at: number): number {
  const end = at + wordsOf(words, at);
  let hash = 0;
  for (let index = at; index < end; index++) {
    let word = Math.imul(words[index] as number, 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
