/**
 * The key of the record before, to compare with: where it is, or a copy once its block gives way to the next one.
 *
 * @hot
 */
import { keyBytesOf, keyWord } from './run-format.ts';

export class KeptKey {
  private readonly words: Int32Array;
  private copy = new Int32Array(64);
  private holder: Int32Array;
  /** The word where the key begins in `holder`, and its bytes; -1: there was none. */
  private key = 0;
  private bytes = -1;

  constructor(words: Int32Array) {
    this.words = words;
    this.holder = words;
  }

  /** The key of the record at words[at], which stays there. */
  point(at: number): void {
    this.holder = this.words;
    this.key = keyWord(this.words, at);
    this.bytes = keyBytesOf(this.words, at);
  }

  /** The key of the record at words[at], which is about to be overwritten. */
  save(at: number): void {
    this.point(at);
    const count = (this.bytes + 3) >>> 2;
    if (count > this.copy.length) this.copy = new Int32Array(count * 2);
    this.copy.set(this.words.subarray(this.key, this.key + count));
    this.holder = this.copy;
    this.key = 0;
  }

  /** Whether the record at words[at] has that key. */
  equals(at: number): boolean {
    const { words, holder, key, bytes } = this;
    if (keyBytesOf(words, at) !== bytes) return false;
    const other = keyWord(words, at);
    const whole = bytes >>> 2;
    for (let index = 0; index < whole; index++)
      if (words[other + index] !== holder[key + index]) return false;
    const rest = bytes & 3;
    if (rest === 0) return true;
    // Of the last word only the bytes that belong to the key; the first one is the lowest, or the highest, as the machine has it.
    const difference = (words[other + whole] as number) ^ (holder[key + whole] as number);
    return (LITTLE_ENDIAN ? difference << (32 - rest * 8) : difference >>> (32 - rest * 8)) === 0;
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
