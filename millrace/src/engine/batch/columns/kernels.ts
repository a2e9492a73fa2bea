/** The kernels of one scan, put together: its memory, and what can be called. */
import { assert } from '../../../core/errors.ts';
import { groupFunction, hashFunction, MASKS_BYTES, writeMasks } from './group-kernel.ts';
import type { GroupKernels } from './key-table.ts';
import type { LaneMemory } from './lane-memory.ts';
import { type ScanShape, scanFunction } from './scan-kernel.ts';
import { assembleModule } from './wasm-assembler.ts';
import { instantiateModule } from './wasm-host.ts';
import { type WordKind, wordsFunction } from './words-kernel.ts';

export interface Kernels extends GroupKernels {
  /** Of `scan-kernel.ts`. */
  readonly scan: (at: number, end: number, rowsMax: number) => number;
  /** Of `words-kernel.ts`; not to be called when there are no words. */
  readonly words: (at: number, end: number, rowsMax: number, from: number) => number;
}

/** Where words are looked for, and where they go. */
export interface WordsShape {
  readonly of: WordKind;
  readonly ranges: number;
  readonly next: number;
}

/** Assembles, compiles and connects the kernels: about a millisecond. */
export function createKernels(
  memory: LaneMemory,
  scan: ScanShape,
  words: WordsShape | undefined,
): Kernels {
  const masks = memory.reserve(MASKS_BYTES);
  writeMasks(new DataView(memory.memory.buffer), masks);
  const functions = [scanFunction(scan), hashFunction(masks), groupFunction()];
  if (words !== undefined) functions.push(wordsFunction(words.of, words.ranges, words.next));
  const {
    scan: scanRows,
    words: scanWords,
    hash,
    group,
  } = instantiateModule(assembleModule(functions), memory.memory);
  assert(scanRows !== undefined && hash !== undefined && group !== undefined, 'kernels are there');
  return { scan: scanRows, words: scanWords ?? scanRows, hash, group };
}
