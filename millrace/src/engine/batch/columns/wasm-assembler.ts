/**
 * A small assembler for WebAssembly: functions are written as trees of named instructions, with locals and labels by name, and
 * become the bytes of a module. Only what the kernels of this folder need: i32, i64, 16-byte vectors, one imported memory.
 *
 * Nothing but numbers and names chosen here gets into a module. Source: WebAssembly Core Specification 2.0, §5 (binary format).
 */
import { assert } from '../../../core/errors.ts';

export type WasmType = 'i32' | 'i64' | 'v128';

/** Bytes, uses of locals and labels that are resolved when the function is put together, and trees of these. */
export type Code =
  | number
  | readonly Code[]
  | { readonly local: string }
  | { readonly label: string }
  | { readonly block: number; readonly label: string; readonly body: Code };

export interface WasmFunction {
  readonly name: string;
  readonly parameters: Readonly<Record<string, WasmType>>;
  readonly locals: Readonly<Record<string, WasmType>>;
  readonly result: WasmType | undefined;
  readonly body: Code;
}

/** NOTE: numbers of the binary format. */
const TYPE_CODES: Readonly<Record<WasmType, number>> = { i32: 0x7f, i64: 0x7e, v128: 0x7b };
const EMPTY_BLOCK = 0x40;
const END = 0x0b;
const SIMD = 0xfd;

// Control and locals.

export const get = (name: string): Code => [0x20, { local: name }];
export const set = (name: string, value: Code): Code => [value, 0x21, { local: name }];
export const tee = (name: string, value: Code): Code => [value, 0x22, { local: name }];
/** `br(label)` leaves it. */
export const block = (label: string, ...body: readonly Code[]): Code => ({
  block: 0x02,
  label,
  body,
});
/** `br(label)` goes back to its beginning; at its end it is left. */
export const loop = (label: string, ...body: readonly Code[]): Code => ({
  block: 0x03,
  label,
  body,
});
export const br = (label: string): Code => [0x0c, { label }];
export const brIf = (label: string, condition: Code): Code => [condition, 0x0d, { label }];
export const when = (condition: Code, ...body: readonly Code[]): Code => [
  condition,
  { block: 0x04, label: '', body },
];
export const either = (condition: Code, yes: readonly Code[], no: readonly Code[]): Code => [
  condition,
  { block: 0x04, label: '', body: [yes, 0x05, no] },
];
export const giveBack = (value: Code): Code => [value, 0x0f];
/** `yes` when the condition is not 0; both are computed. */
export const select = (condition: Code, yes: Code, no: Code): Code => [yes, no, condition, 0x1b];

const binary =
  (...opcode: readonly number[]) =>
  (left: Code, right: Code): Code => [left, right, opcode];
const unary =
  (...opcode: readonly number[]) =>
  (value: Code): Code => [value, opcode];
/** Alignment is a hint: 0 says nothing. */
const load =
  (...opcode: readonly number[]) =>
  (address: Code, offset = 0): Code => [address, opcode, 0, unsigned(offset)];
const store =
  (...opcode: readonly number[]) =>
  (address: Code, value: Code, offset = 0): Code => [address, value, opcode, 0, unsigned(offset)];

export const i32 = {
  const: (value: number): Code => [0x41, signed(BigInt(value | 0))],
  load: load(0x28),
  load8: load(0x2d),
  store: store(0x36),
  store8: store(0x3a),
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  ltU: binary(0x49),
  gtS: binary(0x4a),
  gtU: binary(0x4b),
  leU: binary(0x4d),
  geS: binary(0x4e),
  geU: binary(0x4f),
  ctz: unary(0x68),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shr: binary(0x76),
  fromI64: unary(0xa7),
};

export const i64 = {
  const: (value: bigint): Code => [0x42, signed(BigInt.asIntN(64, value))],
  load: load(0x29),
  store: store(0x37),
  eqz: unary(0x50),
  eq: binary(0x51),
  ne: binary(0x52),
  ctz: unary(0x7a),
  popcnt: unary(0x7b),
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: binary(0x86),
  shrS: binary(0x87),
  shr: binary(0x88),
  fromI32: unary(0xad),
};

/** Vectors of 16 bytes. */
export const i8x16 = {
  load: load(SIMD, 0x00),
  splat: unary(SIMD, 0x0f),
  eq: binary(SIMD, 0x23),
  ltU: binary(SIMD, 0x26),
  sub: binary(SIMD, 0x71),
  not: unary(SIMD, 0x4d),
  and: binary(SIMD, 0x4e),
  or: binary(SIMD, 0x50),
  anyTrue: unary(SIMD, 0x53),
  /** One bit per byte: its highest. */
  bitmask: unary(SIMD, 0x64),
};

/**
 * The bytes of a module that imports its memory as `host.memory` and exports every function by its name.
 * @throws {MillraceError} ML_ASSERT for a local or label that is not there
 */
export function assembleModule(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters, result }) => [
    0x60,
    vector(Object.values(parameters).map((type) => [TYPE_CODES[type]])),
    vector(result === undefined ? [] : [[TYPE_CODES[result]]]),
  ]);
  const memory = [text('host'), text('memory'), 0x02, 0x00, unsigned(0)];
  const exported = functions.map(({ name }, index) => [text(name), 0x00, unsigned(index)]);
  const bodies = functions.map((fn) => sized(bodyOf(fn)));
  const module = [
    [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    [0x01, sized(flatten(vector(types)))],
    [0x02, sized(flatten(vector([memory])))],
    [0x03, sized(flatten(vector(functions.map((_fn, index) => [unsigned(index)]))))],
    [0x07, sized(flatten(vector(exported)))],
    [0x0a, sized(flatten(vector(bodies)))],
  ];
  return Uint8Array.from(flatten(module));
}

type Bytes = number | readonly Bytes[];

function bodyOf(fn: WasmFunction): number[] {
  const names = [...Object.keys(fn.parameters), ...Object.keys(fn.locals)];
  const indexes = new Map(names.map((name, index) => [name, index]));
  const locals = Object.values(fn.locals).map((type) => [1, TYPE_CODES[type]]);
  const out = flatten(vector(locals));
  emit(fn.body, [], out, (local) => {
    const index = indexes.get(local);
    assert(index !== undefined, `${fn.name} uses ${local}, which is not there`);
    return index;
  });
  out.push(END);
  return out;
}

/** Labels are counted from the innermost block outwards. */
function emit(
  code: Code,
  labels: readonly string[],
  out: number[],
  indexOf: (local: string) => number,
): void {
  if (typeof code === 'number') out.push(code);
  else if (isTree(code)) for (const part of code) emit(part, labels, out, indexOf);
  else if ('block' in code) {
    out.push(code.block, EMPTY_BLOCK);
    emit(code.body, [...labels, code.label], out, indexOf);
    out.push(END);
  } else if ('label' in code) {
    const index = labels.lastIndexOf(code.label);
    assert(index >= 0, `no block around it is called ${code.label}`);
    out.push(...flatten(unsigned(labels.length - 1 - index)));
  } else out.push(...flatten(unsigned(indexOf(code.local))));
}

function isTree(code: Code): code is readonly Code[] {
  return Array.isArray(code);
}

function flatten(bytes: Bytes): number[] {
  const out: number[] = [];
  const walk = (part: Bytes): void => {
    if (typeof part === 'number') out.push(part);
    else for (const each of part) walk(each);
  };
  walk(bytes);
  return out;
}

const vector = (items: readonly Bytes[]): Bytes => [unsigned(items.length), items];
const sized = (bytes: readonly number[]): Bytes => [unsigned(bytes.length), bytes];
const text = (value: string): Bytes => vector([...Buffer.from(value, 'latin1')]);

/** LEB128. */
function unsigned(value: number): readonly number[] {
  const out: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return out;
}

function signed(value: bigint): readonly number[] {
  const out: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const isDone = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    out.push(isDone ? low : low | 0x80);
    if (isDone) return out;
  }
}
