/**
 * Looks through bytes that claim to be Avro before they become values. An array of Avro says how many items it has; a few broken bytes
 * may claim billions, and who believes them fills the memory. Here a claim counts only as far as there are bytes for it.
 *
 * Source: Avro specification 1.12, "Binary encoding".
 */
import { AVRO_EMPTY_ITEMS_MAX } from '../../core/limits.ts';

/** A type of the package avsc, as far as it is used here. */
export interface AvroType {
  readonly typeName: string;
  readonly name?: string | undefined;
  fromBuffer(bytes: Buffer): unknown;
  toBuffer(value: unknown): Buffer;
  fingerprint?(): Buffer;
}

interface AvroParts extends AvroType {
  readonly underlyingType?: AvroParts;
  readonly itemsType?: AvroParts;
  readonly valuesType?: AvroParts;
  readonly types?: readonly AvroParts[];
  readonly fields?: readonly { readonly type: AvroParts }[];
  readonly size?: number;
}

/** Goes over one value. */
type Skip = (cursor: Cursor) => void;

/** A check of bytes of the type; undefined: the type has no arrays and maps, and needs none. */
export function avroGuard(type: AvroType): ((bytes: Buffer) => void) | undefined {
  const compiler = new Compiler();
  const skip = compiler.skipOf(type);
  if (!compiler.hasBlocks) return undefined;
  return (bytes) => skip(new Cursor(bytes));
}

class Cursor {
  at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get remaining(): number {
    return this.bytes.length - this.at;
  }

  skip(bytes: number): void {
    if (bytes < 0 || bytes > this.remaining)
      throw new Error(`it says ${bytes} bytes at byte ${this.at}, and has ${this.remaining}`);
    this.at += bytes;
  }

  /** A zigzag varint. What is beyond 2^53 is inexact, and refused by whoever uses it. */
  long(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw new Error(`it ends at byte ${this.at}, inside a number`);
      this.at++;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      if (scale > 2 ** 62) throw new Error(`a number at byte ${this.at} is longer than 64 bits`);
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

class Compiler {
  hasBlocks = false;
  /** Types refer to themselves. */
  readonly #known = new Map<AvroParts, { skip: Skip }>();

  skipOf(type: AvroParts): Skip {
    const known = this.#known.get(type);
    if (known !== undefined) return (cursor) => known.skip(cursor);
    const entry: { skip: Skip } = { skip: nothing };
    this.#known.set(type, entry);
    entry.skip = this.#compile(type);
    return entry.skip;
  }

  #compile(type: AvroParts): Skip {
    if (type.underlyingType !== undefined) return this.skipOf(type.underlyingType);
    if (type.itemsType !== undefined) return this.#blocks(this.skipOf(type.itemsType));
    if (type.valuesType !== undefined) {
      const value = this.skipOf(type.valuesType);
      return this.#blocks((cursor) => {
        cursor.skip(cursor.long());
        value(cursor);
      });
    }
    if (type.types !== undefined) return oneOf(type.types.map((branch) => this.skipOf(branch)));
    if (type.fields !== undefined) {
      const fields = type.fields.map((field) => this.skipOf(field.type));
      return (cursor) => {
        for (const field of fields) field(cursor);
      };
    }
    return scalar(type);
  }

  #blocks(item: Skip): Skip {
    this.hasBlocks = true;
    return (cursor) => {
      for (let count = cursor.long(); count !== 0; count = cursor.long()) {
        if (count < 0) cursor.long();
        skipItems(cursor, item, Math.abs(count));
      }
    };
  }
}

function skipItems(cursor: Cursor, item: Skip, count: number): void {
  const from = cursor.at;
  for (let index = 0; index < count; index++) {
    item(cursor);
    // Items of no bytes, such as null, are never too many for what is there.
    if (cursor.at === from && index >= AVRO_EMPTY_ITEMS_MAX)
      throw new Error(`it says ${count} items at byte ${from}, which is more than can be`);
  }
}

function oneOf(branches: readonly Skip[]): Skip {
  return (cursor) => {
    const index = cursor.long();
    const branch = branches[index];
    if (branch === undefined) throw new Error(`it says branch ${index} of ${branches.length}`);
    branch(cursor);
  };
}

function scalar(type: AvroParts): Skip {
  switch (type.typeName.replace(/^abstract:/, '')) {
    case 'null':
      return nothing;
    case 'boolean':
      return (cursor) => cursor.skip(1);
    case 'float':
      return (cursor) => cursor.skip(4);
    case 'double':
      return (cursor) => cursor.skip(8);
    case 'fixed': {
      const { size = 0 } = type;
      return (cursor) => cursor.skip(size);
    }
    case 'bytes':
    case 'string':
      return (cursor) => cursor.skip(cursor.long());
    default:
      return (cursor) => {
        cursor.long();
      };
  }
}

function nothing(): void {}
