/**
 * What is done to the texts of a batch, as WebAssembly: they are copied into keys, and searched.
 *
 * @hot
 */
import { increase } from './blocks.ts';
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
  tee,
  type WasmFunction,
  when,
} from './wasm-assembler.ts';

/** What stands before a text in a composed key: this byte, then the length in 4 bytes. */
export const TEXT_TAG = 1;
export const TEXT_HEAD_BYTES = 5;
/** Alone, it stands for null. */
export const NULL_TAG = 0;
/** Copies are made 8 bytes at a time: so many behind what is written may change. */
export const OVERSHOOT_BYTES = 8;

/**
 * `append(rows, ranges, cursors) → 0`: writes the text of each range, or null, to the address that is the row's cursor, and moves the
 * cursor behind it.
 */
export function appendFunction(): WasmFunction {
  return {
    name: 'append',
    parameters: { rows: 'i32', ranges: 'i32', cursors: 'i32' },
    locals: { from: 'i32', to: 'i32', length: 'i32', end: 'i32' },
    result: 'i32',
    body: [
      loop(
        'row',
        when(
          get('rows'),
          set('from', i32.load(get('ranges'))),
          set('length', i32.sub(i32.load(get('ranges'), 4), get('from'))),
          set('to', i32.load(get('cursors'))),
          either(
            i32.eq(get('length'), i32.const(-1)),
            [
              i32.store8(get('to'), i32.const(NULL_TAG)),
              i32.store(get('cursors'), i32.add(get('to'), i32.const(1))),
            ],
            [
              i32.store8(get('to'), i32.const(TEXT_TAG)),
              i32.store(get('to'), get('length'), 1),
              increase('to', TEXT_HEAD_BYTES),
              set('end', i32.add(get('to'), get('length'))),
              i32.store(get('cursors'), get('end')),
              loop(
                'copy',
                when(
                  i32.ltU(get('to'), get('end')),
                  i64.store(get('to'), i64.load(get('from'))),
                  increase('from', 8),
                  increase('to', 8),
                  br('copy'),
                ),
              ),
            ],
          ),
          increase('ranges', 8),
          increase('cursors', 4),
          increase('rows', -1),
          br('row'),
        ),
      ),
      giveBack(i32.const(0)),
    ],
  };
}

/**
 * `find(rows, ranges, part, length, places) → 0`: where the `length` bytes at `part`, at least one, begin first in each range: an
 * address, or 0 when they are nowhere in it. Sixteen places at a time are tried by the first and the last byte of the part.
 */
export function findFunction(): WasmFunction {
  const here = (name: string): Code => i8x16.splat(i32.load8(get(name)));
  return {
    name: 'find',
    parameters: { rows: 'i32', ranges: 'i32', part: 'i32', length: 'i32', places: 'i32' },
    locals: {
      at: 'i32',
      stop: 'i32',
      bits: 'i32',
      place: 'i32',
      index: 'i32',
      found: 'i32',
      last: 'i32',
      first: 'v128',
      final: 'v128',
    },
    result: 'i32',
    body: [
      // Of the part: where its last byte is.
      set('last', i32.sub(get('length'), i32.const(1))),
      set('first', here('part')),
      set('place', i32.add(get('part'), get('last'))),
      set('final', here('place')),
      loop(
        'row',
        when(
          get('rows'),
          set('at', i32.load(get('ranges'))),
          // The first address where the part has no room any more.
          set('stop', i32.sub(i32.load(get('ranges'), 4), get('last'))),
          set('found', i32.const(0)),
          block('done', findInRange),
          i32.store(get('places'), get('found')),
          increase('ranges', 8),
          increase('places', 4),
          increase('rows', -1),
          br('row'),
        ),
      ),
      giveBack(i32.const(0)),
    ],
  };
}

const byteAt = (base: string): Code => i32.load8(i32.add(get(base), get('index')));
const candidates: Code = i8x16.bitmask(
  i8x16.and(
    i8x16.eq(i8x16.load(get('at')), get('first')),
    i8x16.eq(i8x16.load(i32.add(get('at'), get('last'))), get('final')),
  ),
);

/** Leaves `done`, with `found` set when the part is there. */
const findInRange: Code = loop(
  'block',
  brIf('done', i32.geS(get('at'), get('stop'))),
  set('bits', candidates),
  loop(
    'candidate',
    when(
      get('bits'),
      set('place', i32.add(get('at'), i32.ctz(get('bits')))),
      brIf('done', i32.geS(get('place'), get('stop'))),
      set('bits', i32.and(get('bits'), i32.sub(get('bits'), i32.const(1)))),
      set('index', i32.const(0)),
      block(
        'differs',
        loop(
          'compare',
          when(
            i32.ltU(tee('index', i32.add(get('index'), i32.const(1))), get('last')),
            brIf('differs', i32.ne(byteAt('place'), byteAt('part'))),
            br('compare'),
          ),
        ),
        set('found', get('place')),
        br('done'),
      ),
      br('candidate'),
    ),
  ),
  increase('at', 16),
  br('block'),
);
