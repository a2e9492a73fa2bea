/** Which records a sample keeps: decided by a hash of each, so that equal ones are kept, or not, together. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { murmur2 } from '../../../core/murmur2.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { SampleNode } from '../../../flow/plan.ts';

export class Sampler {
  private readonly seed: number;
  private readonly limit: number;
  private readonly bytes = new ByteWriter();

  constructor(node: SampleNode) {
    this.seed = node.seed;
    this.limit = node.fraction * 2 ** 32;
  }

  /** @throws {MillraceError} ML_KEY_INVALID, ML_VALUE_INVALID */
  keeps(value: unknown, key: unknown): boolean {
    const { bytes } = this;
    bytes.clear();
    encodeValue(this.seed, bytes);
    encodeKey(key, bytes);
    encodeValue(value, bytes);
    return scatter(murmur2(bytes.buffer, 0, bytes.length)) < this.limit;
  }
}

/** The finalizer of MurmurHash3: murmur2 of short inputs alone is uneven in its high bits. */
function scatter(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
