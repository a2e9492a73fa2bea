/** MessagePack, as anybody's library reads it: no extensions beyond timestamps where others can do without. */
import { createRequire } from 'node:module';
import type * as MsgPack from 'msgpackr';
import type { Serde } from '../../flow/serde.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { withSchema } from './schema-serde.ts';

type Library = typeof MsgPack;

/**
 * MessagePack: smaller than JSON, and with bytes, dates and bigints of up to 64 bits. The type is what the program says it is, unless a
 * schema (any Standard Schema) checks it.
 * @example topic('hits', { value: msgpack<Hit>() })
 */
export function msgpack<T = unknown>(schema?: StandardSchema<T>): Serde<T> {
  const { Packr } = library();
  const packer = new Packr(OPTIONS);
  return withSchema<T>(
    {
      name: 'msgpack',
      decode: (buffer, start, end) => {
        try {
          return packer.unpack(buffer.subarray(start, end)) as unknown;
        } catch (cause) {
          throw new Error(`it is not MessagePack: ${reasonOf(cause)}`, { cause });
        }
      },
      encode: (value) => {
        try {
          return packer.pack(value);
        } catch (cause) {
          throw new Error(`MessagePack cannot write it: ${reasonOf(cause)}`, { cause });
        }
      },
    },
    schema,
  );
}

const OPTIONS: MsgPack.Options = {
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  // The bytes that are decoded do not stay.
  copyBuffers: true,
  // A number where it is exact, else a bigint: the library knows that, its types do not.
  int64AsType: 'auto' as 'bigint',
};

let loaded: Library | undefined;

/** Loaded when a program asks for it: most do not. */
function library(): Library {
  loaded ??= createRequire(import.meta.url)('msgpackr') as Library;
  return loaded;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
