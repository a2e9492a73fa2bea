/**
 * The hash table of keys, as WebAssembly: byte ranges in, group numbers out. A group is a distinct key, numbered in the order in which
 * keys were first seen.
 *
 * ```
 * slots    32 bytes each, a power of two of them, linear probing:
 *          [first u64][second u64][length i32][hash u32][group + 1 i32, 0: free][where the key's bytes are in the arena i32]
 * entries  8 bytes per group: [where the key's bytes are in the arena i32][length i32]
 * arena    the bytes of all keys, one after the other
 * keys     32 bytes per row, between the two passes: [first u64][second u64][length i32][hash u32]
 * ```
 *
 * `first` and `second` are the bytes of a key of up to 16, so that one comparison without a branch tells them apart; of a longer key the
 * first 8 bytes and a hash, and then its bytes are compared, too. The key null has length -1.
 *
 * Two passes over a batch: the first hashes all keys and touches their slots, so that many cache misses are waited for together.
 *
 * @hot
 */
import { increase } from './blocks.ts';
import { INLINE_BYTES, MASKS_ADDRESS } from './lane-memory.ts';
import {
  block,
  br,
  brIf,
  type Code,
  either,
  get,
  giveBack,
  i32,
  i64,
  loop,
  select,
  set,
  tee,
  type WasmFunction,
  when,
} from './wasm-assembler.ts';

/** Offsets in the block of 32-bit numbers that describes a table to the kernel. */
export const TABLE = {
  slots: 0,
  /** Slots - 1. */
  mask: 4,
  entries: 8,
  groups: 12,
  groupsMax: 16,
  arenaStart: 20,
  /** Bytes of the arena that are used, and its size. */
  arena: 24,
  arenaBytes: 28,
  bytes: 32,
} as const;

export const SLOT_BYTES = 32;
/** Offsets in a slot. */
export const SLOT = { second: 8, length: 16, hash: 20, group: 24, arena: 28 } as const;
export const ENTRY_BYTES = 8;
export const KEY_BYTES = 32;

/** Odd constants with well mixed bits. Source: xxHash64's primes. */
const MIX_1 = 0x9e3779b185ebca87n;
const MIX_2 = 0xc2b2ae3d27d4eb4fn;

const fold = (name: string, shift: bigint): Code =>
  set(name, i64.xor(get(name), i64.shr(get(name), i64.const(shift))));
const multiply = (name: string, by: bigint): Code => set(name, i64.mul(get(name), i64.const(by)));
const control = (name: keyof typeof TABLE): Code => i32.load(get('table'), TABLE[name]);
const slotAt: Code = i32.add(
  get('slots'),
  i32.mul(i32.and(get('slot'), get('mask')), i32.const(SLOT_BYTES)),
);

/**
 * `hash(table, rows, ranges, keys) → anything`: first pass. The range of null has length -1.
 */
export function hashFunction(): WasmFunction {
  const part = (offset: number): Code =>
    i64.and(
      i64.load(get('start'), offset),
      i64.load(i32.add(i32.const(MASKS_ADDRESS), i32.shl(get('length'), i32.const(4))), offset),
    );
  return {
    name: 'hash',
    parameters: { table: 'i32', rows: 'i32', ranges: 'i32', keys: 'i32' },
    locals: {
      start: 'i32',
      end: 'i32',
      length: 'i32',
      first: 'i64',
      second: 'i64',
      hash: 'i64',
      slot: 'i32',
      slots: 'i32',
      mask: 'i32',
      touched: 'i32',
    },
    result: 'i32',
    body: [
      set('slots', control('slots')),
      set('mask', control('mask')),
      loop(
        'row',
        when(
          get('rows'),
          set('start', i32.load(get('ranges'))),
          set('end', i32.load(get('ranges'), 4)),
          set('length', i32.sub(get('end'), get('start'))),
          either(
            i32.leU(get('length'), i32.const(INLINE_BYTES)),
            [set('first', part(0)), set('second', part(8))],
            [
              either(
                i32.eqz(get('end')),
                [set('first', i64.const(0n)), set('second', i64.const(0n))],
                [hashBytes()],
              ),
            ],
          ),
          set(
            'hash',
            i64.add(
              i64.mul(get('first'), i64.const(MIX_1)),
              i64.mul(i64.xor(get('second'), i64.fromI32(get('length'))), i64.const(MIX_2)),
            ),
          ),
          fold('hash', 32n),
          multiply('hash', MIX_1),
          set('slot', i32.fromI64(i64.shr(get('hash'), i64.const(32n)))),
          i64.store(get('keys'), get('first')),
          i64.store(get('keys'), get('second'), SLOT.second),
          i32.store(get('keys'), get('length'), SLOT.length),
          i32.store(get('keys'), get('slot'), SLOT.hash),
          set('touched', i32.xor(get('touched'), i32.load(slotAt))),
          increase('keys', KEY_BYTES),
          increase('ranges', 8),
          increase('rows', -1),
          br('row'),
        ),
      ),
      giveBack(get('touched')),
    ],
  };
}

/** `first` becomes the first 8 bytes, `second` a hash of all. */
function hashBytes(): Code {
  return [
    set('first', i64.load(get('start'))),
    set('second', i64.const(MIX_2)),
    set('slot', i32.sub(get('end'), i32.const(8))),
    loop(
      'word',
      set('second', i64.xor(get('second'), i64.load(get('start')))),
      multiply('second', MIX_1),
      fold('second', 32n),
      increase('start', 8),
      brIf('word', i32.ltU(get('start'), get('slot'))),
    ),
    set('second', i64.xor(get('second'), i64.load(get('slot')))),
    multiply('second', MIX_2),
    fold('second', 29n),
  ];
}

/**
 * `group(table, rows, ranges, keys, groups) → rows done`: second pass; fewer than `rows` when the table has no room for the next key.
 * `groups` is the address of 32-bit numbers.
 */
export function groupFunction(): WasmFunction {
  return {
    name: 'group',
    parameters: { table: 'i32', rows: 'i32', ranges: 'i32', keys: 'i32', groups: 'i32' },
    locals: {
      row: 'i32',
      slot: 'i32',
      slots: 'i32',
      mask: 'i32',
      at: 'i32',
      found: 'i32',
      length: 'i32',
      from: 'i32',
      to: 'i32',
      rest: 'i32',
      first: 'i64',
      second: 'i64',
    },
    result: 'i32',
    body: [
      set('slots', control('slots')),
      set('mask', control('mask')),
      block(
        'full',
        loop(
          'row',
          brIf('full', i32.geU(get('row'), get('rows'))),
          set('slot', i32.load(get('keys'), SLOT.hash)),
          set('first', i64.load(get('keys'))),
          set('second', i64.load(get('keys'), SLOT.second)),
          set('length', i32.load(get('keys'), SLOT.length)),
          block('done', probe()),
          i32.store(get('groups'), i32.sub(get('found'), i32.const(1))),
          increase('row', 1),
          increase('ranges', 8),
          increase('keys', KEY_BYTES),
          increase('groups', 4),
          br('row'),
        ),
      ),
      giveBack(get('row')),
    ],
  };
}

/** Leaves `done` with `found` = group + 1, or `full`. */
function probe(): Code {
  const differences = i64.or(
    i64.or(
      i64.xor(i64.load(get('at')), get('first')),
      i64.xor(i64.load(get('at'), SLOT.second), get('second')),
    ),
    i64.fromI32(i32.xor(i32.load(get('at'), SLOT.length), get('length'))),
  );
  return loop(
    'slot',
    set('at', slotAt),
    when(i32.eqz(tee('found', i32.load(get('at'), SLOT.group))), insert(), br('done')),
    block(
      'differs',
      brIf('differs', i64.ne(differences, i64.const(0n))),
      brIf('done', i32.leU(i32.add(get('length'), i32.const(1)), i32.const(INLINE_BYTES + 1))),
      sameBytes(),
      br('done'),
    ),
    increase('slot', 1),
    br('slot'),
  );
}

/** Leaves `differs` when the bytes behind the first 8 are not those of the slot at `at`. */
function sameBytes(): Code {
  const lastOf = (start: string): Code =>
    i64.load(i32.sub(i32.add(get(start), get('length')), i32.const(8)));
  return [
    set('from', i32.load(get('ranges'))),
    set('to', i32.add(i32.load(get('at'), SLOT.arena), control('arenaStart'))),
    brIf('differs', i64.ne(lastOf('from'), lastOf('to'))),
    set('rest', i32.sub(get('length'), i32.const(16))),
    loop(
      'compare',
      increase('from', 8),
      increase('to', 8),
      brIf('differs', i64.ne(i64.load(get('from')), i64.load(get('to')))),
      increase('rest', -8),
      brIf('compare', i32.gtS(get('rest'), i32.const(0))),
    ),
  ];
}

/** Puts the key into the free slot at `at`. */
function insert(): Code {
  const entry = i32.add(control('entries'), i32.shl(get('found'), i32.const(3)));
  const keyBytes = select(i32.eq(get('length'), i32.const(-1)), i32.const(0), get('length'));
  return [
    brIf('full', i32.geU(control('groups'), control('groupsMax'))),
    set('rest', keyBytes),
    set('to', control('arena')),
    brIf('full', i32.gtU(i32.add(get('to'), get('rest')), control('arenaBytes'))),
    set('found', control('groups')),
    i32.store(entry, get('to')),
    i32.store(entry, get('length'), 4),
    increase('found', 1),
    i64.store(get('at'), get('first')),
    i64.store(get('at'), get('second'), SLOT.second),
    i32.store(get('at'), get('length'), SLOT.length),
    i32.store(get('at'), i32.load(get('keys'), SLOT.hash), SLOT.hash),
    i32.store(get('at'), get('found'), SLOT.group),
    i32.store(get('at'), get('to'), SLOT.arena),
    i32.store(get('table'), get('found'), TABLE.groups),
    i32.store(get('table'), i32.add(get('to'), get('rest')), TABLE.arena),
    set('to', i32.add(get('to'), control('arenaStart'))),
    set('from', i32.load(get('ranges'))),
    // Eight bytes at a time, beyond the end of the key: the next key, or the padding of the arena, is there.
    loop(
      'copy',
      when(
        i32.gtS(get('rest'), i32.const(0)),
        i64.store(get('to'), i64.load(get('from'))),
        increase('from', 8),
        increase('to', 8),
        increase('rest', -8),
        br('copy'),
      ),
    ),
  ];
}
