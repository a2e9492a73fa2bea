/**
 * Where the words of a text are, as WebAssembly with 16-byte vectors: addresses in, ranges out.
 *
 * @hot
 */
import { dropLowest, equals, increase, lowest, mask64 } from './blocks.ts';
import {
  block,
  br,
  brIf,
  type Code,
  either,
  get,
  giveBack,
  i8x16,
  i32,
  i64,
  loop,
  set,
  type WasmFunction,
  when,
} from './wasm-assembler.ts';

export type WordKind = 'letters' | 'blanks';

/** Whether each byte of a vector belongs to a word. */
const IS_WORD: Readonly<Record<WordKind, (offset: number) => Code>> = {
  letters: (offset) =>
    i8x16.ltU(
      i8x16.sub(i8x16.or(i8x16.load(get('base'), offset), get('lower')), get('first')),
      get('letters'),
    ),
  // Space, and 09 to 0D: tab, LF, vertical tab, form feed, CR.
  blanks: (offset) =>
    i8x16.not(
      i8x16.or(
        equals(offset, 'lower'),
        i8x16.ltU(i8x16.sub(i8x16.load(get('base'), offset), get('tab')), get('blanks')),
      ),
    ),
};

/**
 * `words(at, end, rowsMax, from) → rows`: the maximal runs in [at, end) of ASCII letters, or of anything but blanks, as rows from
 * `from` on. It stops early when there is no room for all that one block may hold below `rowsMax`, which must be 64 or more. How far it has come is written to `next`.
 * @param ranges where they go: [start, end) of word i, 32 bits each, at `ranges + 8 × i`
 */
export function wordsFunction(of: WordKind, ranges: number, next: number): WasmFunction {
  return {
    name: 'words',
    parameters: { at: 'i32', end: 'i32', rowsMax: 'i32', from: 'i32' },
    locals: {
      out: 'i32',
      base: 'i32',
      bits: 'i64',
      edges: 'i64',
      carry: 'i64',
      lower: 'v128',
      first: 'v128',
      letters: 'v128',
      tab: 'v128',
      blanks: 'v128',
    },
    result: 'i32',
    body: [
      set('lower', i8x16.splat(i32.const(0x20))),
      set('first', i8x16.splat(i32.const(0x61))),
      set('letters', i8x16.splat(i32.const(26))),
      set('tab', i8x16.splat(i32.const(0x09))),
      set('blanks', i8x16.splat(i32.const(5))),
      set('base', get('at')),
      set('out', i32.shl(get('from'), i32.const(3))),
      // Edges of runs are written one after the other, so that each two of them are a range. A block has 64 at most.
      set('rowsMax', i32.sub(i32.shl(get('rowsMax'), i32.const(3)), i32.const(64 * 4))),
      block(
        'done',
        loop(
          'block',
          brIf('done', i32.geU(get('base'), get('end'))),
          brIf('done', i32.gtU(get('out'), get('rowsMax'))),
          set('bits', mask64(IS_WORD[of])),
          when(
            i32.ltU(i32.sub(get('end'), get('base')), i32.const(64)),
            set(
              'bits',
              i64.and(
                get('bits'),
                i64.sub(
                  i64.shl(i64.const(1n), i64.fromI32(i32.sub(get('end'), get('base')))),
                  i64.const(1n),
                ),
              ),
            ),
          ),
          set(
            'edges',
            i64.xor(get('bits'), i64.or(i64.shl(get('bits'), i64.const(1n)), get('carry'))),
          ),
          set('carry', i64.shr(get('bits'), i64.const(63n))),
          loop(
            'edge',
            when(
              i64.ne(get('edges'), i64.const(0n)),
              i32.store(get('out'), lowest(get('edges')), ranges),
              dropLowest('edges'),
              increase('out', 4),
              br('edge'),
            ),
          ),
          increase('base', 64),
          br('block'),
        ),
      ),
      either(
        i32.and(get('out'), i32.const(4)),
        [
          // A word is open: it ends here, or is read again next time.
          either(
            i32.geU(get('base'), get('end')),
            [
              i32.store(get('out'), get('end'), ranges),
              increase('out', 4),
              i32.store(i32.const(next), get('end')),
            ],
            [increase('out', -4), i32.store(i32.const(next), i32.load(get('out'), ranges))],
          ),
        ],
        [i32.store(i32.const(next), get('base'))],
      ),
      giveBack(i32.shr(get('out'), i32.const(3))),
    ],
  };
}
