/**
 * Sorts the records of an arena by (partition, key bytes, arrival), without moving them: what is sorted are pairs of a word of the
 * key and the position of the record.
 *
 * The word is taken behind what all keys have in common. Pairs are sorted by it with a radix sort, least significant digit first;
 * groups of equal words are sorted by the next word behind what the group has in common, and so on; few records by
 * insertion. All of it is stable, so arrival needs no comparison.
 *
 * @hot
 */
import { keyBytesOf, keyWord, wordsOf } from './run-format.ts';

/** Two pairs for each record, of two words: what is sorted, and where to. */
export const SORT_WORDS_PER_RECORD = 4;

/** Up to so many records are sorted by insertion. */
const INSERTION_RECORDS_MAX = 24;
/** From so many records on, digits have 11 bits instead of 8: three passes instead of four. */
const WIDE_DIGIT_RECORDS_MIN = 4_096;

export interface SortInput {
  readonly words: Int32Array;
  /** The same memory. */
  readonly view: DataView;
  /** Records are in words[0, end). */
  readonly end: number;
  readonly records: number;
  /** With more than one, a word with the partition is before each record. */
  readonly partitions: number;
  /** Records of each partition. */
  readonly counts: Int32Array;
  /** Room for `records * SORT_WORDS_PER_RECORD` words. */
  readonly pairsAt: number;
}

/** Counters of the radix sort: shared, because sorting does not wait for anything. */
const counters = new Int32Array(3 * 2048);

/**
 * Leaves pairs at words[pairsAt]: the second of each is the word where a record begins, in order.
 * @param isSorted by key within a partition; else by arrival
 */
export function sortRecords(input: SortInput, isSorted: boolean): void {
  const depth = isSorted ? commonDepth(input) : 0;
  scatter(input, isSorted, depth);
  if (!isSorted) return;
  const { words, view, pairsAt, records } = input;
  const sorter = new PairSorter(words, view, pairsAt + records * 2);
  let from = pairsAt;
  for (let partition = 0; partition < input.partitions; partition++) {
    const to = from + (input.counts[partition] as number) * 2;
    sorter.sort(from, to, depth);
    from = to;
  }
}

/** The length of what all keys begin with. */
function commonDepth(input: SortInput): number {
  const { words, view, end } = input;
  const skip = input.partitions > 1 ? 1 : 0;
  const first = keyWord(words, skip) * 4;
  let depth = keyBytesOf(words, skip);
  for (let at = skip; at < end && depth > 0; at += wordsOf(words, at) + skip) {
    const key = keyWord(words, at) * 4;
    const length = keyBytesOf(words, at);
    if (length < depth) depth = length;
    for (let index = 0; index < depth; index++)
      if (view.getUint8(first + index) !== view.getUint8(key + index)) {
        depth = index;
        break;
      }
  }
  return depth;
}

/** Makes the pairs, in the order of (partition, arrival). */
function scatter(input: SortInput, isSorted: boolean, depth: number): void {
  const { words, view, end, partitions, pairsAt } = input;
  if (partitions === 1) {
    let pair = pairsAt;
    for (let at = 0; at < end; at += wordsOf(words, at)) {
      words[pair] = isSorted ? wordOfKey(words, view, at, depth) : 0;
      words[pair + 1] = at;
      pair += 2;
    }
    return;
  }
  const next = new Int32Array(partitions);
  let pair = pairsAt;
  for (let partition = 0; partition < partitions; partition++) {
    next[partition] = pair;
    pair += (input.counts[partition] as number) * 2;
  }
  for (let at = 0; at < end; at += wordsOf(words, at)) {
    const partition = words[at++] as number;
    const to = next[partition] as number;
    next[partition] = to + 2;
    words[to] = isSorted ? wordOfKey(words, view, at, depth) : 0;
    words[to + 1] = at;
  }
}

/** The 4 bytes of the key from `depth`, the first one most significant; zeros behind its end. */
function wordOfKey(words: Int32Array, view: DataView, at: number, depth: number): number {
  const rest = keyBytesOf(words, at) - depth;
  if (rest <= 0) return 0;
  const word = view.getInt32(keyWord(words, at) * 4 + depth, false);
  return rest >= 4 ? word : word & (-1 << (32 - rest * 8));
}

/** Sorts ranges of pairs. `other` is room for as many pairs as there are. */
class PairSorter {
  private readonly words: Int32Array;
  private readonly view: DataView;
  private readonly other: number;

  constructor(words: Int32Array, view: DataView, other: number) {
    this.words = words;
    this.view = view;
    this.other = other;
  }

  /** Sorts the pairs in words[from, to), whose keys are equal before `depth` and whose words are those at `depth`. */
  sort(from: number, to: number, depth: number): void {
    const { words } = this;
    const count = (to - from) >>> 1;
    if (count < 2) return;
    if (count <= INSERTION_RECORDS_MAX) {
      this.insertionSort(from, to, depth);
      return;
    }
    if (!isAscending(words, from, to)) {
      if (count < WIDE_DIGIT_RECORDS_MIN) radixSort(words, from, to, this.other, 8, 4);
      else radixSort(words, from, to, this.other, 11, 3);
    }
    for (let first = from; first < to; ) {
      const word = words[first] as number;
      let last = first + 2;
      while (last < to && words[last] === word) last += 2;
      if (last - first > 2) this.sortTies(first, last, depth);
      first = last;
    }
  }

  /** The same for pairs that have equal words at `depth`. */
  private sortTies(from: number, to: number, depth: number): void {
    const { words, view } = this;
    if ((to - from) >>> 1 <= INSERTION_RECORDS_MAX) {
      this.insertionSort(from, to, depth);
      return;
    }
    const first = words[from + 1] as number;
    const firstKey = keyWord(words, first);
    const firstBytes = keyBytesOf(words, first);
    let common = firstBytes;
    let isSame = true;
    for (let pair = from + 2; pair < to; pair += 2) {
      const at = words[pair + 1] as number;
      const bytes = keyBytesOf(words, at);
      if (bytes !== firstBytes) isSame = false;
      if (bytes < common) common = bytes;
      const key = keyWord(words, at);
      // By words as long as they are equal, by bytes where they are not.
      let index = depth >>> 2;
      const whole = common >>> 2;
      while (index < whole && words[firstKey + index] === words[key + index]) index++;
      for (let byte = index * 4; byte < common; byte++)
        if (view.getUint8(firstKey * 4 + byte) !== view.getUint8(key * 4 + byte)) {
          common = byte;
          isSame = false;
          break;
        }
    }
    if (isSame) return;
    // A key that ends here looks like one that goes on with zeros: words do not tell them apart.
    if (common <= depth) {
      this.mergeSort(from, to, depth);
      return;
    }
    for (let pair = from; pair < to; pair += 2)
      words[pair] = wordOfKey(words, view, words[pair + 1] as number, common);
    this.sort(from, to, common);
  }

  private insertionSort(from: number, to: number, depth: number): void {
    const { words } = this;
    for (let pair = from + 2; pair < to; pair += 2) {
      const word = words[pair] as number;
      const at = words[pair + 1] as number;
      let hole = pair;
      while (hole > from && this.isBefore(word, at, hole - 2, depth)) {
        words[hole] = words[hole - 2] as number;
        words[hole + 1] = words[hole - 1] as number;
        hole -= 2;
      }
      words[hole] = word;
      words[hole + 1] = at;
    }
  }

  private isBefore(word: number, at: number, pair: number, depth: number): boolean {
    const other = this.words[pair] as number;
    if (word !== other) return word >>> 0 < other >>> 0;
    return compareRecords(this.words, this.view, at, this.words[pair + 1] as number, depth) < 0;
  }

  /** Bottom up, comparing keys. */
  private mergeSort(from: number, to: number, depth: number): void {
    const { words, view, other } = this;
    const count = (to - from) >>> 1;
    for (let width = 1; width < count; width *= 2) {
      for (let start = 0; start < count; start += width * 2) {
        const middle = Math.min(start + width, count);
        const end = Math.min(middle + width, count);
        let left = start;
        let right = middle;
        for (let place = start; place < end; place++) {
          const takesLeft =
            right >= end ||
            (left < middle &&
              compareRecords(
                words,
                view,
                words[from + left * 2 + 1] as number,
                words[from + right * 2 + 1] as number,
                depth,
              ) <= 0);
          const source = from + (takesLeft ? left++ : right++) * 2;
          words[other + place * 2] = words[source] as number;
          words[other + place * 2 + 1] = words[source + 1] as number;
        }
      }
      words.copyWithin(from, other, other + count * 2);
    }
  }
}

function isAscending(words: Int32Array, from: number, to: number): boolean {
  let previous = (words[from] as number) >>> 0;
  for (let pair = from + 2; pair < to; pair += 2) {
    const word = (words[pair] as number) >>> 0;
    if (word < previous) return false;
    previous = word;
  }
  return true;
}

/** `passes` passes over digits of `bits` bits; passes whose digit is the same everywhere are left out. */
function radixSort(
  words: Int32Array,
  from: number,
  to: number,
  other: number,
  bits: number,
  passes: number,
): void {
  const size = 1 << bits;
  const mask = size - 1;
  counters.fill(0, 0, passes * size);
  for (let pair = from; pair < to; pair += 2) {
    const word = words[pair] as number;
    for (let pass = 0; pass < passes; pass++) {
      const counter = pass * size + ((word >>> (pass * bits)) & mask);
      counters[counter] = (counters[counter] as number) + 1;
    }
  }
  const count = (to - from) >>> 1;
  let source = from;
  let target = other;
  for (let pass = 0; pass < passes; pass++) {
    const shift = pass * bits;
    const base = pass * size;
    if (counters[base + (((words[source] as number) >>> shift) & mask)] === count) continue;
    radixPass(words, source, source + count * 2, target, shift, base, mask);
    const swapped = source;
    source = target;
    target = swapped;
  }
  if (source !== from) words.copyWithin(from, source, source + count * 2);
}

function radixPass(
  words: Int32Array,
  from: number,
  to: number,
  target: number,
  shift: number,
  base: number,
  mask: number,
): void {
  let next = target;
  for (let counter = base; counter <= base + mask; counter++) {
    const count = counters[counter] as number;
    counters[counter] = next;
    next += count * 2;
  }
  for (let pair = from; pair < to; pair += 2) {
    const word = words[pair] as number;
    const counter = base + ((word >>> shift) & mask);
    const place = counters[counter] as number;
    counters[counter] = place + 2;
    words[place] = word;
    words[place + 1] = words[pair + 1] as number;
  }
}

/** By key, of two records whose keys are equal before `depth`. */
function compareRecords(
  words: Int32Array,
  view: DataView,
  a: number,
  b: number,
  depth: number,
): number {
  const aBytes = keyBytesOf(words, a);
  const bBytes = keyBytesOf(words, b);
  const aKey = keyWord(words, a);
  const bKey = keyWord(words, b);
  const length = aBytes < bBytes ? aBytes : bBytes;
  // Keys begin at words.
  let index = depth >>> 2;
  for (const whole = length >>> 2; index < whole; index++)
    if (words[aKey + index] !== words[bKey + index]) {
      const aWord = view.getUint32((aKey + index) * 4, false);
      const bWord = view.getUint32((bKey + index) * 4, false);
      return aWord < bWord ? -1 : 1;
    }
  for (let byte = index * 4; byte < length; byte++) {
    const difference = view.getUint8(aKey * 4 + byte) - view.getUint8(bKey * 4 + byte);
    if (difference !== 0) return difference;
  }
  return aBytes - bBytes;
}
