/**
 * Where rows and their fields are, as WebAssembly with 16-byte vectors. For each row the 64 bytes from its start are compared with
 * separator and line end at once; the n-th separator is the n-th bit of a mask. Behind the last field that is wanted only the line
 * end is looked for. What the fields hold is not looked at.
 *
 * Positions are addresses. Behind the bytes that are scanned PADDING_BYTES may be read.
 *
 * @hot Nothing is called and nothing allocated per row.
 */
import { below, dropLowest, equals, increase, lowest, mask64 } from './blocks.ts';
import {
  block,
  br,
  brIf,
  type Code,
  get,
  giveBack,
  i8x16,
  i32,
  i64,
  loop,
  select,
  set,
  tee,
  type WasmFunction,
  type WasmType,
  when,
} from './wasm-assembler.ts';

export interface ScanShape {
  readonly separator: number;
  /** Runs of separators count as one; at the ends of a line they separate nothing. Not with `quote`. */
  readonly isRepeatable: boolean;
  /** Separators and line ends between two of them are text; -1: none is. */
  readonly quote: number;
  /** Address of the ranges of rows, without LF or CRLF: [start, end) of row i, 32 bits each, at `rows + 8 × i`. */
  readonly rows: number;
  /** Address of the flags of rows, 32 bits each, or 0 for none: how many separators a row has, and QUOTED. Rows that are empty are left
   * out then. */
  readonly flags: number;
  /** Address of a number: where the scan has come to. */
  readonly next: number;
  /** Sorted by position, each once. */
  readonly fields: readonly ScannedField[];
}

/** A field that is wanted. */
export interface ScannedField {
  /** Number of the field in the row, from 0. */
  readonly position: number;
  /** Address of its ranges. An empty one, when the row has no such field. */
  readonly ranges: number;
}

/** Flag of a row that has a quote in it. */
export const QUOTED = 0x8000_0000;

const LF = 0x0a;
const CR = 0x0d;

/**
 * `scan(at, end, rowsMax) → rows`: rows from `at`, until `end` (behind an LF) or `rowsMax` of them. It stops before a row
 * whose quotes are open at `end`: then there are fewer than `rowsMax`, and `next` is not `end`.
 */
export function scanFunction(shape: ScanShape): WasmFunction {
  const { fields } = shape;
  const masks = readMasks(shape);
  const advance: Code = [
    increase('base', 64),
    shape.quote < 0
      ? []
      : [
          brIf('done', i32.geU(get('base'), get('end'))),
          set('carry', i64.shrS(get('inside'), i64.const(63n))),
        ],
    masks,
  ];
  let previous = shape.isRepeatable ? -1 : 0;
  const locate = fields.map((field, index) => {
    const skip = field.position - previous;
    previous = field.position;
    return [
      skip > 0 ? skipTo(shape, skip, index, advance) : set('from', get('at')),
      fieldEnd(field, index, advance),
    ];
  });
  const needsMasks = fields.length > 0 || shape.flags !== 0;
  return {
    name: 'scan',
    parameters: { at: 'i32', end: 'i32', rowsMax: 'i32' },
    locals: LOCALS,
    result: 'i32',
    body: [
      set('lf', i8x16.splat(i32.const(LF))),
      set('separator', i8x16.splat(i32.const(shape.separator))),
      set('quote', i8x16.splat(i32.const(shape.quote))),
      set('rowsMax', i32.shl(get('rowsMax'), i32.const(3))),
      block(
        'done',
        loop(
          'row',
          brIf('done', i32.geU(get('at'), get('end'))),
          brIf('done', i32.geU(get('out'), get('rowsMax'))),
          set('base', get('at')),
          set('carry', i64.const(0n)),
          set('count', i32.const(0)),
          set('quotes', i64.const(0n)),
          set('wasSeparator', i64.const(1n)),
          fields.map(({ ranges }) => [
            i32.store(get('out'), get('at'), ranges),
            i32.store(get('out'), get('at'), ranges + 4),
          ]),
          needsMasks
            ? [masks, block('ended', locate)]
            : set(
                'lines',
                mask64((offset) => equals(offset, 'lf')),
              ),
          shape.flags !== 0 ? hunt('line-end', get('lines'), advance) : lineEnd,
          set('stop', lowest(get('lines'))),
          set('next', i32.add(get('stop'), i32.const(1))),
          // What lies behind `end` may close the quotes.
          shape.quote < 0 ? [] : brIf('done', i32.gtU(get('next'), get('end'))),
          withoutCr(fields),
          block(
            'empty',
            shape.flags === 0
              ? []
              : [
                  brIf('empty', i32.eq(get('stop'), get('at'))),
                  i32.store(i32.shr(get('out'), i32.const(1)), flags, shape.flags),
                ],
            i32.store(get('out'), get('at'), shape.rows),
            i32.store(get('out'), get('stop'), shape.rows + 4),
            increase('out', 8),
          ),
          set('at', get('next')),
          br('row'),
        ),
      ),
      i32.store(i32.const(shape.next), get('at')),
      giveBack(i32.shr(get('out'), i32.const(3))),
    ],
  };
}

const LOCALS: Readonly<Record<string, WasmType>> = {
  out: 'i32',
  base: 'i32',
  from: 'i32',
  next: 'i32',
  stop: 'i32',
  need: 'i32',
  count: 'i32',
  lines: 'i64',
  separators: 'i64',
  /** Bits where a field may begin, of those that were not passed. */
  begins: 'i64',
  wasSeparator: 'i64',
  inside: 'i64',
  carry: 'i64',
  quotes: 'i64',
  lf: 'v128',
  separator: 'v128',
  quote: 'v128',
};

const flags: Code = i32.or(
  get('count'),
  select(i64.eqz(get('quotes')), i32.const(0), i32.const(QUOTED)),
);

/** Reads the block at `base`: `lines`, and `separators` before the first line end. */
function readMasks(shape: ScanShape): Code {
  const lines = mask64((offset) => equals(offset, 'lf'));
  const separators = mask64((offset) => equals(offset, 'separator'));
  const outside = i64.xor(get('inside'), i64.const(-1n));
  const isQuoted = shape.quote >= 0;
  return [
    // Bytes behind an odd number of quotes are inside: each doubling xors what was counted so far.
    isQuoted
      ? [
          set(
            'inside',
            mask64((offset) => equals(offset, 'quote')),
          ),
          set('begins', get('inside')),
          [1n, 2n, 4n, 8n, 16n, 32n].map((by) =>
            set('inside', i64.xor(get('inside'), i64.shl(get('inside'), i64.const(by)))),
          ),
          set('inside', i64.xor(get('inside'), get('carry'))),
        ]
      : [],
    set('lines', isQuoted ? i64.and(lines, outside) : lines),
    isQuoted ? set('quotes', i64.or(get('quotes'), i64.and(get('begins'), below('lines')))) : [],
    set('separators', i64.and(separators, below('lines'))),
    isQuoted ? set('separators', i64.and(get('separators'), outside)) : [],
    shape.flags === 0
      ? []
      : set('count', i32.add(get('count'), i32.fromI64(i64.popcnt(get('separators'))))),
    shape.isRepeatable
      ? [
          set('inside', i64.or(i64.shl(get('separators'), i64.const(1n)), get('wasSeparator'))),
          set('wasSeparator', i64.shr(get('separators'), i64.const(63n))),
          set(
            'begins',
            i64.and(
              i64.and(get('inside'), below('lines')),
              i64.xor(get('separators'), i64.const(-1n)),
            ),
          ),
        ]
      : set('begins', get('separators')),
  ];
}

/** `from` becomes where the field begins that is `count` further; leaves the block `ended` when the row has fewer. */
function skipTo(shape: ScanShape, count: number, index: number, advance: Code): Code {
  const found = `found-${index}`;
  const again = `again-${index}`;
  const drop = `drop-${index}`;
  return [
    set('need', i32.const(count)),
    block(
      found,
      loop(
        again,
        brIf(found, i32.leU(get('need'), tee('stop', i32.fromI64(i64.popcnt(get('begins')))))),
        brIf('ended', i64.ne(get('lines'), i64.const(0n))),
        set('need', i32.sub(get('need'), get('stop'))),
        advance,
        br(again),
      ),
    ),
    loop(
      drop,
      when(
        i32.gtU(get('need'), i32.const(1)),
        dropLowest('begins'),
        increase('need', -1),
        br(drop),
      ),
    ),
    set(
      'from',
      shape.isRepeatable ? lowest(get('begins')) : i32.add(lowest(get('begins')), i32.const(1)),
    ),
    // What is left are the separators behind the beginning of the field.
    set(
      'separators',
      i64.and(
        get('separators'),
        i64.xor(i64.xor(get('begins'), i64.sub(get('begins'), i64.const(1n))), i64.const(-1n)),
      ),
    ),
    dropLowest('begins'),
  ];
}

/** `block` until `mask` is not 0. */
function hunt(label: string, mask: Code, advance: Code): Code {
  return block(
    label,
    loop(`${label}-hunt`, brIf(label, i64.ne(mask, i64.const(0n))), advance, br(`${label}-hunt`)),
  );
}

function fieldEnd(field: ScannedField, index: number, advance: Code): Code {
  const edges = i64.or(get('separators'), get('lines'));
  return [
    hunt(`end-${index}`, edges, advance),
    i32.store(get('out'), get('from'), field.ranges),
    i32.store(get('out'), lowest(edges), field.ranges + 4),
  ];
}

/** `stop` moves before a CR, and so do fields that end there. */
function withoutCr(fields: readonly ScannedField[]): Code {
  const cut = fields.map(({ ranges }) =>
    when(
      i32.eq(i32.load(get('out'), ranges + 4), get('stop')),
      i32.store(get('out'), i32.sub(get('stop'), i32.const(1)), ranges + 4),
    ),
  );
  return when(
    i32.gtU(get('stop'), get('at')),
    when(
      i32.eq(i32.load8(i32.sub(get('stop'), i32.const(1))), i32.const(CR)),
      cut,
      increase('stop', -1),
    ),
  );
}

/** `base` and `lines` become the block with the line end, when only that is wanted. */
const lineEnd: Code = block(
  'line-end',
  brIf('line-end', i64.ne(get('lines'), i64.const(0n))),
  loop(
    'line-hunt',
    increase('base', 64),
    when(
      i32.eqz(
        i8x16.anyTrue(
          i8x16.or(
            i8x16.or(equals(0, 'lf'), equals(16, 'lf')),
            i8x16.or(equals(32, 'lf'), equals(48, 'lf')),
          ),
        ),
      ),
      br('line-hunt'),
    ),
  ),
  set(
    'lines',
    mask64((offset) => equals(offset, 'lf')),
  ),
);
