/**
 * The key of the record before, to compare with: where it is, or a copy once its block gives way to the next one.
 *
 * A key is taken as a sequence of words, the first byte of each most significant, that goes on with zeros without an end; keys whose
 * words are all equal are ordered by their lengths. This is the order of their bytes.
 *
 * @hot
 */
import { keyBytesOf, keyWord } from './run-format.ts';
import type { ReadBuffer } from './segment-cursor.ts';

/** Offsets of differences that are in no word: in the length, nowhere. */
export const LENGTH_DIFFERS = 0x7ffffffe;
export const IS_EQUAL = 0x7fffffff;

export class KeptKey {
  /** Set by `compare`: the first word in which a key differs from this one, or one of the constants above… */
  offset = 0;
  /** …and what it has there: the word, or its length. */
  value = 0;

  private readonly memory: ReadBuffer;
  private copy = new Int32Array(64);
  private copyView = new DataView(this.copy.buffer);
  private holder: Int32Array;
  private holderView: DataView;
  /** The word where the key begins in `holder`, and its bytes; -1: there is none. */
  private key = 0;
  private bytes = -1;

  constructor(memory: ReadBuffer) {
    this.memory = memory;
    this.holder = memory.words;
    this.holderView = memory.view;
  }

  /** The key of the record at words[at], which stays there. */
  point(at: number): void {
    const { words, view } = this.memory;
    this.holder = words;
    this.holderView = view;
    this.key = keyWord(words, at);
    this.bytes = keyBytesOf(words, at);
  }

  /** The key of the record at words[at], which is about to be overwritten. */
  save(at: number): void {
    this.point(at);
    const count = (this.bytes + 3) >>> 2;
    if (count > this.copy.length) {
      this.copy = new Int32Array(count * 2);
      this.copyView = new DataView(this.copy.buffer);
    }
    this.copy.set(this.memory.words.subarray(this.key, this.key + count));
    this.holder = this.copy;
    this.holderView = this.copyView;
    this.key = 0;
  }

  /** Whether the record at words[at] has that key. */
  equals(at: number): boolean {
    if (keyBytesOf(this.memory.words, at) !== this.bytes) return false;
    this.compare(at);
    return this.offset === IS_EQUAL;
  }

  /** Compares the key of the record at words[at], which is not before this one: sets `offset` and `value`. */
  compare(at: number): void {
    const { words, view } = this.memory;
    const { holder, key, bytes } = this;
    const otherBytes = keyBytesOf(words, at);
    const other = keyWord(words, at);
    const whole = (bytes < otherBytes ? bytes : otherBytes) >>> 2;
    let index = 0;
    while (index < whole && words[other + index] === holder[key + index]) index++;
    const end = (bytes > otherBytes ? bytes : otherBytes) >>> 2;
    for (; index <= end; index++) {
      const value = wordAt(view, other, otherBytes, index);
      if (value === wordAt(this.holderView, key, bytes, index)) continue;
      this.offset = index;
      this.value = value;
      return;
    }
    this.offset = bytes === otherBytes ? IS_EQUAL : LENGTH_DIFFERS;
    this.value = otherBytes;
  }
}

/** Word `index` of the key of `bytes` bytes that begins at word `key`. */
export function wordAt(view: DataView, key: number, bytes: number, index: number): number {
  const rest = bytes - index * 4;
  if (rest <= 0) return 0;
  const word = view.getInt32((key + index) * 4, false);
  return rest >= 4 ? word : word & (-1 << (32 - rest * 8));
}
