/** Pieces of code that the kernels share: blocks of 64 bytes at `base`, and masks with one bit for each byte of one. */
import { type Code, get, i8x16, i32, i64, set } from './wasm-assembler.ts';

/** Whether the 16 bytes at `base + offset` are the byte that the vector `byte` is full of. */
export const equals = (offset: number, byte: string): Code =>
  i8x16.eq(i8x16.load(get('base'), offset), get(byte));

/** The mask of a block from four vectors of 0 and -1. */
export const mask64 = (part: (offset: number) => Code): Code =>
  [16, 32, 48].reduce<Code>(
    (mask, offset) =>
      i64.or(mask, i64.shl(i64.fromI32(i8x16.bitmask(part(offset))), i64.const(BigInt(offset)))),
    i64.fromI32(i8x16.bitmask(part(0))),
  );

export const increase = (name: string, by: number): Code =>
  set(name, i32.add(get(name), i32.const(by)));

/** Clears the lowest bit of a mask. */
export const dropLowest = (name: string): Code =>
  set(name, i64.and(get(name), i64.sub(get(name), i64.const(1n))));

/** The bits below the lowest one of a mask; all, when there is none. */
export const below = (name: string): Code =>
  i64.sub(i64.and(get(name), i64.sub(i64.const(0n), get(name))), i64.const(1n));

/** Address of the lowest bit of a mask. */
export const lowest = (mask: Code): Code => i32.add(get('base'), i32.fromI64(i64.ctz(mask)));
