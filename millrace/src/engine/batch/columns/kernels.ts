/** The kernels of a lane, compiled and connected with its memory. */
import { assert } from '../../../core/errors.ts';
import { groupFunction, hashFunction } from './group-kernel.ts';
import type { LaneMemory } from './lane-memory.ts';
import { type ScanShape, scanFunction } from './scan-kernel.ts';
import { appendFunction, findFunction } from './text-kernels.ts';
import { assembleModule } from './wasm-assembler.ts';
import { compileModule, connectModule, type WasmFunctions } from './wasm-host.ts';
import { type WordKind, wordsFunction } from './words-kernel.ts';

type Kernel<Names extends string> = Readonly<Record<Names, (...values: number[]) => number>>;

/** Those that are the same for all lanes: see `group-kernel.ts` and `text-kernels.ts` for what they take. */
export type KeyKernels = Kernel<'hash' | 'group' | 'append' | 'find'>;
/** Those that know which fields are wanted: `scan-kernel.ts`, `words-kernel.ts`. */
export type ScanKernels = Kernel<'scan' | 'words'>;

/** Where words are looked for, and where they go. */
export interface WordsShape {
  readonly of: WordKind;
  readonly ranges: number;
  readonly next: number;
}

let keyModule: object | undefined;

export function connectKeyKernels(memory: LaneMemory): KeyKernels {
  const functions = [hashFunction(), groupFunction(), appendFunction(), findFunction()];
  keyModule ??= compileModule(assembleModule(functions));
  const { hash, group, append, find } = connectModule(keyModule, memory.memory);
  return { hash: known(hash), group: known(group), append: known(append), find: known(find) };
}

/** Without `words` they must not be called. */
export function connectScanKernels(
  memory: LaneMemory,
  scan: ScanShape,
  words: WordsShape | undefined,
): ScanKernels {
  const functions = [scanFunction(scan)];
  if (words !== undefined) functions.push(wordsFunction(words.of, words.ranges, words.next));
  const module = compileModule(assembleModule(functions));
  const connected = connectModule(module, memory.memory);
  const rows = known(connected['scan']);
  return { scan: rows, words: connected['words'] ?? rows };
}

function known(kernel: WasmFunctions[string] | undefined): WasmFunctions[string] {
  assert(kernel !== undefined, 'kernels are exported by their names');
  return kernel;
}
