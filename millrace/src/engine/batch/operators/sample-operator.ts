/**
 * Keeps about a fraction of the records, decided by a hash of each: the same ones in every run, however the input is cut. Records
 * that are equal are kept, or not, together.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { murmur2 } from '../../../core/murmur2.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { SampleNode } from '../../../flow/plan.ts';
import type { Failures } from './failures.ts';
import type { Operator } from './operator.ts';

export class SampleOperator implements Operator {
  private readonly node: SampleNode;
  private readonly next: Operator;
  private readonly failures: Failures;
  private readonly limit: number;
  private readonly bytes = new ByteWriter();

  constructor(node: SampleNode, next: Operator, failures: Failures) {
    this.node = node;
    this.next = next;
    this.failures = failures;
    this.limit = node.fraction * 2 ** 32;
  }

  push(value: unknown, key: unknown): boolean {
    const { bytes, node } = this;
    try {
      bytes.clear();
      encodeValue(node.seed, bytes);
      encodeKey(key, bytes);
      encodeValue(value, bytes);
    } catch (error) {
      this.failures.inRecord(node.name, error, value);
      return true;
    }
    return scatter(murmur2(bytes.buffer, 0, bytes.length)) < this.limit
      ? this.next.push(value, key)
      : true;
  }

  drain(): Promise<void> {
    return this.next.drain();
  }
}

/** The finalizer of MurmurHash3: murmur2 of short inputs alone is uneven in its high bits. */
function scatter(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
